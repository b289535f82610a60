"""
What collection asks a catalog: which objects its bundles need, which bundles are gone, and whether all is understood.

Digests are their 32 bytes here, since there may be millions of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

from disdat import scratch
from disdat.catalog import index, queries, rows
from disdat.catalog.index import Fetch
from disdat.catalog.log import Log, Place, Position
from disdat.core import canonical, event, manifest, reach
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.errors import Corrupt

_T = TypeVar("_T")

_KINDS = "SELECT DISTINCT kind FROM events"
_PRESENT = "SELECT id, uuid, name FROM bundles"
_OBJECTS = "SELECT digest, bundle FROM objects ORDER BY digest"
_STORED_TREES = """
    SELECT b.id, e.segment, e.offset, e.length FROM bundles AS b CROSS JOIN events AS e ON e.number = b.event
    WHERE b.file_count > 0 AND b.id NOT IN (SELECT bundle FROM files)"""
_GONE = """
    SELECT s.uuid, max(e.time_us) FROM subjects AS s CROSS JOIN events AS e ON e.number = s.event
    WHERE NOT EXISTS (SELECT 1 FROM bundles WHERE uuid = s.uuid) GROUP BY s.uuid"""
_ADDS = f"""
    SELECT e.segment, e.offset, e.length FROM subjects AS s CROSS JOIN events AS e ON e.number = s.event
    WHERE s.uuid = ? AND e.kind = '{event.ADD}'"""
UNDONE = """
    SELECT u.event, undoing.time_us, e.number FROM undoes AS u CROSS JOIN events AS undoing ON undoing.number = u.event
        CROSS JOIN events AS e ON e.id = u.target
    UNION SELECT u.event, undoing.time_us, e.number FROM undoes AS u
        CROSS JOIN events AS undoing ON undoing.number = u.event
        CROSS JOIN events AS e ON e.write = u.target AND e.write <> ''"""
_SUBJECTS = "SELECT event, uuid FROM subjects WHERE event IN (SELECT value FROM json_each(?))"
_RUN_RECORDS = f"SELECT segment, offset, length FROM events WHERE kind = '{event.RUN}'"
_NAMING = """
    SELECT b.id, b.uuid, b.name FROM objects AS o CROSS JOIN bundles AS b ON b.id = o.bundle
    WHERE o.digest = ? ORDER BY b.made_us DESC, b.uuid"""
_PATH_IN = "SELECT path FROM files WHERE bundle = ? AND digest = ? ORDER BY path LIMIT 1"


class Present(NamedTuple):
    """A bundle that is present, by the number the catalog has for it."""

    number: int
    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A bundle that is not present any more: since when, and where the log has the events that added it."""

    uuid: str
    since_us: int
    added: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Needed:
    """What a manifest says its bundle needs."""

    name: str
    digests: frozenset[Digest]
    """The objects it names, and itself where it is one."""
    root: Digest | None
    """The one of these that is the root of its tree."""


