"""
Carrying out a collection: things go to the trash and come back, packs are written anew, trash is purged.

Nothing here decides what is needed. Every method that changes something is for who holds the store's lock alone, and
may be cut off anywhere: a thing is in the store, in the trash, or in both, and the next collection goes on.
"""

from __future__ import annotations

import heapq
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from disdat.core import event
from disdat.core.digest import Digest
from disdat.durable import storage_errors
from disdat.errors import Corrupt, DigestMismatch, ObjectNotFound
from disdat.store import packs
from disdat.store.additions import PACK_BYTES, Parts
from disdat.store.files import Staging
from disdat.store.locks import FileLock
from disdat.store.packs import Pack, PackReader
from disdat.store.peek import Peek
from disdat.store.placing import READ_ONLY
from disdat.store.trash import Bundle, Note, Thing, Trash

T = TypeVar("T")

IN_FILE = 0
"""The place of an object that has a file of its own; others are the numbers of packs."""
TOGETHER = 10_000
"""So many things are noted, moved and made durable at once."""
MANY_DIRECTORIES = 64
"""Above so many directories, one sync of the file system is cheaper than one of each."""
LOCK_TIMEOUT_S = 300.0
_PAGE = 10_000

Needed = Callable[[Sequence[Digest]], Set[Digest]]
"""Those of some objects that are needed."""


@dataclass(frozen=True, slots=True)
class Left:
    """What was to go and stays, and why; of a pack nobody can tell, or read, what it holds that is needed."""

    name: str
    why: str
    kind: str = "pack"
    """Else ``directory``, of which :attr:`name` is the path."""


