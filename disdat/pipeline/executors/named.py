"""Executors by name: those of this package, and what others offer under the entry point group ``disdat.executors``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from disdat.pipeline.executors import Executor, Sink
from disdat.registry import Registry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an apply asks of an executor."""

    workers: int | None = None
    """So many calls at once; None: as it sees fit."""
    scheduler: str | None = None
    """The address of who says what runs where, for those who can be elsewhere."""


Opening = Callable[[Sink, Wanted], Executor]

INLINE = "inline"

EXECUTORS: Registry[Opening] = Registry("executor", group="disdat.executors")
EXECUTORS.add_lazy(INLINE, "disdat.pipeline.executors.inline:opened")
EXECUTORS.add_lazy("pool", "disdat.pipeline.executors.pool:opened")
EXECUTORS.add_lazy("dask", "disdat.pipeline.executors.dask:opened", remedy="pip install 'disdat[dask]'")
