"""
What can be asked of a catalog: filters as SQL, and the rows they give.

Names are data: a pattern is a pattern only where it is given as one.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from disdat.catalog.rows import EventRow, Value, texts
from disdat.core.bundle import NOTHING
from disdat.core.digest import Digest
from disdat.errors import BadQuery

_COMMITTED, _ROOT, _TAINTED = 1, 2, 4
_COLUMNS = (
    "b.uuid, b.name, b.processing_name, b.owner, b.created_us, b.made_us, b.size_bytes, b.file_count,"
    " b.committed | (b.root_task << 1) | (b.tainted << 2), b.manifest, b.tags, b.params"
)
_NEWEST_FIRST = "ORDER BY b.made_us DESC, b.uuid DESC"


class Row(NamedTuple):
    """
    A bundle as the catalog lists it: nothing of it is loaded.

    A tuple, because listings make ten thousands of them. Times are µs since the epoch, UTC; :attr:`made_us` is when
    it was last made or found right again. The fields after :attr:`file_count` are read through the properties.
    """

    uuid: str
    name: str
    processing_name: str
    owner: str
    created_us: int
    made_us: int
    size_bytes: int
    file_count: int
    flags: int
    manifest_raw: bytes
    tags_json: str
    params_json: str

    @property
    def committed(self) -> bool:
        return bool(self.flags & _COMMITTED)

    @property
    def root_task(self) -> bool:
        """Whether the last task of a pipeline run made it."""
        return bool(self.flags & _ROOT)

    @property
    def tainted(self) -> bool:
        return bool(self.flags & _TAINTED)

    @property
    def manifest(self) -> Digest:
        return Digest.from_raw(self.manifest_raw)

    @property
    def tags(self) -> dict[str, str]:
        """Its tags now, the system's own included."""
        return texts(self.tags_json)

    @property
    def params(self) -> dict[str, str]:
        return texts(self.params_json)


_row: Callable[[tuple[Value, ...]], Row] = functools.partial(tuple.__new__, Row)
"""As ``Row._make``, which checks the number of fields, in Python, ten thousands of times."""


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Which bundles are meant: those that pass everything that is given.

    :attr:`name_glob` (``*``, ``?``, ``[…]``; upper and lower case differ) and :attr:`name_regex` (found anywhere in
    the name) are patterns, all else is exact. Times are inclusive, µs since the epoch, of creation.
    :attr:`latest_only` leaves the newest of each name of those that pass all else; :attr:`limit` comes last.
    """

    name: str | None = None
    name_glob: str | None = None
    name_regex: str | None = None
    processing_name: str | None = None
    uuid: str | None = None
    uuid_prefix: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    committed: bool | None = None
    root: bool | None = None
    before_us: int | None = None
    after_us: int | None = None
    task_key: str | None = None
    run_id: str | None = None
    latest_only: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """*bundle* was made from *input*, which it read as *argument*; uuids."""

    bundle: str
    argument: str
    input: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is in a context. Bytes are those of each bundle added up, however often they are stored."""

    bundles: int
    names: int
    committed: int
    files: int
    size_bytes: int
    digests: int

    @property
    def uncommitted(self) -> int:
        return self.bundles - self.committed


def search(connection: sqlite3.Connection, wanted: Filter) -> list[Row]:
    """The bundles that pass, newest first."""
    sql, values = statement(wanted)
    return rows(connection, sql, values)


def rows(connection: sqlite3.Connection, sql: str, values: Sequence[Value] = ()) -> list[Row]:
    """The rows of a statement that selects the columns of :class:`Row`."""
    return list(map(_row, connection.execute(sql, values)))


def statement(wanted: Filter) -> tuple[str, list[Value]]:
    """The SQL of a filter, and the values bound in it."""
    source, terms, values = _source(wanted)
    for term, value in _terms(wanted):
        terms.append(term)
        values.append(value)
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    sql = f"SELECT {_COLUMNS} FROM {source}{where} {_NEWEST_FIRST}"
    if wanted.latest_only:
        ranked = f"SELECT b.*, row_number() OVER (PARTITION BY b.name {_NEWEST_FIRST}) AS age FROM {source}{where}"
        sql = f"SELECT {_COLUMNS} FROM ({ranked}) AS b WHERE b.age = 1 {_NEWEST_FIRST}"
    if wanted.limit is not None:
        sql, values = f"{sql} LIMIT ?", [*values, wanted.limit]
    return sql, values