class Collector:
    """What collection does to one store; *clock_us* gives the time that is noted."""

    def __init__(self, parts: Parts, *, clock_us: Callable[[], int]) -> None:
        self.parts = parts
        self.trash = Trash(parts.root / "trash", disk=parts.disk)
        self._clock_us = clock_us
        self._disk = parts.disk
        self._staging = Staging(parts.root / "staging", disk=parts.disk)
        self._numbers: dict[str, int] = {}
        """Of packs, by name."""

    def make(self) -> None:
        """Make the store's directory, if need be: its lock is in it."""
        if not self.parts.root.is_dir():
            with storage_errors(f"make {self.parts.root}"):
                self._disk.mkdir(self.parts.root)
                self._disk.sync_dir(self.parts.root.parent)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store's lock alone: nobody adds to the store meanwhile. Unavailable if others never let it go."""
        with storage_errors(f"lock {self.parts.root}"):
            lock = FileLock(self.parts.root / "lock", disk=self._disk)
            lock.acquire_exclusive_in_turn(timeout_s=LOCK_TIMEOUT_S)
        try:
            yield
        finally:
            lock.release()

    def peek(self) -> Peek:
        """To read without a lock, for as long as one collection takes."""
        return Peek(self.parts.loose, self.parts.packed, self.parts.trash)

    def here(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield what is in the store, in order: digest, place (:data:`IN_FILE` or a pack's number), bytes."""
        self.parts.packed.refresh()
        loose = ((digest.raw, IN_FILE, size_bytes) for digest, size_bytes in self.parts.loose.digests())
        return heapq.merge(self._packed(), loose)

    def pack_names(self) -> dict[int, str]:
        """The names of the packs :meth:`here` met, by the numbers it gave them."""
        return {number: name for name, number in self._numbers.items()}

    def unreadable_packs(self) -> list[Left]:
        """The packs whose index cannot be read: they stay, since nobody knows what is in them."""
        self.parts.packed.refresh()
        return [Left(name, str(damage)) for name, damage in sorted(self.parts.packed.damaged.items())]

    def staged(self) -> list[tuple[Path, int]]:
        """What lies in staging, with its bytes; nobody's, where nobody writes."""
        found: list[tuple[Path, int]] = []
        with suppress(FileNotFoundError), os.scandir(self._staging.directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # its writer placed it meanwhile
                    found.append((Path(entry.path), entry.stat(follow_symlinks=False).st_size))
        return found

    def clear_staging(self) -> None:
        """Remove what writers that were cut off left."""
        with storage_errors(f"clear {self._staging.directory}"):
            for path, _ in self.staged():
                self._disk.unlink(path)

    def move_objects(self, digests: Iterable[Digest]) -> None:
        """Move objects that have files of their own to the trash."""
        with storage_errors(f"move objects to {self.trash.directory}"):
            for some in _portions(digests, TOGETHER):
                self.trash.note(Note(self._clock_us(), objects=some))
                loose = self.parts.loose
                moves = [(loose.path(digest), self.trash.object_path(digest)) for digest in some]
                self._move(moves)

    def move_packs(self, names: Iterable[str], needed: Needed) -> list[Left]:
        """Move packs to the trash that hold nothing *needed* by their own index; those that stay."""
        left: list[Left] = []
        going: list[str] = []
        for name in names:
            try:
                holds = any(needed(some) for some in _portions(self._contents(name), _PAGE))
            except Corrupt as exc:
                left.append(Left(name, str(exc)))
                continue
            if holds:
                left.append(Left(name, "it holds more than was known of it"))
                self._index_anew(name)
            else:
                going.append(name)
        self._move_packs(going)
        return left

    def rewrite(self, names: Iterable[str], needed: Needed) -> list[Left]:
        """Write what is needed of some packs into new ones, durable, and only then move them; those that stay."""
        left: list[Left] = []
        going: list[str] = []
        written = _Rewriting(self, needed)
        try:
            for name in names:
                try:
                    written.take(name)
                    going.append(name)
                except (Corrupt, ObjectNotFound) as exc:
                    left.append(Left(name, str(exc)))
            with storage_errors(f"write packs to {self.parts.root}"):
                written.finish()
        finally:
            self._staging.discard_all()
        self._move_packs(going)
        return left

    def move_bundles(self, directories: Iterable[tuple[str, Path]]) -> None:
        """Move directories of bundles that are not there, each with the name of its context, to the trash."""
        with storage_errors(f"move directories to {self.trash.directory}"):
            for some in _portions(directories, TOGETHER):
                now_us = self._clock_us()
                gone = [Bundle(context, path.name, event.ulid(now_us)) for context, path in some]
                self.trash.note(Note(now_us, bundles=tuple(gone)))
                self._move([(path, self.trash.bundle_path(each)) for (_, path), each in zip(some, gone, strict=True)])

    def take_back(self, objects: Iterable[Digest], pack_names: Iterable[str]) -> None:
        """Move what is needed after all from the trash to where it was."""
        with storage_errors(f"take back from {self.trash.directory}"):
            moves = [(self.trash.object_path(digest), self.parts.loose.path(digest)) for digest in objects]
            moves += [(self.trash.pack_path(name), self.parts.packed.path(name)) for name in pack_names]
            self._move(moves)
            self.parts.packed.refresh()

    def note_since_now(self, things: Iterable[Thing]) -> None:
        """Note those of *things* in the trash that nobody knows since when they are there."""
        with storage_errors(f"write to {self.trash.directory}"):
            for some in _portions((thing for thing in things if thing.since_us is None), TOGETHER):
                objects = tuple(thing.digest for thing in some if thing.kind == "object")
                packs_of = tuple(thing.pack for thing in some if thing.kind == "pack")
                self.trash.note(Note(self._clock_us(), objects=objects, packs=packs_of))

    def purge(self, paths: Iterable[Path]) -> list[Left]:
        """Delete things of the trash for good; directories that stay, which the next purge tries again."""
        left: list[Left] = []
        with storage_errors(f"purge {self.trash.directory}"):
            for some in _portions(paths, TOGETHER):
                directories = [path for path in some if path.is_dir() and not path.is_symlink()]
                going = self._set_aside(directories, left)
                rest = [path for path in some if path not in set(directories)]
                self._forget(rest)
                for path in rest:
                    with suppress(FileNotFoundError):
                        self._disk.unlink(path)
                self._sync({path.parent for path in rest})
                left += self._delete(going)
            self.trash.drop_notes()
        return left

    def finish_deleting(self) -> list[Left]:
        """Delete what an earlier purge was about to; what stays."""
        with storage_errors(f"purge {self.trash.directory}"):
            return self._delete(self.trash.going())

    def _packed(self) -> Iterator[tuple[bytes, int, int]]:
        last: tuple[bytes, int] = (b"", 0)
        while rows := self.parts.state.query(
            "SELECT digest, pack, length, name FROM packed JOIN pack ON id = pack WHERE (digest, pack) > (?, ?)"
            " ORDER BY digest, pack LIMIT ?",
            (*last, _PAGE),
        ):
            for digest, _, length, name in rows:
                # Not the number it has in state.db, which may be lost, and made anew, while we look.
                yield digest, self._numbers.setdefault(name, len(self._numbers) + 1), length
            last = rows[-1][:2]

    def _contents(self, name: str) -> Iterator[Digest]:
        with PackReader(self.parts.packed.path(name)) as reader:
            yield from (Digest.from_raw(raw) for raw, _, _ in reader.pack.rows())

    def _index_anew(self, name: str) -> None:
        with PackReader(self.parts.packed.path(name)) as reader:
            self.parts.state.change(*self.parts.packed.index_rows([reader.pack]))

    def _move_packs(self, names: Iterable[str]) -> None:
        with storage_errors(f"move packs to {self.trash.directory}"):
            for some in _portions(names, TOGETHER):
                self.trash.note(Note(self._clock_us(), packs=some))
                self._move([(self.parts.packed.path(name), self.trash.pack_path(name)) for name in some])
            self.parts.packed.refresh()

    def _move(self, moves: Sequence[tuple[Path, Path]]) -> None:
        """Rename each, and make the new names durable before the loss of the old ones."""
        made: set[Path] = set()
        for _, target in moves:
            if not target.parent.is_dir():
                self._disk.mkdir(target.parent)
                made |= {above for above in target.parents if above.is_relative_to(self.parts.root)}
        done: list[tuple[Path, Path]] = []
        for source, target in moves:
            with suppress(FileNotFoundError):  # a reader took it back, or it was moved before
                self._disk.rename(source, target)
                done.append((source, target))
        self._sync({target.parent for _, target in done} | made)
        self._sync({source.parent for source, _ in done})

    def _sync(self, directories: Set[Path]) -> None:
        if len(directories) > MANY_DIRECTORIES:
            self._disk.sync_file_system(self.parts.root)
            return
        for directory in sorted(directories, key=lambda path: (-len(path.parts), path)):
            self._disk.sync_dir(directory)

    def _forget(self, paths: Iterable[Path]) -> None:
        """Let ``state.db`` know nothing of files that go: another one may get the number of their inode."""
        for path in paths:
            with suppress(FileNotFoundError):
                self.parts.cache.forget_object(path.stat())

    def _set_aside(self, directories: Sequence[Path], left: list[Left]) -> list[Path]:
        """Name directories as those that are being deleted, before anything is: half of one would be a damaged one."""
        going: list[Path] = []
        for path in directories:
            target = self.trash.going_path(path)
            try:
                self._open_up(path)
                self._disk.rename(path, target)
            except PermissionError as exc:
                left.append(_resisting(path, exc))
            else:
                going.append(target)
        if directories:
            self._sync({path.parent for path in directories} | {self.trash.directory})
        return going

    def _delete(self, directories: Iterable[Path]) -> list[Left]:
        left: list[Left] = []
        for path in directories:
            try:
                for where, names, _ in os.walk(path):
                    for name in names:
                        self._open_up(Path(where, name))
                shutil.rmtree(path)
            except OSError as exc:
                left.append(_resisting(path, exc))
        return left

    def _open_up(self, directory: Path) -> None:
        """Let what is in a directory be deleted: its user may have made it read-only."""
        mode = os.lstat(directory).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            self._disk.chmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)


def _resisting(path: Path, error: OSError) -> Left:
    return Left(str(path), error.strerror or str(error), kind="directory")


def _portions(items: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    """Yield *items* up to *count* at a time."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


class _Rewriting:
    """Gathers what is needed of packs, and writes it into new ones of a bounded size."""

    def __init__(self, collector: Collector, needed: Needed) -> None:
        self._parts = collector.parts
        self._staging = collector._staging
        self._peek = collector.peek()
        self._needed = needed
        self._held: dict[Digest, bytes] = {}
        self._held_bytes = 0
        self._written: set[Digest] = set()
        self._new: list[tuple[Path, Pack]] = []

    def take(self, name: str) -> None:
        """Hold what a pack has that is needed; Corrupt or ObjectNotFound if some of it is right nowhere."""
        with PackReader(self._parts.packed.path(name)) as reader:
            for some in _portions(reader.contents, _PAGE):
                wanted = self._needed([entry.digest for entry in some])
                for entry in some:
                    if entry.digest in wanted and entry.digest not in self._written:
                        try:
                            self._hold(entry.digest, reader.read(entry))
                        except DigestMismatch:
                            self._hold(entry.digest, self._peek.read(entry.digest))

    def finish(self) -> None:
        """Make the new packs durable and part of the store."""
        self._write()
        for path, pack in self._new:
            self._parts.disk.sync_path(path)
            self._staging.publish(path, self._parts.packed.path(pack.name))
        if self._new:
            self._parts.disk.sync_dir(self._parts.packed.directory)
            self._parts.state.change(*self._parts.packed.index_rows(pack for _, pack in self._new))

    def _hold(self, digest: Digest, data: bytes) -> None:
        self._written.add(digest)
        self._held[digest] = data
        self._held_bytes += len(data)
        if self._held_bytes >= PACK_BYTES:
            self._write()

    def _write(self) -> None:
        if not self._held:
            return
        disk = self._parts.disk
        with storage_errors(f"write packs to {self._parts.root}"):
            path, file = self._staging.create()
            with file:
                pack = packs.write(self._held, lambda piece: disk.write(file, piece))
            disk.chmod(path, READ_ONLY)
        self._new.append((path, pack))
        self._held, self._held_bytes = {}, 0
