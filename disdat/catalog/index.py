"""
Keeping a catalog's rows what the fold of the log's events says they are.

A bundle that nothing was known of, and of which nothing is undone, is inserted. Every other one that new events touch
is *tangled*: all its events, and those that undo them, are folded again by :mod:`disdat.core.event`, and its rows are
replaced. So SQL knows nothing of what events mean, and the rows depend on the set of events only.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeAlias, cast

from disdat.catalog import queries, rows
from disdat.catalog.log import Appended, Entry, Log, Position, Record
from disdat.catalog.rows import BundleRow, EventRow, Fields, PairRow, Rows, Standing, Value
from disdat.core import canonical, event, manifest
from disdat.core.digest import Digest, of_bytes
from disdat.core.event import BundleState, Event
from disdat.errors import Corrupt, DigestMismatch, NotFound, UnknownFormat

Fetch: TypeAlias = "Callable[[Digest], bytes]"
"""Gives the bytes of an object; raises ObjectNotFound."""

PORTION_EVENTS = 100
"""So many events are indexed together: few enough to bound memory, and to be gone before Python's collector looks."""

_PLAIN = frozenset({event.ADD, event.COMMIT})
"""A bundle that only these speak of is as it was born, and committed if any but its `add` does."""
_NUMBERED = f"SELECT {queries.EVENT_COLUMNS} FROM json_each(?) CROSS JOIN events AS e ON e.number = value"
_KNOWN_IDS = "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM events WHERE id = value)"
_CROSSED = """
    SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM undoes WHERE target = value)
    OR EXISTS (SELECT 1 FROM events WHERE write = value AND write <> '')"""
_KNOWN_UUIDS = """
    SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM bundles WHERE uuid = value)
    OR EXISTS (SELECT 1 FROM subjects WHERE uuid = value)"""
_REMEMBER_ADDS = """
    INSERT OR IGNORE INTO subjects SELECT b.uuid, b.event FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value"""
_BUNDLES = "SELECT b.* FROM json_each(?) CROSS JOIN bundles AS b ON b.uuid = value"
_WRITER_SEQ = """
    INSERT INTO writers VALUES (?, ?)
    ON CONFLICT (writer) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > writers.seq"""


