"""
Files on one machine: hashed, copied and hashed in one pass, given their name once they are whole.

Copying and hashing go in pieces of 1 MiB, so memory does not grow with a file.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

from disdat.core.digest import CHUNK_BYTES, Digest, Hasher
from disdat.durable import Disk
from disdat.errors import DisdatError, InvalidInput, PathNotFound, PermissionDenied, StorageError
from disdat.store.sparse import writing_copy

T = TypeVar("T")
StrPath: TypeAlias = "str | os.PathLike[str]"
Progress = Callable[[int], None]
"""Called with the bytes that were read since the last call."""

ATTEMPTS = 3
"""A file that changes while it is read is read so many times."""
WRITE_BACK_BYTES = 8 << 20
"""While a file is copied the disk is set to work each so many bytes, so that syncing finds little left."""

# Without O_NONBLOCK, opening a fifo would wait for somebody to write to it.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

SYNC_THREADS = 8
"""So many files or directories are synced at a time."""


class Changed(Exception):
    """A file changed while it was read."""


def no_progress(_: int) -> None:
    """Tell nobody."""


@contextmanager
def reading(path: StrPath) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """
    A user's regular file opened for reading, and what it was then.

    Raises:
        PathNotFound, PermissionDenied, InvalidInput: There is none, it may not be read, or it is no regular file.
        Changed: It is not the same any more when the block ends.
    """
    with _opened(path) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise InvalidInput(f"{path} is not a regular file", hint="copy its content to a file first")
        yield file, before
        if moment(os.fstat(file.fileno())) != moment(before):
            raise Changed(path)


def moment(found: os.stat_result) -> tuple[int, int, int, int]:
    """What differs when a file was replaced, written to, or touched."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_unchanged(path: StrPath, seen: os.stat_result) -> bytes:
    """
    The bytes of a user's file that was *seen* a moment ago: what takes the fewest calls where files are many.

    Raises:
        PathNotFound, PermissionDenied: There is none any more, or it may not be read.
        Changed: It is not, once it is read, what was seen.
    """
    try:
        fd = os.open(path, _READ)
    except OSError as exc:
        raise _not_opened(path, exc) from exc
    try:
        data = os.pread(fd, seen.st_size + 1, 0)
        after = os.fstat(fd)
    except OSError as exc:
        raise StorageError(f"cannot read {path}: {exc.strerror}") from exc
    finally:
        os.close(fd)
    if len(data) != seen.st_size or moment(after) != moment(seen):
        raise Changed(path)
    return data


def steadily(path: StrPath, read: Callable[[], T]) -> T:
    """What *read* gives; tried again where the file changed meanwhile, StorageError if it keeps changing."""
    for _ in range(ATTEMPTS):
        with suppress(Changed):
            return read()
    raise StorageError(f"{path} changed while it was read", hint="wait until nothing writes to it")


def hash_file(file: BinaryIO, size_bytes: int, progress: Progress = no_progress) -> Digest:
    """The digest of an open file; Changed if it has not *size_bytes*."""
    hasher = Hasher(expected_bytes=size_bytes)
    for piece in _pieces(file, size_bytes):
        hasher.update(piece)
        progress(len(piece))
    return hasher.digest()


def copy_file(
    source: BinaryIO, target: BinaryIO, size_bytes: int, *, disk: Disk, progress: Progress = no_progress
) -> Digest:
    """
    Give an empty *target* the bytes of *source*, and return their digest; not durable yet.

    Shares blocks where the file system can; otherwise reads once, and leaves holes where *source* has some.
    Changed if there are not *size_bytes*.
    """
    if disk.clone(source, target):
        with open(target.name, "rb", buffering=0) as clone:
            return hash_file(clone, size_bytes, progress)
    hasher, write_back = Hasher(expected_bytes=size_bytes), WriteBack(target, disk)
    with writing_copy(source, target, disk=disk) as write:
        for piece in _pieces(source, size_bytes):
            hasher.update(piece)
            write(piece)
            write_back.reached(hasher.size_bytes)
            progress(len(piece))
    return hasher.digest()


@contextmanager
def at_once(sync: Callable[[Path], None], paths: Sequence[Path]) -> Iterator[None]:
    """Sync paths several at once, as the disk takes several, while the block runs; all are when it ends."""
    with ThreadPoolExecutor(min(SYNC_THREADS, len(paths))) as pool:
        syncing = [pool.submit(sync, path) for path in paths]
        yield
        for each in syncing:
            each.result()


class WriteBack:
    """Sets the disk to work on a file while it is being written."""

    def __init__(self, file: BinaryIO, disk: Disk) -> None:
        self._file, self._disk = file, disk
        self._begun = 0

    def reached(self, offset: int) -> None:
        """All bytes before *offset* are written."""
        if offset - self._begun >= WRITE_BACK_BYTES:
            self._disk.start_write_back(self._file, self._begun, offset - self._begun)
            self._begun = offset


