"""The task graphs in this project's terms."""

from __future__ import annotations

import luigi

from disdat import api
from disdat.pipe import PipeTask


class Link(PipeTask):
    """A task that adds one to what the one before it gave."""

    i = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.set_bundle_name(f"link_{self.i}")
        if self.i > 0:
            self.add_dependency("up", Link, {"i": self.i - 1})

    def pipe_run(self, **before: int) -> int:
        return before.get("up", 0) + 1


class Leaf(PipeTask):
    """A task without inputs."""

    i = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.set_bundle_name(f"leaf_{self.i}")

    def pipe_run(self, **_: int) -> int:
        return int(self.i)


class Fan(PipeTask):
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
    if shape == "chain":
        api.apply(context, Link, params={"i": tasks - 1})
    else:
        api.apply(context, Fan, params={"n": tasks - 1})
