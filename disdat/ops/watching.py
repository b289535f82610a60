"""Who hears which bundles code asks for: set where a task runs, so that the same can be asked again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing the API must not bring in the catalog
    from disdat.catalog.queries import Filter, Row
    from disdat.context import Context

Watcher = Callable[["Context", "Filter", Sequence["Row"]], None]
"""Is told where was asked, what for, and what was found, newest first."""

_WATCHER: ContextVar[Watcher | None] = ContextVar("disdat_watcher", default=None)


@contextmanager
def watched(watcher: Watcher | None) -> Iterator[None]:
    """Tell *watcher* what code of this thread asks for in the block; None: nobody."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def asked(context: Context, wanted: Filter, found: Sequence[Row]) -> None:
    """Tell of a question."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(context, wanted, found)
