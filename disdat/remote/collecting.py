"""
How a collection of a remote goes on, from the list of what it condemned until all of that is deleted.

There is no server, and anybody may fall asleep at any moment, the one who collects too. So a list is made and then
waits; whoever collects next goes on with it. Who may delete is decided by compare-and-swap and only for a
turn, and what is still needed is looked for after that. ``docs/design/006-remotes.md`` says why that loses nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from itertools import islice

from disdat.core import event
from disdat.core.places import collection_key
from disdat.errors import Conflict
from disdat.remote import condemned, leases
from disdat.remote.condemned import Condemned, Listed
from disdat.scratch import Scratch
from disdat.store.backend import LONGEST_SIGNED_S, Backend, Unsupported, probe
from disdat.store.backend import Stored as Kept

TURN_US = 600_000_000
"""So long one process may delete before it must say again that it does."""
_LAST_US = 120_000_000
"""So much earlier it stops: what it asks for is done while its turn lasts."""
AFTER_US = 3_600_000_000
"""So long after the end of a turn another process may take over: what was asked for by then is done, or never is."""
LIST_KEYS = 20_000
"""So many keys go into one list."""
LISTS = 25
"""So many lists one collection deletes: they are held in memory."""
_TOGETHER = 1000
_HOUR_US = 3_600_000_000

_CONTENT = re.compile(r"objects/blake3/([0-9a-f]{2})/\1[0-9a-f]{62}|packs/[0-9a-f]{64}\.pack")
_FILE = re.compile(r"context/([^/]+)/files/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/.+", re.DOTALL)
_SHARE = re.compile(r"shares/([0-9A-HJKMNP-TV-Z]{26})/.+", re.DOTALL)


_SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE needed (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE listed (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE root (context TEXT, uuid TEXT, PRIMARY KEY (context, uuid)) WITHOUT ROWID;
CREATE TABLE kept (key TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID;
"""


