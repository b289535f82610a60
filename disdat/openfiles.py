"""
Files that are left open for who comes next, of which a process may not have many.

A home may have a thousand contexts, each with files of its own; of files a process may open 256 on some systems.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from weakref import WeakMethod

MOST = 32
"""So many of one kind have their files open."""


class OpenFiles:
    """Those of one kind that have files open. The ones that opened theirs first are closed when there are too many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._opened: deque[WeakMethod[Callable[[], None]]] = deque()

    def opened(self, close: Callable[[], None]) -> None:
        """Note that one has opened its files, which its method *close* may close from now on; called by any thread."""
        self._opened.append(WeakMethod(close))
        while len(self._opened) > self._most:
            try:
                first = self._opened.popleft()()
            except IndexError:  # another thread was first
                return
            if first is not None and first != close:
                first()
