"""
What collection decides, as functions of values: who still needs something, what becomes of a pack, of trash.

Nothing here looks at a disk or a clock; times are µs since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

MOSTLY_DEAD = 0.5
"""A pack is rewritten when less than this share of its bytes is needed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """
    A bundle that needs, or needed, objects; or a run, which needs its package set.

    :attr:`gone_us` is when it was removed; None while it is present.
    """

    context: str
    uuid: str
    name: str
    gone_us: int | None = None
    is_run: bool = False


class Fate(Enum):
    """What becomes of a pack, or of one object."""

    KEPT = "kept"
    """All of it, or enough of it, is needed."""
    REWRITTEN = "rewritten"
    """What is needed of it goes into another pack; the pack itself goes."""
    TRASHED = "trashed"
    """Nothing of it is needed."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of a pack is needed: objects, and their bytes."""

    live: int = 0
    live_bytes: int = 0
    dead: int = 0
    dead_bytes: int = 0

    @property
    def fate(self) -> Fate:
        """What becomes of the pack."""
        if not self.live:
            return Fate.TRASHED
        share = self.live_bytes / (self.live_bytes + self.dead_bytes) if self.dead_bytes else 1.0
        return Fate.REWRITTEN if share < MOSTLY_DEAD else Fate.KEPT

    @property
    def freed_bytes(self) -> int:
        """What of it is freed."""
        return 0 if self.fate is Fate.KEPT else self.dead_bytes

    def without(self, count: int, size_bytes: int) -> Tally:
        """What it is when so many objects, of so many bytes, are not needed any more."""
        return Tally(self.live - count, self.live_bytes - size_bytes, self.dead + count, self.dead_bytes + size_bytes)


class Verdict(Enum):
    """What becomes of a thing in the trash."""

    TAKEN_BACK = "taken_back"
    WAITS = "waits"
    PURGED = "purged"


def is_root(gone_us: int | None, *, now_us: int, retention_us: int) -> bool:
    """Whether what a bundle needs is kept: it is present, or was until not longer ago than the retention."""
    # Without a retention no history counts, not even that of a context whose clock is ahead of ours.
    return gone_us is None or (retention_us > 0 and now_us - gone_us < retention_us)


def verdict(*, needed: bool, since_us: int, now_us: int, grace_us: int) -> Verdict:
    """What becomes of a thing that is in the trash since a moment."""
    if needed:
        return Verdict.TAKEN_BACK
    # Without a grace nothing waits, not even what was moved a moment after the time we go by.
    return Verdict.PURGED if grace_us == 0 or now_us - since_us >= grace_us else Verdict.WAITS


def spoken_of(
    undoes: Mapping[int, Iterable[int]], subjects: Callable[[Sequence[int]], Mapping[int, Sequence[str]]]
) -> dict[int, set[str]]:
    """
    The bundles that each undo is about: those that what it undoes speaks of, over any number of undoes.

    *undoes* is, for the number of each event that undoes others, the numbers of these; *subjects* gives the uuids
    that events speak of themselves. An event that undoes itself in a circle, which no honest log has, ends there.
    """
    targets = sorted({target for of_one in undoes.values() for target in of_one})
    direct = subjects(targets)
    found: dict[int, set[str]] = {}
    for number in undoes:
        pending, seen = [number], set[int]()
        about = found[number] = set()
        while pending:
            each = pending.pop()
            if each not in seen:
                seen.add(each)
                about.update(direct.get(each, ()))
                pending += undoes.get(each, ())
    return found


def matched(
    here: Iterable[tuple[bytes, int, int]], needed: Iterable[tuple[bytes, int]], *, absent: Callable[[bytes], None]
) -> Iterator[tuple[bytes, int, int, int | None]]:
    """
    Yield what is *here*, (digest, place, bytes), with the owner that needs it, or None; both come sorted by digest.

    A digest may be here in several places. *absent* is told each that is needed and not here.
    """
    wanted = iter(needed)
    want = next(wanted, None)
    last = b""
    for raw, place, size_bytes in here:
        while want is not None and want[0] < raw:
            if want[0] != last:
                absent(want[0])
            want = next(wanted, None)
        last = raw
        yield raw, place, size_bytes, want[1] if want is not None and want[0] == raw else None
    while want is not None:
        if want[0] != last:
            absent(want[0])
        want = next(wanted, None)
