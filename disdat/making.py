"""
How the directory of a context comes to be: filled under a hidden name, and then given its own.

So a context is there whole or not at all, and what a maker that was killed leaves is nobody's.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from disdat.catalog.lock import ContextLock
from disdat.core import event
from disdat.durable import Disk
from disdat.errors import AlreadyExists, StorageError
from disdat.store.locks import FileLock

UNFINISHED = ".new-"
"""How the name of what is still to be given its own begins."""
_OLD_S = 60.0
"""Younger than this, what looks as if it was left may be about to be locked."""


@contextmanager
def made(target: Path, *, disk: Disk, now_us: int) -> Iterator[Path]:
    """
    A hidden directory to fill, which is *target* afterwards; that it is there then is durable.

    Who fills it makes durable what is in it. An empty directory at *target*, or one with nothing but empty
    directories of a context, as makers of earlier versions left, is replaced.

    Raises:
        AlreadyExists: There is a context.
        StorageError: Something else is there, or the disk refused.
    """
    hidden = target.with_name(f"{UNFINISHED}{event.ulid(now_us)}")
    _sweep(target.parent, disk)
    disk.mkdir(hidden)
    try:
        with ContextLock(hidden).held():
            yield hidden
            _publish(disk, hidden, target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)  # what stays is removed by the next maker
        raise


def taken(name: str) -> AlreadyExists:
    """What to say where there is a context of a name."""
    return AlreadyExists(f"the context {name!r} already exists", hint="choose another name, or delete it first")


def _publish(disk: Disk, hidden: Path, target: Path) -> None:
    try:
        disk.rename(hidden, target)  # replaces an empty directory
    except OSError as exc:
        if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        if (target / "context.json").exists():
            raise taken(target.name) from exc
        _clear(disk, target)
        disk.rename(hidden, target)
    disk.sync_dir(target.parent)


def _clear(disk: Disk, target: Path) -> None:
    """Remove what is left of a context that was being made when its maker was killed: empty directories."""
    try:
        for path in target.glob(f"{UNFINISHED}*"):
            disk.unlink(path)
        for name in ("objects", "log"):
            with suppress(FileNotFoundError):
                disk.rmdir(target / name)
        disk.rmdir(target)
    except OSError as exc:
        raise StorageError(f"something else is at {target}", hint="move it away, or choose another name") from exc


def _sweep(contexts: Path, disk: Disk) -> None:
    """Remove what makers that were killed left: nobody holds its lock."""
    for path in contexts.glob(f"{UNFINISHED}*/"):
        with suppress(OSError):  # it is another user's, or was removed meanwhile: it takes space, and harms nobody
            if time.time() - path.stat().st_mtime < _OLD_S:
                continue
            lock = FileLock(path / "lock", disk=disk)
            if lock.try_exclusive():
                shutil.rmtree(path, ignore_errors=True)
                lock.release()
