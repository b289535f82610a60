"""Reading a context whose directory may not be written: no lock, no journal, nothing left behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TypeAlias, TypeVar

from disdat.catalog import endnote, index, queries
from disdat.catalog.database import LINK, Unusable, connect, is_damaged
from disdat.catalog.index import Fetch
from disdat.catalog.log import Log
from disdat.errors import Unavailable

_ATTEMPTS = 20

_Stamp: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"
_T = TypeVar("_T")


class _Changed(Exception):
    """The catalog was written to while it was read."""


class Snapshot:
    """
    A catalog for reading only: the file where it is up to date, else a copy in memory that follows the log.

    Threads may share it; their queries run one after another.
    """

    def __init__(self, directory: Path, *, log: Log, fetch: Fetch) -> None:
        self._path = directory / LINK
        self._log = log
        self._fetch = fetch
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file_stamp: _Stamp | None = None
        """Of the file that is read; None where a copy is."""

    def read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        """
        What *query* finds in a catalog that has seen the whole log.

        Raises:
            Unavailable: The owner of the context writes to it without a pause.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return self._answer(query)
                except _Changed:
                    self._drop()
                except BaseException:
                    self._drop()  # of what had begun in it, nothing is to be met again
                    raise
        raise Unavailable(f"{self._path.parent} is being written to", hint="try again in a moment")

    def close(self) -> None:
        """Close what is open; the next query opens it again."""
        with self._lock:
            self._drop()

    def _answer(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            result = query(self._followed())
        except sqlite3.DatabaseError as exc:
            if self._file_stamp is None or not is_damaged(exc):
                raise
            self._check_unchanged(self._file_stamp)
            self._adopt(_empty())
            result = query(self._followed())
        if self._file_stamp is not None:
            self._check_unchanged(self._file_stamp)
        return result

    def _followed(self) -> sqlite3.Connection:
        """The catalog, after it has seen the whole log."""
        connection = self._connection or self._open()
        seen = index.state(connection).position
        acknowledged = endnote.read_beside(Path(os.path.realpath(self._path)))
        if not self._log.continues(seen, acknowledged=acknowledged):
            return connection
        records = self._log.records(seen, acknowledged=acknowledged)
        if (first := next(records, None)) is not None:
            if self._file_stamp is not None:
                connection = self._adopt(_copied(connection))
            index.catch_up(connection, chain([first], records), log=self._log, fetch=self._fetch)
        return connection

    def _open(self) -> sqlite3.Connection:
        self._file_stamp = stamp = _stamp(self._path)
        target = Path(os.path.realpath(self._path))
        try:
            if not target.exists():
                raise Unusable
            if _size(_journal(target)) > 0:
                return self._adopt(_put_together(target))
            # SQLite is told that nobody writes; whether somebody did is checked after each query.
            self._connection = connect(target, "mode=ro&immutable=1")
        except Unusable:
            self._check_unchanged(stamp)
            return self._adopt(_empty())
        return self._connection

    def _adopt(self, memory: sqlite3.Connection) -> sqlite3.Connection:
        """Go on with a copy in memory, if what it was made from was not changed meanwhile."""
        if self._file_stamp is not None:
            self._check_unchanged(self._file_stamp)
        self._drop()
        self._connection = memory
        return memory

    def _check_unchanged(self, stamp: _Stamp) -> None:
        if _stamp(self._path) != stamp:
            raise _Changed

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._file_stamp = None


def _put_together(database: Path) -> sqlite3.Connection:
    """A file and its write-ahead log as one, in memory: beside a log the file alone is not whole."""
    with tempfile.TemporaryDirectory(prefix="disdat-") as aside:
        copy = Path(aside) / LINK
        shutil.copyfile(database, copy)
        shutil.copyfile(_journal(database), _journal(copy))
        with closing(connect(copy, "mode=rw")) as whole:
            return _copied(whole)


def _copied(connection: sqlite3.Connection) -> sqlite3.Connection:
    memory = _memory()
    connection.backup(memory)
    return memory


def _empty() -> sqlite3.Connection:
    from disdat.catalog import tables  # SQLAlchemy, which reading a catalog that is there does not need

    memory = _memory()
    tables.create(memory)
    tables.complete(memory)
    return memory


def _memory() -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    queries.define_functions(memory)
    return memory


def _journal(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _stamp(path: Path) -> _Stamp:
    """What changes when somebody writes to the catalog or puts another in its place."""
    target = Path(os.path.realpath(path))
    return tuple(_stat(each) for each in (target, _journal(target)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
