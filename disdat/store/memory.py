"""A backend in memory, for tests: gone with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from disdat.store.backend import KeyNotFound, Stored, check_key

_SCHEME = "memory://"


class MemoryBackend:
    """Keeps :class:`disdat.store.backend.Backend`'s promises, but for outliving its process."""

    def __init__(self, name: str = "") -> None:
        self.url = _SCHEME + name
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[bytes, int]] = {}

    def get(self, key: str) -> bytes:
        return self._find(key)[0]

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get(key)[offset : offset + length]

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._kept[check_key(key)] = bytes(data), time.time_ns() // 1000

    def put_if_absent(self, key: str, data: bytes) -> bool:
        new = bytes(data), time.time_ns() // 1000
        with self._lock:
            return self._kept.setdefault(check_key(key), new) is new

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        with self._lock:
            kept = dict(self._kept)
        # Code points sort as their UTF-8 does.
        for key in sorted(kept):
            if key.startswith(prefix) and key > start_after:
                yield Stored(key, len(kept[key][0]), kept[key][1])

    def delete(self, key: str) -> None:
        with self._lock:
            self._kept.pop(check_key(key), None)

    def head(self, key: str) -> Stored:
        data, modified_us = self._find(key)
        return Stored(key, len(data), modified_us)

    def _find(self, key: str) -> tuple[bytes, int]:
        found = self._kept.get(check_key(key))
        if found is None:
            raise KeyNotFound(key, self.url)
        return found


_OPEN: dict[str, MemoryBackend] = {}


def open_url(url: str) -> MemoryBackend:
    """The backend of ``memory://name``, the same one for all of the process who ask for that name."""
    name = url.removeprefix(_SCHEME)
    return _OPEN.setdefault(name, MemoryBackend(name))
