"""
The log of a context and its index: how a change gets into both, and when the index may be asked.

The log is the truth. The index may be behind it by what one process wrote last, which that process remembers:
``docs/design/005-indexing-behind-the-log.md`` says why, and what follows.
"""

from __future__ import annotations

import atexit
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar
from weakref import WeakSet

from disdat.catalog import index
from disdat.catalog.database import Database, Lent, Transaction, Unusable, is_damaged
from disdat.catalog.index import Fetch, State
from disdat.catalog.lock import ContextLock
from disdat.catalog.log import START, Appended, Entry, Log, Position, Stamp
from disdat.core import event
from disdat.core.event import Draft, Event
from disdat.durable import Disk
from disdat.errors import AlreadyExists, DisdatError

MOST_WAITING = 32
"""So many events wait to be indexed at most: no change and no first question takes long. A batch does not wait."""

_T = TypeVar("_T")


class Moment:
    """When a change is being made: gives the time of each of its events."""

    __slots__ = ("_first_us",)

    def __init__(self, first_us: int) -> None:
        self._first_us = first_us

    def time_us(self, number: int = 0) -> int:
        """The time of the change's event *number*, from 0; greater than that of every event before it."""
        return self._first_us + number


Drafts: TypeAlias = "Callable[[Moment], Sequence[Draft]] | Sequence[Draft]"


Check: TypeAlias = "Callable[[sqlite3.Connection], None]"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is to be made, by whom, and what must hold before."""

    drafts: Drafts
    writer: str
    actor: str
    write_ids: Sequence[str] | None
    unused: Sequence[str]
    check: Check | None

    def events(self, moment: Moment, seq: int) -> list[Event]:
        """What it says at a moment, its first event being the writer's *seq*."""
        made = self.drafts(moment) if callable(self.drafts) else self.drafts
        ids = self.write_ids or [""] * len(made)
        return [
            _event(draft, moment.time_us(i), self.writer, seq + i, self.actor, write_id)
            for i, (draft, write_id) in enumerate(zip(made, ids, strict=True))
        ]

    def check_allowed(self, connection: sqlite3.Connection) -> None:
        """Raise where it may not be made, with an index that has seen the whole log."""
        if self.unused and (taken := index.known(connection, self.unused)):
            # To add a bundle that was removed would change nothing: a removal holds until it is undone.
            raise AlreadyExists(f"there is or was a bundle {min(taken)}", hint="give it another uuid")
        if self.check is not None:
            self.check(connection)


class _Left(NamedTuple):
    """How the change before left the log; while that is so, the next one need not look anything up."""

    stamp: Stamp
    end: Position
    newest_us: int
    writer: str
    seq: int
    indexed: Position
    """How much of the log the index has seen."""
    waiting: tuple[Entry, ...]
    """What is in the log after that: bundles nobody knew, each added and no more."""

    def all_indexed(self) -> _Left:
        return self._replace(indexed=self.end, waiting=())


