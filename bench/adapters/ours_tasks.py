"""The task graphs in this project's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import luigi

from bench import material
from disdat import api
from disdat.pipe import PipeTask

if TYPE_CHECKING:  # trivial tasks need no pandas
    import pandas as pd


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


FRAMES: dict[int, pd.DataFrame] = {}
"""Frames that are there before a task gives them, by the task's seed."""


class Table(PipeTask):
    """A task that gives a frame: one that is there, or makes it."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()

    def pipe_run(self) -> pd.DataFrame:
        given = FRAMES.pop(self.seed, None)
        return material.frame(self.rows, seed=self.seed) if given is None else given


class Total(PipeTask):
    """A task that reads a frame."""

    rows = luigi.IntParameter()
    seed = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.add_dependency("table", Table, {"rows": self.rows, "seed": self.seed})

    def pipe_run(self, table: pd.DataFrame) -> float:
        return float(table["f0"].sum())


def root(shape: str, tasks: int) -> tuple[type[PipeTask], dict[str, int]]:
    """The last task of the graph of that many, and its parameters."""
    return (Link, {"i": tasks - 1}) if shape == "chain" else (Fan, {"n": tasks - 1})


def run(
    context: str,
    shape: str,
    tasks: int,
    *,
    executor: str | None = None,
    scheduler: str | None = None,
    workers: int = 1,
) -> None:
    """Run the graph of that many tasks."""
    cls, params = root(shape, tasks)
    api.apply(context, cls, params=params, workers=workers, executor=executor, scheduler=scheduler)


def again(context: str, shape: str, tasks: int) -> None:
    """Run the graph when there is nothing to do."""
    cls, params = root(shape, tasks)
    assert not api.apply(context, cls, params=params)["did_work"]


def hand(context: str, rows: int, seed: int = 7) -> None:
    """Hand a frame from one task to the next."""
    api.apply(context, Total, params={"rows": rows, "seed": seed})
