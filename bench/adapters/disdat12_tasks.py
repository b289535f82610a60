"""The task graphs for the released Disdat."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any  # its packages are not the ones that are type-checked here

import luigi

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


def run(context: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks."""
    apply: Any = import_module("disdatluigi.api").apply
    if shape == "chain":
        apply(context, Link, params={"i": tasks - 1}, workers=1)
    else:
        apply(context, Fan, params={"n": tasks - 1}, workers=1)