class IndexedLog:
    """
    The log of one context, with its index.

    Threads and processes may use one context at once. Errors are those of SQLite and the system too.
    """

    def __init__(self, directory: Path, *, log: Log, now_us: Callable[[], int], fetch: Fetch, disk: Disk) -> None:
        self.database = Database(directory)
        self._log = log
        self._now_us = now_us
        self._fetch = fetch
        self._disk = disk
        self._lock = ContextLock(directory)
        self._left: _Left | None = None
        """Changed with the lock held; None unless everything in it is known."""
        self._was_asked = False
        """Whether a question came since the last change."""

    def commit(self, change: Change) -> list[Event]:
        """Make a change, durable on return; once it is in the log, that the index cannot be written is no error."""
        return self._repairing(lambda: self._commit(change))

    def receive(self, events: Sequence[Event], change: Change) -> int:
        """
        Take over events of others that are not known yet, after the one that *change* makes; how many.

        Durable on return; nothing is written where all are known.
        """
        return self._repairing(lambda: self._receive(events, change))

    def ask(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        """What *query* finds in an index that has seen the whole log."""
        return self._repairing(lambda: self._ask(query))

    def reindex(self) -> None:
        """Make the index again from the log, seen by readers all at once."""
        with self._lock.held():
            acknowledged = self._acknowledged()
            # Else readers would wait for the lock. What may be wrong with the index is why it is made again.
            with suppress(Unusable, sqlite3.DatabaseError), self.database.connection() as lent:
                self._bring_up(lent)
            self._rebuild(acknowledged)

    def reread(self, uuids: Sequence[str]) -> None:
        """Index bundles once more: their manifests were not there."""
        self._repairing(lambda: self._reread(uuids))

    def fork(self, target: Path) -> None:
        """Give a directory, which nobody else uses, this log and this index as of one moment; durable on return."""
        self._repairing(lambda: self._fork(target))

    def settle(self) -> None:
        """Index what waits, unless somebody holds the lock or it cannot be: who asks next does it, or is told why."""
        if self._left is None or not self._left.waiting:
            return
        with suppress(DisdatError, Unusable, sqlite3.Error, OSError), self._lock.held_if_free() as held:
            if held:
                with self.database.connection() as lent:
                    self._bring_up(lent)

    def close(self) -> None:
        """Index what waits, as :meth:`settle` does, and close the files."""
        self.settle()
        self.database.close()

    def _commit(self, change: Change) -> list[Event]:
        recorded: list[Event] = []
        try:
            with self._lock.held(), self._usable() as lent:
                self._make(change, lent, recorded)
        except (sqlite3.Error, OSError):
            # Once it is in the log, the change is made: whoever looks next indexes it, or says what is wrong.
            if not recorded:
                raise
        return recorded

    def _receive(self, events: Sequence[Event], change: Change) -> int:
        fresh: list[Event] = []
        is_recorded = False
        try:
            with self._lock.held(), self._usable() as lent:
                left, self._left = self._recalled(lent), None
                with self._changing(lent.connection):
                    seen = self._caught_up(lent, left)
                    fresh = index.unknown(lent.connection, events)
                    if not fresh:
                        return 0
                    seq = index.last_seq(lent.connection, change.writer) + 1
                    told = change.events(self._moment(seen.newest_us), seq)
                    appended = self._log.append(seen.position, [*told, *fresh])
                    is_recorded = True
                    index.receive(lent.connection, appended, log=self._log, fetch=self._fetch)
        except (sqlite3.Error, OSError):
            # Once it is in the log, it is taken over: whoever looks next indexes it, or says what is wrong.
            if not is_recorded:
                raise
        return len(fresh)

    def _make(self, change: Change, lent: Lent, recorded: list[Event]) -> None:
        """Make a change; *recorded* gets its events once they are in the log."""
        left = self._recalled(lent)
        # Who asks after each change would have each indexed alone, in a transaction of its own, which takes longer.
        was_asked, self._was_asked = self._was_asked, False
        if left is None or left.writer != change.writer or change.check is not None or was_asked:
            self._make_indexed(change, None, left, lent, recorded)
            return
        events = change.events(self._moment(left.newest_us), left.seq + 1)
        if _is_news(lent.connection, events, left, change.unused):
            self._make_ahead(events, left, lent, recorded)
        else:
            self._make_indexed(change, events, left, lent, recorded)

    def _make_ahead(self, events: Sequence[Event], left: _Left, lent: Lent, recorded: list[Event]) -> None:
        """Append events and let them wait to be indexed, unless too many would."""
        self._left = None
        appended = self._log.append(left.end, events)
        recorded += events
        lent.note.write(appended.end)
        self._remember(appended, left.indexed, (*left.waiting, *appended.entries))
        if len(left.waiting) + len(events) > MOST_WAITING:
            self._bring_up(lent)

    def _make_indexed(
        self, change: Change, events: list[Event] | None, left: _Left | None, lent: Lent, recorded: list[Event]
    ) -> None:
        """Append a change and index it, after all that came before; *events* are its events, if they are made."""
        connection = lent.connection
        failures: list[Exception] = []

        def indexed(appended: Appended) -> None:
            """Refuse a change that cannot be, as an event it needs is damaged; a full disk is no reason to."""
            try:
                index.add(connection, appended, log=self._log, fetch=self._fetch)
            except (sqlite3.Error, OSError) as exc:
                failures.append(exc)

        self._left = None
        with self._changing(connection):
            seen = self._caught_up(lent, left)
            change.check_allowed(connection)
            if events is None:
                events = change.events(self._moment(seen.newest_us), index.last_seq(connection, change.writer) + 1)
            if not events:
                return
            appended = self._log.append(seen.position, events, prepare=indexed)
            recorded += events
            for failure in failures:
                raise failure
        self._remember(appended, appended.end, ())

    def _remember(self, appended: Appended, indexed: Position, waiting: tuple[Entry, ...]) -> None:
        last, stamp = appended.entries[-1].event, self._log.stamp(appended.end)
        if stamp is not None:
            self._left = _Left(stamp, appended.end, last.time_us, last.writer, last.seq, indexed, waiting)
            _used.add(self)

    def _recalled(self, lent: Lent) -> _Left | None:
        """How the log was left, if it is still so. Needs the lock."""
        left = self._left
        if left is None or self._log.stamp(left.end) != left.stamp:
            return None
        position = index.state(lent.connection).position
        if position == left.end:  # somebody who asked indexed what waited
            return left.all_indexed()
        return left if position == left.indexed else None

    def _moment(self, newest_us: int) -> Moment:
        return Moment(max(self._now_us(), newest_us + 1))

    def _ask(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        self._was_asked = True
        while True:
            try:
                with self.database.connection() as lent, Transaction(lent.connection, "BEGIN"):
                    seen = index.state(lent.connection).position
                    if not self._log.continues(seen, acknowledged=lent.note.read()):
                        return query(lent.connection)
            except Unusable:  # made below
                pass
            with self._lock.held(), self._usable() as lent:
                self._bring_up(lent)

    def _repairing(self, act: Callable[[], _T]) -> _T:
        """What *act* gives; where it meets a damaged index, the index is made again first."""
        try:
            return act()
        except sqlite3.DatabaseError as exc:
            if not is_damaged(exc):
                raise
        with self._lock.held():
            self._rebuild(START)
        return act()

    def _changing(self, connection: sqlite3.Connection) -> Transaction:
        return Transaction(connection, "BEGIN IMMEDIATE", commit=self._disk.sql_commit)

    def _usable(self) -> Lent:
        """A connection to the index, which is made where there is none. Needs the lock."""
        while True:
            try:
                return self.database.connection()
            except Unusable:
                self._rebuild(START)

    def _bring_up(self, lent: Lent) -> None:
        """Have the index see the whole log. Needs the lock."""
        left, self._left = self._recalled(lent), None
        with self._changing(lent.connection):
            self._caught_up(lent, left)
        self._left = None if left is None else left.all_indexed()

    def _caught_up(self, lent: Lent, left: _Left | None) -> State:
        """What the index has seen, once that is the whole log, left as *left* says or not known how."""
        if left is not None:
            if left.waiting:
                waiting = Appended(list(left.waiting), left.end)
                index.add(lent.connection, waiting, log=self._log, fetch=self._fetch)
            return State(left.end, left.newest_us)
        seen, noted = index.state(lent.connection), lent.note.read()
        if not self._log.continues(seen.position, acknowledged=noted):
            return seen
        known = max(seen.position, noted)
        # What was acknowledged is durable: to sync it again takes longer than to index it.
        read = self._log.recover if self._log.continues(known) else self._log.records
        records = read(seen.position, acknowledged=known)
        index.catch_up(lent.connection, records, log=self._log, fetch=self._fetch)
        return index.state(lent.connection)

    def _acknowledged(self) -> Position:
        """How far the log was acknowledged, as far as the catalog there is, if any, and the note beside it say."""
        try:
            with self.database.connection() as lent:
                return max(index.state(lent.connection).position, lent.note.read())
        except (Unusable, sqlite3.DatabaseError):
            return START

    def _rebuild(self, acknowledged: Position) -> None:
        from disdat.catalog import tables  # SQLAlchemy, which only making a catalog needs

        def fill(connection: sqlite3.Connection) -> None:
            with Transaction(connection, "BEGIN"):
                tables.create(connection)
                records = self._log.recover(START, acknowledged=acknowledged)
                index.catch_up(connection, records, log=self._log, fetch=self._fetch)
                tables.complete(connection)

        self.database.replace(fill)

    def _reread(self, uuids: Sequence[str]) -> None:
        with self._lock.held(), self._usable() as lent:
            self._bring_up(lent)
            with self._changing(lent.connection):
                index.reread(lent.connection, uuids, log=self._log, fetch=self._fetch)

    def _fork(self, target: Path) -> None:
        with self._lock.held(), self._usable() as lent:
            self._bring_up(lent)
            end = index.state(lent.connection).position
            # SQLite's own copying: beside readers, the write-ahead log cannot always be merged into the file.
            Database(target).replace(lent.connection.backup)
            self._log.fork(target / "log", end)


def _is_news(connection: sqlite3.Connection, events: Sequence[Event], left: _Left, unused: Sequence[str]) -> bool:
    """Whether *events* only add bundles that neither the index nor what waits knows, as it does none of *unused*."""
    if any(each.kind != event.ADD or each.undoes or each.write_id != each.id for each in events):
        return False
    uuids = {uuid for each in events for uuid in each.subjects}
    names = uuids.union(unused)
    if len(uuids) < len(events) or any(entry.event.payload["uuid"] in names for entry in left.waiting):
        return False
    return bool(events) and not index.known(connection, list(names))


def _event(draft: Draft, time_us: int, writer: str, seq: int, actor: str, write_id: str) -> Event:
    id_ = event.ulid(time_us)
    return Event(
        id=id_,
        time_us=time_us,
        writer=writer,
        seq=seq,
        kind=draft.kind,
        payload=draft.payload,
        actor=actor,
        write_id=write_id or id_,
        undoes=draft.undoes,
    )


_used: WeakSet[IndexedLog] = WeakSet()
"""Those of which something may wait when the process ends."""


def _settle_all() -> None:
    for each in list(_used):
        each.settle()


atexit.register(_settle_all)
