"""redun, in a process of its own for each run, as its command is."""

from __future__ import annotations

from bench.meter import Meter
from bench.spec import Spec, Work


def pipeline(meter: Meter, spec: Spec) -> None:
    command, count = spec.graph_command("redun_tasks", "whole"), spec.sizes["tasks"]
    meter.run("whole_first", command, count=count)
    meter.run("whole_again", command, count=count)


WORK: dict[str, Work] = {"pipeline": pipeline}
PREPARE: dict[str, Work] = {}
