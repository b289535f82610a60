"""The task graphs for redun."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any  # its packages are not the ones that are type-checked here

from bench import material

redun: Any = import_module("redun")
redun_namespace = "bench"


@redun.task()  # type: ignore[untyped-decorator] # a decorator of another environment
def link(before: int) -> int:
    """One more than what the task before it gave."""
    return before + 1


@redun.task()  # type: ignore[untyped-decorator] # as above
def leaf(i: int) -> int:
    """A task without inputs."""
    return i


@redun.task()  # type: ignore[untyped-decorator] # as above
def fan(leaves: list[int]) -> int:
    """The sum of many leaves."""
    return sum(leaves)


FRAMES: dict[int, Any] = {}
"""Frames that are there before a task gives them, by the task's seed."""


@redun.task()  # type: ignore[untyped-decorator] # as above
def table(rows: int, seed: int) -> Any:
    """A frame: one that is there, or makes it."""
    given = FRAMES.pop(seed, None)
    return material.frame(rows, seed=seed) if given is None else given


@redun.task()  # type: ignore[untyped-decorator] # as above
def total(frame: Any) -> float:
    """Something of a frame."""
    return float(frame["f0"].sum())


def run(where: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks."""
    sys.setrecursionlimit(100 * tasks + 1_000)  # it walks what a task is given by calling itself
    assert _scheduler(where).run(_graph(shape, tasks)) is not None


def tell(where: str, shape: str, tasks: int) -> None:
    """Look whether any of these tasks would run; it ends with an error at the first that would."""
    sys.setrecursionlimit(100 * tasks + 1_000)
    assert _scheduler(where).run(_graph(shape, tasks), dryrun=True) is not None


def hand(where: str, rows: int, seed: int = 7) -> None:
    """Hand a frame from one task to the next."""
    _scheduler(where).run(total(table(rows, seed)))


def _scheduler(where: str) -> Any:
    """One that keeps results in a file of *where*, as its command keeps them."""
    directory = Path(where).resolve()
    directory.mkdir(exist_ok=True)
    settings = import_module("redun.config").Config({"backend": {"db_uri": f"sqlite:///{directory}/redun.db"}})
    scheduler = import_module("redun").Scheduler(config=settings)
    scheduler.load()
    return scheduler


def _graph(shape: str, tasks: int) -> object:
    if shape == "fan":
        return fan([leaf(i) for i in range(tasks - 1)])
    value: object = 0
    for _ in range(tasks):
        value = link(value)
    return value
