"""
Placing: a user's path gets the bytes of an object, as a link to it or as a copy, in one atomic step.

Nothing here is synced. What is placed is a copy of what the store holds for good: should a power cut take it,
it is placed again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from disdat.core.digest import CHUNK_BYTES
from disdat.durable import Disk
from disdat.store.sparse import writing_copy

READ_ONLY = 0o444
EXECUTABLE = 0o555
CANNOT_LINK = frozenset({errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EACCES})
"""Why a hard link cannot be had though a copy can."""


def place_link(source: Path, target: Path, *, disk: Disk) -> bool:
    """Make *target* another name of the file *source*, replacing what is there; False where that cannot be had."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(target), os.stat(source)):
            # To rename one name of a file to another does nothing, and would leave both.
            return True
    beside = _beside(target)
    try:
        disk.link(source, beside)
    except OSError as exc:
        if exc.errno not in CANNOT_LINK:
            raise
        return False
    with _discarded_on_error(beside, disk):
        disk.rename(beside, target)
    return True


def place_copy(source: Path, target: Path, mode: int, *, disk: Disk) -> None:
    """Make *target* a copy of the file *source*, replacing what is there."""
    beside = _beside(target)
    with _discarded_on_error(beside, disk):
        with source.open("rb", buffering=0) as file, disk.create(beside) as copy:
            if not disk.clone(file, copy):
                with writing_copy(file, copy, disk=disk) as write:
                    while piece := file.read(CHUNK_BYTES):
                        write(piece)
        disk.chmod(beside, mode)
        disk.rename(beside, target)


def place_bytes(data: bytes, target: Path, mode: int, *, disk: Disk) -> None:
    """Make *target* a file of these bytes, replacing what is there."""
    beside = _beside(target)
    with _discarded_on_error(beside, disk):
        with disk.create(beside) as copy:
            disk.write(copy, data)
        disk.chmod(beside, mode)
        disk.rename(beside, target)


def _beside(target: Path) -> Path:
    """A name nobody has, in the directory of *target*; of fixed length, since that of *target* may be the longest."""
    return target.with_name(f".disdat-{os.urandom(8).hex()}")


@contextmanager
def _discarded_on_error(path: Path, disk: Disk) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what made us stop is what counts
            disk.unlink(path)
        raise
