"""redun, in a process of its own for each run, as its command is; frames are also handed on in process."""

from __future__ import annotations

from bench import material
from bench.meter import Meter
from bench.spec import Spec, Work, command


def pipeline(meter: Meter, spec: Spec) -> None:
    count = spec.sizes["tasks"]
    for op, function in (("whole_first", "run"), ("whole_again", "run"), ("plan", "tell")):
        meter.run(op, spec.graph_command("redun_tasks", "whole", function=function), count=count)


def handed(meter: Meter, spec: Spec) -> None:
    from bench.adapters import redun_tasks  # not before a home is there to read settings from

    rows = spec.sizes["rows"]
    redun_tasks.hand("warm", 10)
    for seed in (1, 2):
        redun_tasks.FRAMES[seed] = material.frame(rows, seed=seed)
        with meter.op("handed"):
            redun_tasks.hand("measured", rows, seed)
    meter.run("whole_handed", command("redun_tasks", f"hand('whole', {rows})"))


WORK: dict[str, Work] = {"pipeline": pipeline, "handed": handed}
PREPARE: dict[str, Work] = {}
