"""How far adding has come, for a person who waits: bytes, rate and time left."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # it takes 60 ms to import, and most adds are done before it is shown
    from rich.progress import Progress, TaskID

DELAY_S = 2.0


class AddProgress:
    """
    A progress bar on standard error, from the moment adding *paths* has taken :data:`DELAY_S`.

    Called with the bytes taken in since the last call, from any thread. *shown* is whether a person looks.
    """

    def __init__(self, paths: Sequence[str], *, shown: bool, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._paths = paths
        self._shown = shown
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._done_bytes = 0
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, taken_bytes: int) -> None:
        with self._lock:
            self._done_bytes += taken_bytes
            if self._bar is None and self._shown and self._clock_s() - self._started_s >= DELAY_S:
                self._open()
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done_bytes)

    def _open(self) -> None:
        from rich.console import Console  # only a long add at a terminal needs it
        from rich.progress import (  # only a long add at a terminal needs it
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        parts = (TextColumn("adding"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(*parts, console=Console(file=sys.stderr), transient=True)
        self._task = self._bar.add_task("add", total=sum(_sizes(self._paths)))
        self._bar.start()


def _sizes(paths: Sequence[str]) -> Iterator[int]:
    """The sizes of all files at and below *paths*; what cannot be read is the add's to complain about."""
    for path in paths:
        if os.path.isfile(path):
            yield os.path.getsize(path)
        for directory, _, names in os.walk(path):
            for name in names:
                place = os.path.join(directory, name)
                if os.path.isfile(place):
                    yield os.path.getsize(place)
