"""A store of many small objects, and what collection plans for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from bench.meter import Meter
from bench.spec import Spec
from disdat.api import selection
from disdat.catalog.queries import Filter
from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry, Tree
from disdat.ops import bundles, gc, usage
from disdat.ops.bundles import Birth, Captured
from disdat.ops.gc import Policy
from disdat.ops.intake import store_tree
from disdat.store.objects import ObjectBatch

NAME = "bench"
FILES = 70
"""In each of the many bundles; a tenth of all objects is in each of three large ones."""
TOGETHER = 100
REMOVED = 50
"""One bundle in so many is removed."""
LARGE = 3


def prepare(_: Meter, spec: Spec) -> None:
    """Bundles of small files, distinct; what :func:`disdat.ops.add.add` writes, without the files."""
    home = selection.home()
    context = home.create_context(NAME)
    home.switch(NAME)
    count = spec.sizes["objects"]
    large = count // 10
    numbers = iter(range(count))
    for number in range(LARGE):
        with bundles.batch_in(context) as batch:
            bundles.publish(context, batch, [_captured(batch, f"large{number}", large, numbers)])
    for start in range(0, (count - LARGE * large) // FILES, TOGETHER):
        with bundles.batch_in(context) as batch:
            some = [_captured(batch, f"name{start}", FILES, numbers) for _ in range(TOGETHER)]
            bundles.publish(context, batch, some)
    rows = context.catalog.search(Filter(name_regex="^name"))
    bundles.remove(context, rows[::REMOVED])


def _captured(batch: ObjectBatch, name: str, files: int, numbers: Iterator[int]) -> Captured:
    entries: dict[str, Entry] = {}
    objects: dict[Digest, bytes] = {}
    for number, _ in zip(numbers, range(files), strict=False):
        data = b"%d " % number * 20
        digest = of_bytes(data)
        objects[digest] = data
        entries[f"d{number % 100:02}/file{number}"] = Entry(digest, len(data))
    batch.put_known(objects)
    return Captured(str(uuid.uuid4()), (), store_tree(batch, Tree(entries)), Birth(name))


def collect(meter: Meter, spec: Spec) -> None:
    """A plan, with reasons for what was removed; and what takes space."""
    home = selection.home()
    with meter.op("gc", count=spec.sizes["objects"]):
        plan = gc.plan(home, Policy(0, 0))
    assert plan.kept.count > spec.sizes["objects"] // 2
    assert plan.garbage.count
    with meter.op("du", count=spec.sizes["objects"]):
        report = usage.usage(selection.context(NAME), [], Policy(0, 0))
    assert report.entries
