"""
The lock of a context: whoever changes its log and catalog holds it, one at a time.

It is an ``flock`` on a file that is opened anew each time, so threads of one process exclude each other as
processes do, and the kernel gives it up when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disdat.durable import storage_errors
from disdat.errors import ContextNotFound, Unavailable

TIMEOUT_S = 300.0

_held: set[int] = set()


class ContextLock:
    """The lock of the context in *directory*. Threads may share one; it must not be taken again by its holder."""

    def __init__(self, directory: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._directory = directory
        self._path = str(directory / "lock")
        self._timeout_s = timeout_s

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Hold the lock. Who waits gets it in the order of asking, as far as the kernel keeps it.

        Raises:
            Unavailable: Another process held it all the time.
            ContextNotFound: The context was deleted.
            PermissionDenied: The context may not be written.
        """
        fd = self._acquire()
        try:
            yield
        finally:
            _release(fd)

    @contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Hold the lock unless somebody else does; whether it is held. Raises as :meth:`held`, but never waits."""
        fd = self._open()
        if not self._lock_now(fd) or not self._names_its_file(fd):
            os.close(fd)
            yield False
            return
        _held.add(fd)
        try:
            yield True
        finally:
            _release(fd)

    def _acquire(self) -> int:
        while True:
            fd = self._open()
            if not self._lock_now(fd):
                self._wait(fd)
            if self._names_its_file(fd):
                _held.add(fd)
                return fd
            os.close(fd)  # the context was deleted, and perhaps made again, while we waited

    def _open(self) -> int:
        with storage_errors(f"lock {self._directory}"):
            try:
                return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError as exc:
                raise ContextNotFound(self._directory.name) from exc

    def _lock_now(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except BaseException:
            os.close(fd)
            raise
        return True

    def _wait(self, fd: int) -> None:
        waiter = _Waiter(fd)
        waiter.start()
        try:
            if waiter.acquired.wait(self._timeout_s):
                return
        except BaseException:
            waiter.abandon()
            raise
        waiter.abandon()
        raise Unavailable(
            f"another process holds the lock of {self._directory} since {self._timeout_s:.0f} s",
            hint="wait until it is done, or end it, and run the command again",
        )

    def _names_its_file(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self._path))
        except FileNotFoundError:
            return False


class _Waiter(threading.Thread):
    """Waits in the kernel's queue for the lock, which no call can do with a timeout; polling would be unfair."""

    def __init__(self, fd: int) -> None:
        super().__init__(name="disdat-lock", daemon=True)
        self.acquired = threading.Event()
        self._fd = fd
        self._abandoned = False
        self._handover = threading.Lock()

    def run(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        with self._handover:
            if self._abandoned:
                os.close(self._fd)
            else:
                self.acquired.set()

    def abandon(self) -> None:
        """Let the lock go as soon as it is had."""
        with self._handover:
            self._abandoned = True
            if self.acquired.is_set():
                os.close(self._fd)


def _release(fd: int) -> None:
    _held.discard(fd)
    # Closing is not enough: a child forked meanwhile may still have the file open.
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def _close_in_child() -> None:
    # Else the child would keep its parent's lock when that is killed.
    for fd in _held:
        os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
