"""
What a catalog knows of what happened: events in the order of time, the record each is in, and whether it counts.

A record is what one change wrote. Its events follow each other in the log with one byte between them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from disdat.catalog import index, queries
from disdat.catalog.catalog import Catalog
from disdat.catalog.index import Fetch
from disdat.catalog.log import Log, Place
from disdat.catalog.rows import EventRow
from disdat.core import canonical, event
from disdat.core.digest import Digest
from disdat.core.event import BundleState, Draft, Event
from disdat.errors import Corrupt, NotFound

T = TypeVar("T")

LAST_ID = "~"
"""Greater than every id."""
_MS_US = 1000

_OF_KINDS = "e.kind IN (SELECT value FROM json_each(?))"
_BUT_KINDS = "e.kind NOT IN (SELECT value FROM json_each(?))"
_NEWEST = "SELECT {columns} FROM events AS e WHERE e.id < ? AND {kinds} ORDER BY e.id DESC LIMIT ?"
_SAME_MS = "SELECT {columns} FROM events AS e WHERE e.id >= ? AND e.id < ? AND {kinds} ORDER BY e.id DESC"
_BEFORE = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e WHERE e.number < ? ORDER BY e.number DESC"
_AFTER = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e WHERE e.number > ? ORDER BY e.number"
_FROM = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e WHERE e.number >= ? ORDER BY e.number"
_LAST = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e ORDER BY e.number DESC LIMIT 1"
_STARTING = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e WHERE e.id >= ? AND e.id < ? ORDER BY e.id LIMIT ?"
_AT = f"SELECT {queries.EVENT_COLUMNS} FROM events AS e WHERE e.id >= ? AND e.id < ? AND e.time_us = ?"
# Not by max() and min(), for which SQLite would look at every event of the past (see `asof`).
_NEIGHBOURS = """
    SELECT (SELECT id FROM events WHERE id < ?1 ORDER BY id DESC LIMIT 1),
        (SELECT id FROM events WHERE id > ?1 ORDER BY id LIMIT 1)"""
_ABOUT = f"""{queries.SPEAKING_OF}
    UNION SELECT {queries.EVENT_COLUMNS} FROM json_each(?1) CROSS JOIN bundles AS b ON b.uuid = value
        CROSS JOIN events AS e ON e.number = b.event"""
_NAMES = "SELECT b.uuid, b.name FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value"
_NAMING = f"""
    SELECT s.uuid, e.segment, e.offset, e.length FROM json_each(?) CROSS JOIN subjects AS s ON s.uuid = value
    CROSS JOIN events AS e ON e.number = s.event WHERE e.kind IN ('{event.ADD}', '{event.RENAME}')
    ORDER BY e.time_us, e.id"""
_GONE = f"""
    SELECT DISTINCT s.uuid FROM subjects AS s CROSS JOIN events AS e ON e.number = s.event
    WHERE e.kind = '{event.ADD}' AND s.uuid >= ? AND s.uuid < ?
    AND NOT EXISTS (SELECT 1 FROM bundles WHERE uuid = s.uuid)"""


class Kinds(NamedTuple):
    """Events of these kinds, or of all but these."""

    kinds: frozenset[str]
    are_meant: bool


class Fate(NamedTuple):
    """What became of bundles if some events were void: their states now, and then."""

    now: Mapping[str, BundleState]
    then: Mapping[str, BundleState]


@dataclass(frozen=True, slots=True)
class Learned:
    """What was found out on the way, by write id: in a chain of undos each is needed for all that come before it."""

    counting: dict[str, str | None] = field(default_factory=dict)
    """Of undos the id of the event that counts; None where they are void."""
    spoken_of: dict[str, frozenset[str]] = field(default_factory=dict)
    """The bundles that events speak of, be it by undoing what did."""


def ask(catalog: Catalog, look: Callable[[History], T], *, learned: Learned | None = None) -> T:
    """
    What *look* makes of what happened in a context, all as of one moment.

    Who asks for ever earlier events may hand on what was *learned*; of later ones that holds what was told then.
    """
    return catalog._read(lambda connection: look(History(connection, catalog._log, catalog._fetch, learned)))


def commit(catalog: Catalog, drafts: Sequence[Draft], *, actor: str, check: Callable[[History], None]) -> list[Event]:
    """As :meth:`Catalog.commit`; *check* looks first, with the lock held, and raises where the change is not to be."""
    return catalog.commit(
        drafts, actor=actor, check=lambda connection: check(History(connection, catalog._log, catalog._fetch))
    )


class History:
    """What happened in one context, as of one moment: for as long as the question that was given it takes."""

    def __init__(self, connection: sqlite3.Connection, log: Log, fetch: Fetch, learned: Learned | None = None) -> None:
        self._connection = connection
        self._log = log
        self._fetch = fetch
        self._learned = learned or Learned()

    def newest(self, kinds: Kinds, *, before: str = LAST_ID, count: int) -> list[EventRow]:
        """
        About *count* events with ids less than *before*, the newest first; empty if there are no more.

        Those of one millisecond come together, so that the least id among them is where to go on.
        """
        where = {"columns": queries.EVENT_COLUMNS, "kinds": _OF_KINDS if kinds.are_meant else _BUT_KINDS}
        listed = json.dumps(sorted(kinds.kinds))
        found = self._rows(_NEWEST.format(**where), (before, listed, count))
        if len(found) == count:
            since = event.ulid(event.ulid_time_us(found[-1].id), entropy=0)
            found += self._rows(_SAME_MS.format(**where), (since, found[-1].id, listed))
        return newest_first(found)

    def last(self) -> EventRow | None:
        """The event that was indexed last; None if there is none."""
        return next(iter(self._rows(_LAST, ())), None)

    def since(self, number: int, id_: str) -> list[EventRow] | None:
        """The events that were indexed after one, in this order; None where that has this number no more."""
        found = self._rows(_FROM, (number,))
        return found[1:] if found and (found[0].number, found[0].id) == (number, id_) else None

    def record(self, row: EventRow) -> list[EventRow]:
        """The events of the change that an event is of, in the order they were written."""
        return [*reversed(list(self._adjoining(_BEFORE, row))), row, *self._adjoining(_AFTER, row)]

    def going_on_since(self, time_us: int) -> int | None:
        """When the change began that was being made at a moment, after one of its events and before another, if any."""
        within_ms = event.ulid(time_us, entropy=0), event.ulid(time_us + _MS_US, entropy=0)
        for row in self._rows(_AT, (*within_ms, time_us)):  # the events of a change are 1 µs apart
            following = next(self._adjoining(_AFTER, row), None)
            if following is not None and following.time_us == time_us + 1:
                return self._began_us(row)
        return None

    def about(self, uuids: Iterable[str]) -> list[EventRow]:
        """The events that speak of bundles, be they removed, and those that undo these; the newest first."""
        found = {row.number: row for row in queries.events(self._connection, _ABOUT, uuids)}
        frontier = list(found.values())
        while frontier:
            undoing = [row for _, row in queries.undoing(self._connection, [each.write_key for each in frontier])]
            frontier = list({row.number: row for row in undoing if row.number not in found}.values())
            found.update((row.number, row) for row in frontier)
        return newest_first(found.values())

    def starting(self, prefix: str, *, limit: int) -> list[EventRow]:
        """Up to *limit* events whose ids begin with *prefix*, in order."""
        return self._rows(_STARTING, (prefix, queries.after_prefix(prefix), limit))

    def short(self, id_: str, *, least: int) -> str:
        """The first characters of an event's id that no other id begins with; *least* or more."""
        others = [each for each in self._connection.execute(_NEIGHBOURS, (id_,)).fetchone() if each is not None]
        length = least
        while length < len(id_) and any(each.startswith(id_[:length]) for each in others):
            length += 1
        return id_[:length]

    def undone(self, rows: Iterable[EventRow]) -> dict[str, EventRow]:
        """By write id, those of *rows* that are void, and the event that counts and undoes each."""
        wanted = {row.write_key for row in rows}
        if not queries.undoing(self._connection, wanted):  # as mostly, and a change may have thousands of events
            return {}
        known, targets = self._that_decide(wanted)
        counted = event.valid(
            Event(row.id, row.time_us, "", 0, row.kind, {}, write_id=row.write, undoes=tuple(targets.get(number, ())))
            for number, row in known.items()
        )
        by_id = {row.id: row for row in known.values()}
        standing = {each.write_key: each.id for each in counted}
        undos = {row.write_key for row in known.values() if row.kind == event.UNDO}
        self._learned.counting.update((key, standing.get(key)) for key in undos)
        void = wanted - standing.keys()
        return {target: by_id[each.id] for each in reversed(counted) for target in each.undoes if target in void}

    def same_write(self, write_keys: Iterable[str]) -> list[EventRow]:
        """The events that were written under these write ids."""
        return queries.events(self._connection, queries.SAME_WRITE, write_keys)

    def events(self, rows: Iterable[EventRow]) -> Iterator[Event]:
        """What the log has of events."""
        return self._log.read(row.place for row in rows)

    def spoken_of(self, rows: Iterable[EventRow]) -> set[str]:
        """The bundles that events speak of, be it by undoing what did."""
        numbers = [row.number for row in rows]
        return index.spoken_of(self._connection, numbers, log=self._log, fetch=self._fetch)

    def undone_bundles(self, undo: Event) -> set[str]:
        """The bundles that what an undo undoes speaks of, be it by undoing what did."""
        known = self._learned.spoken_of
        found = self._undone_by([undo])
        for key in sorted(found, key=lambda key: max((each.order for each in found[key]), default=(0, ""))):
            targets = {target for each in found[key] for target in each.undoes}
            if targets <= known.keys():
                parts = [known[target] for target in targets]
            else:  # what comes after it: its own time is wrong
                parts = [frozenset(self.spoken_of(self.same_write([key])))]
            own = frozenset(uuid for each in found[key] for uuid in each.subjects)
            known[key] = parts[0] if len(parts) == 1 and not own else own.union(*parts)
        return set().union(*(known[target] for target in undo.undoes))

    def fate(self, uuids: Iterable[str], *, without: Iterable[str]) -> Fate:
        """What bundles are, and what they would be were the changes of the write ids *without* undone."""
        rows = queries.events(self._connection, _ABOUT, uuids)
        known = index.with_undoing(self._connection, [row.number for row in rows], log=self._log, fetch=self._fetch)
        undo = Event(LAST_ID, event.LATEST_US, "", 0, event.UNDO, {}, undoes=tuple(without))
        return Fate(event.fold(known.values()), event.fold([*known.values(), undo]))

    def names(self, uuids: Iterable[str]) -> dict[str, str]:
        """The names of bundles; of those that are removed the last one. One whose manifest cannot be had has none."""
        wanted = set(uuids)
        found = dict(self._connection.execute(_NAMES, (json.dumps(sorted(wanted)),)).fetchall())
        gone = json.dumps(sorted(wanted - found.keys()))
        naming = self._connection.execute(_NAMING, (gone,)).fetchall()
        events = self._log.read(Place(*place) for _, *place in naming)
        for (uuid, *_), each in zip(naming, events, strict=True):
            found[uuid] = self._name(each) or found.get(uuid, "")
        return found

    def gone(self, prefix: str = "") -> list[str]:
        """The bundles that were here and are not, with uuids that begin with *prefix*."""
        return [uuid for (uuid,) in self._connection.execute(_GONE, (prefix, queries.after_prefix(prefix)))]

    def _that_decide(self, write_keys: set[str]) -> tuple[dict[int, EventRow], dict[int, list[str]]]:
        """The events that decide whether those of *write_keys* count, and what each of them undoes of these."""
        known: dict[int, EventRow] = {}
        targets: dict[int, list[str]] = {}
        counting = self._learned.counting
        seen, frontier = set(write_keys), set(write_keys)
        while frontier:
            known.update((row.number, row) for row in self.same_write(frontier))
            undoing = queries.undoing(self._connection, frontier)
            for target, row in undoing:
                if counting.get(row.write_key, row.id) == row.id:
                    known[row.number] = row
                    targets.setdefault(row.number, []).append(target)
            frontier = {row.write_key for _, row in undoing} - seen - counting.keys()
            seen |= frontier
        return known, targets

    def _undone_by(self, undos: Iterable[Event]) -> dict[str, list[Event]]:
        """By write id, the events that undos undo, and what these do in turn, up to those that were told before."""
        found: dict[str, list[Event]] = {}
        frontier = {target for each in undos for target in each.undoes} - self._learned.spoken_of.keys()
        while frontier:
            found.update((key, []) for key in frontier)
            rows = self.same_write(frontier)
            events = list(self.events(rows))
            for row, each in zip(rows, events, strict=True):
                found[row.write_key].append(each)
            targets = {target for each in events for target in each.undoes}
            frontier = targets - found.keys() - self._learned.spoken_of.keys()
        return found

    def _adjoining(self, sql: str, row: EventRow) -> Iterator[EventRow]:
        """The events of a record on one side of an event of it, from there on."""
        for each in map(EventRow._make, self._connection.execute(sql, (row.number,))):
            first, second = sorted((row, each), key=lambda one: one.offset)
            if first.segment != second.segment or first.offset + first.length + 1 != second.offset:
                return
            yield each
            row = each

    def _began_us(self, row: EventRow) -> int:
        began_us = row.time_us
        for each in self._adjoining(_BEFORE, row):
            if each.time_us != began_us - 1:
                break
            began_us = each.time_us
        return began_us

    def _name(self, each: Event) -> str:
        """The name that an event gives its bundle."""
        if each.kind == event.RENAME:
            return cast("str", each.payload["name"])
        body: Any = each.payload.get("body")  # as the JSON is
        try:
            if body is None:
                digest = Digest.parse(cast("str", each.payload["manifest"]))
                body = canonical.decode(index.verified_manifest(digest, each, self._fetch))
            return str(body.get("name", ""))
        except (Corrupt, NotFound, ValueError, AttributeError):  # only the name of what is gone is missing
            return ""

    def _rows(self, sql: str, values: Sequence[str | int]) -> list[EventRow]:
        return list(map(EventRow._make, self._connection.execute(sql, values)))


def newest_first(rows: Iterable[EventRow]) -> list[EventRow]:
    """Events in the order of (time, id), the latest first."""
    return sorted(rows, key=lambda row: (row.time_us, row.id), reverse=True)
