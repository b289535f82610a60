"""
What one batch adds: gathered here, deduplicated against the store, then made durable and given its names.

The order is what keeps the promise. Everything is synced under a name in ``staging/`` first and renamed then, so
a name in the store never stands for bytes a power cut could take; the directories come last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from disdat.core.digest import Digest
from disdat.durable import Disk
from disdat.errors import Corrupt, StorageError
from disdat.store import packs
from disdat.store.files import Directories, Staging, at_once
from disdat.store.locks import FileLock
from disdat.store.loose import LooseObjects
from disdat.store.packindex import PackIndex
from disdat.store.packs import Pack, Packed, PackReader
from disdat.store.placing import READ_ONLY
from disdat.store.statcache import StatCache
from disdat.store.state import Row, State

SMALL_BYTES = 64 << 10
"""Objects smaller than this go into packs."""
PACK_BYTES = 32 << 20
"""A pack is written when so many bytes are held: half of what a pack may have keeps memory low."""
YOUNG_NS = 60_000_000_000
"""What another writer made less than this ago is made durable once more before it is counted on."""
MANY_FILES = 1000
"""Above so many files, one sync of the file system is cheaper than one of each."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store and its batches share; made by the store."""

    root: Path
    disk: Disk
    state: State
    cache: StatCache
    loose: LooseObjects
    packed: PackIndex
    directories: Directories
    synced: set[Path]
    """Objects and packs this process knows to be durable."""

    @property
    def trash(self) -> Path:
        return self.root / "trash"


@dataclass(frozen=True, slots=True)
class Staged:
    """A large object in staging, read-only."""

    path: Path
    adopted: tuple[Path, os.stat_result] | None = None
    """The user's path that is the same file, and what it was when it was hashed."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file that got its name: what it was when its bytes were right, and the digest it is known by."""

    path: Path
    hashed: os.stat_result
    """Of a file that others may hold open, not what it is now: they may have written to it since."""
    digest: Digest


