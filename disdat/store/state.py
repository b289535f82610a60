"""
``state.db``: what one home found out about its own files, so as not to find it out again; and other files like it.

A cache in SQLite: it may be deleted, damaged or locked at any time, and is then made anew or, where it cannot
be written, kept in memory. Nothing here is needed to read an object. Through WAL and ``synchronous=NORMAL`` a
power cut loses rows but mixes up none, and no commit waits for the disk.

It is a symbolic link to a file of its own name. Where the file were deleted while a process has it open, SQLite
would take the write-ahead log of that process for the one of the next file of that name, and mix up the two.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from disdat.durable import Disk
from disdat.openfiles import OpenFiles

T = TypeVar("T")
Row: TypeAlias = "tuple[int | str | bytes, ...]"

BATCH = 500
"""So many keys are asked for in one query."""
BUSY_TIMEOUT_S = 30.0
SWEEP_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a cache, and a number that changes with them: a file that has another one is made anew."""

    version: int
    tables: str


OF_STORE = Schema(
    1,
    """
CREATE TABLE object (dev INTEGER, inode INTEGER, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (dev, inode)) WITHOUT ROWID;
CREATE TABLE file (dev INTEGER, inode INTEGER, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, hashed_ns INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (dev, inode)) WITHOUT ROWID;
CREATE TABLE pack (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE packed (digest BLOB, pack INTEGER, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    PRIMARY KEY (digest, pack)) WITHOUT ROWID;
""",
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


class State:
    """
    The state of the store in the directory *root*, or what else is kept in such a file.

    Threads share one; after a fork each process opens it for itself.
    Nothing is made on disk before *root* is there, nor where it cannot be written.
    """

    def __init__(self, root: Path, *, disk: Disk, name: str = "state.db", schema: Schema = OF_STORE) -> None:
        self.path = root / name
        self._disk = disk
        self._schema = schema
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        """Of the file that is open; None where there is none, or the rows are in memory."""
        self._in_memory = False
        self._unusable = self._replaced = False
        self.generation = 0
        """Grows when rows that were there may be gone: whoever remembers which there were asks again."""
        _STATES.add(self)

    def query(self, sql: str, arguments: Sequence[int | str | bytes] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query. Any, because the types are those of the columns, which only the SQL says."""
        return self._attempt(lambda connection: connection.execute(sql, arguments).fetchall())

    def query_many(self, sql: str, keys: Sequence[Row]) -> list[tuple[Any, ...]]:
        """The rows of *sql*, whose ``{}`` stands for the placeholders of up to :data:`BATCH` keys, over all keys."""
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            rows += self.query(sql.format(",".join("?" * len(some))), [part for key in some for part in key])
        return rows

    def change(self, *statements: tuple[str, Iterable[Row]]) -> None:
        """Run each statement for each of its rows, in one transaction."""
        given = [(sql, list(rows)) for sql, rows in statements]

        def run(connection: sqlite3.Connection) -> None:
            with self._transaction(connection):
                for sql, rows in given:
                    connection.executemany(sql, rows)

        if any(rows for _, rows in given):
            self._attempt(run)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._identity = None

    def rest(self) -> None:
        """Let go of the file unless a thread is using it: each of two threads may want what the other one has."""
        if self._lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._lock.release()

    def forget_parent(self) -> None:
        """In a forked child: use nothing that is the parent's."""
        if self._connection is not None:
            # Closing it here would end locks and clean up files that the parent is using.
            _PARENTS.append(self._connection)
        self._connection = self._identity = None
        self._lock = threading.RLock()

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            while True:
                try:
                    return work(self._open())
                except (sqlite3.DatabaseError, OSError) as exc:
                    if self._in_memory:
                        raise
                    self._give_up(exc)

    def _open(self) -> sqlite3.Connection:
        in_memory = self._unusable or not os.access(self.path.parent, os.W_OK, effective_ids=True)
        same = self._in_memory == in_memory and (in_memory or self._identity == _identity(self.path))
        if self._connection is not None and same:
            return self._connection
        self.close()
        self._in_memory = in_memory
        self.generation += 1
        self._connection = self._connect(":memory:") if in_memory else self._connect_file()
        if not in_memory:  # else closing it would lose the rows
            _OPEN_FILES.opened(self.rest)
        return self._connection

    def _connect_file(self) -> sqlite3.Connection:
        while True:
            identity = _identity(self.path) or self._make_file()
            try:
                connection = self._connect(f"file:{quote(os.fsencode(os.path.realpath(self.path)))}?mode=rw")
            except sqlite3.OperationalError:
                if _identity(self.path) == identity:
                    raise
                continue  # it was deleted or replaced meanwhile
            if _identity(self.path) == identity:
                self._identity = identity
                return connection
            connection.close()

    def _make_file(self) -> tuple[int, int] | None:
        """Make an empty file, and point the link at it; where there are no links, it has the name itself."""
        path = self.path.with_name(f"{self.path.name}-{os.urandom(4).hex()}")
        path.touch(mode=0o644)
        link = path.with_name(f"{path.name}.link")
        try:
            link.symlink_to(path.name)
        except OSError:
            path.replace(self.path)
        else:
            link.replace(self.path)
        self._sweep()
        return _identity(self.path)

    def _sweep(self) -> None:
        """Remove the files of earlier states, but for those that somebody may be about to point the link at."""
        current = os.path.realpath(self.path)
        for path in self.path.parent.glob(f"{self.path.name}-*"):
            with suppress(FileNotFoundError):
                if not str(path).startswith(current) and time.time() - path.lstat().st_mtime > SWEEP_AFTER_S:
                    path.unlink()

    def _connect(self, database: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            database, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == self._schema.version:
            return
        with self._transaction(connection):
            if _version(connection) == self._schema.version:
                return  # another process made them meanwhile
            for (table,) in connection.execute(_TABLES).fetchall():
                connection.execute(f'DROP TABLE "{table}"')
            for statement in self._schema.tables.split(";")[:-1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={self._schema.version}")

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if self._in_memory:
                connection.commit()
            else:
                self._disk.sql_commit(connection)
        except BaseException:
            connection.rollback()
            raise

    def _give_up(self, exc: Exception) -> None:
        """Put a damaged file out of the way; use memory where there is another reason."""
        damaged = getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
        self.close()
        self._unusable = self._replaced or not damaged or not self._remove_files()
        self._replaced = True

    def _remove_files(self) -> bool:
        try:
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self._disk.unlink(Path(f"{self.path}{suffix}"))
        except OSError:
            return False
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
_STATES: weakref.WeakSet[State] = weakref.WeakSet()
_PARENTS: list[sqlite3.Connection] = []
_OPEN_FILES = OpenFiles()


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _forget_parents() -> None:
    for state in list(_STATES):
        state.forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