class Folded(NamedTuple):
    """What events say of some bundles: of those that are present what their rows are made of, or why they have none."""

    present: dict[str, tuple[Fields, Standing]]
    unreadable: dict[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """How much of the log a catalog has seen, and the greatest time of an event in that."""

    position: Position
    newest_us: int


def state(connection: sqlite3.Connection) -> State:
    """What the catalog has seen."""
    segment, offset, newest_us = connection.execute("SELECT segment, offset, newest_us FROM state").fetchone()
    return State(Position(segment, offset), newest_us)


def last_seq(connection: sqlite3.Connection, writer: str) -> int:
    """The greatest sequence number of *writer*; 0 if it wrote nothing."""
    found = connection.execute("SELECT seq FROM writers WHERE writer = ?", (writer,)).fetchone()
    return int(found[0]) if found else 0


def known(connection: sqlite3.Connection, uuids: Sequence[str]) -> set[str]:
    """Those of *uuids* that some event speaks of, be it of a bundle that was removed."""
    return {uuid for (uuid,) in connection.execute(_KNOWN_UUIDS, (json.dumps(uuids),))}


def catch_up(connection: sqlite3.Connection, records: Iterable[Record], *, log: Log, fetch: Fetch) -> None:
    """Index *records*, which follow what the catalog has seen, in the transaction that is open."""
    indexer = _Indexer(connection, log, fetch)
    end, newest_us = state(connection).position, 0

    def entries() -> Iterator[Entry]:
        nonlocal end, newest_us
        for record in records:
            for entry in record.entries():
                newest_us = max(newest_us, entry.event.time_us)
                yield entry
            end = record.end

    rest = entries()
    while portion := list(islice(rest, PORTION_EVENTS)):
        fresh = indexer.unknown(portion)
        indexer.add(fresh, crossed=indexer.crossed(fresh))
    _mark(connection, end, newest_us)


def add(connection: sqlite3.Connection, appended: Appended, *, log: Log, fetch: Fetch) -> None:
    """Index what is just being appended, whose ids nobody knows yet, in the transaction that is open."""
    _Indexer(connection, log, fetch).add(appended.entries, crossed=frozenset())
    _mark(connection, appended.end, appended.entries[-1].event.time_us)


def unknown(connection: sqlite3.Connection, events: Iterable[Event]) -> list[Event]:
    """Those of *events* that the catalog does not have, each once."""
    by_id = {each.id: each for each in events}
    known = {id_ for (id_,) in connection.execute(_KNOWN_IDS, (json.dumps(list(by_id)),))}
    return [each for id_, each in by_id.items() if id_ not in known]


def receive(connection: sqlite3.Connection, appended: Appended, *, log: Log, fetch: Fetch) -> None:
    """Index what was just appended and was fetched, of any times and order, in the transaction that is open."""
    indexer = _Indexer(connection, log, fetch)
    # All together: what adds a bundle and what commits it, with a thousand others, are rarely next to each other.
    indexer.add(appended.entries, crossed=indexer.crossed(appended.entries))
    _mark(connection, appended.end, max(each.event.time_us for each in appended.entries))


def reread(connection: sqlite3.Connection, uuids: Sequence[str], *, log: Log, fetch: Fetch) -> None:
    """Index bundles of which all events are known once more, in the transaction that is open."""
    _Indexer(connection, log, fetch).refold(uuids)


def folded(connection: sqlite3.Connection, uuids: Sequence[str], *, log: Log, fetch: Fetch) -> Folded:
    """What the events that a catalog has, or shows, say of *uuids*, of which it knows which events speak of them."""
    return _Indexer(connection, log, fetch).folded(uuids)


def spoken_of(connection: sqlite3.Connection, numbers: Sequence[int], *, log: Log, fetch: Fetch) -> set[str]:
    """The bundles that the events of these numbers speak of, be it by undoing what did, or be it undone."""
    return _Indexer(connection, log, fetch).spoken_of(numbers)


def with_undoing(connection: sqlite3.Connection, numbers: Sequence[int], *, log: Log, fetch: Fetch) -> dict[int, Event]:
    """The events of these numbers and all that decide whether they count, by number."""
    return _Indexer(connection, log, fetch).with_undoing(numbers)


def _mark(connection: sqlite3.Connection, end: Position, newest_us: int) -> None:
    connection.execute("UPDATE state SET segment = ?, offset = ?, newest_us = max(newest_us, ?)", (*end, newest_us))


def verified_manifest(digest: Digest, add: Event, fetch: Fetch, line: bytes = b"") -> bytes:
    """
    The manifest of the bundle that *add* adds; it lies in the event, whose bytes *line* may be, or is an object.

    Raises:
        DigestMismatch: It is not the one that *digest* names.
        ObjectNotFound: It is an object that is not there.
    """
    if line and of_bytes(data := event.manifest_in(line)) == digest:
        return data
    body = add.payload.get("body")
    data = fetch(digest) if body is None else canonical.encode(body)
    if (found := of_bytes(data)) != digest:
        raise DigestMismatch(f"the manifest in event {add.id}", expected=digest, found=found)
    return data


def _manifest_added(uuid: str, add: Event, fetch: Fetch) -> Fields:
    """
    The manifest that *add* adds as that of *uuid*, decoded. One in the event was covered by its record's digest.

    Raises:
        Corrupt: It is no manifest, or not the one of this bundle; UnknownFormat if a later version wrote it.
        ObjectNotFound: It is an object that is not there.
    """
    body = add.payload.get("body")
    try:
        if body is None:
            body = canonical.decode(verified_manifest(Digest.parse(_digest(add)), add, fetch))
        fields = cast("Fields", body)
        manifest.check_format(fields)
        found = fields["uuid"]
        manifest.check_uuid(found)
        fields.get("tags", {}).items()
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"the event {add.id} holds no manifest: {exc!r}") from exc
    if found != uuid:
        raise Corrupt(f"the event {add.id} adds {uuid} with the manifest of {found}")
    return fields


