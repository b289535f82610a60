"""
A catalog as it was at a moment: today's, with a correction laid over it, so that every question stays the same SQL.

Bundles that an event after the moment speaks of, directly or by undoing what did, are folded again from their events
up to the moment; their rows lie in temporary tables of the connection. A bundle that was only added after the moment
is told by when it was made. Of a change that was being made at the moment nothing is shown. While a question is asked,
temporary views of the tables' own names lie over both. The cost follows what happened since the moment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from disdat.catalog import index, rows
from disdat.catalog.catalog import Catalog
from disdat.catalog.history import History
from disdat.catalog.index import Fetch, Folded
from disdat.catalog.indexed import Drafts
from disdat.catalog.log import Log
from disdat.core import event
from disdat.core.event import Event
from disdat.errors import InvalidInput

_T = TypeVar("_T")

_OF_BUNDLE = ("tags", *rows.OF_MANIFEST)
_SPEAKING = ", ".join(f"'{kind}'" for kind in sorted(event.KINDS - {event.ADD, event.RUN, event.DECISIONS}))
_BEGAN = "SELECT min(time_us) FROM (SELECT time_us FROM events ORDER BY id LIMIT 1000)"

# What says more of a bundle after the moment than that it was added: other kinds of events, those that undo (events of
# any kind may), and those that were published again. The rest are plain additions, of which there may be many.
_SINCE = f"""
    SELECT number FROM events WHERE id >= :first AND time_us > :moment AND kind IN ({_SPEAKING})
    UNION SELECT e.number FROM undoes AS u CROSS JOIN events AS e ON e.number = u.event WHERE e.time_us > :moment
    UNION SELECT number FROM events WHERE write <> '' AND time_us > :moment
    UNION SELECT again.number FROM events AS first CROSS JOIN events AS again ON again.id = first.write
        WHERE first.write <> '' AND again.time_us > :moment"""
_MADE_SINCE = """
    SELECT b.uuid FROM bundles AS b WHERE b.made_us > ? AND EXISTS (SELECT 1 FROM subjects AS s WHERE s.uuid = b.uuid)
    UNION SELECT uuid FROM unreadable"""

_WAS_MADE = "EXISTS (SELECT 1 FROM main.bundles AS m WHERE m.id = bundle AND m.made_us <= {moment})"
_UNCHANGED = "bundle NOT IN (SELECT id FROM temp.then_replaced)"
_OF_EVENT = (
    "SELECT t.* FROM main.{table} AS t CROSS JOIN main.events AS e ON e.number = t.event WHERE e.time_us <= {moment}"
)
_VIEWS: Mapping[str, str] = {
    "events": "SELECT * FROM main.events WHERE time_us <= {moment}",
    **{table: _OF_EVENT.replace("{table}", table) for table in ("subjects", "undoes", "runs")},
    "bundles": "SELECT * FROM main.bundles WHERE made_us <= {moment} AND id NOT IN (SELECT id FROM temp.then_replaced)"
    " UNION ALL SELECT * FROM temp.then_bundles",
    **{
        table: f"SELECT * FROM main.{table} WHERE {_WAS_MADE} AND {_UNCHANGED}"
        f" UNION ALL SELECT * FROM temp.then_{table}"
        for table in _OF_BUNDLE
    },
    "unreadable": "SELECT * FROM temp.then_unreadable",
}


@dataclass(frozen=True, slots=True)
class _Made:
    """What a correction was made for: the moment, and how much of the log the catalog had seen."""

    time_us: int
    segment: int
    offset: int


class CatalogThen(Catalog):
    """What a catalog said at a moment; nothing can be changed through it."""

    def __init__(self, now: Catalog, time_us: int) -> None:
        self._now = now
        self._time_us = time_us
        self._directory = now._directory
        self._log = now._log
        self._fetch = now._fetch

    def commit(self, drafts: Drafts, **_: Any) -> list[Event]:  # whatever a change is made with
        """Refuse; see :class:`Catalog`."""
        raise refusal(self._directory.name)

    def reindex(self) -> int:
        """Refuse; see :class:`Catalog`."""
        raise refusal(self._directory.name)

    def reread(self, uuids: Sequence[str]) -> None:
        """Refuse; see :class:`Catalog`."""
        raise refusal(self._directory.name)

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        self._now.close()

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        def ask(connection: sqlite3.Connection) -> _T:
            with _shown(connection, self._time_us, log=self._log, fetch=self._fetch):
                return query(connection)

        return self._now._read(ask)


def refusal(name: str) -> InvalidInput:
    """What says that a context which is seen as of a moment cannot be changed."""
    return InvalidInput(
        f"the context {name} is seen as it was: nothing can be changed in the past", hint="leave the moment out"
    )


def began_us(catalog: Catalog) -> int | None:
    """The time of the first event of a context; None where nothing happened yet."""
    found = catalog._read(lambda connection: connection.execute(_BEGAN).fetchone())
    return cast("int | None", found[0])


@contextmanager
def _shown(connection: sqlite3.Connection, time_us: int, *, log: Log, fetch: Fetch) -> Iterator[None]:
    """Let the tables show what they held at a moment, or before the change that was being made then."""
    began_us = History(connection, log, fetch).going_on_since(time_us)
    time_us = time_us if began_us is None else began_us - 1
    position = index.state(connection).position
    wanted = _Made(time_us, *position)
    if _made(connection) != wanted:
        _correct(connection, wanted, log=log, fetch=fetch)
    try:
        for name, sql in _VIEWS.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {sql.format(moment=time_us)}")
        yield
    finally:
        _drop_views(connection)


def _drop_views(connection: sqlite3.Connection) -> None:
    for name in _VIEWS:
        connection.execute(f"DROP VIEW IF EXISTS temp.{name}")


def _made(connection: sqlite3.Connection) -> _Made | None:
    """What the correction that is there was made for."""
    if not connection.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'then_made'").fetchone():
        return None
    found = connection.execute("SELECT * FROM temp.then_made").fetchone()
    return None if found is None else _Made(*found)


def _correct(connection: sqlite3.Connection, wanted: _Made, *, log: Log, fetch: Fetch) -> None:
    """Make the temporary tables of what was otherwise at the moment, all or none."""
    connection.execute("SAVEPOINT correction")
    try:
        _fill(connection, wanted, log=log, fetch=fetch)
    except BaseException:
        with suppress(sqlite3.OperationalError):  # after some errors SQLite took all back by itself
            connection.execute("ROLLBACK TO correction")
            connection.execute("RELEASE correction")
        raise
    connection.execute("RELEASE correction")


def _fill(connection: sqlite3.Connection, wanted: _Made, *, log: Log, fetch: Fetch) -> None:
    _make_tables(connection)
    touched = _touched(connection, wanted.time_us, log=log, fetch=fetch)
    connection.execute(
        "INSERT INTO temp.then_replaced SELECT b.id FROM json_each(?) CROSS JOIN main.bundles AS b ON b.uuid = value",
        (json.dumps(touched),),
    )
    if touched:
        # With what happened since out of sight, what is folded is what was known then.
        of_events = {name: _VIEWS[name] for name in ("events", "subjects", "undoes")}
        for name, sql in of_events.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {sql.format(moment=wanted.time_us)}")
        _insert(connection, index.folded(connection, touched, log=log, fetch=fetch))
        _drop_views(connection)
    connection.execute("INSERT INTO temp.then_made VALUES (?, ?, ?)", (wanted.time_us, wanted.segment, wanted.offset))


def _make_tables(connection: sqlite3.Connection) -> None:
    """Empty tables like those of the catalog, with its indexes."""
    # Not from the schema in Python, which would import SQLAlchemy: only making a catalog does.
    marks = ", ".join("?" * (len(_OF_BUNDLE) + 2))
    schema = connection.execute(
        f"SELECT tbl_name, sql FROM main.sqlite_master WHERE sql <> '' AND tbl_name IN ({marks}) ORDER BY type DESC",
        ("bundles", "unreadable", *_OF_BUNDLE),
    ).fetchall()
    for name in (*{table for table, _ in schema}, "replaced", "made"):
        connection.execute(f"DROP TABLE IF EXISTS temp.then_{name.removeprefix('then_')}")
    for table, sql in schema:
        connection.execute(_temporary(table, sql))
    connection.execute("CREATE TEMP TABLE then_replaced (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE then_made (time_us INTEGER, segment INTEGER, offset INTEGER)")


def _temporary(table: str, sql: str) -> str:
    """The statement that makes a table, or an index of one, as it makes the temporary one."""
    head, _, columns = sql.partition("(")
    words = head.split()
    if words[1] == "TABLE":
        return f"CREATE TEMP TABLE then_{table} ({columns}"
    create, name = (words[:3], words[3]) if words[1] == "UNIQUE" else (words[:2], words[2])
    return f"{' '.join(create)} temp.then_{name} ON then_{table} ({columns}"


def _touched(connection: sqlite3.Connection, time_us: int, *, log: Log, fetch: Fetch) -> list[str]:
    """The bundles of which something else may have held at the moment, but for those that were only added since."""
    bounds = {"first": event.ulid(time_us, entropy=0), "moment": time_us}
    numbers = [number for (number,) in connection.execute(_SINCE, bounds)]
    found = index.spoken_of(connection, numbers, log=log, fetch=fetch)
    found.update(uuid for (uuid,) in connection.execute(_MADE_SINCE, (time_us,)))
    return sorted(found)


def _insert(connection: sqlite3.Connection, folded: Folded) -> None:
    """Put in what was there; its numbers are negative, so that none is that of a bundle of today."""
    made = [
        rows.bundle_rows(-number, fields, standing)
        for number, (fields, standing) in enumerate(folded.present.values(), start=1)
    ]
    of_tables = rows.merged([*made, {"unreadable": list(folded.unreadable.items())}])
    for table, of_table in of_tables.items():
        if of_table:
            connection.executemany(rows.insert(f"temp.then_{table}", len(of_table[0])), of_table)