class Keys(Scratch):
    """
    Keys of a remote, with size and time, in a temporary database: memory does not grow with how many there are.

    A context manager; for one thread.
    """

    def __init__(self) -> None:
        super().__init__(_SCHEMA)

    def need(self, keys: Iterable[str]) -> None:
        """Note that somebody needs what is under these."""
        self._database.executemany("INSERT OR IGNORE INTO needed VALUES (?)", ((key,) for key in keys))

    def condemn(self, keys: Iterable[str]) -> None:
        """Note that these are on a list."""
        self._database.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ((key,) for key in keys))

    def forget_condemned(self) -> None:
        """Forget what was noted to be on lists."""
        self._database.execute("DELETE FROM listed")

    def is_condemned(self, key: str) -> bool:
        """Whether a key was noted to be on a list."""
        return self._database.execute("SELECT 1 FROM listed WHERE key = ?", (key,)).fetchone() is not None

    def need_files(self, bundles: Iterable[tuple[str, str]]) -> None:
        """Note that somebody needs all files in the plain layout of these bundles, each by remote context and uuid."""
        self._database.executemany("INSERT OR IGNORE INTO root VALUES (?, ?)", bundles)

    def is_needed(self, key: str) -> bool:
        """Whether somebody needs what is under a key."""
        if self._database.execute("SELECT 1 FROM needed WHERE key = ?", (key,)).fetchone():
            return True
        bundle = bundle_of(key)
        sql = "SELECT 1 FROM root WHERE context = ? AND uuid = ?"
        return bundle is not None and self._database.execute(sql, bundle).fetchone() is not None

    def look(self, backend: Backend) -> None:
        """Note all there is that collection may delete."""
        self._database.execute("DELETE FROM kept")
        rows = ((each.key, each.size_bytes, each.modified_us) for each in _collectable(backend))
        self._database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)

    def kept(self) -> Iterator[Kept]:
        """Yield what :meth:`look` found, in order of the keys."""
        for key, size_bytes, modified_us in self._database.execute("SELECT * FROM kept ORDER BY key"):
            yield Kept(key, size_bytes, modified_us)

    def size_bytes(self, key: str) -> int | None:
        """How many bytes :meth:`look` found under a key; None if it found nothing."""
        found = self._database.execute("SELECT size FROM kept WHERE key = ?", (key,)).fetchone()
        return int(found[0]) if found else None

    def modified_us(self, key: str) -> int | None:
        """When what :meth:`look` found under a key was written; None if it found nothing."""
        found = self._database.execute("SELECT modified FROM kept WHERE key = ?", (key,)).fetchone()
        return int(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class Turn:
    """A list that we are deleting, until a moment of the store's clock."""

    listed: Listed
    until_us: int


class Lists:
    """
    The lists of collections of one remote, as one collection that *by* names goes on with them.

    *clock_us* is ours; what is decided by a time is decided by the store's.
    """

    def __init__(self, backend: Backend, *, by: str, clock_us: Callable[[], int]) -> None:
        self.backend = backend
        self._by = by
        self._clock_us = clock_us
        self._offset_us = 0

    def check_able(self) -> None:
        """Refuse, with Unsupported, to collect where nobody could tell who was first."""
        can = probe(self.backend, leases.PREFIX)
        if not (can.creates_once and can.swaps):
            raise Unsupported(
                f"{self.backend.url} has no conditional writes, and nothing can be collected without them",
                hint="what was removed takes space until its objects are deleted by hand, when nobody pushes",
            )

    def now_us(self) -> int:
        """The time by the store's clock, as of what was written last."""
        return self._clock_us() + self._offset_us

    def hear(self) -> int:
        """The time by the store's clock, asked by writing something."""
        key = f"{leases.PREFIX}clock-{os.urandom(8).hex()}"
        try:
            self.backend.put(key, b"")
            self._offset_us = self.backend.head(key).modified_us - self._clock_us()
        finally:
            self.backend.delete(key)
        return self.now_us()

    def condemn(self, keys: Iterable[str]) -> int:
        """Make lists of these keys, and see that all who push from now on know of them; how many keys there are."""
        rest, count = iter(keys), 0
        while some := frozenset(islice(rest, LIST_KEYS)):
            key = collection_key(event.ulid(self.now_us()))
            self.backend.put_if_absent(key, condemned.encode(Condemned(some, by=self._by)))
            count += len(some)
        self.settle()
        return count

    def settle(self) -> None:
        """
        Begin the waiting of the lists that were just made.

        Whoever writes a lease from now on finds them; of the others the leases are noted.
        """
        for each in condemned.listed(self.backend):
            if each.condemned.since_us is None:
                since_us = self.backend.head(each.key).modified_us
                alive = frozenset(one.key for one in leases.live(self.backend, now_us=self.now_us()))
                self._swap(each, replace(each.condemned, since_us=since_us, leases=alive, by=self._by))

    def due(self, *, grace_us: int) -> list[Turn]:
        """Some of those that may be deleted now, each of which nobody else deletes for as long as our turn lasts."""
        alive = {each.key for each in leases.live(self.backend, now_us=self.now_us())}
        lists = condemned.listed(self.backend)
        due = islice((one for one in lists if self._is_due(one.condemned, alive, grace_us)), LISTS)
        return [turn for one in list(due) if (turn := self._take(one)) is not None]

    def strike(self, turn: Turn, keys: Set[str]) -> Turn:
        """The turn, with a list that has these keys no more. Raises what :meth:`go_on` does."""
        if not keys & turn.listed.condemned.keys:
            return turn
        return self._kept(self._swap(turn.listed, turn.listed.condemned.without(keys)), turn.until_us)

    def go_on(self, turn: Turn) -> Turn:
        """
        The turn, if it lasts long enough to ask for something, or a new one.

        Raises:
            Conflict: Another collection took over; nothing more may be deleted.
        """
        if self.now_us() < turn.until_us - _LAST_US:
            return turn
        until_us = self.hear() + TURN_US
        return self._kept(self._swap(turn.listed, replace(turn.listed.condemned, until_us=until_us)), until_us)

    def delete(self, turn: Turn, *, told: Callable[[int], None]) -> None:
        """Delete all that is on a list, and the list; *told* hears how many keys. Raises what :meth:`go_on` does."""
        left = iter(sorted(turn.listed.condemned.keys))
        while some := list(islice(left, _TOGETHER)):
            turn = self.go_on(turn)
            self.backend.delete_many(some)
            told(len(some))
        # Empty first: so nobody who takes over deletes what was sent again once the list is gone.
        turn = self.go_on(turn)
        self._kept(self._swap(turn.listed, replace(turn.listed.condemned, keys=frozenset())), turn.until_us)
        self.backend.delete(turn.listed.key)

    def _is_due(self, listed: Condemned, alive: Set[str], grace_us: int) -> bool:
        if not listed.keys:
            return True
        if listed.until_us is not None:
            return self.now_us() > listed.until_us + AFTER_US
        if listed.since_us is None or listed.leases & alive:
            return False
        return self.now_us() - listed.since_us >= grace_us

    def _take(self, found: Listed) -> Turn | None:
        until_us = self.hear() + TURN_US
        ours = self._swap(found, replace(found.condemned, until_us=until_us, by=self._by))
        return None if ours is None else Turn(ours, until_us)

    def _swap(self, found: Listed, new: Condemned) -> Listed | None:
        """The list as it is once it is as we want it; None where another change came first."""
        data = condemned.encode(new)
        etag = self.backend.put_if_match(found.key, data, found.etag)
        if etag is not None:
            return Listed(found.key, new, etag)
        # A reply may get lost, and the request be made again: then it is ours that is there, as it says by whom it is.
        there = condemned.read(self.backend, found.key)
        return there if there is not None and there.condemned == new and new.by == self._by else None

    def _kept(self, listed: Listed | None, until_us: int) -> Turn:
        if listed is None:
            raise _overtaken()
        return Turn(listed, until_us)


def bundle_of(key: str) -> tuple[str, str] | None:
    """The bundle, by remote context and uuid, of which a file lies under a key as people see it; None of others."""
    found = _FILE.fullmatch(key)
    return (found[1], found[2]) if found else None


def expired_shares(backend: Backend, *, now_us: int) -> Iterator[str]:
    """Yield the keys of what was shared for a time that is over."""
    for each in backend.list("shares/"):
        found = _SHARE.fullmatch(each.key)
        if found is None:
            continue
        ends_us = min(event.ulid_time_us(found[1]), each.modified_us + LONGEST_SIGNED_S * 1_000_000)
        if now_us - ends_us > _HOUR_US:
            yield each.key


def _collectable(backend: Backend) -> Iterator[Kept]:
    """Yield all that collection may delete: of what it does not know, it keeps its hands."""
    for prefix in ("objects/", "packs/"):
        yield from (each for each in backend.list(prefix) if _CONTENT.fullmatch(each.key))
    for name in backend.list_below("context/"):
        yield from (each for each in backend.list(f"context/{name}/files/") if _FILE.fullmatch(each.key))


def _overtaken() -> Conflict:
    return Conflict("another collection goes on with this one", hint="look again when it is done")