class _Indexer:
    """Adds one batch of events to a catalog."""

    def __init__(self, connection: sqlite3.Connection, log: Log, fetch: Fetch) -> None:
        self._connection = connection
        self._log = log
        self._fetch = fetch
        self._in_hand: dict[int, Event] = {}
        """The events of this batch, by number."""

    def unknown(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries of events that the catalog does not know, each once."""
        by_id = {each.event.id: each for each in entries}
        known = self._values(_KNOWN_IDS, by_id)
        return [each for id_, each in by_id.items() if id_ not in known]

    def crossed(self, entries: Sequence[Entry]) -> set[str]:
        """The ids of those events that another event, known or among them, undoes or was written in place of."""
        found = {target for each in entries for target in each.event.undoes}
        found.update(each.event.write_id for each in entries if each.event.write_id != each.event.id)
        return found | self._values(_CROSSED, [each.event.id for each in entries])

    def add(self, entries: Sequence[Entry], *, crossed: Set[str]) -> None:
        self._in_hand = self._number(entries)
        new = self._new(crossed)
        self._insert(new)
        tangling = {
            n: each for n, each in self._in_hand.items() if not (each.subjects and new.keys() >= {*each.subjects})
        }
        if tangling:
            self.refold(self._touched(tangling, but=new.keys()))

    def folded(self, uuids: Sequence[str]) -> Folded:
        return self._folded(uuids, self._with_undoing(self._events(self._placed(queries.SPEAKING_OF, uuids))))

    def spoken_of(self, numbers: Sequence[int]) -> set[str]:
        return self._spoken_of(self._events(self._placed(_NUMBERED, numbers)))

    def with_undoing(self, numbers: Sequence[int]) -> dict[int, Event]:
        return self._with_undoing(self._events(self._placed(_NUMBERED, numbers)))

    def _number(self, entries: Sequence[Entry]) -> dict[int, Event]:
        """Give every event its row, and record what it undoes, its run and its writer's count."""
        first = self._next("events", "number")
        numbered = {first + i: each.event for i, each in enumerate(entries)}
        seqs: dict[str, int] = {}
        for each, _, own in entries:
            _check_features(each)
            if own:
                seqs[each.writer] = max(each.seq, seqs.get(each.writer, 0))
        self._write(
            {
                "events": [_event_row(first + i, each) for i, each in enumerate(entries)],
                "undoes": [PairRow(target, n) for n, each in numbered.items() for target in set(each.undoes)],
                "runs": [PairRow(run, n) for n, each in numbered.items() if (run := _run_id(each))],
            }
        )
        self._connection.executemany(_WRITER_SEQ, list(seqs.items()))
        return numbered

    def _new(self, crossed: Set[str]) -> dict[str, list[int]]:
        """The bundles that nothing was known of, each added once, by events that count, with the numbers of these."""
        spoken: dict[str, list[int]] = defaultdict(list)
        for number, each in self._in_hand.items():
            for uuid in set(each.subjects):
                spoken[uuid].append(number)
        known = self._values(_KNOWN_UUIDS, spoken)
        batch = self._in_hand.items()
        undone = {target for _, each in batch for target in each.undoes} | crossed
        doubtful = {n for n, each in batch if each.undoes or each.id in undone or each.write_id not in ("", each.id)}
        adding = {n for n, each in batch if each.kind == event.ADD}
        return {
            uuid: numbers
            for uuid, numbers in spoken.items()
            if uuid not in known and doubtful.isdisjoint(numbers) and len(adding.intersection(numbers)) == 1
        }

    def _insert(self, new: Mapping[str, Sequence[int]]) -> None:
        """Insert bundles of which all there is to know is in this batch."""
        several = {uuid: numbers for uuid, numbers in new.items() if len(numbers) > 1}
        # Most of what is fetched was added, committed, and no more; folding took a third of the time here.
        plain = {number for number, each in self._in_hand.items() if each.kind in _PLAIN}
        changed = {uuid: numbers for uuid, numbers in several.items() if not plain.issuperset(numbers)}
        states = event.fold([self._in_hand[number] for number in {n for numbers in changed.values() for n in numbers}])
        subjects = [PairRow(uuid, number) for uuid, numbers in several.items() for number in numbers]
        unreadable: list[tuple[Value, ...]] = []
        first = self._next("bundles", "id")
        made: list[Rows] = []
        for uuid, numbers in new.items():
            if uuid in changed and uuid not in states:
                continue  # it was removed
            number = next(number for number in numbers if self._in_hand[number].kind == event.ADD)
            add = self._in_hand[number]
            try:
                fields = _manifest_added(uuid, add, self._fetch)
                state = states.get(uuid)
                committed = len(numbers) > 1
                standing = _standing(number, fields, state) if state else _at_birth(number, fields, add, committed)
                made.append(rows.bundle_rows(first + len(made), fields, standing))
            except (Corrupt, NotFound) as exc:
                unreadable.append((uuid, str(exc)))
                if uuid not in several:
                    subjects.append(PairRow(uuid, number))
        self._write({"subjects": subjects, "unreadable": unreadable, **rows.merged(made)})

    def _touched(self, tangling: Mapping[int, Event], *, but: Set[str]) -> list[str]:
        """The bundles whose events must be folded again, *but* some; also remembers which events speak of them."""
        spoken = ((uuid, number) for number, each in tangling.items() for uuid in {*each.subjects})
        subjects = [PairRow(uuid, number) for uuid, number in spoken if uuid not in but]
        self._write({"subjects": subjects})
        touched = sorted(self._spoken_of(tangling) - but)
        self._connection.execute(_REMEMBER_ADDS, (json.dumps(touched),))
        return touched

    def _spoken_of(self, events: Mapping[int, Event]) -> set[str]:
        """The bundles that *events* speak of, be it by undoing what did."""
        affected = self._closure(events, lambda found: self._placed(queries.SAME_WRITE, _targets(found)))
        return {uuid for each in affected.values() for uuid in each.subjects}

    def _with_undoing(self, events: Mapping[int, Event]) -> dict[int, Event]:
        """*events*, and all that decide whether they count."""
        return self._closure(events, self._undoing)

    def refold(self, uuids: Sequence[str]) -> None:
        """Fold all events of *uuids* again, and replace the rows of these bundles."""
        known = self._with_undoing(self._events(self._placed(queries.SPEAKING_OF, uuids)))
        present, unreadable = self._folded(uuids, known)
        self._connection.executemany("DELETE FROM unreadable WHERE uuid = ?", [(uuid,) for uuid in uuids])
        self._write({"unreadable": list(unreadable.items())})
        old = {row.uuid: row for row in map(BundleRow._make, self._connection.execute(_BUNDLES, (json.dumps(uuids),)))}
        same = {
            uuid for uuid, row in old.items() if uuid in present and _is_of(row, known[row.event], present[uuid][1])
        }
        next_id = self._next("bundles", "id")
        for row in old.values():
            self._delete(row)
            if row.uuid not in same:
                self._delete_of_manifest(row, known[row.event])
        made: list[Rows] = []
        for uuid, (fields, standing) in present.items():
            number = old[uuid].id if uuid in old else next_id + len(made)
            of_bundle = rows.bundle_rows(number, fields, standing)
            made.append({t: r for t, r in of_bundle.items() if uuid not in same or t not in rows.OF_MANIFEST})
        self._write(rows.merged(made))

    def _folded(self, uuids: Sequence[str], known: Mapping[int, Event]) -> Folded:
        """What the events *known*, which are all that matter to *uuids*, say of these."""
        counted = event.valid(known.values())
        states = event.fold(counted)
        numbers = {each.id: number for number, each in known.items()}
        adds = {uuid: each for each in reversed(counted) if each.kind == event.ADD for uuid in each.subjects}
        found = Folded({}, {})
        for uuid in uuids:
            if state := states.get(uuid):
                try:
                    fields = _manifest_added(uuid, adds[uuid], self._fetch)
                    standing = _standing(numbers[adds[uuid].id], fields, state)
                    rows.bundle_rows(0, fields, standing)
                    found.present[uuid] = fields, standing
                except (Corrupt, NotFound) as exc:
                    found.unreadable[uuid] = str(exc)
        return found

    def _delete(self, row: BundleRow) -> None:
        self._connection.executemany(rows.DELETE["tags"], rows.tag_rows(row.id, rows.texts(row.tags)))
        self._connection.execute("DELETE FROM bundles WHERE id = ?", (row.id,))

    def _delete_of_manifest(self, row: BundleRow, add: Event) -> None:
        try:
            old = rows.manifest_rows(row.id, _manifest_added(row.uuid, add, self._fetch), _object(add))
        except (Corrupt, NotFound):  # an object that is lost: without it, only a scan finds the rows
            for table in rows.OF_MANIFEST:
                self._connection.execute(f"DELETE FROM {table} WHERE bundle = ?", (row.id,))
            return
        for table, of_table in old.items():
            self._connection.executemany(rows.DELETE[table], of_table)

    def _closure(
        self, start: Mapping[int, Event], further: Callable[[Mapping[int, Event]], list[EventRow]]
    ) -> dict[int, Event]:
        """*start*, what *further* finds from it, and what has the same write id as any, over and over."""
        found, frontier = dict(start), dict(start)
        while frontier:
            keys = [each.write_key for each in frontier.values()]
            placed = [*further(frontier), *self._placed(queries.SAME_WRITE, keys)]
            frontier = self._events([each for each in placed if each.number not in found])
            found |= frontier
        return found

    def _events(self, placed: Sequence[EventRow]) -> dict[int, Event]:
        far = {each.number: each.place for each in placed if each.number not in self._in_hand}
        read = dict(zip(far, self._log.read(far.values()), strict=True))
        return {each.number: self._in_hand.get(each.number) or read[each.number] for each in placed}

    def _placed(self, sql: str, what: Iterable[str | int]) -> list[EventRow]:
        return queries.events(self._connection, sql, what)

    def _undoing(self, events: Mapping[int, Event]) -> list[EventRow]:
        return [row for _, row in queries.undoing(self._connection, [each.write_key for each in events.values()])]

    def _values(self, sql: str, what: Iterable[str]) -> set[str]:
        return {value for (value,) in self._connection.execute(sql, (json.dumps(list(what)),))}

    def _next(self, table: str, column: str) -> int:
        [(greatest,)] = self._connection.execute(f"SELECT ifnull(max({column}), 0) FROM {table}")
        return int(greatest) + 1

    def _write(self, by_table: Mapping[str, Sequence[tuple[Value, ...]]]) -> None:
        for table, of_table in by_table.items():
            if of_table:
                self._connection.executemany(rows.insert(table, len(of_table[0])), of_table)


def _at_birth(number: int, fields: Fields, add: Event, committed: bool) -> Standing:
    name, tags = fields.get("name", ""), fields.get("tags", {})
    return Standing(number, _digest(add), _object(add) is not None, name, tags, add.time_us, committed)


def _standing(number: int, fields: Fields, state: BundleState) -> Standing:
    return Standing(
        event=number,
        manifest=state.manifest,
        manifest_is_object=state.body is None,
        name=fields.get("name", "") if state.name is None else state.name,
        tags=state.tags(fields.get("tags", {})),
        made_us=state.made_us,
        committed=state.committed,
    )


def _event_row(number: int, entry: Entry) -> EventRow:
    each = entry.event
    write = "" if each.write_id == each.id else each.write_id
    came = int(not entry.own or event.came(each))
    return EventRow(number, each.id, each.time_us, each.kind, write, *entry.place, came)


def _check_features(each: Event) -> None:
    if each.requires and (missing := set(each.requires) - event.FEATURES):
        raise UnknownFormat(f"the event {each.id}", found=sorted(missing), supported=sorted(event.FEATURES))


def _run_id(each: Event) -> str | None:
    """The run an event speaks of, other than by adding a bundle made in it."""
    run = each.payload.get("run")
    if run is None:
        return None
    found = run.get("id") if isinstance(run, Mapping) else run
    # What SQLite could not hold is no id that anybody asks for.
    return found if isinstance(found, str) and found and found.encode("utf-8", "replace").decode() == found else None


def _digest(add: Event) -> str:
    return cast("str", add.payload["manifest"])


def _is_of(row: BundleRow, add: Event, standing: Standing) -> bool:
    """Whether the rows of a bundle that *add* added are those of the manifest it has now."""
    same = Digest.from_raw(bytes(row.manifest)) == standing.manifest
    return same and (_object(add) is not None) == standing.manifest_is_object


def _object(add: Event) -> str | None:
    """The manifest of the bundle an event adds, where it is an object."""
    return None if "body" in add.payload else _digest(add)


def _targets(events: Mapping[int, Event]) -> set[str]:
    return {target for each in events.values() for target in each.undoes}
