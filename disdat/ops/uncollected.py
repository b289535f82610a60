"""Work that makes many values without cycles, among which Python's collector would look for some."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """
    Let Python's collector wait, which finds nothing among the many values a plan or a record is made of.

    It looks at all of them again and again while they are made: of 10,000 files that took as long as all else, of what
    is fetched a fifth. Not while files are written, which can take long: other threads may need it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Of threads that are here at once, the first has seen it enabled, and enables it.
        if was_enabled:
            gc.enable()
