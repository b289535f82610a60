"""The task graphs for redun."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any  # its packages are not the ones that are type-checked here

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


def run(where: str, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks; its results are kept in a file of *where*, as its command keeps them."""
    directory = Path(where).resolve()
    directory.mkdir(exist_ok=True)
    settings = import_module("redun.config").Config({"backend": {"db_uri": f"sqlite:///{directory}/redun.db"}})
    scheduler = import_module("redun").Scheduler(config=settings)
    scheduler.load()
    sys.setrecursionlimit(100 * tasks + 1_000)  # it walks what a task is given by calling itself
    assert scheduler.run(_graph(shape, tasks)) is not None


def _graph(shape: str, tasks: int) -> object:
    if shape == "fan":
        return fan([leaf(i) for i in range(tasks - 1)])
    value: object = 0
    for _ in range(tasks):
        value = link(value)
    return value
