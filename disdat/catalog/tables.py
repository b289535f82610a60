"""
The schema of a catalog, written once.

A catalog indexes the log of one context: it holds what is searched for, and where in the log the rest is.
Importing this module imports SQLAlchemy, so only making a catalog does; rows and queries are plain SQL
that tests hold against these tables.

Every bundle that is present has one row in ``bundles``. What hangs on it carries its ``id`` last in the key,
so that each such table is its own index, and a bundle of a few scalars touches few pages.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import NamedTuple

from sqlalchemy import BLOB, REAL, Column, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from disdat.catalog.rows import START_STATE, VERSION

metadata = MetaData()

_DIALECT = sqlite.dialect()
_FOR_INDEXING = frozenset({"events_id", "events_write", "bundles_uuid"})
"""The indexes that are asked while events are indexed."""

# What the catalog has seen of the log: one row.
state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("newest_us", Integer, nullable=False),
)

# The last sequence number of each writer.
writers = Table(
    "writers",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("seq", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Every event, and where in the log it is; `write` is empty where it is the id. `came`: it was fetched, or says that it
# copied what had been.
events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("time_us", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("write", Text, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("came", Integer, nullable=False),
    Index("events_id", "id", unique=True),
    Index("events_write", "write", sqlite_where=text("write <> ''")),
)

# The bundles an event speaks of; left out for an `add` that is the only event of its bundle (see bundles.event).
subjects = Table(
    "subjects",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("event", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# The write ids that an event undoes, whether they are known or not.
undoes = Table(
    "undoes",
    metadata,
    Column("target", Text, primary_key=True),
    Column("event", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# The events that speak of a run.
runs = Table(
    "runs",
    metadata,
    Column("run", Text, primary_key=True),
    Column("event", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# The bundles that are present; a text there is none of is empty. `tags` and `params` repeat the tables of that name
# as JSON, to be shown.
bundles = Table(
    "bundles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("processing_name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("made_us", Integer, nullable=False),
    Column("committed", Integer, nullable=False),
    Column("root_task", Integer, nullable=False),
    Column("tainted", Integer, nullable=False),
    Column("task_key", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("event", Integer, nullable=False),
    Column("manifest", BLOB, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("tags", Text, nullable=False),
    Column("params", Text, nullable=False),
    Index("bundles_uuid", "uuid", unique=True),
    # Newest first is by time, then by uuid. Without the uuid, lists of a name take a third longer.
    Index("bundles_name", "name", "made_us", "uuid"),
    Index("bundles_made", "made_us", "uuid"),
    Index("bundles_processing_name", "processing_name", "made_us", sqlite_where=text("processing_name <> ''")),
    Index("bundles_task_key", "task_key", sqlite_where=text("task_key <> ''")),
    Index("bundles_run", "run", sqlite_where=text("run <> ''")),
)

tags = Table(
    "tags",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("bundle", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

params = Table(
    "params",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("bundle", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", REAL, primary_key=True),
    Column("bundle", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# What a bundle was made from, in the order of its manifest.
inputs = Table(
    "inputs",
    metadata,
    Column("bundle", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("argument", Text, nullable=False),
    Column("uuid", Text, nullable=False),
    Index("inputs_uuid", "uuid"),
    sqlite_with_rowid=False,
)

# The files of a bundle whose tree lies in its manifest; of a larger tree only the root is known, in `objects`.
files = Table(
    "files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("bundle", Integer, primary_key=True),
    Column("digest", BLOB, nullable=False),
    sqlite_with_rowid=False,
)

# The objects that the manifest of a bundle names, and the manifest where it is one; digests as 32 bytes.
objects = Table(
    "objects",
    metadata,
    Column("digest", BLOB, primary_key=True),
    Column("bundle", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# The bundles whose manifest could not be read when the log was indexed, and why.
unreadable = Table(
    "unreadable",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("why", Text, nullable=False),
    sqlite_with_rowid=False,
)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty catalog, which has seen nothing of the log; :func:`complete` adds what is missing."""
    for statement in _statements().before:
        connection.execute(statement)
    connection.execute("INSERT INTO state VALUES (1, ?, ?, ?)", START_STATE)


def complete(connection: sqlite3.Connection) -> None:
    """Add the indexes that only questions need: of a filled table they are made by sorting, in a third of the time."""
    for statement in _statements().after:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


class _Statements(NamedTuple):
    """The schema as SQL: what is made before a catalog is filled, and what after."""

    before: list[str]
    after: list[str]


@cache
def _statements() -> _Statements:
    # Once in a process: to write them takes as long as to have SQLite carry them out.
    indexes = {str(index.name): index for table in metadata.sorted_tables for index in table.indexes}
    made = [_sql(CreateTable(table)) for table in metadata.sorted_tables]
    asked = [_sql(CreateIndex(indexes[name])) for name in sorted(_FOR_INDEXING)]
    rest = [_sql(CreateIndex(indexes[name])) for name in sorted(indexes.keys() - _FOR_INDEXING)]
    return _Statements(made + asked, rest)


def _sql(statement: CreateTable | CreateIndex) -> str:
    return str(statement.compile(dialect=_DIALECT))
