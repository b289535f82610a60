"""The released Disdat 1.2, with disdat-luigi, as a black box in its own environment."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any  # its package is not the one that is type-checked here

from bench import material, remote
from bench.meter import Meter, own_bin, untimed
from bench.spec import Spec, Work, command

NAME = "b"
DSDT = own_bin() / "dsdt"


def opened() -> Any:
    api: Any = import_module("disdat.api")
    if not Path("~/.config/disdat").expanduser().exists():
        import_module("disdat.fs").DisdatConfig.init()
    if NAME not in api.ls_contexts():
        api.context(NAME)
    return api


def make(api: Any, spec: Spec, count: int) -> None:
    names, tags = spec.sizes.get("names", 100), spec.sizes.get("tags", 10)
    for name, tagged, value in material.small_values(count, names=names, tags=tags):
        api.Bundle(NAME, name=name, data=value | {"s": [value["s"]]}, tags=tagged)  # it refuses a dict with a bare str


def prepare_bundles(_: Meter, spec: Spec) -> None:
    make(opened(), spec, spec.sizes["bundles"])
    untimed([DSDT, "switch", NAME])


def startup(meter: Meter, spec: Spec) -> None:
    for _ in range(spec.sizes["times"]):
        meter.run("ls", [DSDT, "ls"])
        meter.run("help", [DSDT, "--help"])
        meter.run("import", [sys.executable, "-c", "import disdat.api"])


def add(meter: Meter, spec: Spec) -> None:
    api = opened()
    with meter.op("add", **spec.amount):
        api.add(NAME, "data", spec.data)


def readd(meter: Meter, spec: Spec) -> None:
    api = opened()
    api.add(NAME, "data", spec.data)
    before = material.bytes_below(Path("~/.disdat").expanduser())
    with meter.op("readd", **spec.amount):
        api.add(NAME, "data", spec.data)
    meter.value("new MB", (material.bytes_below(Path("~/.disdat").expanduser()) - before) / 1e6)


def create(meter: Meter, spec: Spec) -> None:
    api, count = opened(), max(10, spec.sizes["singles"] // 10)
    make(api, spec, 5)
    with meter.op("create", count=count):
        make(api, spec, count)


def catalog(meter: Meter, spec: Spec) -> None:
    api = opened()
    assert len(api.search(NAME)) == spec.sizes["bundles"]
    with meter.op("list"):
        api.search(NAME)
    with meter.op("by_name", count=3):
        for _ in range(3):
            api.search(NAME, human_name=material.WANTED_NAME)
    with meter.op("by_tag"):
        api.search(NAME, tags=material.WANTED_TAG)
    with meter.op("latest", count=3):
        for _ in range(3):
            api.get(NAME, material.WANTED_NAME)


def prepare_frame(_: Meter, spec: Spec) -> None:
    opened().Bundle(NAME, name="frame", data=numbered(spec.sizes["rows"]))
    opened().Bundle(NAME, name="small", data=numbered(10))


def frame(meter: Meter, spec: Spec) -> None:
    api = opened()
    if spec.variant == "load":
        assert api.get(NAME, "small").data is not None
        with meter.op("load"):
            loaded = api.get(NAME, "frame").data
        assert len(loaded) == spec.sizes["rows"]
        return
    api.Bundle(NAME, name="small", data=numbered(10))
    table = numbered(spec.sizes["rows"])
    with meter.op("store"):
        api.Bundle(NAME, name="frame", data=table)


def push(meter: Meter, spec: Spec) -> None:
    api = _committed(spec)
    with meter.op("push", **spec.amount):
        api.push(NAME, "data")


def pull(meter: Meter, spec: Spec) -> None:
    """Into another context of the same home: it shares no bytes with the first one."""
    api = _committed(spec)
    api.push(NAME, "data")
    api.context("other")
    api.remote("other", NAME, f"s3://{remote.BUCKET}")
    with meter.op("pull", **spec.amount):
        api.pull("other", "data", localize=True)
    assert api.get("other", "data") is not None


def pipeline(meter: Meter, spec: Spec) -> None:
    tasks = _tasks()
    count = spec.sizes["tasks"]
    api = opened()
    for name in ("measured", "whole"):
        api.context(name)
    tasks.run(NAME, "chain", 2)
    with meter.op("first", count=count):
        tasks.run("measured", spec.shape, count)
    command = spec.graph_command("disdat12_tasks", "whole")
    meter.run("whole_first", command, count=count)
    meter.run("whole_again", command, count=count)


def handed(meter: Meter, spec: Spec) -> None:
    tasks, rows = _tasks(), spec.sizes["rows"]
    api = opened()
    for name in ("measured", "whole"):
        api.context(name)
    tasks.hand(NAME, 10)
    for seed in (1, 2):
        tasks.FRAMES[seed] = numbered(rows, seed=seed)
        with meter.op("handed"):
            tasks.hand("measured", rows, seed)
    meter.run("whole_handed", command("disdat12_tasks", f"hand('whole', {rows})"))


def numbered(rows: int, *, seed: int = 7) -> Any:
    """A frame with numbers for times: it has no type for them."""
    table = material.frame(rows, seed=seed)
    return table.assign(t=table["t"].astype("int64"))


def _tasks() -> Any:
    return import_module("bench.adapters.disdat12_tasks")


def _committed(spec: Spec) -> Any:
    """Files added and committed, in a context that is bound; their push is what is left to do."""
    api = opened()
    api.remote(NAME, NAME, f"s3://{remote.BUCKET}")
    api.add(NAME, "data", spec.data)
    api.commit(NAME, "data")
    return api


WORK: dict[str, Work] = {
    "startup": startup,
    "add": add,
    "readd": readd,
    "create": create,
    "catalog": catalog,
    "frame": frame,
    "pipeline": pipeline,
    "handed": handed,
    "push": push,
    "pull": pull,
}
PREPARE: dict[str, Work] = {"startup": prepare_bundles, "catalog": prepare_bundles, "frame": prepare_frame}
