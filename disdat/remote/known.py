"""
``mirror.db``: what one context knows of its remote, so as not to ask again.

It may be lost at any time: the next fetch makes it anew. Which event is published, where an object lies and whose
bytes are here is asked of it; nothing else is, and nothing depends on its being complete.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from disdat.core import canonical, event
from disdat.core.digest import Digest, of_bytes
from disdat.core.places import Place, context_key
from disdat.core.publication import Publication
from disdat.core.weak import Weak
from disdat.durable import Disk
from disdat.store.state import Row, Schema, State

NAME = "mirror.db"
_PAGE = 10_000

_SCHEMA = Schema(
    3,
    """
CREATE TABLE publication (write_id TEXT PRIMARY KEY, id TEXT NOT NULL, writer TEXT NOT NULL, seq INTEGER NOT NULL,
    stored INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX publication_writer ON publication (writer, seq);
CREATE TABLE seen (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE event (write_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE container (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, publication TEXT NOT NULL,
    gone INTEGER NOT NULL);
CREATE TABLE place (digest BLOB, container INTEGER, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    whole INTEGER NOT NULL, weak BLOB NOT NULL, PRIMARY KEY (digest, container)) WITHOUT ROWID;
CREATE INDEX place_weak ON place (container) WHERE weak <> x'';
CREATE TABLE released (uuid TEXT PRIMARY KEY, publication TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE presence (uuid TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
""",
)
# A container is a key that objects lie under. Of what publications say of it, the one with the greatest id counts.
_SAY = """
    INSERT INTO container (key, publication, gone) VALUES (?1, ?2, ?3)
    ON CONFLICT (key) DO UPDATE SET publication = ?2, gone = ?3 WHERE excluded.publication >= publication"""
_PLACE = """
    INSERT OR REPLACE INTO place SELECT ?1, number, ?3, ?4, ?5, ?6 FROM container WHERE key = ?2"""
_PLACES = """
    SELECT p.digest, c.key, p.offset, p.length, p.whole, p.weak
    FROM place AS p JOIN container AS c ON c.number = p.container
    WHERE p.digest IN ({}) AND NOT c.gone ORDER BY p.whole DESC, c.key"""
_PLACED = """
    SELECT p.digest, p.container, c.key FROM place AS p JOIN container AS c ON c.number = p.container
    WHERE (p.digest, p.container) > (?1, ?2) AND NOT c.gone ORDER BY p.digest, p.container LIMIT ?3"""
_WEAK = """
    SELECT c.key FROM place AS p JOIN container AS c ON c.number = p.container WHERE p.weak <> x'' AND NOT c.gone"""
_CONTENTS = """
    SELECT p.digest, p.offset, p.length FROM place AS p JOIN container AS c ON c.number = p.container
    WHERE c.key = ?1 ORDER BY p.offset"""
_BELOW = """
    SELECT key, publication FROM container WHERE key > ?1 AND key < ?2 AND NOT gone ORDER BY key LIMIT ?3"""
_RELEASE = """
    INSERT INTO released VALUES (?1, ?2)
    ON CONFLICT (uuid) DO UPDATE SET publication = ?2 WHERE excluded.publication > publication"""
_DROPPED = """
    INSERT INTO fact VALUES ('dropped', ?1)
    ON CONFLICT (name) DO UPDATE SET value = ?1 WHERE CAST(value AS INTEGER) < CAST(?1 AS INTEGER)"""
_PUBLICATION = """
    INSERT INTO publication VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (write_id) DO UPDATE SET id = ?2, stored = ?5 WHERE excluded.id > id"""

# Two sums tell which numbers are missing well enough, in one pass over an index.
_GAPS = """
    SELECT writer, max(seq) - count(DISTINCT seq), max(seq) * (max(seq) + 1.0) / 2 - total(DISTINCT seq)
    FROM publication GROUP BY writer HAVING max(seq) > count(DISTINCT seq)"""


class Presence(enum.Enum):
    """Whose bytes are here; the value is how it is shown."""

    LOCAL = "local"
    PARTIAL = "partial"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Stored:
    """A publication, and when it was stored, by the store's clock."""

    publication: Publication
    stored_us: int


class Known:
    """What the context in *directory* knows. For many threads and processes."""

    def __init__(self, directory: Path, *, disk: Disk) -> None:
        self._state = State(directory, disk=disk, name=NAME, schema=_SCHEMA)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._state.close()

    def fact(self, name: str) -> str | None:
        """What was noted under a name."""
        rows = self._state.query("SELECT value FROM fact WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def note(self, facts: Mapping[str, str | int]) -> None:
        """Note facts, in place of what was noted under their names."""
        rows = [(name, str(value)) for name, value in facts.items()]
        self._state.change(("INSERT OR REPLACE INTO fact VALUES (?, ?)", rows))

    def number(self, name: str) -> int:
        """A fact that is a number; 0 where it was not noted."""
        return int(self.fact(name) or 0)

    def unseen(self, names: Sequence[str]) -> list[str]:
        """Those of some publications and snapshots, by the ends of their keys, that were not read yet."""
        found = self._state.query_many("SELECT name FROM seen WHERE name IN ({})", [(name,) for name in names])
        seen = {name for (name,) in found}
        return [name for name in names if name not in seen]

    def see(self, names: Iterable[str]) -> None:
        """Note that these need not be read again."""
        self._state.change(("INSERT OR IGNORE INTO seen VALUES (?)", [(name,) for name in names]))

    def locate(self, stored: Sequence[Stored], remote_context: str) -> None:
        """Note where publications, in any order, say that objects lie; that the publications are known is not noted."""
        publications = sorted((each.publication for each in stored), key=lambda each: each.id)
        placed = ((raw, place) for each in publications for raw, place in each.said.places(remote_context))
        self._state.change(
            (_SAY, _sayings(publications, remote_context)),
            (_PLACE, ((raw, p.key, p.offset, p.length, p.is_whole, _weak_bytes(p)) for raw, p in placed)),
        )

    def apply(self, stored: Sequence[Stored]) -> None:
        """Note that publications, in any order, and their events are known; all of it or nothing."""
        in_order = sorted(stored, key=lambda each: each.publication.id)
        publications = [each.publication for each in in_order]
        self._state.change(
            (_PUBLICATION, map(_row, in_order)),
            ("INSERT OR IGNORE INTO seen VALUES (?)", [(p.name,) for p in publications]),
            ("INSERT OR IGNORE INTO event VALUES (?)", [(e.write_key,) for p in publications for e in p.said.events]),
            (_RELEASE, [(uuid, p.id) for p in publications for uuid in p.said.released]),
            (_DROPPED, [(max(times),)] if (times := [p.time_us for p in publications if p.said.takes_back]) else []),
        )

    def published(self, write_keys: Sequence[str]) -> set[str]:
        """Those of some events, by what tells their changes from others, that are on the remote."""
        found = self._state.query_many("SELECT write_id FROM event WHERE write_id IN ({})", [(k,) for k in write_keys])
        return {key for (key,) in found}

    def places(self, digests: Iterable[Digest]) -> dict[Digest, list[Place]]:
        """Where objects lie on the remote, those that lie by themselves first; nothing of what is not there."""
        found: dict[Digest, list[Place]] = {}
        for raw, *place in self._state.query_many(_PLACES, [(digest.raw,) for digest in digests]):
            found.setdefault(Digest.from_raw(raw), []).append(_place(*place))
        return found

    def weak(self, remote_context: str) -> set[str]:
        """The bundles some of whose files are known by what the remote says of them."""
        start = len(context_key(remote_context, "files/"))
        return {str(key)[start : start + 36] for (key,) in self._state.query(_WEAK)}

    def placed(self, count: int) -> Iterator[list[tuple[Digest, str]]]:
        """Yield all objects that lie on the remote, each with the key it lies under, so many at a time."""
        last: Row = (b"", 0)
        while rows := self._state.query(_PLACED, (*last, count)):
            yield [(Digest.from_raw(raw), key) for raw, _, key in rows]
            last = tuple(rows[-1][:2])

    def containing(self, keys: Sequence[str]) -> set[str]:
        """Those of some keys under which something lies that was published."""
        found = self._state.query_many(
            "SELECT key FROM container WHERE key IN ({}) AND NOT gone", [(key,) for key in keys]
        )
        return {key for (key,) in found}

    def announced(self, remote_context: str, count: int) -> Iterator[dict[str, str]]:
        """
        Yield the bundles with files under their own names, each with the id of the publication that says so last.

        So many at a time. Those that were released since are left out.
        """
        start = len(context_key(remote_context, "files/"))
        files = groupby(self._files(remote_context), key=lambda row: str(row[0])[start : start + 36])
        bundles = ((uuid, max(str(id_) for _, id_ in of_one)) for uuid, of_one in files)
        while some := dict(islice(bundles, count)):
            sql = "SELECT uuid, publication FROM released WHERE uuid IN ({})"
            released = dict(self._state.query_many(sql, [(uuid,) for uuid in some]))
            yield {uuid: id_ for uuid, id_ in some.items() if id_ > released.get(uuid, "")}

    def _files(self, remote_context: str) -> Iterator[Row]:
        """Yield the keys of files under their own names, in order, each with the publication that says so last."""
        last, end = context_key(remote_context, "files/"), context_key(remote_context, "files0")  # what comes after /
        while rows := self._state.query(_BELOW, (last, end, _PAGE)):
            yield from rows
            last = rows[-1][0]

    def writers(self, publications: Sequence[str]) -> dict[str, str]:
        """Who wrote some publications, by their ids."""
        sql = "SELECT id, writer FROM publication WHERE id IN ({})"
        return dict(self._state.query_many(sql, [(id_,) for id_ in publications]))

    def newest_us(self) -> int:
        """The time of the last publication that is known, to the millisecond below; 0 if there is none."""
        [(last,)] = self._state.query("SELECT max(id) FROM publication")
        return 0 if last is None else event.ulid_time_us(last)

    def contents(self, key: str) -> list[tuple[Digest, int, int]]:
        """What lies under a key as far as that was published: objects, each with offset and length, in order."""
        rows = self._state.query(_CONTENTS, (key,))
        return [(Digest.from_raw(raw), offset, length) for raw, offset, length in rows]

    def presence(self, uuids: Sequence[str]) -> dict[str, Presence]:
        """Of those of some bundles that were fetched, whether their bytes are here, as far as that was noted."""
        found = self._state.query_many("SELECT uuid, state FROM presence WHERE uuid IN ({})", [(u,) for u in uuids])
        return {uuid: Presence(state) for uuid, state in found}

    def note_presence(self, presence: Mapping[str, Presence]) -> None:
        """Note whether the bytes of bundles are here."""
        rows = [(uuid, state.value) for uuid, state in presence.items()]
        self._state.change(("INSERT OR REPLACE INTO presence VALUES (?, ?)", rows))

    def last_seq(self, writer: str) -> int:
        """The greatest number of a writer's publications; 0 if there is none."""
        [(last,)] = self._state.query("SELECT ifnull(max(seq), 0) FROM publication WHERE writer = ?", (writer,))
        return int(last)

    def gaps(self) -> str:
        """What tells which publications are missing in the sequences of writers from what was missing before."""
        found = [list(row) for row in self._state.query(_GAPS)]
        return of_bytes(canonical.encode(found)).hex if found else ""

    def publication_count(self) -> int:
        """How many publications are known."""
        [(count,)] = self._state.query("SELECT count(*) FROM publication")
        return int(count)


def _place(key: str, offset: int, length: int, whole: int, weak: bytes) -> Place:
    return Place(key, offset, length, bool(whole), Weak.from_json(canonical.decode(weak)) if weak else None)


def _weak_bytes(place: Place) -> bytes:
    return b"" if place.weak is None else canonical.encode(place.weak.to_json())


def _row(stored: Stored) -> Row:
    each = stored.publication
    return each.write_id, each.id, each.writer, each.seq, stored.stored_us


def _sayings(publications: Iterable[Publication], remote_context: str) -> Iterator[tuple[str, str, int]]:
    """Yield each key that publications speak of, who says it, and whether it goes; a later one after an earlier one."""
    for each in publications:
        keys = dict.fromkeys(place.key for _, place in each.said.places(remote_context))
        yield from ((key, each.id, 0) for key in keys)
        yield from ((key, each.id, 1) for key in each.said.dropped_keys(remote_context))
