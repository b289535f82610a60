"""This project, through ``disdat.api`` and ``disdat.ops``; ``dsdt`` where a whole process is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from bench import material
from bench.adapters import ours_code, ours_contexts, ours_history, ours_remote, ours_space
from bench.meter import Meter, own_bin, resident_mb
from bench.spec import Spec, Work
from disdat import api
from disdat.api import selection
from disdat.context import Context
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from disdat.values.difference import FilesDifference, TableDifference

BATCH = 1000
CALLS = 200
DSDT = own_bin() / "dsdt"
NAME = "b"


def opened() -> Context:
    """The context to work in, current, in the home of this run."""
    api.context(NAME)
    api.switch(NAME)
    return selection.context(NAME)


def births(spec: Spec, count: int) -> Iterator[tuple[object, Birth]]:
    """The bundles of small values, as the service layer takes them."""
    names, tags = spec.sizes.get("names", 100), spec.sizes.get("tags", 10)
    for name, tagged, value in material.small_values(count, names=names, tags=tags):
        yield value, Birth(name, tags=tagged)


def write_in_batches(context: Context, items: Iterable[tuple[object, Birth]]) -> None:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        bundles.write_many(context, batch)


def write_one_by_one(spec: Spec, count: int) -> None:
    names, tags = spec.sizes.get("names", 100), spec.sizes.get("tags", 10)
    for name, tagged, value in material.small_values(count, names=names, tags=tags):
        api.Bundle(NAME, name=name, data=value, tags=tagged)


def source(spec: Spec) -> Path:
    """What to add: the one file, or the directory."""
    return material.first_file(Path(spec.data)) if spec.variant == "big" else Path(spec.data)


def prepare_bundles(_: Meter, spec: Spec) -> None:
    context = opened()
    if spec.variant == "singles":
        write_one_by_one(spec, spec.sizes["bundles"])
    else:
        write_in_batches(context, births(spec, spec.sizes["bundles"]))


def startup(meter: Meter, spec: Spec) -> None:
    for _ in range(spec.sizes["times"]):
        meter.run("ls", [DSDT, "--context", NAME, "ls"])
        meter.run("help", [DSDT, "--help"])
        meter.run("version", [DSDT, "--version"])
        meter.run("import", [sys.executable, "-c", "import disdat"])


def add(meter: Meter, spec: Spec) -> None:
    """A bundle of nothing much first: imports, and making the catalog, do not count, unless for the whole process."""
    opened()
    if spec.contender == "dsdt":
        return whole_process_add(meter, spec)
    api.Bundle(NAME, name="small", data=1)
    with meter.op("add", **spec.amount):
        api.add(NAME, "data", source(spec))
    return None


def whole_process_add(meter: Meter, spec: Spec) -> None:
    """In a new context; a tenth of the file, in another one, tells whether memory is flat in the size."""
    if spec.variant == "big":
        tenth = Path("tenth.bin")
        with source(spec).open("rb") as file:
            tenth.write_bytes(file.read(spec.sizes["bytes"] // 10))
        api.context("tenth")
        meter.run("add_tenth", [DSDT, "--context", "tenth", "add", "data", tenth])
    meter.run("add", [DSDT, "--context", NAME, "add", "data", source(spec)], **spec.amount)


def readd(meter: Meter, spec: Spec) -> None:
    """
    The same content again, first as it is, then with every file touched, so that it has to be hashed.

    *new MB* is by how much that made the store's objects grow.
    """
    context = opened()
    api.add(NAME, "data", source(spec))
    store = context.home.root / "store"
    before = sum(material.bytes_below(store / part) for part in ("objects", "packs"))
    with meter.op("readd", **spec.amount):
        api.add(NAME, "data", source(spec))
    for path in material.below(Path(spec.data)):
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))
    with meter.op("readd_touched", **spec.amount):
        api.add(NAME, "data", source(spec))
    after = sum(material.bytes_below(store / part) for part in ("objects", "packs"))
    meter.value("new MB", (after - before) / 1e6)


def checkout(meter: Meter, spec: Spec) -> None:
    """Into a new directory, then again with nothing changed; another one first, of what little there is to warm up."""
    opened()
    api.add(NAME, "one", material.first_file(Path(spec.data)))
    api.checkout(NAME, "one", "one")
    api.add(NAME, "data", Path(spec.data))
    with meter.op("checkout", **spec.amount):
        written = api.checkout(NAME, "data", "copy").written
    assert len(written) == spec.sizes["files"]
    with meter.op("checkout_again"):
        kept = api.checkout(NAME, "data", "copy").kept
    assert len(kept) == spec.sizes["files"]


def create(meter: Meter, spec: Spec) -> None:
    context = opened()
    write_one_by_one(spec, 10)  # what is imported or made on first use is not the cost of a bundle
    with meter.op("create", count=spec.sizes["singles"]):
        write_one_by_one(spec, spec.sizes["singles"])
    with meter.op("create_batch", count=spec.sizes["batch"]):
        write_in_batches(context, births(spec, spec.sizes["batch"]))


def catalog(meter: Meter, spec: Spec) -> None:
    """Each question once before it is timed: the first opens the catalog."""
    api.get(NAME, material.WANTED_NAME)
    if spec.variant != "million":
        found = api.search(NAME)
        assert len(found) == spec.sizes["bundles"]
        with meter.op("list", count=3):
            for _ in range(3):
                api.search(NAME)
    meter.value("name hits", len(api.search(NAME, material.WANTED_NAME)))
    meter.value("tag hits", len(api.search(NAME, tags=material.WANTED_TAG)))
    with meter.op("by_name", count=CALLS):
        for _ in range(CALLS):
            api.search(NAME, material.WANTED_NAME)
    with meter.op("by_tag", count=CALLS // 10):
        for _ in range(CALLS // 10):
            api.search(NAME, tags=material.WANTED_TAG)
    with meter.op("latest", count=CALLS):
        for _ in range(CALLS):
            api.get(NAME, material.WANTED_NAME)


def reindex(meter: Meter, spec: Spec) -> None:
    import disdat.catalog.tables  # noqa: F401 - what reindexing imports does not count, nor should other workloads import it

    context = selection.context(NAME)
    with meter.op("reindex", count=spec.sizes["bundles"]):
        found = context.catalog.reindex()
    assert found == spec.sizes["bundles"], found


def prepare_frame(_: Meter, spec: Spec) -> None:
    opened()
    api.Bundle(NAME, name="frame", data=material.frame(spec.sizes["rows"]))
    api.Bundle(NAME, name="small", data=material.frame(10))


def frame(meter: Meter, spec: Spec) -> None:
    """A small frame first: imports do not count."""
    rows = spec.sizes["rows"]
    if spec.variant == "load":
        assert api.cat(NAME, "small") is not None
        meter.value("MB before", resident_mb())
        with meter.op("load"):
            loaded = api.cat(NAME, "frame")
        assert len(loaded) == rows
        meter.value("frame MB", loaded.memory_usage(deep=True).sum() / 2**20)
        return
    opened()
    api.Bundle(NAME, name="small", data=material.frame(10))
    table = material.frame(rows)
    meter.value("frame MB", table.memory_usage(deep=True).sum() / 2**20)
    meter.value("MB before", resident_mb())
    with meter.op("store"):
        api.Bundle(NAME, name="frame", data=table)


def prepare_diff(_: Meter, spec: Spec) -> None:
    """Two versions of a table or of a directory, and of a small value of the same kind."""
    opened()
    if spec.variant == "table":
        for name, rows in (("data", spec.sizes["rows"]), ("small", 10)):
            for changed in (False, True):
                api.Bundle(NAME, name=name, data=material.keyed(rows, changed=changed))
        return
    tree = Path("tree")
    paths = [tree / path.relative_to(spec.data) for path in sorted(material.below(Path(spec.data)))]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(Path(spec.data, path.relative_to(tree)), path)
    for name, directory in (("data", tree), ("small", paths[0].parent)):
        api.add(NAME, name, directory)
    for path in paths[:: max(1, len(paths) // 100)]:
        path.unlink()
        path.write_text("changed", "utf-8")
    for name, directory in (("data", tree), ("small", paths[0].parent)):
        api.add(NAME, name, directory)


def diff(meter: Meter, spec: Spec) -> None:
    """The small ones first: imports do not count."""
    assert api.diff(NAME, "small")
    meter.value("MB before", resident_mb())
    with meter.op("diff"):
        found = api.diff(NAME, "data")
    difference = found.value.parts[0].difference
    if isinstance(difference, TableDifference):
        assert difference.rows.cell_count == 3, difference.rows
        sizes = [each.data.memory_usage(deep=True).sum() for each in api.search(NAME, "data")]
        meter.value("both tables MB", sum(sizes) / 2**20)
    else:
        assert isinstance(difference, FilesDifference)
        assert difference.changed_count >= 100, difference


def pipelines(meter: Meter, spec: Spec) -> None:
    """Whatever is of pipelines: that brings in luigi, which no other workload needs."""
    from bench.adapters import ours_pipelines  # not before it is needed, as said

    part = ours_pipelines.PREPARE if spec.prepare else ours_pipelines.WORK
    part[spec.workload](meter, spec)


WORK: dict[str, Work] = {
    "startup": startup,
    "add": add,
    "readd": readd,
    "checkout": checkout,
    "create": create,
    "catalog": catalog,
    "reindex": reindex,
    "frame": frame,
    "diff": diff,
    "asof": ours_history.as_of,
    "gc": ours_space.collect,
    "contexts": ours_contexts.measure,
    **dict.fromkeys(("pipeline", "nothing", "plan", "handed", "dask", "cluster"), pipelines),
    "code": ours_code.measure,
    "push": ours_remote.send,
    "pull": ours_remote.receive,
    "remote": ours_remote.many,
    "publish": ours_remote.publish,
}
PREPARE: dict[str, Work] = {
    "startup": prepare_bundles,
    "catalog": prepare_bundles,
    "reindex": prepare_bundles,
    "frame": prepare_frame,
    "diff": prepare_diff,
    "asof": ours_history.prepare,
    "gc": ours_space.prepare,
    "contexts": prepare_bundles,
    **dict.fromkeys(("nothing", "plan"), pipelines),
    "remote": ours_remote.prepare_many,
}
