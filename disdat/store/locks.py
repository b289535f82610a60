"""
Locks between processes: ``flock`` on a file, given up by the kernel when its holder dies.

A child made by ``fork`` does not hold what its parent holds: it closes its copy, so that a lock ends with
the process that took it.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path
from typing import BinaryIO

from disdat.durable import Disk


class FileLock:
    """
    A lock on one file, made if it is absent.

    Each FileLock holds on its own: two of them exclude one another within a process too. Not for several threads.
    """

    def __init__(self, path: Path, *, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._file: BinaryIO | None = None
        _LOCKS.add(self)

    @property
    def held(self) -> bool:
        return self._file is not None

    def acquire_shared(self) -> None:
        """Wait until nobody holds the lock exclusively, and hold it together with others."""
        self._acquire(fcntl.LOCK_SH)

    def acquire_exclusive(self) -> None:
        """Wait until nobody else holds the lock, and hold it alone."""
        self._acquire(fcntl.LOCK_EX)

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

    def _acquire(self, operation: int) -> None:
        file = self._disk.open_append(self.path)
        try:
            fcntl.flock(file.fileno(), operation)
        except BaseException:
            file.close()
            raise
        self._file = file


_LOCKS: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_parents() -> None:
    for lock in list(_LOCKS):
        lock.forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
