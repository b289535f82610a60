"""The task graphs in plain Luigi."""

from __future__ import annotations

import json
import os

import luigi


class Stored(luigi.Task):
    """A task with a number and a JSON file."""

    i = luigi.IntParameter()
    root = luigi.Parameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(os.path.join(self.root, f"{type(self).__name__}_{self.i}.json"))

    def put(self, value: int) -> None:
        with self.output().open("w") as file:
            json.dump(value, file)

    def inputs(self) -> list[int]:
        values = []
        for target in self.input():  # type: ignore[no-untyped-call] # as are all calls of Luigi
            with target.open() as file:
                values.append(json.load(file))
        return values


class Link(Stored):
    """A task that adds one to what the one before it gave."""

    def requires(self) -> list[luigi.Task]:
        return [Link(i=self.i - 1, root=self.root)] if self.i > 0 else []  # type: ignore[no-untyped-call] # Luigi's

    def run(self) -> None:
        self.put(sum(self.inputs()) + 1)


class Leaf(Stored):
    """A task without inputs."""

    def run(self) -> None:
        self.put(self.i)


class Fan(Stored):
    """A task that sums many leaves."""

    def requires(self) -> list[luigi.Task]:
        return [Leaf(i=number, root=self.root) for number in range(self.i)]  # type: ignore[no-untyped-call] # Luigi's

    def run(self) -> None:
        self.put(sum(self.inputs()))


def run(root: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks."""
    last = (Link if shape == "chain" else Fan)(i=tasks - 1, root=root)
    if not luigi.build([last], local_scheduler=True, workers=1, log_level="WARNING"):
        raise RuntimeError("a task failed")
