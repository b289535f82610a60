"""
The publications of one remote context: fetching those of others, and publishing.

There is no server: a publication is one object, created where there was none, and whoever lists sees it or does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Protocol, TypeAlias

import zstandard

from disdat.core import event, publication
from disdat.core.digest import Digest, of_bytes
from disdat.core.event import Event
from disdat.core.places import MARKER, context_key, object_key
from disdat.core.publication import Publication, Said
from disdat.errors import Corrupt, DigestMismatch, InvalidInput, Unavailable, UnknownFormat
from disdat.remote import snapshots
from disdat.remote.known import Known, Stored
from disdat.store.backend import Backend, KeyNotFound
from disdat.store.backend import Stored as Listed

OVERLAP_US = 15 * 60 * 1_000_000
"""Listing begins so long before the last publication that is known, which is longer than one may be late and count."""
LONGEST_BYTES = publication.INLINE_BYTES + 1024
"""What takes more under a key of a publication is none."""
LATE_US = 5 * 60 * 1_000_000
"""A publication whose id is further than this from the moment it was stored is made again under another."""
_EARLY_US = 2 * LATE_US
"""So far ahead one may be; that delays nobody's seeing it. It must be after those whose clocks are ahead, too."""
PORTION = 500
"""So many publications are taken over together at most."""
PORTION_EVENTS = 5000
"""At most about so many events go into one record of the log."""
READERS = 16
AHEAD = 2 * READERS
"""The bytes of so many publications are fetched ahead; what they say takes ten times as much, and is read in turn."""
_LISTINGS = 4
_ATTEMPTS = 6
_ZSTD_LEVEL = 3

Receive: TypeAlias = "Callable[[Sequence[Event], Sequence[str]], None]"
"""Is given fetched events, and the ids of the publications they are of; keeps them, durable on return."""
Progress: TypeAlias = "Callable[[int, int], None]"
"""Is told how many publications were read, and of how many."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A publication that cannot be used, which stays where it is."""

    key: str
    why: str


@dataclass(slots=True)
class Fetched:
    """What a fetch brought."""

    publications: int = 0
    refused: list[Refused] = field(default_factory=list)


_Parts: TypeAlias = "tuple[bytes, bytes | None]"
"""The bytes of a publication, and those of its body, where it has one."""


class Overdue(Exception):
    """What was to be published counts on something that may be gone by now."""


class Clock(Protocol):
    """Gives the time, µs since the epoch, UTC."""

    def __call__(self) -> int: ...


