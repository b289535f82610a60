"""
Leases on a remote: who is pushing, so that collection leaves alone what is sent and not yet published.

A lease lives for a day after it was last written, by the store's clock; a push that takes longer writes it anew.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.places import lease_key
from disdat.errors import StorageError
from disdat.store.backend import Backend, Stored

LIVES_US = 24 * 3_600_000_000
"""So long after it was written a lease counts."""
RENEW_S = 3600.0
_PREFIX = "leases/"


class Lease:
    """The lease of one push; a context manager. Any thread may renew it."""

    def __init__(self, backend: Backend, *, writer: str, actor: str, now_us: Callable[[], int]) -> None:
        self._backend = backend
        self._now_us = now_us
        self._about: dict[str, Json] = {"format": 1, "writer": writer, "actor": actor, "host": socket.gethostname()}
        self._key = ""
        self._written_s = 0.0

    def __enter__(self) -> Self:
        started_us = self._now_us()
        self._key = lease_key(event.ulid(started_us))
        self._about["started"] = started_us
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StorageError):  # it ends by itself
            self._backend.delete(self._key)

    def renew(self) -> None:
        """Write it anew if it is an hour old."""
        if time.monotonic() - self._written_s > RENEW_S:
            self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        self._backend.put(self._key, canonical.encode(self._about) + b"\n")


def live(backend: Backend, *, now_us: int) -> list[Stored]:
    """The leases that count, at a moment of the store's clock."""
    return [each for each in backend.list(_PREFIX) if now_us - each.modified_us <= LIVES_US]
