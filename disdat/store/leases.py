"""
Leases: one file per writer with an open bundle, which keeps collection away from the bundle's directory.

A lease lives while its file is locked, whatever process id it names: the kernel gives the lock up when the
writer dies, on a machine that was restarted too.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.durable import Disk, storage_errors
from disdat.store.locks import FileLock

TURN_SUFFIX = ".lock"
"""Of the files in the same directory that are no leases: see :mod:`disdat.pipeline.turns`."""


@dataclass(frozen=True, slots=True)
class Live:
    """A lease somebody holds. All but :attr:`id` is for people, and empty while the lease is being written."""

    id: str
    context: str = ""
    uuid: str = ""
    pid: int = 0
    host: str = ""
    started: int = 0
    """µs since the epoch, UTC."""


class Lease:
    """
    The lease of one writer; a context manager, or :meth:`acquire` and :meth:`release`.

    A forked child does not hold its parent's lease, and does not end it.
    """

    def __init__(self, directory: Path, *, context: str, uuid: str, disk: Disk | None = None) -> None:
        self._directory = directory
        self._disk = disk or Disk()
        self._about: dict[str, Json] = {"context": context, "uuid": uuid}
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def path(self) -> Path | None:
        """The lease's file while this process holds it."""
        return self._lock.path if self._lock is not None and self._lock.held else None

    def acquire(self) -> None:
        """Take the lease; StorageError where its file cannot be written."""
        with storage_errors(f"write a lease in {self._directory}"):
            self._disk.mkdir(self._directory)
            while not self._try():
                pass
            assert self._lock is not None
            self._lock.write(canonical.encode(self._about | _here()))

    def release(self) -> None:
        """Give the lease up; nothing happens in a process that does not hold it."""
        if self._lock is None or not self._lock.held:
            return
        with storage_errors(f"end the lease {self._lock.path}"):
            try:
                self._disk.unlink(self._lock.path)
            finally:
                self._lock.release()

    def _try(self) -> bool:
        """Make and lock a file; False where somebody took it for a dead lease before the lock was on it."""
        self._lock = FileLock(self._directory / str(uuids.uuid4()), disk=self._disk)
        self._lock.acquire_exclusive()
        if self._lock.names_its_file():
            return True
        self._lock.release()
        return False


def live(directory: Path, *, disk: Disk | None = None) -> list[Live]:
    """
    The leases that are held, by id. Files of dead ones are removed, and so are those of the turns nobody has.

    What may not be removed, as it is another user's, stays and keeps nothing.

    Raises:
        StorageError: The directory cannot be read or written.
    """
    if not directory.is_dir():
        return []
    with storage_errors(f"read the leases in {directory}"):
        left = [path for path in sorted(directory.iterdir()) if not _reap(path, disk or Disk())]
        return [_read(path) for path in left if not _is_turn(path) and _is_held(path)]


def held(directory: Path) -> list[Live]:
    """
    The leases that are held, by id; nothing is written, so that it works where nothing may be.

    Raises:
        StorageError: The directory, or a lease, cannot be read.
    """
    if not directory.is_dir():
        return []
    with storage_errors(f"read the leases in {directory}"):
        return [_read(path) for path in sorted(directory.iterdir()) if not _is_turn(path) and _is_held(path)]


def _is_turn(path: Path) -> bool:
    """Whether this is the lock of a task, which keeps nothing from being collected."""
    return path.suffix == TURN_SUFFIX


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            # Shared, and for a moment: another one that looks must not take us for the holder.
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # ended meanwhile
        return False
    return False


def _reap(path: Path, disk: Disk) -> bool:
    """Remove a file nobody holds; whether it is gone."""
    lock = FileLock(path, disk=disk)
    if not path.exists():
        return True
    try:
        if not lock.try_exclusive():
            return False
        if not lock.names_its_file():
            # Its holder ended, and another one made and holds a file of this name, as is so with tasks: to remove
            # that would let two have the turn.
            return not path.exists()
        disk.unlink(path)
    except PermissionError:
        return False
    finally:
        lock.release()
    return True


def _read(path: Path) -> Live:
    try:
        fields = cast("Mapping[str, Json]", canonical.decode(path.read_bytes()))
        texts = {name: str(fields[name]) for name in ("context", "uuid", "host")}
        numbers = {name: int(cast("int", fields[name])) for name in ("pid", "started")}
    except (OSError, ValueError, KeyError):  # being written, or ended, at this moment
        return Live(path.name)
    return Live(path.name, texts["context"], texts["uuid"], numbers["pid"], texts["host"], numbers["started"])


def _here() -> dict[str, Json]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time_ns() // 1000}
