"""A backend in a directory: each key a file, written under another name and given its own when it is durable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from disdat.durable import Disk, storage_errors
from disdat.errors import InvalidInput
from disdat.store.backend import KeyNotFound, Stored, check_key
from disdat.store.files import Directories, Staging

STAGING = ".disdat-staging"
"""The directory of files that are being written; no key begins with it."""


class LocalBackend:
    """
    Keeps :class:`disdat.store.backend.Backend`'s promises in a directory, which the first write makes.

    The file system must have hard links: they are what decides between writers.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self.root = root.absolute()
        self._disk = disk or Disk()
        self._directories = Directories(self.root)

    @property
    def url(self) -> str:
        return "file://" + quote(os.fsencode(self.root))

    def get(self, key: str) -> bytes:
        with storage_errors(f"read {key} in {self.url}"):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                raise KeyNotFound(key, self.url) from exc

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        with storage_errors(f"read {key} in {self.url}"):
            try:
                with self._path(key).open("rb", buffering=0) as file:
                    return os.pread(file.fileno(), length, offset)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                raise KeyNotFound(key, self.url) from exc

    def put(self, key: str, data: bytes) -> None:
        self._write(key, data, self._replace)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._write(key, data, self._link)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        with storage_errors(f"list {self.url}"):
            for key, path in _walk(self.root, "", prefix):
                if key.startswith(prefix) and key > start_after:
                    try:
                        yield _stored(key, path.stat())
                    except FileNotFoundError:
                        continue  # deleted since its directory was read

    def delete(self, key: str) -> None:
        path = self._path(key)
        with storage_errors(f"delete {key} in {self.url}"):
            try:
                self._disk.unlink(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            self._disk.sync_dir(path.parent)

    def head(self, key: str) -> Stored:
        with storage_errors(f"read {key} in {self.url}"):
            try:
                found = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise KeyNotFound(key, self.url) from exc
        if stat.S_ISDIR(found.st_mode):
            raise KeyNotFound(key, self.url)
        return _stored(key, found)

    def _write(self, key: str, data: bytes, place: Callable[[Staging, Path, Path], bool]) -> bool:
        target = self._path(key)
        staging = Staging(self.root / STAGING, disk=self._disk)
        changed = self._directories.change(self._disk)
        with storage_errors(f"write {key} in {self.url}"):
            try:
                changed.enter(target.parent)
                path, file = staging.create()
                with file:
                    self._disk.write(file, data)
                    self._disk.sync(file)
                written = place(staging, path, target)
                changed.sync()
            finally:
                staging.discard_all()
        return written

    @staticmethod
    def _replace(staging: Staging, path: Path, target: Path) -> bool:
        staging.publish(path, target)
        return True

    def _link(self, _: Staging, path: Path, target: Path) -> bool:
        try:
            self._disk.link(path, target)
        except FileExistsError:
            return False
        return True

    def _path(self, key: str) -> Path:
        if check_key(key).partition("/")[0] == STAGING:
            raise InvalidInput(f"not a key: {key!r}", hint=f"{STAGING} is where files are written")
        return self.root / key


def open_url(url: str) -> LocalBackend:
    """The backend of ``file:///directory``."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
        raise InvalidInput(f"cannot open {url!r}", hint="file:///directory names a directory of this machine")
    return LocalBackend(Path(os.fsdecode(unquote(parts.path))))


def _walk(directory: Path, above: str, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the files below a directory in the order of their keys, leaving out what cannot have the prefix."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    # A directory sorts by what follows its name in a key.
    named = sorted((above + entry.name + ("/" if entry.is_dir() else ""), entry) for entry in _ours(entries, above))
    for key, entry in named:
        if not key.endswith("/"):
            yield key, directory / entry.name
        elif key.startswith(prefix) or prefix.startswith(key):
            yield from _walk(directory / entry.name, key, prefix)


def _ours(entries: list[os.DirEntry[str]], above: str) -> list[os.DirEntry[str]]:
    return [entry for entry in entries if above or entry.name != STAGING]


def _stored(key: str, found: os.stat_result) -> Stored:
    return Stored(key, found.st_size, found.st_mtime_ns // 1000)
