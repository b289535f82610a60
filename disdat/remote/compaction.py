"""Gathering the publications of a remote context in one snapshot, and deleting what it makes needless."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

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


def is_due(mirror: Mirror) -> bool:
    """Whether what was fetched is worth a snapshot."""
    return mirror.known.publication_count() - mirror.known.number("gathered") > MANY


def compact(mirror: Mirror) -> Compacted:
    """
    Gather all publications there are in a new snapshot; delete what it makes needless.

    Several processes may compact at once, beside others that publish and fetch: a newer snapshot than ours is
    left alone, so of two with the same content one stays. A publication that is damaged stays where it is.

    Raises:
        UnknownFormat: A later version published something; nothing was deleted.
        Corrupt: A snapshot is damaged; nothing was deleted.
        KeyNotFound: Another compaction went by; nothing was deleted.
    """
    loose = mirror.listed()
    contents: dict[str, frozenset[str]] = {}
    sources = [_noting(mirror, each.key, contents) for each in mirror.snapshots()]
    merged = heapq.merge(mirror.read_all(loose), *sources, key=lambda one: one.publication.name)
    key, kept = snapshots.write(mirror.backend, mirror.remote_context, _once(merged), time_us=mirror.now_us())
    gone = snapshots.replaced(
        {old: names for old, names in contents.items() if old < key},
        {each.key: each.modified_us for each in loose},
        kept,
        now_us=mirror.backend.head(key).modified_us,
    )
    mirror.known.see([key.rpartition("/")[2]])
    mirror.known.note({"gathered": len(kept)})
    mirror.backend.delete_many(sorted(gone))
    return Compacted(key, len(kept), len(gone))


def _once(stored: Iterator[Stored]) -> Iterator[Stored]:
    last = ""
    for each in stored:
        if each.publication.name != last:
            yield each
        last = each.publication.name


def _noting(mirror: Mirror, key: str, contents: dict[str, frozenset[str]]) -> Iterator[Stored]:
    """Yield what is in a snapshot, and note all of it at its end."""
    names = []
    for each in snapshots.read(mirror.backend, key):
        names.append(each.publication.name)
        yield each
    contents[key] = frozenset(names)
