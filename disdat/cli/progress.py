"""How far work has come: for a person who waits bytes, rate and time left; for a program lines of JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # it takes 60 ms to import, and most work is done before it is shown
    from rich.progress import Progress, TaskID
    from rich.status import Status

DELAY_S = 2.0
INTERVAL_S = 1.0
"""So often a program is told."""


class Stopping(ABC):
    """A context manager that, however it is left, stops what it shows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """Leave the terminal as it was."""
        ...


class ByteBar(Stopping):
    """
    A progress bar on standard error, from the moment the work has taken :data:`DELAY_S`; a context manager.

    *shown* is whether a person looks. Any thread may tell it how far things are.
    """

    def __init__(self, label: str, *, shown: bool, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._shown = shown
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """Show how many bytes of how many are done."""
        with self._lock:
            if self._bar is None and self.is_due:
                self._open()
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=done_bytes, total=total_bytes)

    @property
    def is_due(self) -> bool:
        """Whether somebody looks and has waited long enough."""
        return self._shown and self._clock_s() - self._started_s >= DELAY_S

    def _open(self) -> None:
        from rich.console import Console  # only long work at a terminal needs it
        from rich.progress import (  # only long work at a terminal needs it
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(TextColumn(self._label), *columns, console=Console(file=sys.stderr), transient=True)
        self._task = self._bar.add_task(self._label, total=None)
        self._bar.start()


class Phases(Stopping):
    """
    What is being done, on standard error, once the work has taken :data:`DELAY_S`; a context manager.

    *shown* is whether a person looks. Called with what is being done now.
    """

    def __init__(self, *, shown: bool, delay_s: float = DELAY_S) -> None:
        self._text = ""
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._timer = threading.Timer(delay_s, self._open) if shown else None

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def stop(self) -> None:
        if self._timer is not None and self._timer.is_alive():
            self._timer.cancel()
            self._timer.join()
        with self._lock:
            if self._status is not None:
                self._status.stop()
            self._status = None

    @property
    def is_open(self) -> bool:
        """Whether it is to be seen."""
        return self._status is not None

    def __call__(self, text: str) -> None:
        with self._lock:
            self._text = text
            if self._status is not None:
                self._status.update(f"{text} …")

    def _open(self) -> None:
        from rich.console import Console  # only long work at a terminal needs it

        with self._lock:
            self._status = Console(file=sys.stderr).status(f"{self._text} …")
            self._status.start()


class JsonLines(Stopping):
    """
    How far things are, on standard error, as a line of JSON each second and one at the end; a context manager.

    *shown* is whether a program reads them. Any thread may tell it.
    """

    def __init__(
        self, doing: str, *, unit: str, shown: bool = True, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._doing, self._unit, self._shown = doing, unit, shown
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._due_s = 0.0
        self._is_said = True

    def stop(self) -> None:
        """Say how far it came, if that was not said yet."""
        with self._lock:
            if not self._is_said:
                self._write()

    def __call__(self, done: int, total: int) -> None:
        """Say how much of how much is done, if it was not said a moment ago."""
        with self._lock:
            self._done, self._total, self._is_said = done, total, False
            if self._clock_s() - self._started_s >= self._due_s:
                self._due_s = self._clock_s() - self._started_s + INTERVAL_S
                self._write()

    def _write(self) -> None:
        self._is_said = True
        if self._shown:
            told = {"doing": self._doing, "unit": self._unit, "done": self._done, "total": self._total}
            line = json.dumps(told | {"seconds": round(self._clock_s() - self._started_s, 3)})
            with suppress(OSError, AttributeError):  # it is closed, or nobody reads it
                sys.stderr.write(line + "\n")
                sys.stderr.flush()


class AddProgress(Stopping):
    """
    How far adding *paths* has come, as a :class:`ByteBar`; a context manager.

    Called with the bytes taken in since the last call, from any thread.
    """

    def __init__(self, paths: Sequence[str], *, shown: bool, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._paths = paths
        self._bar = ByteBar("adding", shown=shown, clock_s=clock_s)
        self._lock = threading.Lock()
        self._done_bytes = 0
        self._total_bytes: int | None = None

    def stop(self) -> None:
        self._bar.stop()

    def __call__(self, taken_bytes: int) -> None:
        with self._lock:
            self._done_bytes += taken_bytes
            if self._bar.is_due:
                if self._total_bytes is None:  # most adds are done before anybody looks
                    self._total_bytes = sum(_sizes(self._paths))
                self._bar(self._done_bytes, self._total_bytes)


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
