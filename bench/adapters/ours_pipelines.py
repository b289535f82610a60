"""Pipelines of this project: trivial tasks here and on a cluster, with nothing to do, planned; a frame handed on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench import material, remote
from bench.adapters import ours_tasks
from bench.meter import Meter, own_bin, untimed
from bench.spec import Spec, Work, command
from disdat import api

if TYPE_CHECKING:  # most of it needs no pandas
    import pandas as pd

DSDT = own_bin() / "dsdt"
WARM, MEASURED, WHOLE = "warm", "measured", "whole"
"""Contexts: what is imported or made on first use is not the cost of a task; and whole processes have their own."""


def pipeline(meter: Meter, spec: Spec) -> None:
    """In process and, for the start-up too, as a whole process."""
    count = spec.sizes["tasks"]
    for name in (WARM, MEASURED, WHOLE):
        api.context(name)
    ours_tasks.run(WARM, "chain", 2)
    with meter.op("first", count=count):
        ours_tasks.run(MEASURED, spec.shape, count)
    meter.run("whole_first", spec.graph_command("ours_tasks", WHOLE), count=count)
    meter.run("whole_again", spec.graph_command("ours_tasks", WHOLE, function="again"), count=count)
    meter.run("plan", plan_command(spec, WHOLE), count=count)


def prepare_whole(_: Meter, spec: Spec) -> None:
    """All that is to be found again, and a context in which nothing is."""
    for name in (WHOLE, "empty"):
        api.context(name)
    untimed(spec.graph_command("ours_tasks", WHOLE))


def nothing(meter: Meter, spec: Spec) -> None:
    """As a whole process."""
    meter.run("again", spec.graph_command("ours_tasks", WHOLE, function="again"), count=spec.sizes["tasks"])


def plan(meter: Meter, spec: Spec) -> None:
    """As a whole process, of what was made, and of what never was."""
    count = spec.sizes["tasks"]
    meter.run("plan", plan_command(spec, WHOLE), count=count)
    meter.run("plan_unmade", plan_command(spec, "empty"), count=count)
    cls, params = ours_tasks.root(spec.shape, count)
    assert api.plan(WHOLE, cls, params).count("reuse") == count
    assert api.plan("empty", cls, params).count("reuse") == 0


def plan_command(spec: Spec, context: str) -> list[str | Path]:
    cls, params = ours_tasks.root(spec.shape, spec.sizes["tasks"])
    [(parameter, value)] = params.items()
    return [DSDT, "--context", context, "plan", f"{cls.__module__}.{cls.__name__}", f"--{parameter}", str(value)]


def handed(meter: Meter, spec: Spec) -> None:
    """
    From one task to the next, in turns with storing and loading the same without tasks.

    What two tasks cost is counted there too. Each time it is another frame, as of one that is there already nothing is
    written. Whole processes make theirs too.
    """
    rows = spec.sizes["rows"]
    for name in (WARM, MEASURED, WHOLE):
        api.context(name)
    ours_tasks.hand(WARM, 10)
    _store_and_load(WARM, "stored", material.frame(10))
    for number, op in enumerate(("stored", "handed", "handed", "stored")):
        table = material.frame(rows, seed=number)
        if op == "stored":
            with meter.op(op):
                _store_and_load(MEASURED, f"stored{number}", table)
                ours_tasks.hand(MEASURED, 10, seed=number)
        else:
            ours_tasks.FRAMES[number] = table
            with meter.op(op):
                ours_tasks.hand(MEASURED, rows, seed=number)
    meter.run("whole_handed", command("ours_tasks", f"hand({WHOLE!r}, {rows})"))


def _store_and_load(context: str, name: str, table: pd.DataFrame) -> None:
    api.Bundle(context, name=name, data=table)
    assert api.cat(context, name)["f0"].sum() == table["f0"].sum()


def dask(meter: Meter, spec: Spec) -> None:
    """
    On two workers: of this process, or on those of a scheduler, which share nothing with it but a directory.

    They run since before; an apply starts their processes, which counts.
    """
    from bench.adapters import plain_dask  # it brings in distributed, which no other workload needs

    scheduler, count = remote.scheduler(), spec.sizes["tasks"]
    if scheduler is not None:
        plain_dask.wait_for_workers(scheduler)
    for name in (WARM, MEASURED):
        api.context(name)
        api.remote(name, name, Path("remote").resolve().as_uri())
    ours_tasks.run(WARM, spec.shape, 4, scheduler=scheduler, executor="dask", workers=plain_dask.WORKERS)
    with meter.op("first", count=count):
        ours_tasks.run(MEASURED, spec.shape, count, scheduler=scheduler, executor="dask", workers=plain_dask.WORKERS)


WORK: dict[str, Work] = {
    "pipeline": pipeline,
    "nothing": nothing,
    "plan": plan,
    "handed": handed,
    "dask": dask,
    "cluster": dask,
}
PREPARE: dict[str, Work] = {"nothing": prepare_whole, "plan": prepare_whole}
