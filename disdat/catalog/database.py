"""
The file of a catalog: opening it, replacing it, and knowing when it is not the one it was.

``catalog.db`` is a symbolic link to ``catalog-<8 hex>.db``; a catalog is replaced by making a new file and moving the
link. So a catalog never meets the write-ahead log of another one, which SQLite names after the file and deletes
with the last connection, whoever's it is then. Where links are not to be had, or the file system is a network's,
the rollback journal is used instead.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeVar
from urllib.parse import quote

from disdat.catalog import queries
from disdat.catalog.endnote import SUFFIX, EndNote
from disdat.catalog.rows import VERSION
from disdat.openfiles import OpenFiles

BUSY_TIMEOUT_S = 60.0
LINK = "catalog.db"

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "lustre", "glusterfs"})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_CHECKPOINT_PAGES = 4000
"""A checkpoint syncs the file; at SQLite's default of 1000 that made a fifth of the cost of a small commit."""
_CACHE_KIB = 16 << 10
"""With SQLite's default of 2 MiB, to find a thousand of ten thousand bundles took half as long again."""
_FILL_CACHE_KIB = 64 << 10

_Identity: TypeAlias = "tuple[int, int]"
_T = TypeVar("_T")

_open_files = OpenFiles()
_inherited: list[_Opened] = []
"""Connections of the parent process. SQLite forbids a child to use or close them, so they are kept as they are."""


class Unusable(Exception):
    """There is no catalog, or none of this version: it must be made from the log. Never leaves this package."""


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is no database, or a damaged one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


@dataclass(slots=True)
class _Opened:
    """A catalog that was opened: which file it is, a connection to it, and the note beside it."""

    identity: _Identity
    connection: sqlite3.Connection
    note: EndNote

    def close(self) -> None:
        self.connection.close()
        self.note.close()


class Lent:
    """
    A connection, and the note beside its catalog, for one ``with`` block.

    Every transaction must be ended in it. After an error both are closed.
    """

    __slots__ = ("_idle", "_opened", "connection", "note")

    def __init__(self, opened: _Opened, idle: list[_Opened]) -> None:
        self.connection = opened.connection
        self.note = opened.note
        self._opened = opened
        self._idle = idle

    def __enter__(self) -> Lent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._idle.append(self._opened)
        else:
            self._opened.close()


class Transaction:
    """Begins one and, at the end of the block, commits it, or takes it back after an error."""

    # This and Lent are classes because every question enters them, and generators take three times as long.
    __slots__ = ("_begin", "_commit", "_connection")

    def __init__(
        self,
        connection: sqlite3.Connection,
        begin: str,
        *,
        commit: Callable[[sqlite3.Connection], None] = sqlite3.Connection.commit,
    ) -> None:
        self._connection = connection
        self._begin = begin
        self._commit = commit

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._commit(self._connection)
        else:
            self._connection.rollback()


class Database:
    """
    The catalog file of one context.

    Threads may share it: each gets a connection for itself. After a fork the child opens its own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / LINK
        self._link = str(self.path)  # it is looked at for each question, which a Path makes slow
        self._idle: list[_Opened] = []
        self._pid = os.getpid()

    def connection(self) -> Lent:
        """
        Lend a connection to the catalog that is there now.

        Raises:
            Unusable: There is none that can be used.
        """
        return Lent(self._take(), self._idle)

    def replace(self, fill: Callable[[sqlite3.Connection], _T]) -> _T:
        """
        Make the catalog anew with what *fill* writes, and then put it in the place of the one there is.

        Needs the lock of the context. A crash leaves the old one.
        """
        self._sweep()
        path = self._directory / f"catalog-{os.urandom(4).hex()}.db"
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(f"PRAGMA cache_size = -{_FILL_CACHE_KIB}")
                queries.define_functions(connection)
                result = fill(connection)
            self._publish(path)
        except BaseException:
            _unlink_database(path)
            raise
        self._sweep()
        return result

    def close(self) -> None:
        """Close the connections nobody uses."""
        while (idle := self._pop()) is not None:
            idle.close()

    def _take(self) -> _Opened:
        identity = _identity(self._link)
        while (idle := self._pop()) is not None:
            if idle.identity == identity:
                return idle
            idle.close()
        return self._open()

    def _pop(self) -> _Opened | None:
        if self._pid != os.getpid():
            _inherited.extend(self._idle)
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _open(self) -> _Opened:
        while True:
            identity = _identity(self._link)
            try:
                connection = connect(self.path, "mode=rw")
            except (sqlite3.Error, Unusable):
                if _identity(self._link) == identity:
                    raise
                continue  # it was replaced in between
            try:
                note = EndNote(os.path.realpath(self._link))
            except BaseException:
                connection.close()
                raise
            opened = _Opened(identity, connection, note)
            if _identity(self._link) == identity:
                _open_files.opened(self.close)
                return opened
            opened.close()

    def _publish(self, path: Path) -> None:
        """Point the link at a finished catalog; durable first, or a power cut could leave the link to an empty file."""
        network = file_system(self._directory) in NETWORK
        _set_journal(path, "DELETE" if network else "WAL")
        _sync(path)
        link = self._directory / f"{path.stem}.link"
        try:
            link.symlink_to(path.name)
        except OSError:
            _set_journal(path, "DELETE")
            _sync(path)
            for suffix in ("-journal", "-wal", "-shm", SUFFIX):  # of a catalog that was deleted alone
                (self.path.with_name(self.path.name + suffix)).unlink(missing_ok=True)
            path.replace(self.path)
        else:
            link.replace(self.path)

    def _sweep(self) -> None:
        """Remove what earlier catalogs and unfinished ones left."""
        # By name: the context itself may be reached through a symbolic link.
        current = os.readlink(self.path) if self.path.is_symlink() else LINK
        for path in self._directory.glob("catalog-*"):
            if not path.name.startswith(current):
                path.unlink(missing_ok=True)


def connect(path: Path, parameters: str) -> sqlite3.Connection:
    """Open a catalog that exists, with what a URI says of how; Unusable if it is none of this version."""
    uri = f"file:{quote(os.fsencode(path))}?{parameters}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S, cached_statements=256
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        [(version,)] = connection.execute("PRAGMA user_version")
        if version != VERSION:
            raise Unusable
    except BaseException as exc:
        connection.close()
        if isinstance(exc, sqlite3.Error) and is_damaged(exc):
            raise Unusable from exc
        raise
    queries.define_functions(connection)
    return connection


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise Unusable from None
    return status.st_dev, status.st_ino


def _set_journal(path: Path, mode: str) -> None:
    # Where a file system lacks what WAL needs, SQLite keeps the rollback journal by itself.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unlink_database(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with suppress(OSError):  # a second failure must not hide the first
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def file_system(directory: Path) -> str:
    """The type of the file system, as Linux names it; empty where that is not to be had."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    where = os.path.realpath(directory)
    found = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point).rstrip("/")
        if (where == point or where.startswith(f"{point}/")) and len(point) >= len(found[0]):
            found = point, kind
    return found[1]
