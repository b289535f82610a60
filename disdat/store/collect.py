"""
Carrying out a collection: things go to the trash and come back, packs are written anew, trash is purged.

Nothing here decides what is needed. Every method that changes something is for who holds the store's lock alone, and
may be cut off anywhere: a thing is in the store, in the trash, or in both, and the next collection goes on.
"""

from __future__ import annotations

import errno
import heapq
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

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
_ITS_OWN = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EXDEV,
        errno.EBUSY,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
    }
)
"""What one thing cannot be moved for, while others can: it is a mount point, say, or another user's."""

Needed = Callable[[Sequence[Digest]], Set[Digest]]
"""Those of some objects that are needed."""


@dataclass(frozen=True, slots=True)
class Left:
    """What was to go, or to come back, and stays where it is, and why."""

    name: str
    why: str
    kind: str = "pack"
    """Else ``object``, named by its digest, or ``directory`` or ``file``, named by its path."""


class _Move(NamedTuple):
    kind: str
    name: str
    source: Path
    target: Path


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

    def clear_staging(self) -> list[Left]:
        """Remove what writers that were cut off left; what stays."""
        return self._unlink(path for path, _ in self.staged())

    def move_objects(self, digests: Iterable[Digest]) -> list[Left]:
        """Move objects that have files of their own to the trash; those that stay."""
        left: list[Left] = []
        loose, trash = self.parts.loose, self.trash
        with storage_errors(f"move objects to {trash.directory}"):
            for some in portions(digests, TOGETHER):
                trash.note(Note(self._clock_us(), objects=some))
                left += self._move([_Move("object", each, loose.path(each), trash.object_path(each)) for each in some])
        return left

    def move_packs(self, names: Iterable[str], needed: Needed) -> list[Left]:
        """Move packs to the trash that hold nothing *needed* by their own index; those that stay."""
        left: list[Left] = []
        going: list[str] = []
        for name in names:
            try:
                holds = any(needed(some) for some in portions(self._contents(name), _PAGE))
            except (Corrupt, PermissionError) as exc:
                left.append(Left(name, str(exc)))
                continue
            if holds:
                left.append(Left(name, "it holds more than was known of it"))
                self._index_anew(name)
            else:
                going.append(name)
        return left + self._move_packs(going)

    def rewrite(self, names: Iterable[str], needed: Needed) -> list[Left]:
        """Write what is needed of some packs into new ones, durable, and only then move them; those that stay."""
        left: list[Left] = []
        going: list[str] = []
        written = Rewriting(self, needed)
        try:
            for name in names:
                try:
                    written.take(name)
                    going.append(name)
                except (Corrupt, ObjectNotFound, PermissionError) as exc:
                    left.append(Left(name, str(exc)))
            with storage_errors(f"write packs to {self.parts.root}"):
                written.finish()
        finally:
            written.discard()
        return left + self._move_packs(going)

    def move_bundles(self, directories: Iterable[tuple[str, Path]]) -> list[Left]:
        """Move directories of bundles that are gone, each with its context's name, to the trash; those that stay."""
        left: list[Left] = []
        with storage_errors(f"move directories to {self.trash.directory}"):
            for some in portions(directories, TOGETHER):
                now_us = self._clock_us()
                gone = [Bundle(context, path.name, event.ulid(now_us)) for context, path in some]
                self.trash.note(Note(now_us, bundles=tuple(gone)))
                left += self._move(
                    [
                        _Move("directory", str(path), path, self.trash.bundle_path(each))
                        for (_, path), each in zip(some, gone, strict=True)
                    ]
                )
        return left

    def take_back(self, things: Iterable[Thing]) -> list[Left]:
        """Move objects and packs that are needed after all from the trash to where they were; those that stay."""
        left: list[Left] = []
        with storage_errors(f"take back from {self.trash.directory}"):
            for some in portions(things, TOGETHER):
                left += self._move([self._back(thing) for thing in some])
            self.parts.packed.refresh()
        return left

    def note_since_now(self, things: Iterable[Thing]) -> None:
        """Note those of *things* in the trash that nobody knows since when they are there."""
        with storage_errors(f"write to {self.trash.directory}"):
            for some in portions((thing for thing in things if thing.since_us is None), TOGETHER):
                objects = tuple(thing.digest for thing in some if thing.kind == "object")
                packs_of = tuple(thing.pack for thing in some if thing.kind == "pack")
                self.trash.note(Note(self._clock_us(), objects=objects, packs=packs_of))

    def purge(self, paths: Sequence[Path]) -> list[Left]:
        """Delete things of the trash for good; what stays, which the next purge tries again."""
        with storage_errors(f"purge {self.trash.directory}"):
            directories = {path for path in paths if path.is_dir() and not path.is_symlink()}
            going, left = self._set_aside(sorted(directories))
            rest = [path for path in paths if path not in directories]
            self._forget(rest)
            left += self._unlink(rest)
            self._sync({path.parent for path in rest})
            return left + self._delete(going)

    def drop_notes(self) -> list[Left]:
        """Delete the notes of which nothing is left; those that stay."""
        return self._unlink(self.trash.spent_notes())

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

    def _move_packs(self, names: Iterable[str]) -> list[Left]:
        left: list[Left] = []
        packed, trash = self.parts.packed, self.trash
        with storage_errors(f"move packs to {trash.directory}"):
            for some in portions(names, TOGETHER):
                trash.note(Note(self._clock_us(), packs=some))
                left += self._move([_Move("pack", each, packed.path(each), trash.pack_path(each)) for each in some])
            packed.refresh()
        return left

    def _back(self, thing: Thing) -> _Move:
        if thing.kind == "pack":
            return _Move("pack", thing.pack, thing.path, self.parts.packed.path(thing.pack))
        return _Move("object", thing.digest, thing.path, self.parts.loose.path(thing.digest))

    def _move(self, moves: Sequence[_Move]) -> list[Left]:
        """Rename each, and make the new names durable before the loss of the old ones; those that stay."""
        made: set[Path] = set()
        done: list[_Move] = []
        left: list[Left] = []
        for move in moves:
            try:
                made |= self._made(move.target.parent)
                self._disk.rename(move.source, move.target)
            except FileNotFoundError:
                continue  # a reader took it back, or it was moved before
            except OSError as exc:
                if exc.errno not in _ITS_OWN:
                    raise
                left.append(Left(move.name, _reason(exc), move.kind))
            else:
                done.append(move)
        self._sync({move.target.parent for move in done} | made)
        self._sync({move.source.parent for move in done})
        return left

    def _made(self, directory: Path) -> set[Path]:
        """The directories whose names are new for that *directory* is there, and that it is in."""
        if directory.is_dir():
            return set()
        self._disk.mkdir(directory)
        return {each for each in (directory, *directory.parents) if each.is_relative_to(self.parts.root)}

    def _unlink(self, paths: Iterable[Path]) -> list[Left]:
        """Delete files; those that stay."""
        left: list[Left] = []
        for path in paths:
            try:
                self._disk.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as exc:
                left.append(Left(str(path), _reason(exc), "file"))
        return left

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

    def _set_aside(self, directories: Sequence[Path]) -> tuple[list[Path], list[Left]]:
        """Name directories as those that are being deleted, before anything is: half of one would be a damaged one."""
        going: list[Path] = []
        left: list[Left] = []
        for path in directories:
            target = self.trash.going_path(path)
            try:
                self._open_up(path)
                self._disk.rename(path, target)
            except OSError as exc:
                left.append(Left(str(path), _reason(exc), "directory"))
            else:
                going.append(target)
        if directories:
            self._sync({path.parent for path in directories} | {self.trash.directory})
        return going, left

    def _delete(self, directories: Iterable[Path]) -> list[Left]:
        left: list[Left] = []
        for path in directories:
            for where, names, _ in os.walk(path):
                for name in names:
                    with suppress(PermissionError):  # another user's: it is told where it cannot be deleted
                        self._open_up(Path(where, name))
            if errors := _delete_tree(path):
                left.append(Left(str(path), _reason(errors[0]), "directory"))
        return left

    def _open_up(self, directory: Path) -> None:
        """Let what is in a directory be deleted: its user may have made it read-only."""
        mode = os.lstat(directory).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            self._disk.chmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)


def _delete_tree(directory: Path) -> list[OSError]:
    """Delete all of a directory that can be; why the rest stays."""
    errors: list[OSError] = []

    def note(_call: object, _path: str, raised: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        if isinstance(raised[1], OSError):
            errors.append(raised[1])

    shutil.rmtree(directory, onerror=note)
    return errors


def _reason(error: OSError) -> str:
    where = f" at {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def portions(items: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    """Yield *items* up to *count* at a time."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


class Rewriting:
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
            for some in portions(reader.contents, _PAGE):
                wanted = self._needed([entry.digest for entry in some])
                for entry in some:
                    if entry.digest in wanted and entry.digest not in self._written:
                        try:
                            self._hold(entry.digest, reader.read(entry))
                        except DigestMismatch:
                            self._hold(entry.digest, self._peek.read(entry.digest))

    @property
    def size_bytes(self) -> int:
        """How many bytes the new packs have, once they are finished."""
        return sum(self._parts.packed.path(pack.name).stat().st_size for _, pack in self._new)

    def discard(self) -> None:
        """Forget what was written and is not part of the store."""
        self._staging.discard_all()

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
