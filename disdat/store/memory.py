"""A backend in memory, for tests: gone with the process."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from disdat.config import Settings
from disdat.core.checksum import Checksum
from disdat.errors import InvalidInput
from disdat.store.backend import (
    PIECE_BYTES,
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

_SCHEME = "memory://"


class MemoryBackend:
    """Keeps :class:`disdat.store.backend.Backend`'s promises, but for outliving its process."""

    def __init__(self, name: str = "") -> None:
        self.url = _SCHEME + name
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[bytes, int, str]] = {}
        self._versions = itertools.count(1)

    def get(self, key: str) -> bytes:
        return self._find(key)[0]

    def get_versioned(self, key: str) -> Versioned:
        data, _, etag = self._find(key)
        return Versioned(data, etag)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        check_range(offset, length)
        return self.get(key)[offset : offset + length]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        return [self.get_range(key, offset, length) for offset, length in ranges]

    def read_pieces(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        check_range(offset, length or 0)
        data = memoryview(self.get(key))[offset:][:length]
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]

    def put(self, key: str, data: bytes) -> None:
        new = self._new(data)
        with self._lock:
            self._kept[check_key(key)] = new

    def put_file(self, key: str, file: BinaryIO, size_bytes: int, *, progress: Progress | None = None) -> None:
        check_key(key)
        self.put(key, b"".join(read_file(file, size_bytes, progress)))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        new = self._new(data)
        with self._lock:
            return self._kept.setdefault(check_key(key), new) is new

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        new = self._new(data)
        with self._lock:
            there = self._kept.get(check_key(key))
            if there is None or there[2] != etag:
                return None
            self._kept[key] = new
        return new[2]

    def copy(self, source_key: str, target_key: str) -> None:
        self.put(target_key, self.get(source_key))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        with self._lock:
            kept = dict(self._kept)
        # Code points sort as their UTF-8 does.
        for key in sorted(kept):
            if key.startswith(prefix) and key > start_after:
                yield _stored(key, *kept[key])

    def list_below(self, prefix: str) -> Sequence[str]:
        start = len(check_parent(prefix))
        with self._lock:
            return sorted({key[start:].partition("/")[0] for key in self._kept if key.startswith(prefix)})

    def delete(self, key: str) -> None:
        with self._lock:
            self._kept.pop(check_key(key), None)

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def head(self, key: str) -> Stored:
        return _stored(key, *self._find(key))

    def checksum(self, key: str) -> Checksum | None:
        self._find(key)
        return None

    def signed_url(self, key: str, *, expires_s: int) -> str:
        raise InvalidInput(f"{self.url} has no URLs that others can read", hint="share from a remote in the cloud")

    def _new(self, data: bytes) -> tuple[bytes, int, str]:
        return bytes(data), time.time_ns() // 1000, str(next(self._versions))

    def _find(self, key: str) -> tuple[bytes, int, str]:
        found = self._kept.get(check_key(key))
        if found is None:
            raise KeyNotFound(key, self.url)
        return found


_OPEN: dict[str, MemoryBackend] = {}


def open_url(url: str, _: Settings | None = None) -> MemoryBackend:
    """The backend of ``memory://name``, the same one for all of the process who ask for that name."""
    name = url.removeprefix(_SCHEME)
    return _OPEN.setdefault(name, MemoryBackend(name))


def _stored(key: str, data: bytes, modified_us: int, etag: str) -> Stored:
    return Stored(key, len(data), modified_us, etag)
