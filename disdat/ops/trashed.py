"""What becomes of the trash: what is needed after all is taken back, what lay there for the grace is purged."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from disdat.core import reach
from disdat.core.digest import Digest
from disdat.core.reach import Verdict
from disdat.errors import Corrupt, UnknownFormat
from disdat.ops.marks import Amount, Marks
from disdat.scratch import Scratch
from disdat.store.collect import Collector, portions
from disdat.store.packs import PackReader
from disdat.store.trash import Thing

_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Judged:
    """A thing in the trash, and what becomes of it; :attr:`purged_from_us` is when that may be at the earliest."""

    thing: Thing
    size_bytes: int
    verdict: Verdict
    purged_from_us: int


class TrashJudge:
    """Judges the trash of one store by what *marks* say is needed, of which so many objects are *missing*."""

    def __init__(self, collector: Collector, marks: Marks, *, missing: int, now_us: int, grace_us: int) -> None:
        self._collector = collector
        self._marks = marks
        self._missing = missing
        self._now_us = now_us
        self._grace_us = grace_us

    def each(self, things: Iterable[Thing]) -> Iterator[Judged]:
        """Yield what becomes of *things*, in order; UnknownFormat where a later version wrote a pack."""
        for some in portions(things, _TOGETHER):
            needed = self._marks.needed([thing.digest for thing in some if thing.kind == "object"])
            for thing in some:
                yield self._judged(thing, needed)

    def _judged(self, thing: Thing, needed: set[Digest]) -> Judged:
        try:
            is_needed = self._is_needed(thing, needed)
        except UnknownFormat:
            raise
        except Corrupt:
            return self._unreadable(thing)
        return judge(thing, needed=is_needed, now_us=self._now_us, grace_us=self._grace_us)

    def _unreadable(self, thing: Thing) -> Judged:
        """What becomes of a pack that nobody can tell the contents of: while something is missing, that may be it."""
        judged = judge(thing, needed=False, now_us=self._now_us, grace_us=self._grace_us)
        return replace(judged, verdict=Verdict.WAITS) if self._missing else judged

    def _is_needed(self, thing: Thing, needed: set[Digest]) -> bool:
        """Whether somebody needs what only the trash has."""
        if thing.kind == "object":
            return thing.digest in needed and not self._collector.parts.loose.find(thing.digest)
        return thing.kind == "pack" and self._has_what_the_store_lacks(thing)

    def _has_what_the_store_lacks(self, thing: Thing) -> bool:
        try:
            with PackReader(thing.path) as reader:
                digests = [entry.digest for entry in reader.contents]
        except FileNotFoundError:
            return False  # a reader took it back
        return not self._are_stored(sorted(self._marks.needed(digests)))

    def _are_stored(self, digests: Sequence[Digest]) -> bool:
        """Whether packs of the store hold all of *digests*, by their own indexes: ``state.db`` is only a cache."""
        by_pack: dict[str, list[Digest]] = defaultdict(list)
        found = self._collector.parts.packed.find(digests)
        for digest, places in found.items():
            by_pack[places[0][0]].append(digest)
        return len(found) == len(set(digests)) and all(
            self._holds(self._collector.parts.packed.path(name), of_pack) for name, of_pack in by_pack.items()
        )

    def _holds(self, path: Path, digests: Sequence[Digest]) -> bool:
        with suppress(Corrupt, FileNotFoundError), PackReader(path) as reader:
            return {digest.raw for digest in digests} <= {raw for raw, _, _ in reader.pack.rows()}
        return False


class Judgement(Scratch):
    """All of a trash that was judged, in a temporary database; a context manager, for one thread."""

    def __init__(self, judged: Iterable[Judged]) -> None:
        super().__init__(
            "CREATE TABLE judged (kind TEXT, path BLOB, since INTEGER, size INTEGER, verdict TEXT, purged_from INTEGER)"
        )
        self._database.executemany("INSERT INTO judged VALUES (?, ?, ?, ?, ?, ?)", map(_row, judged))

    @property
    def amounts(self) -> Mapping[Verdict, Amount]:
        """How much becomes what; nothing of what there is nothing of."""
        rows = self._database.execute("SELECT verdict, count(*), sum(size) FROM judged GROUP BY verdict")
        return {Verdict(verdict): Amount(count, size_bytes) for verdict, count, size_bytes in rows}

    def of(self, verdict: Verdict) -> Iterator[Judged]:
        """Yield what this becomes of."""
        rows = self._database.execute("SELECT * FROM judged WHERE verdict = ? ORDER BY rowid", (verdict.value,))
        for kind, path, since_us, size_bytes, _, purged_from_us in rows:
            yield Judged(Thing(kind, Path(os.fsdecode(path)), since_us), size_bytes, verdict, purged_from_us)


def judge(thing: Thing, *, needed: bool, now_us: int, grace_us: int) -> Judged:
    """What becomes of a thing; one that is there since nobody knows when counts from now."""
    since_us = now_us if thing.since_us is None else thing.since_us
    verdict = reach.verdict(needed=needed, since_us=since_us, now_us=now_us, grace_us=grace_us)
    return Judged(thing, _size_bytes(thing.path), verdict, since_us + grace_us)


def _row(judged: Judged) -> tuple[str, bytes, int | None, int, str, int]:
    thing = judged.thing
    path = os.fsencode(thing.path)  # which need be no text that SQLite can hold
    return thing.kind, path, thing.since_us, judged.size_bytes, judged.verdict.value, judged.purged_from_us


def _size_bytes(path: Path) -> int:
    """The bytes of a file, or of all files below a directory."""
    with suppress(FileNotFoundError):  # taken back meanwhile
        if not path.is_dir():
            return path.stat().st_size
    return sum(_file_sizes(path))


def _file_sizes(directory: Path) -> Iterator[int]:
    for where, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(where, name))
                if found.st_nlink == 1:  # others are objects of the store too, and free nothing
                    yield found.st_size
