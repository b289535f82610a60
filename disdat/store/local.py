"""A backend in a directory: each key a file, written under another name and given its own when it is durable."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from disdat.config import Settings
from disdat.core.checksum import Checksum
from disdat.durable import Disk, storage_errors
from disdat.errors import InvalidInput
from disdat.store.backend import (
    KeyNotFound,
    Piece,
    Progress,
    Stored,
    Versioned,
    check_key,
    check_parent,
    check_range,
    read_file,
)
from disdat.store.files import Directories, Staging

STAGING = ".disdat-staging"
"""The directory of files that are being written; no key begins with it."""
LOCK = "lock"
"""The file in it that is locked while a name is given to other bytes, so that compare-and-swap sees no change."""
LEFT_NS = 2 * 86_400 * 1_000_000_000
"""What nobody wrote to for so long its writer left there: it was killed, or sleeps, and will have to write it again."""
_READ_BYTES = 1 << 20

_Place = Callable[[Staging, Path, Path], str | None]
"""What gives a staged file its name, and returns its etag; None where something else is there than it expects."""


class LocalBackend:
    """
    Keeps :class:`disdat.store.backend.Backend`'s promises in a directory, which the first write makes.

    The file system must have hard links and flock, over all machines that write: they decide between writers.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self.root = root.absolute()
        self._disk = disk or Disk()
        self._directories = Directories(self.root)
        self._is_cleared = False

    @property
    def url(self) -> str:
        return "file://" + quote(os.fsencode(self.root))

    def get(self, key: str) -> bytes:
        return self.get_versioned(key).data

    def get_versioned(self, key: str) -> Versioned:
        with self._reading(key) as file:
            return Versioned(file.read(), _etag(os.fstat(file.fileno())))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get_ranges(key, [(offset, length)])[0]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        for each in ranges:
            check_range(*each)
        with self._reading(key) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            # Within the file: to read more than there is takes memory for all of it first.
            return [
                os.pread(file.fileno(), min(length, size_bytes - offset), offset) if offset < size_bytes else b""
                for offset, length in ranges
            ]

    def read_pieces(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        check_range(offset, length or 0)
        with self._reading(key) as file:
            left = os.fstat(file.fileno()).st_size - offset if length is None else length
            file.seek(offset)
            while left > 0 and (piece := file.read(min(left, _READ_BYTES))):
                left -= len(piece)
                yield piece

    def put(self, key: str, data: bytes) -> None:
        self._write(key, [data], self._replace)

    def put_file(self, key: str, file: BinaryIO, size_bytes: int, *, progress: Progress | None = None) -> None:
        self._write(key, read_file(file, size_bytes, progress), self._replace)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._write(key, [data], self._link) is not None

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        with suppress(KeyNotFound):
            if self.head(key).etag == etag:
                return self._write(key, [data], partial(self._swap, etag))
        return None

    def copy(self, source_key: str, target_key: str) -> None:
        self.head(source_key)
        self._write(target_key, self.read_pieces(source_key), self._replace)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        with storage_errors(f"list {self.url}"):
            for key, path in _walk(self.root, "", prefix):
                if key.startswith(prefix) and key > start_after:
                    try:
                        yield _stored(key, path.stat())
                    except FileNotFoundError:
                        continue  # deleted since its directory was read

    def list_below(self, prefix: str) -> Sequence[str]:
        with storage_errors(f"list {self.url}"):
            directory = self.root / check_parent(prefix)
            # A directory stays when the last file in it is deleted.
            return [
                key.removeprefix(prefix).rstrip("/")
                for key in _keys_in(directory, prefix)
                if not key.endswith("/") or any(_walk(self.root / key, key, key))
            ]

    def delete(self, key: str) -> None:
        path = self._path(key)
        with storage_errors(f"delete {key} in {self.url}"):
            if not path.is_file():
                return
            with self._locked(), suppress(FileNotFoundError):
                self._disk.unlink(path)
            self._disk.sync_dir(path.parent)

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def head(self, key: str) -> Stored:
        with storage_errors(f"read {key} in {self.url}"):
            try:
                found = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise KeyNotFound(key, self.url) from exc
        if stat.S_ISDIR(found.st_mode):
            raise KeyNotFound(key, self.url)
        return _stored(key, found)

    def checksum(self, key: str) -> Checksum | None:
        self.head(key)
        return None

    def signed_url(self, key: str, *, expires_s: int) -> str:
        raise InvalidInput(f"{self.url} has no URLs that others can read", hint="share from a remote in the cloud")

    @contextmanager
    def _reading(self, key: str) -> Iterator[BinaryIO]:
        with storage_errors(f"read {key} in {self.url}"):
            try:
                file = self._path(key).open("rb", buffering=0)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                raise KeyNotFound(key, self.url) from exc
            with file:
                yield file

    def _write(self, key: str, pieces: Iterable[Piece], place: _Place) -> str | None:
        target = self._path(key)
        staging = Staging(self.root / STAGING, disk=self._disk)
        changed = self._directories.change(self._disk)
        with storage_errors(f"write {key} in {self.url}"):
            try:
                changed.enter(target.parent)
                path, file = staging.create()
                self._clear_left(path)
                with file:
                    for piece in pieces:
                        self._disk.write(file, piece)
                    self._disk.sync(file)
                etag = place(staging, path, target)
                changed.sync()
            finally:
                staging.discard_all()
        return etag

    def _clear_left(self, new: Path) -> None:
        """Once, remove what writers left; its age is told by a *new* file, as the disk may have another clock."""
        if self._is_cleared:
            return
        self._is_cleared = True
        now_ns = new.stat().st_mtime_ns
        with os.scandir(new.parent) as entries:
            names = [entry.name for entry in entries if entry.name != LOCK]
        for name in names:
            with suppress(OSError):  # it has its name by now, or is another user's
                if now_ns - (new.parent / name).stat().st_mtime_ns > LEFT_NS:
                    self._disk.unlink(new.parent / name)

    def _replace(self, staging: Staging, path: Path, target: Path) -> str:
        etag = _etag(path.stat())
        with self._locked():
            staging.publish(path, target)
        return etag

    def _link(self, _: Staging, path: Path, target: Path) -> str | None:
        try:
            self._disk.link(path, target)
        except FileExistsError:
            return None
        return _etag(path.stat())

    def _swap(self, expected: str, staging: Staging, path: Path, target: Path) -> str | None:
        with self._locked():
            try:
                there = target.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if _etag(there) != expected:
                return None
            # Inodes are used again: with a time that only rises, no etag is.
            self._disk.set_mtime(path, max(path.stat().st_mtime_ns, there.st_mtime_ns + 1000))
            etag = _etag(path.stat())
            staging.publish(path, target)
        return etag

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock for the block; of one process, threads too wait for each other."""
        path = self.root / STAGING / LOCK
        self._disk.mkdir(path.parent)
        with self._disk.open_append(path) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            yield

    def _path(self, key: str) -> Path:
        if check_key(key).partition("/")[0] == STAGING:
            raise InvalidInput(f"not a key: {key!r}", hint=f"{STAGING} is where files are written")
        return self.root / key


def open_url(url: str, _: Settings | None = None) -> LocalBackend:
    """The backend of ``file:///directory``."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
        raise InvalidInput(f"cannot open {url!r}", hint="file:///directory names a directory of this machine")
    return LocalBackend(Path(os.fsdecode(unquote(parts.path))))


def _walk(directory: Path, above: str, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the files below a directory in the order of their keys, leaving out what cannot have the prefix."""
    for key in _keys_in(directory, above):
        path = directory / key[len(above) :]
        if not key.endswith("/"):
            yield key, path
        elif key.startswith(prefix) or prefix.startswith(key):
            yield from _walk(path, key, prefix)


def _keys_in(directory: Path, above: str) -> list[str]:
    """The keys of the files of a directory, and of its directories with a ``/``: what sorts as what is below does."""
    try:
        with os.scandir(directory) as entries:
            return sorted(
                above + entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
                if above or entry.name != STAGING
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stored(key: str, found: os.stat_result) -> Stored:
    return Stored(key, found.st_size, found.st_mtime_ns // 1000, _etag(found))


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
