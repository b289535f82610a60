"""
Dropping objects for good that are safe elsewhere: their files, and the packs that hold little else.

What is dropped does not go to the trash. Only for who holds the store's lock alone; it may be cut off anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass

from disdat.core.digest import Digest
from disdat.core.reach import Tally
from disdat.durable import storage_errors
from disdat.errors import Corrupt, ObjectNotFound
from disdat.store.collect import Collector, Rewriting
from disdat.store.packs import PackReader

CHEAP_BYTES = 4 << 20
"""What stays of a pack is written anew if it is not more than this, or than what goes."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many objects are gone, the bytes that are free, and those that stay since most of their pack does."""

    objects: int
    bytes_freed: int
    bytes_left: int


def drop(collector: Collector, digests: Set[Digest]) -> Dropped:
    """
    Drop objects. One in a pack of which most stays, and that is much, is left there.

    Raises:
        StorageError: The disk refused; some are dropped.
    """
    with storage_errors(f"drop objects of {collector.parts.root}"):
        in_files = [_drop_file(collector, digest) for digest in sorted(digests)]
        of_packs = _drop_packed(collector, digests)
    freed = [size_bytes for size_bytes in in_files if size_bytes is not None]
    return Dropped(len(freed) + of_packs.objects, sum(freed) + of_packs.bytes_freed, of_packs.bytes_left)


def _drop_file(collector: Collector, digest: Digest) -> int | None:
    """How many bytes are free without an object's file; None where there is none."""
    parts = collector.parts
    found = parts.loose.find(digest)
    if found is None:
        return None
    parts.cache.forget_object(found)  # another file may get the number of its inode
    with suppress(FileNotFoundError):
        parts.disk.unlink(parts.loose.path(digest))
    return found.st_size if found.st_nlink == 1 else 0


def _drop_packed(collector: Collector, digests: Set[Digest]) -> Dropped:
    objects = bytes_left = 0
    going: list[str] = []
    rewriting = Rewriting(collector, lambda some: set(some) - digests)
    try:
        for name, tally in _tallies(collector, digests).items():
            if tally.live_bytes > max(tally.dead_bytes, CHEAP_BYTES):
                bytes_left += tally.dead_bytes
                continue
            with suppress(Corrupt, ObjectNotFound, PermissionError):  # it stays: `dsdt verify` tells of it
                rewriting.take(name)
                going.append(name)
                objects += tally.dead
        rewriting.finish()
    finally:
        rewriting.discard()
    return Dropped(objects, _delete(collector, going) - rewriting.size_bytes, bytes_left)


def _tallies(collector: Collector, digests: Set[Digest]) -> dict[str, Tally]:
    """Of the packs that hold some of the objects, how much of each stays."""
    found: dict[str, Tally] = defaultdict(Tally)
    packed = collector.parts.packed
    packed.refresh()
    for name in sorted({name for of_one in packed.find(list(digests)).values() for name, _ in of_one}):
        with suppress(Corrupt, FileNotFoundError), PackReader(packed.path(name)) as reader:
            dead = [entry.length for entry in reader.contents if entry.digest in digests]
            live = [entry.length for entry in reader.contents if entry.digest not in digests]
            found[name] = Tally(len(live), sum(live), len(dead), sum(dead))
    return found


def _delete(collector: Collector, names: list[str]) -> int:
    """Delete packs, of which what is needed lies in others by now; how many bytes they had."""
    # First: else nobody would look for what was in them, should we be killed before it is forgotten.
    collector.parts.packed.forget(names)
    size_bytes = 0
    for path in map(collector.parts.packed.path, names):
        found = path.stat()
        collector.parts.cache.forget_object(found)
        collector.parts.disk.unlink(path)
        size_bytes += found.st_size
    collector.parts.packed.refresh()
    return size_bytes
