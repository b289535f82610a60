"""
Reading objects without a lock, for who must not wait for one: collection, and who holds the lock of a context.

Whoever holds a context's lock may not wait for the store's, which collection holds while it asks the contexts. So
what lies in the trash is read there, and stays there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from disdat.core.digest import ALGORITHM, Digest, of_bytes
from disdat.errors import Corrupt, DigestMismatch, ObjectNotFound
from disdat.store import packs
from disdat.store.loose import LooseObjects, is_name
from disdat.store.packindex import PackIndex
from disdat.store.packs import Packed, PackReader

_ENTRY_BYTES = 48
_DIGEST_BYTES = 32
TOGETHER = 2000
"""So many objects are looked for at once."""


class TrashedPacks:
    """What the packs in a trash hold, as far as their indexes can be read; read once, 48 bytes an object."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._packs: list[tuple[Path, bytes]] | None = None

    def find(self, digest: Digest) -> Iterator[tuple[Path, Packed]]:
        """Where in packs an object is."""
        for path, entry in self._from(digest.raw, digest.raw):
            offset, length = (int.from_bytes(entry[start : start + 8], "little") for start in (32, 40))
            yield path, Packed(digest, offset, length)

    def between(self, first: bytes, last: bytes) -> Iterator[Digest]:
        """The objects in packs from one digest to another; one that is in several packs as often."""
        return (Digest.from_raw(entry[:_DIGEST_BYTES]) for _, entry in self._from(first, last))

    def _from(self, first: bytes, last: bytes) -> Iterator[tuple[Path, bytes]]:
        """The entries of the indexes from one digest to another."""
        if self._packs is None:
            self._packs = list(self._read())
        for path, index in self._packs:
            starts = range(0, len(index), _ENTRY_BYTES)
            at = bisect_left(starts, first, key=lambda start: index[start : start + _DIGEST_BYTES])
            for start in starts[at:]:
                entry = index[start : start + _ENTRY_BYTES]
                if entry[:_DIGEST_BYTES] > last:
                    break
                yield path, entry

    def _read(self) -> Iterator[tuple[Path, bytes]]:
        for path in sorted(self._directory.glob("*" + packs.SUFFIX)):
            with suppress(Corrupt, FileNotFoundError), PackReader(path) as reader:
                yield path, reader.pack.index


class Peek:
    """One look at a store and its trash: what is found in the trash's packs is remembered, so it is not for long."""

    def __init__(self, loose: LooseObjects, packed: PackIndex, trash: Path) -> None:
        self._loose = loose
        self._packed = packed
        self._trash = trash
        self._trashed = TrashedPacks(trash / "packs")

    def read(self, digest: Digest) -> bytes:
        """
        The bytes of an object, verified, from the store or its trash.

        Raises:
            ObjectNotFound: It is nowhere.
            DigestMismatch: Its bytes are damaged, wherever they are.
        """
        damage: Corrupt | OSError | None = None
        for look in (self._stored, self._stored_after_all, self._in_trash, self._stored_after_all):
            try:
                found = look(digest)
            except (DigestMismatch, OSError) as exc:
                damage = exc
                continue
            if found is not None:
                return found
        raise damage or ObjectNotFound(f"object {digest} is neither in the store nor in its trash")

    def trashed_in(self, digest: Digest) -> list[Path]:
        """The files of the trash that have an object: its own, or packs; their bytes are not looked at."""
        in_file = self._loose.path_below(self._trash / "objects", digest)
        return [in_file] if in_file.exists() else [path for path, _ in self._trashed.find(digest)]

    def trashed_between(self, first: bytes, last: bytes) -> Iterator[Digest]:
        """The objects of the trash from one digest to another, which begin with the same byte."""
        for path in sorted((self._trash / "objects" / ALGORITHM / f"{first[0]:02x}").glob("*")):
            if is_name(path.name) and first.hex() <= path.name <= last.hex():
                yield Digest(f"{ALGORITHM}:{path.name}")
        yield from self._trashed.between(first, last)

    def read_many(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes | None]]:
        """
        Yield objects with their bytes, pack by pack, in no order; None for those that :meth:`read` must look for.

        What is not right, or cannot be read, in one pack is taken from the next that has it.
        """
        for start in range(0, len(digests), TOGETHER):
            places = self._packed.find(digests[start : start + TOGETHER])
            left = set(digests[start : start + TOGETHER])
            for turn in range(max(map(len, places.values()), default=0)):
                by_pack: dict[str, list[Packed]] = defaultdict(list)
                for digest in left & places.keys():
                    for name, entry in places[digest][turn : turn + 1]:
                        by_pack[name].append(entry)
                for name in sorted(by_pack):
                    for digest, data in _right_of(self._packed.path(name), by_pack[name]):
                        left.discard(digest)
                        yield digest, data
            yield from ((digest, None) for digest in sorted(left))

    def _stored(self, digest: Digest) -> bytes | None:
        return _first_right(self._reads(digest))

    def _reads(self, digest: Digest) -> Iterator[Callable[[], bytes]]:
        yield partial(_right, digest, self._loose.path(digest))
        for name, entry in self._packed.find([digest]).get(digest, ()):
            yield partial(packs.read, self._packed.path(name), entry)

    def _stored_after_all(self, digest: Digest) -> bytes | None:
        self._packed.refresh()
        return self._stored(digest)

    def _in_trash(self, digest: Digest) -> bytes | None:
        return _first_right(self._reads_in_trash(digest))

    def _reads_in_trash(self, digest: Digest) -> Iterator[Callable[[], bytes]]:
        yield partial(_right, digest, self._loose.path_below(self._trash / "objects", digest))
        for path, entry in self._trashed.find(digest):
            yield partial(packs.read, path, entry)


def _first_right(reads: Iterable[Callable[[], bytes]]) -> bytes | None:
    """What the first of *reads* gives that can be read and is right; None where there is nothing."""
    damage: DigestMismatch | OSError | None = None
    for read in reads:
        try:
            return read()
        except FileNotFoundError:
            continue
        except (DigestMismatch, OSError) as exc:
            damage = exc
    if damage is not None:
        raise damage
    return None


def _right_of(path: Path, entries: Sequence[Packed]) -> Iterator[tuple[Digest, bytes]]:
    """Yield those of some objects of a pack that are right there, with their bytes."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        for entry in sorted(entries, key=lambda entry: entry.offset):
            with suppress(DigestMismatch, OSError):
                yield entry.digest, packs.read_from(file, entry)


def _right(digest: Digest, path: Path) -> bytes:
    data = path.read_bytes()
    if (found := of_bytes(data)) != digest:
        raise DigestMismatch(f"object {digest} in {path}", expected=digest, found=found)
    return data
