"""
How a context, and a small file of a home, come to be: filled under a hidden name, and then given their own.

So each is there whole or not at all, and what a maker that was killed leaves is nobody's. A context goes as it came.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
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


def context(directory: Path, settings: bytes, *, disk: Disk, now_us: int) -> None:
    """
    Make an empty context with this ``context.json``; of one that lost its own, and nothing else, a new one.

    Raises:
        AlreadyExists: There is one.
    """
    if any((directory / "log").glob("*.log")):
        _restore(directory, settings, disk, now_us)
    else:
        _make(directory, settings, disk, now_us)


def file(
    path: Path, content: Callable[[int], bytes], place: Callable[[Path, Path], None], *, disk: Disk, now_us: int
) -> None:
    """Write what *content* gives for the new file's inode number, make it durable, and *place* it at *path*."""
    temporary = path.with_name(f"{UNFINISHED}{event.ulid(now_us)}")
    try:
        with disk.create(temporary) as opened:
            disk.write(opened, content(os.fstat(opened.fileno()).st_ino))
            disk.sync(opened)
        place(temporary, path)
    finally:
        with suppress(FileNotFoundError):  # a rename took it
            disk.unlink(temporary)


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


def moved_away(directory: Path, trash: Path, *, disk: Disk, now_us: int) -> Path:
    """Where a context's directory is in the *trash*, moved there by one rename; durable. Needs its lock."""
    target = trash / f"context-{event.ulid(now_us)}"
    disk.mkdir(trash)
    for above in (trash.parent, trash.parent.parent):
        disk.sync_dir(above)
    try:
        disk.rename(directory, target)
    except OSError as exc:
        if exc.errno not in {errno.EXDEV, errno.EBUSY}:
            raise
        by_hand = shlex.join(["mv", str(directory), str(target)])
        raise StorageError(
            f"the context {directory.name!r} is left as it is: {directory} cannot be moved: {exc.strerror}",
            hint=f"it, or the store, is on a disk of its own; `{by_hand}` copies it, and so deletes it too",
        ) from exc
    for changed in (trash, directory.parent):
        disk.sync_dir(changed)
    return target


def taken(name: str) -> AlreadyExists:
    """What to say where there is a context of a name."""
    return AlreadyExists(f"the context {name!r} already exists", hint="choose another name, or delete it first")


def _make(directory: Path, settings: bytes, disk: Disk, now_us: int) -> None:
    with made(directory, disk=disk, now_us=now_us) as hidden:
        for part in ("log", "objects"):
            disk.mkdir(hidden / part)
        with disk.create(hidden / "context.json") as opened:
            disk.write(opened, settings)
            disk.sync(opened)
        # Now: others who find the context, should we be killed, count on the names above it.
        for each in (hidden, directory.parent, directory.parent.parent):
            disk.sync_dir(each)


def _restore(directory: Path, settings: bytes, disk: Disk, now_us: int) -> None:
    try:
        file(directory / "context.json", lambda _: settings, disk.link, disk=disk, now_us=now_us)
    except FileExistsError as exc:
        raise taken(directory.name) from exc
    disk.sync_dir(directory)


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
