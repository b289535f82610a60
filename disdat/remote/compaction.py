"""Gathering the publications of a remote context in one snapshot, and deleting what it makes needless."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from disdat.errors import Corrupt, DisdatError, UnknownFormat
from disdat.remote import snapshots
from disdat.remote.known import Stored
from disdat.remote.mirror import Mirror

MANY = 1000
"""So many publications that no snapshot has are worth one."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did."""

    snapshot: str
    gathered: int
    deleted: int


def keep_up(mirror: Mirror) -> None:
    """Gather what is known if it is worth a snapshot; where that cannot be, it is tried again after as many more."""
    count = mirror.known.publication_count()
    if count - mirror.known.number("gathered") > MANY:
        mirror.known.note({"gathered": count})
        with suppress(DisdatError):
            compact(mirror)


def compact(mirror: Mirror) -> Compacted:
    """
    Gather all publications there are in a new snapshot; delete what it makes needless.

    Several processes may compact at once, beside others that publish and fetch: a newer snapshot than ours is
    left alone, so of two with the same content one stays. What is damaged stays where it is.

    Raises:
        UnknownFormat: A later version published something; nothing was deleted.
        KeyNotFound: Another compaction went by; nothing was deleted.
    """
    loose = mirror.listed()
    contents = _contents(mirror)
    gathered = frozenset[str]().union(*contents.values())
    # What a snapshot has need not be read one by one, as it may be thousands.
    alone = [each for each in loose if each.key.rpartition("/")[2] not in gathered]
    sources = [snapshots.read(mirror.backend, key) for key in contents]
    merged = heapq.merge(mirror.read_all(alone), *sources, key=lambda one: one.publication.name)
    key, kept = snapshots.write(mirror.backend, mirror.remote_context, _once(merged), time_us=mirror.now_us())
    gone = snapshots.replaced(
        {old: names for old, names in contents.items() if old < key},
        {each.key: each.modified_us for each in loose},
        kept,
        now_us=mirror.backend.head(key).modified_us,
    )
    if not mirror.known.unseen(sorted(kept)):  # else the next fetch reads what was published since the last one
        mirror.known.see([key.rpartition("/")[2]])
    mirror.known.note({"gathered": len(kept)})
    mirror.backend.delete_many(sorted(gone))
    return Compacted(key, len(kept), len(gone))


def _contents(mirror: Mirror) -> dict[str, frozenset[str]]:
    """The names of what is in each snapshot that is not damaged."""
    found: dict[str, frozenset[str]] = {}
    for each in mirror.snapshots():
        try:
            found[each.key] = frozenset(one.publication.name for one in snapshots.read(mirror.backend, each.key))
        except UnknownFormat:
            raise
        except Corrupt:
            continue  # what can be read of it stays there
    return found


def _once(stored: Iterator[Stored]) -> Iterator[Stored]:
    last = ""
    for each in stored:
        if each.publication.name != last:
            yield each
        last = each.publication.name
