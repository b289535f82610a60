"""The task graphs in plain Luigi."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import luigi
from luigi.tools import deps_tree

from bench import material

if TYPE_CHECKING:  # trivial tasks need no pandas
    import pandas as pd


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


FRAMES: dict[int, pd.DataFrame] = {}
"""Frames that are there before a task gives them, by the task's seed."""


class Table(luigi.Task):
    """A task that gives a frame: one that is there, or makes it."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()
    root = luigi.Parameter()
    kind = luigi.Parameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(os.path.join(self.root, f"table{self.seed}.{self.kind}"))

    def run(self) -> None:
        given = FRAMES.pop(self.seed, None)
        table = material.frame(self.rows, seed=self.seed) if given is None else given
        with self.output().temporary_path() as path:
            if self.kind == "pickle":
                table.to_pickle(path, compression=None)
            else:
                table.to_parquet(path)


class Total(luigi.Task):
    """A task that reads a frame."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()
    root = luigi.Parameter()
    kind = luigi.Parameter()

    def requires(self) -> luigi.Task:
        return Table(**self.param_kwargs)  # type: ignore[no-untyped-call] # Luigi's

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(os.path.join(self.root, f"total{self.seed}.json"))

    def run(self) -> None:
        import pandas as pd  # only this task needs it

        read = pd.read_pickle if self.kind == "pickle" else pd.read_parquet
        table = read(self.input().path)  # type: ignore[no-untyped-call] # Luigi's
        with self.output().open("w") as file:
            json.dump(float(table["f0"].sum()), file)


def run(root: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks."""
    _build(_last(root, shape, tasks))


def tell(root: str, shape: str, tasks: int) -> None:
    """Print what ``luigi-deps-tree`` prints of that graph."""
    sys.setrecursionlimit(100 * tasks + 1_000)  # it calls itself for what a task requires
    print(deps_tree.print_tree(_last(root, shape, tasks)))


def make_fan(root: str, tasks: int) -> None:
    """Write what running the fan of that many tasks would."""
    Path(root).mkdir(exist_ok=True)
    last = Fan(i=tasks - 1, root=root)  # type: ignore[no-untyped-call] # Luigi's
    for number in range(tasks - 1):
        Leaf(i=number, root=root).put(number)  # type: ignore[no-untyped-call] # Luigi's
    last.put(sum(range(tasks - 1)))


def hand(root: str, rows: int, *, kind: str, seed: int = 7) -> None:
    """Hand a frame from one task to the next."""
    _build(Total(rows=rows, seed=seed, root=root, kind=kind))  # type: ignore[no-untyped-call] # Luigi's


def _last(root: str, shape: str, tasks: int) -> luigi.Task:
    return (Link if shape == "chain" else Fan)(i=tasks - 1, root=root)


def _build(last: luigi.Task) -> None:
    if not luigi.build([last], local_scheduler=True, workers=1, log_level="WARNING"):
        raise RuntimeError("a task failed")
