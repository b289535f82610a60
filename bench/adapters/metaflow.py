"""Metaflow, which has no run that does nothing: what is resumed is cloned, task by task."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bench.meter import Meter
from bench.spec import Spec, Work

FLOW = Path("flow.py")


def pipeline(meter: Meter, spec: Spec) -> None:
    count = spec.sizes["tasks"]
    lines = _fan(count) if spec.shape == "fan" else _chain(count)
    FLOW.write_text("\n".join([_HEAD, *lines, _TAIL]), "utf-8")
    command: list[str | Path] = [sys.executable, FLOW, "--quiet"]
    meter.run("whole_first", [*command, "run", "--max-workers", "1", "--max-num-splits", str(count)], count=count)
    meter.run("whole_again", [*command, "resume", "end", "--max-workers", "1"], count=count)


def handed(meter: Meter, spec: Spec) -> None:
    """Each step is a process, so that there is nothing to time in this one."""
    made = (f"self.table = material.frame({spec.sizes['rows']})", "self.next(self.end)")
    lines = [*_step("start", *made), *_step("end", 'self.total = float(self.table["f0"].sum())')]
    FLOW.write_text("\n".join(["from bench import material", _HEAD, *lines, _TAIL]), "utf-8")
    meter.run("whole_handed", [sys.executable, FLOW, "--quiet", "run", "--max-workers", "1"])


_HEAD = "from metaflow import FlowSpec, step\n\nclass Graph(FlowSpec):"
_TAIL = "\nif __name__ == '__main__':\n    Graph()\n"


def _step(name: str, *body: str) -> Iterator[str]:
    yield from ("    @step", f"    def {name}(self):", *(f"        {line}" for line in body))


def _joining(name: str, *body: str) -> Iterator[str]:
    """A step of what is joined, which gets it as ``inputs``."""
    for line in _step(name, *body):
        yield line.replace("(self):", "(self, inputs):")


def _chain(count: int) -> Iterator[str]:
    names = ["start", *(f"s{i}" for i in range(1, count - 1)), "end"]
    for name, following in pairwise(names):
        value = "1" if name == "start" else "self.value + 1"
        yield from _step(name, f"self.value = {value}", f"self.next(self.{following})")
    yield from _step("end", "self.value = self.value + 1")


def _fan(count: int) -> Iterator[str]:
    """The first and the last two of its steps are tasks, too."""
    yield from _step("start", f"self.numbers = list(range({count - 3}))", "self.next(self.leaf, foreach='numbers')")
    yield from _step("leaf", "self.value = self.input", "self.next(self.fan)")
    yield from _joining("fan", "self.value = sum(each.value for each in inputs)", "self.next(self.end)")
    yield from _step("end", "pass")


WORK: dict[str, Work] = {"pipeline": pipeline, "handed": handed}
PREPARE: dict[str, Work] = {}