class Keeping:
    """What one context has to say, as of one moment: for as long as the question that was given it takes."""

    def __init__(self, connection: sqlite3.Connection, log: Log, fetch: Fetch) -> None:
        self._connection = connection
        self._log = log
        self._fetch = fetch

    def seen(self) -> Position:
        """How much of the log this is of."""
        return index.state(self._connection).position

    def unknown_kinds(self) -> list[str]:
        """The kinds of events that this version does not understand."""
        return sorted({kind for (kind,) in self._connection.execute(_KINDS)} - event.KINDS)

    def unreadable(self) -> list[str]:
        """The bundles that are present, of which nobody knows what they need."""
        return [uuid for uuid, _ in self._connection.execute(queries.UNREADABLE)]

    def present(self) -> Iterator[Present]:
        """Every bundle that is present."""
        return map(Present._make, self._connection.execute(_PRESENT))

    def objects(self) -> Iterator[tuple[bytes, int]]:
        """The objects that manifests of present bundles name, each with a bundle's number, in order."""
        return cast("Iterator[tuple[bytes, int]]", self._connection.execute(_OBJECTS))

    def stored_trees(self) -> Iterator[tuple[int, Digest]]:
        """The bundles, by number, whose tree is stored as objects, and its root."""
        found = self._connection.execute(_STORED_TREES).fetchall()
        for (number, *_), added in zip(found, self._log.read(Place(*place) for _, *place in found), strict=True):
            needed = self._needed(added)
            if needed.root is not None:
                yield number, needed.root

    def gone(self) -> Iterator[Gone]:
        """Yield the bundles that are not present any more, those that went last first."""
        with closing(scratch.connect()) as database:
            database.execute("CREATE TABLE gone (uuid TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID")
            database.execute("BEGIN")
            database.executemany("INSERT INTO gone VALUES (?, ?)", self._connection.execute(_GONE))
            database.executemany("UPDATE gone SET since = max(since, ?) WHERE uuid = ?", self._undone())
            for uuid, since_us in database.execute("SELECT uuid, since FROM gone ORDER BY since DESC, uuid"):
                if added := tuple(Place(*place) for place in self._connection.execute(_ADDS, (uuid,))):
                    yield Gone(uuid, since_us, added)

    def needed_by(self, bundle: Gone) -> Iterator[Needed]:
        """
        What a bundle that is gone needed.

        Raises:
            Corrupt, ObjectNotFound: Its manifest cannot be had; UnknownFormat if a later version wrote it.
        """
        return map(self._needed, self._log.read(bundle.added))

    def package_sets(self) -> Iterator[tuple[str, Digest]]:
        """The runs that name a set of installed packages, and the set."""
        places = self._connection.execute(_RUN_RECORDS).fetchall()
        for each in self._log.read(map(Place._make, places)):
            run = each.payload.get("run")
            if isinstance(run, Mapping) and "packages" in run:
                yield str(run.get("id", "")), Digest.parse(str(run["packages"]))

    def naming(self, digest: Digest) -> list[Present]:
        """The present bundles whose manifest names an object."""
        return [Present._make(row) for row in self._connection.execute(_NAMING, (digest.raw,))]

    def path_in(self, bundle: Present, digest: Digest) -> str | None:
        """The path of a file with these bytes in a bundle whose tree is in its manifest; None if there is none."""
        found = self._connection.execute(_PATH_IN, (bundle.number, digest.raw)).fetchone()
        return found[0] if found else None

    def _needed(self, added: Event) -> Needed:
        fields, digest = self._manifest(added)
        root = fields.get("tree", {}).get("root")
        named = frozenset(map(Digest.parse, rows.named_objects(fields, digest)))
        return Needed(str(fields.get("name", "")), named, None if root is None else Digest.parse(root))

    def _manifest(self, added: Event) -> tuple[rows.Fields, Digest | None]:
        """A manifest, decoded, after all of it was checked; and its digest where it is an object."""
        try:
            digest = Digest.parse(str(added.payload["manifest"]))
            fields = cast("rows.Fields", canonical.decode(index.verified_manifest(digest, added, self._fetch)))
            manifest.check_format(fields)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise Corrupt(f"the event {added.id} holds no manifest: {exc!r}") from exc
        return fields, None if added.payload.get("body") is not None else digest

    def _undone(self) -> Iterator[tuple[int, str]]:
        """Yield when an undo spoke of a bundle, through what it undoes."""
        undoes: dict[int, list[int]] = defaultdict(list)
        times: dict[int, int] = {}
        for number, time_us, target in self._connection.execute(UNDONE):
            undoes[number].append(target)
            times[number] = time_us
        for number, uuids in reach.spoken_of(undoes, self._subjects).items():
            yield from ((times[number], uuid) for uuid in uuids)

    def _subjects(self, numbers: Sequence[int]) -> Mapping[int, Sequence[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        for number, uuid in self._connection.execute(_SUBJECTS, (json.dumps(numbers),)) if numbers else ():
            found[number].append(uuid)
        return found


class Refolded:
    """
    What a log has to say to collection, whatever ``catalog.db`` holds: that is a cache, and no reason to delete.

    Folded once, when it is first asked, into a temporary database; for one thread.
    """

    def __init__(self, log: Log, fetch: Fetch) -> None:
        self._log = log
        self._fetch = fetch
        self._connection: sqlite3.Connection | None = None

    def keeping(self, look: Callable[[Keeping], _T], *, seen: Position) -> _T:
        """What *look* makes of it; Corrupt where the log is damaged before *seen*, where a catalog saw it end."""
        if self._connection is None:
            self._connection = self._fold(seen)
        return look(Keeping(self._connection, self._log, self._fetch))

    def close(self) -> None:
        """Let go of the temporary database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fold(self, seen: Position) -> sqlite3.Connection:
        from disdat.catalog import tables  # SQLAlchemy, which only making a catalog needs

        connection = scratch.connect()
        queries.define_functions(connection)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("BEGIN")
        tables.create(connection)
        index.catch_up(connection, self._log.records(), log=self._log, fetch=self._fetch)
        tables.complete(connection)
        if (end := index.state(connection).position) < seen:
            raise self._log.damaged(end)  # it looks like a torn tail
        return connection
