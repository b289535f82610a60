"""Looking at a context as it was: the same commands, now and as of a moment after which a little was changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from bench import material
from bench.meter import Meter, own_bin
from bench.spec import Spec
from disdat import api
from disdat.api import selection
from disdat.catalog.queries import Filter
from disdat.ops import bundles
from disdat.ops.bundles import Birth

NAME = "b"
TOGETHER = 1000
CHANGED = 100
COMMANDS = {
    "ls": ["ls"],
    "log": ["log", "-n", "20"],
    "cat": ["cat", material.WANTED_NAME],
    "show": ["show", material.WANTED_NAME],
    "lineage": ["lineage", material.WANTED_NAME],
}


def prepare(_: Meter, spec: Spec) -> None:
    """Many bundles, and :data:`CHANGED` one by one; then, after the moment, as many tags, removals and additions."""
    api.context(NAME)
    context = selection.context(NAME)
    made = material.small_values(spec.sizes["bundles"], names=spec.sizes["names"], tags=spec.sizes["tags"])
    while batch := [(value, Birth(name, tags=tags)) for name, tags, value in islice(made, TOGETHER)]:
        bundles.write_many(context, batch)
    for number in range(CHANGED):
        bundles.write(context, number, Birth("early"))
    rows = context.catalog.search(Filter(limit=2 * CHANGED))
    for row in rows[::2]:
        bundles.tag(context, row, set_to={"checked": "yes"})
    for row in rows[1::2]:
        bundles.remove(context, [row])
    for number in range(CHANGED):
        bundles.write(context, number, Birth("late"))


def as_of(meter: Meter, _: Spec) -> None:
    """Whole processes, which is what people wait for."""
    first_tag = list(api.log(NAME, kinds=["tag"]))[-1]
    moment = datetime.fromtimestamp(first_tag.time_us / 1_000_000, UTC) - timedelta(milliseconds=1)
    dsdt: list[str | Path] = [own_bin() / "dsdt", "--context", NAME]
    for _again in range(3):
        for name, words in COMMANDS.items():
            meter.run(name, [*dsdt, *words])
            meter.run(f"{name}_then", [*dsdt, *words, "--as-of", moment.isoformat()])
