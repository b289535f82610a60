"""How often Python looks for garbage while a plan is made or recorded: nearly all that is made then stays."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000
"""Of Python's own 700, a fifth of the time of planning would go into looking through the plan again and again."""

_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []
_open_blocks = 0


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Python's collector looks more rarely; as it did before once the last of such blocks ends."""
    global _open_blocks  # noqa: PLW0603  it is one collector, for all threads that plan at once
    with _lock:
        if _open_blocks == 0:
            _before.append(gc.get_threshold())
            if 0 < _before[0][0] < _OBJECTS:  # at 0 it is switched off
                gc.set_threshold(_OBJECTS, *_before[0][1:])
        _open_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _open_blocks -= 1
            if _open_blocks == 0:
                gc.set_threshold(*_before.pop())
