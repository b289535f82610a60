"""Plain Luigi with one local target per task, in this project's own interpreter."""

from __future__ import annotations

from bench import material
from bench.adapters import luigi_tasks
from bench.meter import Meter
from bench.spec import Spec, Work, command


def pipeline(meter: Meter, spec: Spec) -> None:
    count = spec.sizes["tasks"]
    luigi_tasks.run("warm", "chain", 2)
    with meter.op("first", count=count):
        luigi_tasks.run("measured", spec.shape, count)
    meter.run("whole_first", spec.graph_command("luigi_tasks", "whole"), count=count)
    meter.run("whole_again", spec.graph_command("luigi_tasks", "whole"), count=count)
    plan(meter, spec)


def prepare_whole(_: Meter, spec: Spec) -> None:
    """What each task of a fan would have written: running ten thousand takes it many minutes."""
    luigi_tasks.make_fan("whole", spec.sizes["tasks"])


def nothing(meter: Meter, spec: Spec) -> None:
    """It looks whether the last task's target is there, and at no other."""
    meter.run("again", spec.graph_command("luigi_tasks", "whole"), count=spec.sizes["tasks"])


def plan(meter: Meter, spec: Spec) -> None:
    """What ``luigi-deps-tree`` prints: every task, and whether its target is there."""
    meter.run("plan", spec.graph_command("luigi_tasks", "whole", function="tell"), count=spec.sizes["tasks"])


def handed(meter: Meter, spec: Spec) -> None:
    """As Parquet; with ``+pickle`` in the contender's name as a pickle."""
    rows, kind = spec.sizes["rows"], "pickle" if spec.contender == "luigi+pickle" else "parquet"
    luigi_tasks.hand("warm", 10, kind=kind)
    for seed in (1, 2):
        luigi_tasks.FRAMES[seed] = material.frame(rows, seed=seed)
        with meter.op("handed"):
            luigi_tasks.hand("measured", rows, kind=kind, seed=seed)
    meter.run("whole_handed", command("luigi_tasks", f"hand('whole', {rows}, kind={kind!r})"))


WORK: dict[str, Work] = {"pipeline": pipeline, "nothing": nothing, "plan": plan, "handed": handed}
PREPARE: dict[str, Work] = {"nothing": prepare_whole, "plan": prepare_whole}