class Additions:
    """One batch's; for one thread, but for what says otherwise."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.staging = Staging(parts.root / "staging", disk=parts.disk)
        self.read: list[Row] = []
        """Files of the user that were hashed, as the stat cache remembers them."""
        self._trashed = parts.trash / "objects"
        self._lock = FileLock(parts.root / "lock", disk=parts.disk)
        self._changed = parts.directories.change(parts.disk)
        self._small: dict[Digest, bytes] = {}
        self._small_bytes = 0
        self._writer: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None
        self._packs: dict[Path, Pack] = {}
        self._packed: set[Digest] = set()
        self._large: dict[Digest, Staged] = {}
        self._young: set[Path] = set()
        self._sound: dict[str, bool] = {}
        self._failure: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was taken in."""
        return self._lock.held

    def begin(self) -> None:
        """Keep collection out from now on, and learn what other writers packed."""
        if not self._lock.held:
            self._changed.make(self.parts.root)
            self._lock.acquire_shared()
            self.parts.packed.refresh_first()

    def end(self) -> None:
        """Remove what was not sealed, and let collection run."""
        try:
            if self._writer is not None:
                self._writer.shutdown()
            self.staging.discard_all()
        finally:
            self._lock.release()

    def hold(self, objects: Mapping[Digest, bytes]) -> None:
        """Keep small objects that the store does not have."""
        self._check_nothing_failed()
        new = [digest for digest in objects if digest not in self._small and digest not in self._packed]
        there = self.find_small(new)
        for digest in new:
            if digest not in there:
                self._small[digest] = objects[digest]
                self._small_bytes += len(objects[digest])
                if self._small_bytes >= PACK_BYTES:
                    self._begin_pack()

    def keep(self, digest: Digest, staged: Staged) -> None:
        """Keep a large object unless the store has it."""
        self._check_nothing_failed()
        if self.has_large(digest):
            self.staging.discard(staged.path)
        else:
            self._large[digest] = staged

    def has_large(self, digest: Digest) -> bool:
        """
        Whether the store has the right bytes of a large object, or will have them when sealed.

        Any thread may ask. Damaged bytes count as absent: the good ones will replace them.
        """
        if digest in self._large:
            return True
        loose = self.parts.loose
        found = loose.find(digest) or loose.restore(self._trashed, digest)
        if found is None or not loose.is_right(digest, found):
            return False
        self._count_on(loose.path(digest), found)
        return True

    def large_path(self, digest: Digest) -> Path:
        """Where a large object that :meth:`has_large` is now: in staging or in its place."""
        staged = self._large.get(digest)
        return staged.path if staged else self.parts.loose.path(digest)

    def find_small(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of *digests* whose right bytes are in a pack of the store."""
        found: set[Digest] = set()
        for digest, places in self.parts.packed.find(list(digests)).items():
            if any(self._is_sound(name) or self._reads_right(name, entry) for name, entry in places):
                found.add(digest)
        return found

    def seal(self) -> None:
        """Make everything durable and give it its name."""
        self._check_nothing_failed()
        with self._failing_for_good():
            self._end_pack()
            self._sync_files()
            placed = self._place()
            if placed or self._young:
                self._changed.sync()
        self.parts.synced.update(self._young, (each.path for each in placed))
        self._remember(placed)
        self._small, self._packs, self._packed, self._large = {}, {}, set(), {}
        self._young = set()

    def sync(self, paths: Sequence[Path]) -> None:
        """Make the bytes of files durable; of several, what was read is remembered while the disk works."""
        disk = self.parts.disk
        if len(paths) == 1:
            disk.sync_path(paths[0])
        elif len(paths) > MANY_FILES:
            with at_once(disk.sync_file_system, [paths[0].parent]):
                self._remember_read()
        elif paths:
            with at_once(disk.sync_path, paths):
                self._remember_read()

    @contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """
        Remember an error: objects may count as kept that are nowhere now, so all that comes after has to fail too.

        And who syncs a file again is told that all is well, though what the first time lost stays lost.
        """
        try:
            yield
        except BaseException as exc:
            self._failure = exc
            raise

    def _check_nothing_failed(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _is_sound(self, name: str) -> bool:
        if name not in self._sound:
            path = self.parts.packed.path(name)
            self._sound[name] = self.parts.packed.is_sound(path)
            if self._sound[name]:
                self._count_on(path, path.stat())
        return self._sound[name]

    def _reads_right(self, name: str, entry: Packed) -> bool:
        path = self.parts.packed.path(name)
        # By the pack's own index: where that is damaged, the object would be lost with state.db.
        with suppress(Corrupt, FileNotFoundError), PackReader(path) as reader:
            if entry in reader.contents:
                reader.read(entry)
                self._count_on(path, path.stat())
                return True
        return False

    def _count_on(self, path: Path, found: os.stat_result) -> None:
        """Sync with the rest what another writer may not have synced yet."""
        # Its change time, because an adopted file was written long before it became an object.
        if path not in self.parts.synced and time.time_ns() - found.st_ctime_ns < YOUNG_NS:
            self._young.add(path)

    def _begin_pack(self) -> None:
        """Let a thread write a pack of what is held, while the objects of the next one are read."""
        self._end_writing()
        objects = self._take_small()
        self._writer = self._writer or ThreadPoolExecutor(1)
        self._written = self._writer.submit(self._write_pack, objects)

    def _end_pack(self) -> None:
        """Write a pack of what is left."""
        self._end_writing()
        if self._small:
            self._write_pack(self._take_small())

    def _end_writing(self) -> None:
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def _take_small(self) -> dict[Digest, bytes]:
        objects, self._small, self._small_bytes = self._small, {}, 0
        self._packed |= objects.keys()
        return objects

    def _write_pack(self, objects: dict[Digest, bytes]) -> None:
        with self._failing_for_good():
            path, file = self.staging.create()
            with file:
                pack = packs.write(objects, lambda piece: self.parts.disk.write(file, piece))
                self.parts.disk.start_write_back(file, 0, file.tell())
            self.parts.disk.chmod(path, READ_ONLY)
            self._packs[path] = pack

    def _sync_files(self) -> None:
        paths = [*self._packs, *(staged.path for staged in self._large.values()), *sorted(self._young)]
        self.sync(paths)

    def _place(self) -> list[_Placed]:
        """Give everything its name."""
        placed = [self._place_pack(path, pack) for path, pack in self._packs.items()]
        placed += [self._place_large(digest, staged) for digest, staged in self._large.items()]
        for path in self._young:
            self._changed.enter(path.parent)
        return placed

    def _place_pack(self, path: Path, pack: Pack) -> _Placed:
        target = self.parts.packed.path(pack.name)
        self._changed.enter(target.parent)
        self.staging.publish(path, target)
        return _Placed(target, target.stat(), Digest(f"blake3:{pack.name}"))

    def _place_large(self, digest: Digest, staged: Staged) -> _Placed:
        loose = self.parts.loose
        target = loose.path(digest)
        self._changed.enter(target.parent)
        found = loose.find(digest)
        if found is not None and loose.is_right(digest, found):
            # Another writer was faster. Its file may be linked already, so it stays.
            self.parts.disk.sync_path(target)
            self.staging.discard(staged.path)
            return _Placed(target, found, digest)
        self.staging.publish(staged.path, target)
        if staged.adopted:
            self._check_unchanged(target, *staged.adopted)
            return _Placed(target, staged.adopted[1], digest)
        return _Placed(target, target.stat(), digest)

    def _check_unchanged(self, target: Path, path: Path, hashed: os.stat_result) -> None:
        now = target.stat()
        if (now.st_size, now.st_mtime_ns) != (hashed.st_size, hashed.st_mtime_ns):
            self.parts.disk.unlink(target)
            raise StorageError(f"{path} changed while it was stored", hint="close it before its bundle is closed")

    def _remember_read(self) -> None:
        """Let the stat cache know the user's files now: what was read is so, whatever becomes of the batch."""
        self.parts.cache.remember_files(self.read)
        self.read = []

    def _remember(self, placed: Iterable[_Placed]) -> None:
        parts = self.parts
        known = [(each.hashed, parts.loose.contents.of(each.digest)) for each in placed]
        parts.state.change(
            parts.cache.object_rows(known),
            parts.cache.file_rows(self.read),
            *parts.packed.index_rows(self._packs.values()),
        )
        self.read = []
