"""
Locks between processes: ``flock`` on a file, given up by the kernel when its holder dies.

A child made by ``fork`` does not hold what its parent holds: it closes its copy, so that a lock ends with
the process that took it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from disdat.durable import Disk
from disdat.errors import Unavailable

TURN_SUFFIX = ".turn"
TURN_S = 5.0
"""So long at a time, who wants a lock alone keeps others from newly sharing it."""
PAUSE_S = 2.0
"""And so long at least it lets them again, where those who share it did not end: they may work for hours."""
_POLL_S = 0.002


class FileLock:
    """
    A lock on one file, made if it is absent.

    Each FileLock holds on its own: two of them exclude one another within a process too. Not for several threads.
    """

    def __init__(self, path: Path, *, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._file: BinaryIO | None = None
        self._thread: int | None = None
        with _LOCKS_LOCK:  # a set to which another thread adds cannot be gone through
            _LOCKS.add(self)

    @property
    def held(self) -> bool:
        return self._file is not None

    def acquire_shared(self) -> None:
        """Wait until nobody holds the lock exclusively, or is about to, and hold it together with others."""
        self._let_pass()
        self._acquire(fcntl.LOCK_SH)

    def acquire_exclusive(self) -> None:
        """Wait until nobody else holds the lock, and hold it alone."""
        self._acquire(fcntl.LOCK_EX)

    def acquire_exclusive_in_turn(self, *, timeout_s: float) -> None:
        """
        Wait until nobody else holds the lock, and hold it alone, however busy those are who share it.

        The kernel lets a lock be shared anew while somebody waits to have it alone, who would starve. So new ones are
        held up meanwhile; not for long at a time, as one that has it may keep it for hours.

        Raises:
            Unavailable: Some shared it all the time, for *timeout_s*.
        """
        end_s = time.monotonic() + timeout_s
        while not self._try_in_turn(min(end_s, time.monotonic() + TURN_S)):
            if time.monotonic() >= end_s:
                raise Unavailable(
                    f"others have been writing under {self.path.parent} for {timeout_s:.0f} s",
                    hint="wait until they are done, and run the command again",
                )
            time.sleep(min(PAUSE_S, max(0.0, end_s - time.monotonic())))

    def try_exclusive(self) -> bool:
        """Hold the lock alone if nobody holds it now; whether that was so."""
        try:
            self._acquire(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def names_its_file(self) -> bool:
        """Whether the file that is locked is still the one at the path."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def write(self, data: bytes) -> None:
        """Append to the locked file."""
        assert self._file is not None
        self._disk.write(self._file, data)

    def release(self) -> None:
        """Give the lock up; nothing happens where it is not held."""
        if self._file is not None:
            # Not by closing alone: a child that was just forked may have the file open for a moment longer.
            fcntl.flock(self._file.fileno(), fcntl.LOCK_UN)
            self.forget_parent()

    def forget_parent(self) -> None:
        """In a forked child: close the file, which leaves the lock with the parent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _try_in_turn(self, end_s: float) -> bool:
        turn = FileLock(self.path.with_name(self.path.name + TURN_SUFFIX), disk=self._disk)
        try:
            while not self.try_exclusive():
                if time.monotonic() >= end_s:
                    return False
                if not turn.held and turn.try_exclusive() and not turn.names_its_file():
                    turn.release()  # another one that waited like us removed it
                time.sleep(_POLL_S)
            if not turn.held and turn.path.exists():
                turn.try_exclusive()  # to remove what one that was killed left
            return True
        finally:
            if turn.names_its_file():
                self._disk.unlink(turn.path)
            turn.release()

    def _let_pass(self) -> None:
        """
        Wait for who is about to hold the lock alone, unless this thread shares it: it would wait for itself.

        Not if other threads do: some thread or other of a busy process always does.
        """
        turn = f"{self.path}{TURN_SUFFIX}"
        if not os.path.exists(turn):
            return
        mine = threading.get_ident()
        if any(lock.held and lock._thread == mine and lock.path == self.path for lock in _all_locks()):
            return
        with suppress(FileNotFoundError), open(turn, "rb", buffering=0) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH)
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)  # in a child too that was forked meanwhile

    def _acquire(self, operation: int) -> None:
        file = self._disk.open_append(self.path)
        try:
            fcntl.flock(file.fileno(), operation)
        except BaseException:
            file.close()
            raise
        self._file = file
        self._thread = threading.get_ident()


_LOCKS: weakref.WeakSet[FileLock] = weakref.WeakSet()
_LOCKS_LOCK = threading.Lock()


def _all_locks() -> list[FileLock]:
    with _LOCKS_LOCK:
        return list(_LOCKS)


def _forget_parents() -> None:
    _LOCKS_LOCK.release()
    for lock in _all_locks():
        lock.forget_parent()


# It is held while a process forks: a thread that is not in the child might have it for ever there.
os.register_at_fork(before=_LOCKS_LOCK.acquire, after_in_parent=_LOCKS_LOCK.release, after_in_child=_forget_parents)
