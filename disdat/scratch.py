"""Temporary databases: memory does not grow with what is gathered in one."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Self


def connect() -> sqlite3.Connection:
    """Return a database that nobody else sees, and that is gone once it is closed."""
    # An empty name: a file of SQLite's own, which it keeps in memory while it is small, and deletes.
    return sqlite3.connect("", isolation_level=None)


class Scratch:
    """A temporary database with what *schema* makes, in a transaction; a context manager, for one thread."""

    def __init__(self, schema: str) -> None:
        self._database = connect()
        self._database.executescript(schema)
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
