"""A context of its own that begins as another one is: its log and its catalog, and no byte of a bundle."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from disdat.catalog.lock import ContextLock
from disdat.context import FORMAT, UNFINISHED, Context, check_context_name
from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.durable import Disk, storage_errors
from disdat.errors import AlreadyExists, StorageError
from disdat.store.locks import FileLock

_OLD_S = 60.0
"""Younger than this, what looks as if it was left may be about to be locked."""


def fork(source: Context, name: str) -> Context:
    """
    Make a context that has every bundle of *source*, and all its history; both go on by themselves.

    It is there whole or not at all. Whoever changes *source* waits meanwhile. Its remote is not taken over.

    Raises:
        AlreadyExists: There is a context of this name.
        BadName: It cannot be a context's name.
        PermissionDenied: *source* or the home may not be written.
        InvalidInput: *source* is seen as of a moment.
    """
    source.check_is_now()
    check_context_name(name)
    home, target = source.home, source.directory.parent / name
    home.ensure()
    if (target / "context.json").exists():
        raise _taken(name)
    hidden = target.with_name(f"{UNFINISHED}{event.ulid(home.clock_us())}")
    with home.store.kept(), storage_errors(f"fork the context {source.name!r}"):
        _sweep(target.parent, home.disk)
        home.disk.mkdir(hidden)
        try:
            with ContextLock(hidden).held():
                _fill(source, hidden)
                _publish(home.disk, hidden, target)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)  # what stays is removed by the next fork
            raise
    return home.context(name)


def _fill(source: Context, hidden: Path) -> None:
    disk, now_us = source.home.disk, source.home.clock_us()
    source.catalog.fork(hidden)
    disk.mkdir(hidden / "objects")
    settings = dict(cast("Mapping[str, Json]", source.settings.get("settings", {})))
    settings.pop("remote_name", None)
    fields: dict[str, Json] = {
        "format": FORMAT,
        "id": event.ulid(now_us),
        "remote": None,
        "settings": settings,
        "forked": {"id": source.id, "name": source.name, "time": now_us},
    }
    with disk.create(hidden / "context.json") as file:
        disk.write(file, canonical.encode(fields) + b"\n")
        disk.sync(file)
    disk.sync_dir(hidden)


def _publish(disk: Disk, hidden: Path, target: Path) -> None:
    """Give the context its name; that it is there then is durable."""
    try:
        disk.rename(hidden, target)
    except OSError as exc:
        if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        if (target / "context.json").exists():
            raise _taken(target.name) from exc
        _clear(disk, target)
        disk.rename(hidden, target)
    disk.sync_dir(target.parent)


def _clear(disk: Disk, target: Path) -> None:
    """Remove what is left of a context that was being made when its maker was killed: empty directories."""
    try:
        for name in ("objects", "log"):
            with suppress(FileNotFoundError):
                disk.rmdir(target / name)
        disk.rmdir(target)
    except OSError as exc:
        raise StorageError(f"something else is at {target}", hint="move it away, or choose another name") from exc


def _sweep(contexts: Path, disk: Disk) -> None:
    """Remove what forks that were killed left: nobody holds its lock."""
    for path in contexts.glob(f"{UNFINISHED}*/"):
        with suppress(OSError):  # it is another user's, or was removed meanwhile: it takes space, and harms nobody
            if time.time() - path.stat().st_mtime < _OLD_S:
                continue
            lock = FileLock(path / "lock", disk=disk)
            if lock.try_exclusive():
                shutil.rmtree(path, ignore_errors=True)
                lock.release()


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"the context {name!r} already exists", hint="choose another name, or delete it first")