BY_UUIDS = f"SELECT {_COLUMNS} FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value"
PRESENT = "SELECT b.uuid FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value"
PAGE = f"SELECT {_COLUMNS} FROM bundles AS b WHERE b.uuid > ? ORDER BY b.uuid LIMIT 1000"
NAMES = "SELECT DISTINCT name FROM bundles ORDER BY name"
COUNTS = """
    SELECT count(*), count(DISTINCT name), ifnull(sum(committed), 0), ifnull(sum(file_count), 0),
        ifnull(sum(size_bytes), 0), (SELECT count(DISTINCT digest) FROM objects)
    FROM bundles"""
# What these two are ordered by is selected: else SQLite would copy what a view lays over a table (see `asof`).
INPUTS_OF = """
    SELECT b.uuid, i.argument, i.uuid, json_each.key, i.number
    FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value CROSS JOIN inputs AS i ON i.bundle = b.id
    ORDER BY json_each.key, i.number"""
USED_BY = """
    SELECT b.uuid, i.argument, i.uuid, json_each.key, b.made_us, i.number
    FROM json_each(?) CROSS JOIN inputs AS i ON i.uuid = value CROSS JOIN bundles AS b ON b.id = i.bundle
    ORDER BY json_each.key, b.made_us, b.uuid, i.number"""
UUIDS_STARTING = "SELECT uuid FROM bundles WHERE uuid >= ? AND uuid < ? ORDER BY uuid LIMIT ?"
ADDED_BY = """
    SELECT b.uuid, b.manifest, e.segment, e.offset, e.length
    FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value CROSS JOIN events AS e ON e.number = b.event"""
CAME = """
    SELECT b.uuid FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value
    CROSS JOIN events AS e ON e.number = b.event
    WHERE e.came"""
ABOUT = """
    SELECT DISTINCT e.segment, e.offset, e.length
    FROM json_each(?) CROSS JOIN subjects AS s ON s.uuid = value CROSS JOIN events AS e ON e.number = s.event
    ORDER BY e.time_us, e.id"""
IS_OBJECT_OF = """
    SELECT 1 FROM bundles AS b CROSS JOIN objects AS o ON o.digest = ? AND o.bundle = b.id WHERE b.uuid = ?"""
OF_RUN = """
    SELECT e.segment, e.offset, e.length
    FROM runs AS r CROSS JOIN events AS e ON e.number = r.event
    WHERE r.run = ? AND e.kind = ? ORDER BY e.time_us, e.id"""
DECIDED = """
    SELECT e.segment, e.offset, e.length
    FROM runs AS r CROSS JOIN events AS e ON e.number = r.event
    WHERE e.kind = 'decisions' ORDER BY e.time_us DESC, e.id DESC"""
EVENTS = "SELECT segment, offset, length FROM events ORDER BY time_us, id"
UNREADABLE = "SELECT uuid, why FROM unreadable ORDER BY uuid"

EVENT_COLUMNS = ", ".join(f"e.{column}" for column in EventRow._fields)
SPEAKING_OF = f"""
    SELECT {EVENT_COLUMNS} FROM json_each(?1) CROSS JOIN subjects AS s ON s.uuid = value
    CROSS JOIN events AS e ON e.number = s.event"""
SAME_WRITE = f"""
    SELECT {EVENT_COLUMNS} FROM json_each(?1) CROSS JOIN events AS e ON e.id = value WHERE e.write = ''
    UNION SELECT {EVENT_COLUMNS} FROM json_each(?1) CROSS JOIN events AS e ON e.write = value AND e.write <> ''"""
_UNDOING = f"""
    SELECT u.target, {EVENT_COLUMNS} FROM json_each(?) CROSS JOIN undoes AS u ON u.target = value
    CROSS JOIN events AS e ON e.number = u.event"""