class Mirror:
    """
    One remote context as one local context, the *writer*, sees it.

    Only one process at a time may fetch or publish: who does holds the context's ``push.lock``.
    """

    def __init__(self, backend: Backend, remote_context: str, known: Known, *, writer: str, clock_us: Clock) -> None:
        self.backend = backend
        self.remote_context = remote_context
        self.known = known
        self.writer = writer
        self._clock_us = clock_us
        self._events = context_key(remote_context, "events/")

    def now_us(self) -> int:
        """The time by our clock, corrected by what the store's said last."""
        return self._clock_us() + self.known.number("offset")

    def fetch(self, receive: Receive, *, progress: Progress | None = None) -> Fetched:
        """
        Take over all that is published and not known yet.

        Raises:
            Unavailable: The store does not answer; what was taken over so far is kept.
        """
        fetched = Fetched()
        told = progress or _tell_nobody
        # What was refused may have been damaged on its way only: it is looked for until it is read.
        is_full = not self.known.number("cursor") or self.known.number("refused") > 0
        for left in reversed(range(_LISTINGS)):
            fetched.refused.clear()
            try:
                self._fetch_listed(self._listed(is_full=is_full), receive, fetched, told)
            except KeyNotFound:
                if not left:
                    raise
            else:
                if is_full or not fetched.publications or self.known.gaps() == (self.known.fact("gaps") or ""):
                    break
            # What is missing was deleted meanwhile, and is in a snapshot; or it was stored late.
            is_full = True
        if is_full:  # a gap that is still there need not be looked into again
            self.known.note({"gaps": self.known.gaps()})
        return fetched

    def publish(
        self,
        said: Said,
        *,
        actor: str = "",
        after_us: int = 0,
        until_us: int | None = None,
        receive: Receive | None = None,
    ) -> Publication:
        """
        Make known what is said, all of it durable already; it counts from the moment this returns, at the latest.

        Its time is *after_us* at least. Stored after *until_us*, by the store's clock, it counts for nobody. *receive*
        keeps its events here, where they are not yet: before they are noted as known, so that a fetch brings them where
        we die in between.

        Raises:
            Overdue: The moment *until_us* is over; nothing was published.
            Unavailable: The store did not answer; whether it was published the next fetch tells.
        """
        seq = self.known.last_seq(self.writer) + 1
        write_id = ""
        for _ in range(_ATTEMPTS):
            time_us = max(self._time_us(), after_us)
            if until_us is not None and time_us >= until_us:
                raise Overdue
            made = publication.made(
                said,
                time_us=time_us,
                writer=self.writer,
                seq=seq,
                actor=actor,
                write_id=write_id,
                until_us=until_us,
            )
            write_id = made.write_id
            stored_us = self._store(made)
            if stored_us is None:
                continue
            self.heard(stored_us)
            is_timely = -_EARLY_US <= stored_us - made.time_us <= LATE_US
            if is_timely and made.counts_when_stored(stored_us):
                if receive is not None:
                    receive(said.events, [made.id])
                self.known.locate([Stored(made, stored_us)], self.remote_context)
                self.known.apply([Stored(made, stored_us)])
                return made
        raise Unavailable(
            f"{self.backend.url} takes too long to store a publication", hint="try again; what was sent is kept"
        )

    def heard(self, stored_us: int) -> None:
        """Correct our clock by the time the store gave to what was written just now."""
        self.known.note({"offset": stored_us - self._clock_us()})

    def _time_us(self) -> int:
        """The time of a publication: greater than that of every one known to delete what this one may bring back."""
        return max(self.now_us(), self.known.number("dropped") + 1000)

    def read(self, key: str) -> Publication:
        """The publication under a key; KeyNotFound where there is none, Corrupt where it cannot be used."""
        return self._decoded(key, self.backend.get(key), None)

    def unread(self) -> Iterator[Stored]:
        """Yield the publications that a fetch would take over, maybe twice, and take over none."""
        listed = {self._name(each.key): each for each in self._listed(is_full=not self.known.number("cursor"))}
        unseen = self.known.unseen(list(listed))
        sources = [snapshots.read(self.backend, listed[name].key) for name in unseen if snapshots.is_name(name)]
        sources.append(self.read_all(listed[name] for name in unseen if publication.parse_name(name)))
        for some in _portions(chain.from_iterable(sources)):
            unknown = set(self.known.unseen([each.publication.name for each in some]))
            yield from self._counting([each for each in some if each.publication.name in unknown], Fetched())

    def listed(self) -> list[Listed]:
        """All publications that lie by themselves."""
        return [each for each in self.backend.list(self._events) if publication.parse_name(self._name(each.key))]

    def snapshots(self) -> list[Listed]:
        """All snapshots, in order of their ids."""
        found = self.backend.list(context_key(self.remote_context, "snapshots/"))
        return [each for each in found if snapshots.is_name(self._name(each.key))]

    def read_all(self, listed: Iterable[Listed]) -> Iterator[Stored]:
        """
        Yield publications, leaving out those that are damaged; some are read ahead.

        Raises:
            UnknownFormat: A later version wrote one.
            KeyNotFound: One was deleted meanwhile.
        """
        return self._read_each(listed, lambda _, exc: _check_known(exc))

    def _store(self, made: Publication) -> int | None:
        """Create the object; the store's time of it, or None where another one has its name."""
        key = self._events + made.name
        data = publication.encode(made, self._keep_body)
        # A reply may get lost, and the request be made again: then it is ours that is there.
        if not self.backend.put_if_absent(key, data) and self.backend.get(key) != data:
            return None
        return self.backend.head(key).modified_us

    def _listed(self, *, is_full: bool) -> list[Listed]:
        """What may be new: first the publications by themselves, then the snapshots, as who compacts writes them."""
        after_us = 0 if is_full else max(0, self.known.number("cursor") - OVERLAP_US)
        start = self._events + event.ulid(after_us, entropy=0) if after_us else ""
        return [*self.backend.list(self._events, start_after=start), *self.snapshots()]

    def _fetch_listed(self, listed: Sequence[Listed], receive: Receive, fetched: Fetched, told: Progress) -> None:
        by_name = {self._name(each.key): each for each in listed}
        names = self.known.unseen(list(by_name))
        read = 0
        for name in names:
            if snapshots.is_name(name):
                self._take_snapshot(by_name[name], receive, fetched)
        loose = [by_name[name] for name in self.known.unseen(names) if publication.parse_name(name)]
        for some in _portions(self._read_each(loose, lambda key, exc: fetched.refused.append(Refused(key, str(exc))))):
            self._take_over(some, receive, fetched)
            read += len(some)
            told(read, len(loose))
        self._note_reached(listed, fetched)

    def _note_reached(self, listed: Sequence[Listed], fetched: Fetched) -> None:
        published = [each.modified_us for each in listed if publication.parse_name(self._name(each.key))]
        # A time to come, which can only be an error, would hide all that is published until then.
        newest = min(max(published, default=0), self.now_us())
        cursor = max(newest, self.known.number("cursor"), 1)
        self.known.note({"cursor": cursor, "refused": len(fetched.refused)})

    def _take_snapshot(self, listed: Listed, receive: Receive, fetched: Fetched) -> None:
        try:
            count = 0
            for some in _portions(snapshots.read(self.backend, listed.key)):
                count += len(some)
                unseen = set(self.known.unseen([each.publication.name for each in some]))
                self._take_over([each for each in some if each.publication.name in unseen], receive, fetched)
        except Corrupt as exc:
            fetched.refused.append(Refused(listed.key, str(exc)))
        else:
            self.known.see([self._name(listed.key)])
            self.known.note({"gathered": max(count, self.known.number("gathered"))})

    def _read_each(self, listed: Iterable[Listed], refuse: Callable[[str, Corrupt], None]) -> Iterator[Stored]:
        """Yield publications; those that cannot be used are told. Of some the bytes are fetched ahead."""
        rest = iter(listed)
        with ThreadPoolExecutor(READERS) as pool:
            ahead = deque((each, pool.submit(self._fetched, each)) for each in islice(rest, AHEAD))
            try:
                while ahead:
                    each, coming = ahead.popleft()
                    ahead.extend((one, pool.submit(self._fetched, one)) for one in islice(rest, 1))
                    try:
                        yield Stored(self._read_listed(each, coming), each.modified_us)
                    except Corrupt as exc:
                        refuse(each.key, exc)
            finally:
                pool.shutdown(cancel_futures=True)

    def _fetched(self, listed: Listed) -> _Parts:
        _check_length(listed)
        data = self.backend.get(listed.key)
        body = publication.body_of(data)
        return data, None if body is None else self._packed_body(*body)

    def _read_listed(self, listed: Listed, coming: Future[_Parts]) -> Publication:
        _check_length(listed)
        try:
            return self._decoded(listed.key, *coming.result())
        except UnknownFormat:
            raise
        except Corrupt:
            return self.read(listed.key)  # it may have been damaged on its way only

    def _decoded(self, key: str, data: bytes, packed: bytes | None) -> Publication:
        """The publication in some bytes, and in those of its body, if these were fetched already."""

        def said(digest: Digest, size_bytes: int) -> bytes:
            return _unpacked(digest, self._packed_body(digest, size_bytes) if packed is None else packed)

        found = publication.decode(data, said)
        if found.name != self._name(key):
            raise Corrupt(f"{key} holds the publication {found.name}")
        return found

    def _take_over(self, stored: Sequence[Stored], receive: Receive, fetched: Fetched) -> None:
        """Keep the events of publications, and then note that these are known."""
        counting = list(self._counting(stored, fetched))
        events = [each for one in counting for each in one.publication.said.events]
        self.known.locate(counting, self.remote_context)
        if events:
            receive(events, [one.publication.id for one in counting])
        self.known.apply(counting)
        fetched.publications += len(counting)
        if len(counting) < len(stored):
            kept = {each.publication.name for each in counting}
            refused = {self._name(each.key) for each in fetched.refused}
            self.known.see({each.publication.name for each in stored} - kept - refused)

    def _counting(self, stored: Sequence[Stored], fetched: Fetched) -> Iterator[Stored]:
        """Yield those that were stored in time, and whose events may be true."""
        for each in stored:
            counts = each.publication.counts_when_stored(each.stored_us)
            if not counts and each.publication.time_us > min(self._copied_us, each.stored_us):
                continue
            try:
                publication.check_times(each.publication, each.stored_us)
            except Corrupt as exc:
                fetched.refused.append(Refused(self._events + each.publication.name, str(exc)))
            else:
                yield each

    @cached_property
    def _copied_us(self) -> int:
        """When the marker was stored: in a copy of a bucket everything was stored late, and what is older was there."""
        return self.backend.head(MARKER).modified_us

    def _keep_body(self, data: bytes) -> tuple[Digest, int]:
        if len(data) > snapshots.MAX_BYTES:
            raise InvalidInput(f"what is published at once would take {len(data):,} bytes", hint="push less at a time")
        packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(data)
        digest = of_bytes(packed)
        self.backend.put(object_key(digest), packed)
        return digest, len(packed)

    def _packed_body(self, digest: Digest, size_bytes: int) -> bytes:
        if size_bytes > snapshots.MAX_BYTES:
            raise Corrupt(f"the body of a publication would take {size_bytes:,} bytes")
        try:
            return self.backend.get_range(object_key(digest), 0, size_bytes + 1)
        except KeyNotFound as exc:
            raise Corrupt(f"the body of a publication, {digest}, is not there") from exc

    @staticmethod
    def _name(key: str) -> str:
        return key.rpartition("/")[2]


def _unpacked(digest: Digest, packed: bytes) -> bytes:
    if (found := of_bytes(packed)) != digest:
        raise DigestMismatch("the body of a publication", expected=digest, found=found)
    return snapshots.decompress(packed)


def _check_length(listed: Listed) -> None:
    if listed.size_bytes > LONGEST_BYTES:
        raise Corrupt(f"no publication takes {listed.size_bytes:,} bytes")


def _portions(stored: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Yield them in groups that have about as many events as one record of the log may have."""
    some: list[Stored] = []
    count = 0
    for each in stored:
        some.append(each)
        count += len(each.publication.said.events)
        if count >= PORTION_EVENTS or len(some) == PORTION:
            yield some
            some, count = [], 0
    if some:
        yield some


def _check_known(exc: Corrupt) -> None:
    if isinstance(exc, UnknownFormat):
        raise exc


def _tell_nobody(_: int, __: int) -> None:
    """Whoever fetches shows nothing."""
