"""
Who needs which object: what collection goes by, gathered from the catalogs of all contexts of a home.

It is kept in a temporary database, so that memory does not grow with the store.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from disdat.catalog.keeping import Gone, Keeping, Needed
from disdat.core import event, reach
from disdat.core.digest import Digest
from disdat.core.reach import Owner, Tally
from disdat.errors import Corrupt, ObjectNotFound, UnknownFormat
from disdat.ops import trees
from disdat.ops.trees import Peek
from disdat.scratch import Scratch

CACHE_KIB = 64 << 10
_BATCH = 500
_PORTION = 10_000
_LOOK_EVERY = 1000
_SCHEMA = """
CREATE TABLE owner (id INTEGER PRIMARY KEY, context TEXT, uuid TEXT, name TEXT, gone_us INTEGER, is_run INTEGER);
CREATE TABLE needed (digest BLOB PRIMARY KEY, owner INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE node (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE garbage (digest BLOB, place INTEGER, size INTEGER, owner INTEGER, since INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (digest, place)) WITHOUT ROWID;
"""
_OWNER = "o.context, o.uuid, o.name, o.gone_us, o.is_run"

Here = Callable[[], Iterable[tuple[bytes, int, int]]]
"""Gives what is in the store: digest, place, bytes; sorted by digest."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many there are of something, and their bytes."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the store, by what is needed of it. An object in two places counts twice."""

    kept: Amount
    garbage: Amount
    tallies: Mapping[int, Tally]
    """Of each pack, by its number."""
    missing: int
    """Objects that are needed and are not here."""


class Marks(Scratch):
    """A context manager; for one thread. *peek* reads the nodes of trees."""

    def __init__(self, peek: Peek, *, now_us: int, retention_us: int) -> None:
        super().__init__(f"PRAGMA cache_size = -{CACHE_KIB}; PRAGMA journal_mode = OFF; {_SCHEMA}")
        self._peek = peek
        self._now_us = now_us
        self._retention_us = retention_us

    def add(
        self,
        context: str,
        keeping: Keeping,
        *,
        also: Collection[str] = (),
        lost: Callable[[Digest], None] | None = None,
    ) -> None:
        """
        Note what the bundles of a context need: those that are present, and those that were within the retention.

        And those that were before, of the uuids in *also*. *lost* is asked about each node of a tree that is not here,
        and raises unless a remote has it: what lies below it is there then too.

        Raises:
            UnknownFormat: There are events of a kind this version does not know.
            Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
        """
        _check_understood(context, keeping)
        base = self._next_owner()
        self._many(
            "INSERT OR REPLACE INTO owner VALUES (?, ?, ?, ?, NULL, 0)",
            ((base + each.number, context, each.uuid, each.name) for each in keeping.present()),
        )
        self._many(
            "INSERT OR IGNORE INTO needed VALUES (?, ?)", ((raw, base + number) for raw, number in keeping.objects())
        )
        for number, root in keeping.stored_trees():
            trees.walk(self._peek, root, fresh=self._fresh, note=self._note_needed(base + number), lost=lost)
        for gone in keeping.gone():
            if not reach.is_root(gone.since_us, now_us=self._now_us, retention_us=self._retention_us):
                if not also:
                    break  # the others went earlier
                if gone.uuid not in also:
                    continue
            self._add_gone(context, gone, keeping)
        for run, packages in keeping.package_sets():
            self._note_needed(self._new_owner(Owner(context, run, "", is_run=True)))([packages])

    def bundles(self) -> Iterator[tuple[str, str]]:
        """The bundles that were noted, by context and uuid."""
        return iter(self._database.execute("SELECT context, uuid FROM owner WHERE NOT is_run"))

    def all_needed(self, count: int) -> Iterator[list[Digest]]:
        """Yield what somebody needs, in order, so many at a time."""
        sql, last = "SELECT digest FROM needed WHERE digest > ? ORDER BY digest LIMIT ?", b""
        while rows := self._database.execute(sql, (last, count)).fetchall():
            yield [Digest.from_raw(raw) for (raw,) in rows]
            last = rows[-1][0]

    def needed(self, digests: Sequence[Digest]) -> set[Digest]:
        """Those of *digests* that somebody needs."""
        found: set[Digest] = set()
        for start in range(0, len(digests), _BATCH):
            some = [digest.raw for digest in digests[start : start + _BATCH]]
            sql = f"SELECT digest FROM needed WHERE digest IN ({','.join('?' * len(some))})"
            found.update(Digest.from_raw(raw) for (raw,) in self._database.execute(sql, some))
        return found

    def between(self, first: bytes, last: bytes, *, limit: int) -> list[Digest]:
        """What is needed or in the store from one digest to another, at most so many; after :meth:`sort`."""
        each = "SELECT digest FROM {} WHERE digest BETWEEN ?1 AND ?2"
        sql = f"{each.format('needed')} UNION {each.format('garbage')} ORDER BY digest LIMIT ?3"
        return [Digest.from_raw(raw) for (raw,) in self._database.execute(sql, (first, last, limit))]

    def last_owner_of(self, digest: Digest) -> Owner | None:
        """Who last needed an object that is garbage; None if it is not, or nobody ever did."""
        sql = f"SELECT {_OWNER} FROM garbage AS g JOIN owner AS o ON o.id = g.owner WHERE g.digest = ? LIMIT 1"
        found = self._database.execute(sql, (digest.raw,)).fetchone()
        return _owner(found) if found else None

    def sort(self, here: Here, *, is_missing: Callable[[Digest], bool]) -> Found:
        """Hold what is *here* against what is needed. *is_missing* is asked of what is needed and not here."""
        tallies: dict[int, Tally] = {}
        kept = garbage = Amount()
        absent = 0

        def note_absent(raw: bytes) -> None:
            nonlocal absent
            absent += is_missing(Digest.from_raw(raw))

        def unneeded() -> Iterator[tuple[bytes, int, int]]:
            nonlocal kept, garbage
            live_count = live_bytes = dead_count = dead_bytes = 0
            counts: dict[int, list[int]] = {}
            for raw, place, size_bytes, owner in self._matched(here, note_absent):
                of_place = counts.get(place)
                if of_place is None:
                    of_place = counts[place] = [0, 0, 0, 0]
                if owner is None:
                    dead_count, dead_bytes = dead_count + 1, dead_bytes + size_bytes
                    of_place[2] += 1
                    of_place[3] += size_bytes
                    yield raw, place, size_bytes
                else:
                    live_count, live_bytes = live_count + 1, live_bytes + size_bytes
                    of_place[0] += 1
                    of_place[1] += size_bytes
            kept, garbage = Amount(live_count, live_bytes), Amount(dead_count, dead_bytes)
            tallies.update((place, Tally(*numbers)) for place, numbers in counts.items())

        self._many("INSERT OR REPLACE INTO garbage (digest, place, size) VALUES (?, ?, ?)", unneeded())
        return Found(kept, garbage, tallies, absent)

    def explain(self, context: str, keeping: Keeping) -> None:
        """Find out for the garbage that :meth:`sort` found which bundle of a context last needed it."""
        self._database.execute("DELETE FROM node")
        for number, gone in enumerate(keeping.gone()):
            if number % _LOOK_EVERY == 0 and self._explained_since() >= gone.since_us:
                return  # this one and those that went earlier were not the last
            if not reach.is_root(gone.since_us, now_us=self._now_us, retention_us=self._retention_us):
                self._explain_by(context, gone, keeping)

    def garbage(self, *, place: int | None = None) -> Iterator[tuple[Digest, int, int, Owner | None]]:
        """Yield what nobody needs, in order: digest, place, bytes, and the bundle that last needed it, if one did."""
        where = "" if place is None else "WHERE g.place = ?"
        sql = f"SELECT g.digest, g.place, g.size, {_OWNER} FROM garbage AS g LEFT JOIN owner AS o ON o.id = g.owner"
        rows = self._database.execute(f"{sql} {where} ORDER BY g.digest, g.place", () if place is None else (place,))
        for raw, at, size_bytes, *owner in rows:
            yield Digest.from_raw(raw), at, size_bytes, _owner(owner) if owner[0] is not None else None

    def reasons(self, *, limit: int) -> list[tuple[Owner | None, Amount]]:
        """The bundles that last needed most of the garbage, and how much; None is what no bundle ever needed."""
        sql = f"SELECT count(*), sum(g.size), {_OWNER} FROM garbage AS g LEFT JOIN owner AS o ON o.id = g.owner"
        rows = self._database.execute(f"{sql} GROUP BY g.owner ORDER BY 2 DESC, o.uuid LIMIT ?", (limit,))
        return [(_owner(owner) if owner[0] is not None else None, Amount(n, size)) for n, size, *owner in rows]

    def reasons_count(self) -> int:
        """How many :meth:`reasons` there are, without a limit."""
        [(count,)] = self._database.execute("SELECT count(*) FROM (SELECT 1 FROM garbage GROUP BY owner)")
        return int(count)

    def kept(self, here: Here) -> Iterator[tuple[Digest, int, Owner]]:
        """Yield what somebody needs, in order: digest, bytes, and who does."""
        for raw, _, size_bytes, owner in self._matched(here, lambda _: None):
            if owner is not None:
                found = self._database.execute(f"SELECT {_OWNER} FROM owner AS o WHERE o.id = ?", (owner,)).fetchone()
                yield Digest.from_raw(raw), size_bytes, _owner(found)

    def history(self) -> int:
        """How many bundles are kept though they were removed."""
        [(count,)] = self._database.execute(
            "SELECT count(*) FROM"
            " (SELECT DISTINCT context, uuid FROM owner WHERE gone_us IS NOT NULL AND ? - gone_us < ?)",
            (self._now_us, self._retention_us),
        )
        return int(count)

    def _matched(self, here: Here, absent: Callable[[bytes], None]) -> Iterator[tuple[bytes, int, int, int | None]]:
        needed = self._database.execute("SELECT digest, owner FROM needed ORDER BY digest")
        return reach.matched(here(), needed, absent=absent)

    def _add_gone(self, context: str, gone: Gone, keeping: Keeping) -> None:
        try:
            for needed in self._each_needed(gone, keeping):
                note = self._note_needed(self._new_owner(Owner(context, gone.uuid, needed.name, gone.since_us)))
                note(needed.digests)
                if needed.root is not None:
                    # What was purged of it already is lost, and what lies below that may be too.
                    trees.walk(self._peek, needed.root, fresh=self._fresh, note=note, lost=self._not_walked)
        except UnknownFormat:
            raise
        except Corrupt as exc:
            age_s = (self._now_us - gone.since_us) // 1_000_000
            raise Corrupt(
                f"what {gone.uuid}, which was removed, needs cannot be told: {exc.message}",
                hint=f"restore that, or `dsdt gc --retention {max(age_s, 0)}s` collects without what went so long ago",
            ) from exc

    def _explain_by(self, context: str, gone: Gone, keeping: Keeping) -> None:
        with suppress(Corrupt):  # then nobody knows that it was this one
            for needed in self._each_needed(gone, keeping):
                owner = self._new_owner(Owner(context, gone.uuid, needed.name, gone.since_us))

                def note(digests: Iterable[Digest], owner: int = owner) -> None:
                    self._many(
                        "UPDATE garbage SET owner = ?, since = ? WHERE digest = ? AND since < ?",
                        ((owner, gone.since_us, digest.raw, gone.since_us) for digest in digests),
                    )

                note(needed.digests)
                if needed.root is not None:
                    trees.walk(self._peek, needed.root, fresh=self._fresh, note=note, lost=self._not_walked)

    def _each_needed(self, gone: Gone, keeping: Keeping) -> Iterator[Needed]:
        with suppress(ObjectNotFound):  # its manifest was an object, and was purged
            yield from keeping.needed_by(gone)

    def _explained_since(self) -> int:
        """When the bundle went that last needed what was last needed longest ago; 0 if nobody is known for some."""
        [(since,)] = self._database.execute("SELECT min(since) FROM garbage")
        return event.LATEST_US if since is None else int(since)

    def _fresh(self, nodes: Iterable[Digest]) -> list[Digest]:
        """Those of *nodes* that were not walked yet; they count as walked from now on."""
        cursor = self._database.cursor()
        return [n for n in nodes if cursor.execute("INSERT OR IGNORE INTO node VALUES (?)", (n.raw,)).rowcount > 0]

    def _not_walked(self, node: Digest) -> None:
        """Who needs a node more, that is lost, must not take it for walked."""
        self._database.execute("DELETE FROM node WHERE digest = ?", (node.raw,))

    def _note_needed(self, owner: int) -> Callable[[Iterable[Digest]], None]:
        def note(digests: Iterable[Digest]) -> None:
            self._many("INSERT OR IGNORE INTO needed VALUES (?, ?)", ((digest.raw, owner) for digest in digests))

        return note

    def _new_owner(self, owner: Owner) -> int:
        number = self._next_owner()
        row = (number, owner.context, owner.uuid, owner.name, owner.gone_us, owner.is_run)
        self._database.execute("INSERT INTO owner VALUES (?, ?, ?, ?, ?, ?)", row)
        return number

    def _next_owner(self) -> int:
        [(last,)] = self._database.execute("SELECT ifnull(max(id), 0) FROM owner")
        return int(last) + 1

    def _many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:  # as the columns are
        self._database.executemany(sql, rows)


def _check_understood(context: str, keeping: Keeping) -> None:
    if unknown := keeping.unknown_kinds():
        raise UnknownFormat(
            f"nothing is collected: the log of the context {context!r}",
            found=f"events of the kind {', '.join(map(repr, unknown))}",
            supported="others only",
            hint="a newer disdat wrote them: collect with that one",
        )
    if unreadable := keeping.unreadable():
        dsdt = shlex.join(["dsdt", "--context", context])
        raise Corrupt(
            f"nothing is collected: what {unreadable[0]} in the context {context!r} needs cannot be read",
            hint=f"`{dsdt} verify` says what to restore; `{dsdt} rm --uuid {unreadable[0]}` removes it",
        )


def _owner(row: Sequence[Any]) -> Owner:  # as the columns are
    context, uuid, name, gone_us, is_run = row
    return Owner(context, uuid, name, gone_us, bool(is_run))
