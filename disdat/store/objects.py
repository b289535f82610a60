"""
The object store of one home: immutable bytes, named by their digest, each kept once.

Writing goes through an :class:`ObjectBatch`. Reading verifies: a large object is hashed when it is first read and
known by ``stat`` from then on; a small one is hashed each time, which takes less than looking up whether it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar

from disdat.core.digest import Digest
from disdat.core.tree import Entry
from disdat.durable import Disk, storage_errors
from disdat.errors import Corrupt, DigestMismatch, ObjectNotFound
from disdat.store import files, packs
from disdat.store.additions import SMALL_BYTES, Parts
from disdat.store.batch import ObjectBatch
from disdat.store.collect import Collector
from disdat.store.contents import Contents
from disdat.store.files import Changed, Directories, Progress
from disdat.store.locks import FileLock
from disdat.store.loose import LooseObjects
from disdat.store.packindex import PackIndex
from disdat.store.packs import Packed, PackReader
from disdat.store.peek import Peek
from disdat.store.placing import place_bytes, place_copy, place_link
from disdat.store.statcache import Known, StatCache
from disdat.store.state import BATCH, State

T = TypeVar("T")

_ATTEMPTS = 5
"""So many times a reader looks again for an object that is moved away while it is being read."""

__all__ = ["ObjectBatch", "ObjectStore"]


class ObjectStore:
    """
    The objects below *root*, which is made by the first batch that writes.

    For many processes and threads at once, and across forks. Reading works where nothing can be written.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self.root = root
        self._disk = disk or Disk()
        self._state = State(root, disk=self._disk)
        self._cache = StatCache(self._state)
        self._contents = Contents(root / "weak", disk=self._disk)
        self._loose = LooseObjects(root / "objects", cache=self._cache, contents=self._contents, disk=self._disk)
        self._packed = PackIndex(root / "packs", state=self._state, disk=self._disk)
        self._directories = Directories(root)
        self._synced: set[Path] = set()

    def __repr__(self) -> str:
        return f"ObjectStore({str(self.root)!r})"

    def batch(self) -> ObjectBatch:
        """What one commit adds; a context manager."""
        return ObjectBatch(self._parts())

    def collector(self, *, clock_us: Callable[[], int]) -> Collector:
        """What collects here; *clock_us* gives the time, µs since the epoch."""
        return Collector(self._parts(), clock_us=clock_us)

    def close(self) -> None:
        """Let go of ``state.db``; whatever is asked next opens it again."""
        self._state.close()

    def read(self, digest: Digest) -> bytes:
        """
        The bytes of an object, verified.

        Raises:
            ObjectNotFound: It is not here.
            DigestMismatch: Its bytes are damaged, wherever they are here.
            StorageError: The disk refused.
        """
        with storage_errors(f"read object {digest}"):
            return self._use(digest, lambda place: place.path.read_bytes() if place.small is None else place.small)

    def read_each(self, digests: Iterable[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Yield small objects with their bytes, those of one pack together; raises what :meth:`read` does."""
        peek = Peek(self._loose, self._packed, self.root / "trash")
        for digest, data in peek.read_many(list(digests)):
            yield digest, self.read(digest) if data is None else data

    def read_unlocked(self, digest: Digest) -> bytes:
        """
        As :meth:`read`, for who holds the lock of a context and so may not wait for the store's: see :class:`Peek`.

        What is in the trash stays there.
        """
        with storage_errors(f"read object {digest}"):
            return Peek(self._loose, self._packed, self.root / "trash").read(digest)

    def open_path(self, digest: Digest) -> tuple[Path, int, int]:
        """
        A file that has an object's bytes, verified: its path, the offset they begin at, and how many they are.

        What is there is never written to, so it may be memory-mapped. Raises what :meth:`read` does.
        """
        with storage_errors(f"read object {digest}"):
            place = self._search(digest, self._find)
            return place.path, place.offset, place.size_bytes

    def verify(self, digest: Digest) -> None:
        """Read all bytes of an object, whatever is known of it. Raises what :meth:`read` does."""
        with storage_errors(f"read object {digest}"):
            self._search(digest, self._check)

    def damage(self) -> Iterator[Corrupt]:
        """Read every byte of the store; yield an error for each file of it that is not what was written."""
        for digest, _ in self._loose.digests():
            try:
                self._loose.check(digest)
            except DigestMismatch as exc:
                yield exc
        for name in self._packed.names():
            try:
                with PackReader(self._packed.path(name)) as reader:
                    reader.verify()
            except Corrupt as exc:
                yield exc

    def pack_paths(self, holding: Iterable[Digest] | None = None) -> list[Path]:
        """Where the packs are, in order; only those that have one of the objects *holding*, if given."""
        self._packed.refresh()
        if holding is None:
            return [self._packed.path(name) for name in self._packed.names()]
        places = self._packed.find(list(holding)).values()
        return [self._packed.path(name) for name in sorted({name for of_one in places for name, _ in of_one})]

    def distrust_pack(self, path: Path) -> None:
        """Let who adds bytes that are in a pack read them first, though it was sound before."""
        self._packed.distrust(path)

    def content(self, digest: Digest) -> Digest:
        """The digest of an object's bytes: its own, but for one of weak identity that was read."""
        return self._contents.of(digest)

    def loose_path(self, digest: Digest) -> Path:
        """Where an object is or would be, if it is large enough for a file of its own."""
        return self._loose.path(digest)

    def wrong_objects(self, found: Mapping[Digest, os.stat_result]) -> set[Digest]:
        """Those of some large objects, each with what its file is, that are not right; reads what is not known."""
        known = self._cache.objects(list(found.values()))
        unknown = [digest for digest, name in zip(found, known, strict=True) if digest != name]
        return {digest for digest in unknown if not self._loose.is_right(digest, found[digest])}

    def check_loose(self, digest: Digest, progress: Progress = files.no_progress) -> None:
        """Read a large object, whatever is known of it; DigestMismatch, or FileNotFoundError if it has no file."""
        with storage_errors(f"read object {digest}"):
            self._loose.check(digest, progress)

    def find_in_trash(self, digest: Digest) -> Path | None:
        """The file of the trash that has the right bytes of an object; None if there is none."""
        trash = self.root / "trash"
        loose = LooseObjects(trash / "objects", cache=self._cache, contents=self._contents, disk=self._disk)
        found = loose.find(digest)
        if found is not None and loose.is_right(digest, found):
            return loose.path(digest)
        return packs.find_right(sorted((trash / "packs").glob("*" + packs.SUFFIX)), digest)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep collection from running meanwhile, where the store can be written."""
        lock = FileLock(self.root / "lock", disk=self._disk)
        if self.root.is_dir() and os.access(self.root, os.W_OK, effective_ids=True):
            lock.acquire_shared()
        try:
            yield
        finally:
            lock.release()

    def has(self, digest: Digest) -> bool:
        """Whether an object is here; its bytes are not looked at."""
        return bool(self.has_many([digest]))

    def has_many(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of *digests* that are here; their bytes are not looked at."""
        asked = set(digests)
        found = set(self._packed.find(list(asked)))
        found |= {digest for digest in asked - found if self._loose.find(digest)}
        if found != asked:
            self._packed.refresh()
            found |= set(self._packed.find(list(asked - found)))
        return found

    def lacking(self, needed: Iterable[tuple[T, Digest]]) -> Iterator[T]:
        """Of things and an object that each needs, yield those whose object is neither here nor in the trash."""
        peek = Peek(self._loose, self._packed, self.root / "trash")
        rest = iter(needed)
        while some := list(islice(rest, BATCH)):
            with storage_errors("look at what is there"):
                self._packed.refresh()
                left = {digest for _, digest in some} - self.has_many(digest for _, digest in some)
                missing = {digest for digest in left if not peek.trashed_in(digest)}
            yield from (thing for thing, digest in some if digest in missing)

    def size_bytes(self, digest: Digest) -> int:
        """How many bytes an object has; ObjectNotFound if it is not here."""
        return self._search(digest, self._measure)

    def sizes(self) -> Iterator[tuple[Digest, int]]:
        """Yield every object of the store once, with how many bytes it has."""
        self._packed.refresh()
        yield from self._packed.digests()
        yield from self._loose.digests()

    def iter_digests(self) -> Iterator[Digest]:
        """Yield the digest of every object of the store once."""
        return (digest for digest, _ in self.sizes())

    def materialize(self, entry: Entry, target: Path) -> None:
        """
        Give *target* the bytes and the mode of *entry*, replacing in one step what is there and differs.

        A large file is another name of its object where the file system and its mode allow that. It is not synced:
        the store has the bytes, and what a power cut takes is placed again. Raises what :meth:`read` does.
        """
        self.materialize_many([(entry, target)])

    def materialize_many(self, files: Iterable[tuple[Entry, Path]]) -> None:
        """Do :meth:`materialize` for each entry and path; memory does not grow with how many they are."""
        rest = iter(files)
        while some := list(islice(rest, BATCH)):
            with storage_errors("look at what is there"):
                wanted = self._unplaced(some)
            for directory in dict.fromkeys(target.parent for _, target in wanted):
                with storage_errors(f"make {directory}"):
                    self._disk.mkdir(directory)
            for entry, target in self._place_packed(wanted):
                with storage_errors(f"make {target}"):
                    self._place(entry, target)

    def _place_packed(self, wanted: Sequence[_Wanted]) -> list[_Wanted]:
        """Place what is in packs, each opened once; those whose bytes must be looked for elsewhere."""
        with storage_errors("read the pack index"):
            found = self._packed.find([entry.digest for entry, _ in wanted])
        left: list[_Wanted] = []
        of_packs: dict[str, list[tuple[Packed, _Wanted]]] = defaultdict(list)
        for each in wanted:
            if places := found.get(each[0].digest):
                name, packed = places[0]
                of_packs[name].append((packed, each))
            else:
                left.append(each)
        for name, some in of_packs.items():
            left += self._place_of_pack(self._packed.path(name), some)
        return left

    def _place_of_pack(self, path: Path, wanted: Sequence[tuple[Packed, _Wanted]]) -> list[_Wanted]:
        left: list[_Wanted] = []
        try:
            file = path.open("rb", buffering=0)
        except OSError:  # such as that it was collected since it was indexed
            return [each for _, each in wanted]
        with file:
            for packed, (entry, target) in wanted:
                try:
                    data = packs.read_from(file, packed)
                except (Corrupt, OSError):
                    left.append((entry, target))
                    continue
                with storage_errors(f"make {target}"):
                    place_bytes(data, target, entry.mode, disk=self._disk)
        return left

    def _parts(self) -> Parts:
        return Parts(
            root=self.root,
            disk=self._disk,
            state=self._state,
            cache=self._cache,
            loose=self._loose,
            packed=self._packed,
            directories=self._directories,
            synced=self._synced,
        )

    def _place(self, entry: Entry, target: Path) -> None:
        place = self._search(entry.digest, self._find)
        if place.small is not None:
            place_bytes(place.small, target, entry.mode, disk=self._disk)
        elif stat.S_IMODE(place.path.stat().st_mode) != entry.mode or not place_link(
            place.path, target, disk=self._disk
        ):
            place_copy(place.path, target, entry.mode, disk=self._disk)

    def _unplaced(self, files: Sequence[_Wanted]) -> list[_Wanted]:
        """Those of *files* that are not there as they are to be."""
        alike = {n: found for n, (entry, target) in enumerate(files) if (found := _alike(target, entry))}
        stats = list(alike.values())
        placed = set()
        for n, digest, known in zip(alike, self._cache.objects(stats), self._cache.files(stats), strict=True):
            entry, target = files[n]
            content = entry.digest if entry.weak is None else self.content(entry.digest)
            is_object = digest == content  # its object's own file
            if is_object or known == Known(content, trusted=True) or self._has_bytes(target, entry):
                placed.add(n)
        return [each for n, each in enumerate(files) if n not in placed]

    def _has_bytes(self, target: Path, entry: Entry) -> bool:
        at_ns = time.time_ns()
        try:
            with files.reading(target) as (file, found):
                digest = files.hash_file(file, found.st_size)
        except Changed:
            return False
        if entry.size_bytes >= SMALL_BYTES:
            self._cache.remember_files([StatCache.file_row(found, digest, at_ns)])
        return digest == self.content(entry.digest)

    def _use(self, digest: Digest, use: Callable[[_Place], T]) -> T:
        """What *use* makes of an object; where collection moves it away before it is used, it is looked for again."""
        for _ in range(_ATTEMPTS):
            place = self._search(digest, self._find)
            with suppress(FileNotFoundError):
                return use(place)
        return use(self._search(digest, self._find))

    def _search(self, digest: Digest, look: Callable[[Digest], T | None]) -> T:
        """What *look* finds: at once, or among the packs of other writers, or in the trash."""
        with suppress(Corrupt, OSError):  # it may have been stored again in another pack
            if (found := look(digest)) is not None:
                return found
        self._packed.refresh()
        try:
            found = look(digest)
        except (Corrupt, OSError):
            if self.find_in_trash(digest) is None:  # what is wrong too need not come back
                raise
            self._restore(digest)
            found = look(digest)
        if found is None and self._restore(digest):
            found = look(digest)
        if found is None:
            raise self._not_found(digest)
        return found

    def _find(self, digest: Digest) -> _Place | None:
        found = self._loose.find(digest)
        if found is not None:
            return _Place(self._loose.ensure_right(digest, found), 0, found.st_size, None)
        return self._find_small(digest)

    def _check(self, digest: Digest) -> _Place | None:
        found = self._loose.find(digest)
        if found is not None:
            self._loose.check(digest)
            return _Place(self._loose.path(digest), 0, found.st_size, None)
        return self._find_small(digest)

    def _find_small(self, digest: Digest) -> _Place | None:
        wrong: Corrupt | OSError | None = None
        for name, entry in self._packed.find([digest]).get(digest, ()):
            path = self._packed.path(name)
            try:
                return _Place(path, entry.offset, entry.length, packs.read(path, entry))
            except FileNotFoundError:
                continue  # collected since it was indexed
            except OSError as exc:
                wrong = exc
            except Corrupt as exc:
                wrong = exc
                self._packed.distrust(path)  # else who adds the bytes again would count on it
        if wrong is not None:
            raise wrong
        return None

    def _measure(self, digest: Digest) -> int | None:
        if found := self._loose.find(digest):
            return found.st_size
        places = self._packed.find([digest]).get(digest)
        return places[0][1].length if places else None

    def _restore(self, digest: Digest) -> bool:
        """Take an object back from the trash; whether it was there."""
        trash = self.root / "trash"
        if not trash.is_dir() or not os.access(self.root, os.W_OK, effective_ids=True):
            return False
        lock = FileLock(self.root / "lock", disk=self._disk)
        try:
            lock.acquire_shared()  # so that the trash is not emptied meanwhile
            loose = self._loose.restore(trash / "objects", digest)
            return loose is not None or self._packed.restore(trash / "packs", digest)
        finally:
            lock.release()

    def _not_found(self, digest: Digest) -> ObjectNotFound:
        damaged = "; ".join(str(error) for error in self._packed.damaged.values())
        return ObjectNotFound(
            f"object {digest} is not in {self.root}" + (f", where {damaged}" if damaged else ""),
            hint="`dsdt verify` lists what is affected; add the data again, restore it from a backup, "
            "or bind the context again to the remote it came from",
        )


_Wanted: TypeAlias = tuple[Entry, Path]
"""What a path is to be."""


def _alike(target: Path, entry: Entry) -> os.stat_result | None:
    """What is at a path, if it is a file of the size and the mode it should have."""
    try:
        found = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if (found.st_mode, found.st_size) == (stat.S_IFREG | entry.mode, entry.size_bytes) else None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object is; its bytes, if they had to be read because it is in a pack."""

    path: Path
    offset: int
    size_bytes: int
    small: bytes | None
