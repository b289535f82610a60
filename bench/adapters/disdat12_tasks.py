"""The task graphs for the released Disdat."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any  # its packages are not the ones that are type-checked here

import luigi

from bench.adapters import disdat12

warnings.filterwarnings("ignore")
PipeTask: Any = import_module("disdatluigi.pipe").PipeTask


class Link(PipeTask):  # type: ignore[misc] # PipeTask is a class of another environment
    """A task that adds one to what the one before it gave."""

    i = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.set_bundle_name(f"link_{self.i}")
        if self.i > 0:
            self.add_dependency("up", Link, {"i": self.i - 1})

    def pipe_run(self, **before: int) -> int:
        return before.get("up", 0) + 1


class Leaf(PipeTask):  # type: ignore[misc] # PipeTask is a class of another environment
    """A task without inputs."""

    i = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.set_bundle_name(f"leaf_{self.i}")

    def pipe_run(self) -> Any:
        return self.i


class Fan(PipeTask):  # type: ignore[misc] # PipeTask is a class of another environment
    """A task that sums many leaves."""

    n = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.set_bundle_name("fan")
        for i in range(self.n):
            self.add_dependency(f"d{i}", Leaf, {"i": i})

    def pipe_run(self, **leaves: int) -> int:
        return sum(leaves.values())


FRAMES: dict[int, Any] = {}
"""Frames that are there before a task gives them, by the task's seed."""


class Table(PipeTask):  # type: ignore[misc] # PipeTask is a class of another environment
    """A task that gives a frame: one that is there, or makes it."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()

    def pipe_run(self) -> Any:
        given = FRAMES.pop(self.seed, None)
        return disdat12.numbered(self.rows, seed=self.seed) if given is None else given


class Total(PipeTask):  # type: ignore[misc] # PipeTask is a class of another environment
    """A task that reads a frame."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.add_dependency("table", Table, {"rows": self.rows, "seed": self.seed})

    def pipe_run(self, table: Any) -> float:
        return float(table["f0"].sum())


def run(context: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks."""
    sys.setrecursionlimit(100 * tasks + 1_000)  # it calls itself for what a task requires
    if shape == "chain":
        _apply(context, Link, {"i": tasks - 1})
    else:
        _apply(context, Fan, {"n": tasks - 1})


def hand(context: str, rows: int, seed: int = 7) -> None:
    """Hand a frame from one task to the next."""
    _apply(context, Total, {"rows": rows, "seed": seed})


def _apply(context: str, task: type, params: dict[str, int]) -> None:
    import_module("disdatluigi.api").apply(context, task, params=params, workers=1)