class Staging:
    """
    The files one change is writing, in a directory for such; each gets its name elsewhere by one rename.

    Several threads may make files.
    """

    def __init__(self, directory: Path, *, disk: Disk) -> None:
        self.directory = directory
        self._disk = disk
        self._paths: set[Path] = set()
        self._is_made = False

    def new_path(self) -> Path:
        """A name nobody has, in the directory, which is there from now on."""
        if not self._is_made:
            self._disk.mkdir(self.directory)
            self._is_made = True
        path = self.directory / os.urandom(16).hex()
        self._paths.add(path)
        return path

    def create(self) -> tuple[Path, BinaryIO]:
        """A new file, open for writing."""
        path = self.new_path()
        return path, self._disk.create(path)

    def publish(self, path: Path, target: Path) -> None:
        """Give a file its name, atomically replacing what had it."""
        self._disk.rename(path, target)
        self._paths.discard(path)

    def discard(self, path: Path) -> None:
        """Remove a file if it can be: what stays is removed by the next collection."""
        with suppress(OSError):
            self._disk.unlink(path)
        self._paths.discard(path)

    def discard_all(self) -> None:
        """Remove all files that were not given a name."""
        for path in list(self._paths):
            self.discard(path)


class Directories:
    """
    Which directories below one root are known to be durable themselves; shared by all changes of a process.

    That a directory is there does not mean that it will be after a power cut: another process may have made it
    a moment ago. So the first change in it also makes every directory above durable.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()

    def change(self, disk: Disk) -> ChangedDirectories:
        return ChangedDirectories(self.root, self._durable, disk)


class ChangedDirectories:
    """The directories one change touched; not for several threads."""

    def __init__(self, root: Path, durable: set[Path], disk: Disk) -> None:
        self._root, self._durable, self._disk = root, durable, disk
        self._touched: set[Path] = set()
        self._entered: set[Path] = set()

    def make(self, directory: Path) -> None:
        """Make a directory below the root if need be; it will be durable after :meth:`sync`."""
        if self._is_done(directory):
            return
        if not directory.is_dir():
            self._disk.mkdir(directory)
        while not self._is_done(directory) and directory.is_relative_to(self._root):
            self._entered.add(directory)
            directory = directory.parent
            self._touched.add(directory)

    def enter(self, directory: Path) -> None:
        """Make a directory if need be; names in it are about to change."""
        self.make(directory)
        self._touched.add(directory)

    def sync(self) -> None:
        """Make all names durable, those of inner directories first."""
        of_depth: dict[int, list[Path]] = defaultdict(list)
        for directory in sorted(self._touched):
            of_depth[len(directory.parts)].append(directory)
        for depth in sorted(of_depth, reverse=True):
            self._sync_some(of_depth[depth])
        self._durable |= self._entered
        self._touched, self._entered = set(), set()

    def _is_done(self, directory: Path) -> bool:
        """Whether it is durable, or will be, with every directory above."""
        return directory in self._durable or directory in self._entered

    def _sync_some(self, directories: Sequence[Path]) -> None:
        if len(directories) == 1:
            self._disk.sync_dir(directories[0])
        else:
            with at_once(self._disk.sync_dir, directories):
                pass


def _opened(path: StrPath) -> BinaryIO:
    try:
        return open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, _READ))
    except OSError as exc:
        raise _not_opened(path, exc) from exc


def _not_opened(path: StrPath, exc: OSError) -> DisdatError:
    match exc:
        case FileNotFoundError():
            return PathNotFound(f"no such file: {path}", hint="check the path")
        case PermissionError():
            return PermissionDenied(f"may not read {path}")
        case _:
            return StorageError(f"cannot read {path}: {exc.strerror}")


def _pieces(file: BinaryIO, size_bytes: int) -> Iterator[memoryview]:
    """Yield a file's bytes, each piece overwritten by the next; Changed where they are not *size_bytes*."""
    buffer = _BUFFER.room
    left = size_bytes
    while count := _fill(file, buffer):
        left -= count
        if left < 0:
            # Reading on, we might never reach the end of a file that is being written.
            raise Changed
        yield buffer[:count]
    if left:
        raise Changed


class _Buffer(threading.local):
    """
    Where a thread reads files to, one after another.

    To take new memory from the system for each file costs more than to hash a small one.
    """

    def __init__(self) -> None:
        self.room = memoryview(bytearray(CHUNK_BYTES))


_BUFFER = _Buffer()


def _fill(file: BinaryIO, buffer: memoryview) -> int:
    # An unbuffered file's readinto is one read(2).
    with _read_errors(file):
        count: int = file.readinto(buffer)  # type: ignore[attr-defined]  # BinaryIO lacks it; raw and buffered have it
    return count


@contextmanager
def _read_errors(file: BinaryIO) -> Iterator[None]:
    """Say of a file that cannot be read that it is this one: who copies it would blame the store."""
    try:
        yield
    except OSError as exc:
        raise StorageError(f"cannot read {file.name}: {exc.strerror}") from exc
