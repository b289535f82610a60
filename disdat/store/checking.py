"""Checking packs: what is asked about is read whatever is known of it, many objects of one pack in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from disdat.core.digest import Digest, of_bytes
from disdat.errors import Corrupt, DigestMismatch
from disdat.store.files import Progress
from disdat.store.packs import PackReader

Choose = Callable[[Iterable[Digest]], Set[Digest]]
"""Some of the digests it is given."""


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What was found in a pack of the objects that were asked about."""

    path: Path
    right: tuple[Digest, ...] = ()
    wrong: tuple[Digest, ...] = ()
    damage: Corrupt | None = None
    """Of the pack as such: its index cannot be read, or its bytes are not those it is named by."""


def check_all(path: Path, wanted: Choose, progress: Progress) -> PackCheck:
    """Read all bytes of a pack that has something wanted, in memory for one object; FileNotFoundError if it is gone."""
    right: list[Digest] = []
    wrong: list[Digest] = []
    damage: Corrupt | None = None
    try:
        with PackReader(path) as reader:
            asked = wanted(entry.digest for entry in reader.contents)
            for entry, data in reader.each() if asked else ():
                if entry.digest in asked:
                    (right if of_bytes(data) == entry.digest else wrong).append(entry.digest)
                progress(len(data))
    except Corrupt as exc:
        damage = exc
    return PackCheck(path, tuple(right), tuple(wrong), damage)


def check_some(path: Path, wanted: Choose, chosen: Choose, progress: Progress) -> PackCheck:
    """Read a pack's index, and the objects of it that are *chosen*; of the others that it has them is enough."""
    right: set[Digest] = set()
    wrong: list[Digest] = []
    try:
        with PackReader(path) as reader:
            right |= wanted(entry.digest for entry in reader.contents)
            read = chosen(right)
            for entry in reader.contents:
                if entry.digest in read:
                    try:
                        reader.read(entry)
                    except DigestMismatch:
                        wrong.append(entry.digest)
                    progress(entry.length)
    except Corrupt as exc:
        return PackCheck(path, damage=exc)
    return PackCheck(path, tuple(right.difference(wrong)), tuple(wrong))
