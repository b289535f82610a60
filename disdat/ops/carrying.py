"""Who hears how far transfers are: set where a task runs, whose bytes come and go without anybody's asking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Way = Literal["pulled", "pushed"]
Hear = Callable[[Way, int, int], None]
"""Is told how many bytes of how many came or went; by any thread."""

INTERVAL_S = 0.25
"""So often somebody is told of one transfer, and of its end."""

_HEARS: ContextVar[Hear | None] = ContextVar("disdat_hears_of_transfers", default=None)


@contextmanager
def heard(hear: Hear) -> Iterator[None]:
    """Tell *hear* of the transfers that code of this thread begins in the block, where it does not say who is told."""
    token = _HEARS.set(hear)
    try:
        yield
    finally:
        _HEARS.reset(token)


def listener(way: Way) -> Callable[[int, int], None] | None:
    """Who is to be told how many bytes of how many of a transfer are there; None where nobody hears."""
    hear = _HEARS.get()
    if hear is None:
        return None
    due_s = 0.0

    def tell(done_bytes: int, total_bytes: int) -> None:
        nonlocal due_s
        now_s = time.monotonic()
        if total_bytes and (done_bytes == total_bytes or now_s >= due_s):
            due_s = now_s + INTERVAL_S
            hear(way, done_bytes, total_bytes)

    return tell