def events(connection: sqlite3.Connection, sql: str, keys: Iterable[str | int]) -> list[EventRow]:
    """What a statement that selects :data:`EVENT_COLUMNS` finds of a list of *keys*."""
    return list(map(EventRow._make, connection.execute(sql, (json.dumps(list(keys)),))))


def undoing(connection: sqlite3.Connection, write_keys: Iterable[str]) -> list[tuple[str, EventRow]]:
    """The events that undo what was written under these write ids, each with the one that it undoes."""
    found = connection.execute(_UNDOING, (json.dumps(list(write_keys)),))
    return [(target, EventRow(*row)) for target, *row in found]


def edges(connection: sqlite3.Connection, sql: str, uuids: Sequence[str]) -> list[Edge]:
    """The edges that :data:`INPUTS_OF` or :data:`USED_BY` finds."""
    return [Edge(*found[:3]) for found in connection.execute(sql, (json.dumps(uuids),))]


def counts(connection: sqlite3.Connection) -> Counts:
    """How much is there."""
    return Counts(*connection.execute(COUNTS).fetchone())


def after_prefix(prefix: str) -> str:
    """A text greater than every uuid that begins with *prefix*, and less than every other one that follows it."""
    return f"{prefix}\U0010ffff"


def define_functions(connection: sqlite3.Connection) -> None:
    """Give a connection what the statements here use beyond SQLite's own."""
    connection.create_function("regexp", 2, _matches, deterministic=True)


def _source(wanted: Filter) -> tuple[str, list[str], list[Value]]:
    """Where to look: a tag leads only where nothing that finds fewer bundles is given."""
    tags = list(wanted.tags.items())
    terms: list[str] = []
    values: list[Value] = []
    source = "bundles AS b"
    if tags and not _has_own_index(wanted):
        key, value = tags.pop()
        source = "tags AS t CROSS JOIN bundles AS b ON b.id = t.bundle"
        terms, values = ["t.key = ?", "t.value = ?"], [key, value]
    for key, value in tags:
        terms.append("EXISTS (SELECT 1 FROM tags WHERE key = ? AND value = ? AND bundle = b.id)")
        values += [key, value]
    # The literals let the partial indexes be used.
    if wanted.processing_name:
        terms.append("b.processing_name <> ''")
    if wanted.task_key is not None:
        terms.append("b.task_key <> ''")
    if wanted.run_id is not None:
        terms.append("b.run <> ''")
    return source, terms, values


def _has_own_index(wanted: Filter) -> bool:
    exact = (wanted.uuid, wanted.uuid_prefix, wanted.name, wanted.task_key, wanted.run_id, wanted.processing_name)
    return any(each is not None for each in exact)


def _terms(wanted: Filter) -> Iterator[tuple[str, Value]]:
    glob = None if wanted.name_glob is None else rf"\A{fnmatch.translate(wanted.name_glob)}"
    prefix = wanted.uuid_prefix
    terms: tuple[tuple[str, Value | None], ...] = (
        ("b.uuid = ?", wanted.uuid),
        ("b.uuid >= ?", prefix),
        ("b.uuid < ?", None if prefix is None else after_prefix(prefix)),
        ("b.name = ?", wanted.name),
        ("b.name REGEXP ?", glob),
        ("b.name REGEXP ?", None if wanted.name_regex is None else _checked_regex(wanted.name_regex)),
        ("b.task_key = ?", wanted.task_key),
        ("b.run = ?", wanted.run_id),
        ("b.processing_name = ?", wanted.processing_name),
        ("b.committed = ?", wanted.committed),
        ("b.root_task = ?", wanted.root),
        ("b.created_us <= ?", wanted.before_us),
        ("b.created_us >= ?", wanted.after_us),
    )
    return ((term, value) for term, value in terms if value is not None)


def _checked_regex(pattern: str) -> str:
    try:
        _compiled(pattern)
    except re.error as exc:
        raise BadQuery(
            f"not a regular expression: {pattern!r}: {exc}", hint="write a glob such as 'my.*', without the slashes"
        ) from exc
    return pattern


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).search(name) is not None
