"""
Leases on a remote: who is pushing, so that collection leaves alone what is sent and not yet published.

A lease lives for a day after it was last written, by the store's clock; a push that takes longer writes it anew. What
is published under a lease counts only if it is stored while that lives: who slept longer has to plan anew.
"""

from __future__ import annotations

import re
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
MARGIN_US = 300_000_000
"""So much earlier its holder counts on it no more: stores tell the time to the second only."""
RENEW_S = 3600.0
PREFIX = "leases/"
_KEY = re.compile(rf"{PREFIX}[0-9A-HJKMNP-TV-Z]{{26}}\.json")


class Lease:
    """The lease of one push; a context manager. Any thread may renew it."""

    def __init__(self, backend: Backend, *, writer: str, actor: str, now_us: Callable[[], int]) -> None:
        self._backend = backend
        self._now_us = now_us
        self._about: dict[str, Json] = {"format": 1, "writer": writer, "actor": actor, "host": socket.gethostname()}
        self._key = ""
        self._written_s = 0.0
        self._outlives = False
        self.stored_us = 0
        """When it was last written, by the store's clock."""
        self.ends_us = 0
        """When its holder may count on it no more, by the store's clock."""

    def __enter__(self) -> Self:
        started_us = self._now_us()
        self._key = lease_key(event.ulid(started_us))
        self._about["started"] = started_us
        self._write()
        self.ends_us = self.stored_us + LIVES_US - MARGIN_US
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._outlives:
            with suppress(StorageError):  # it ends by itself
                self._backend.delete(self._key)

    def renew(self) -> None:
        """Write it anew if it is an hour old, unless it ended before."""
        if time.monotonic() - self._written_s > RENEW_S:
            ended_us = self.ends_us
            self._write()
            if self.stored_us < ended_us:
                self.ends_us = self.stored_us + LIVES_US - MARGIN_US

    def outlive(self) -> None:
        """From now on something is on its way that counts on it: if it fails, nobody knows whether it arrives yet."""
        self._outlives = True

    def finish(self) -> None:
        """All that counts on it has arrived."""
        self._outlives = False

    def _write(self) -> None:
        self._written_s = time.monotonic()
        self._backend.put(self._key, canonical.encode(self._about) + b"\n")
        self.stored_us = self._backend.head(self._key).modified_us


def live(backend: Backend, *, now_us: int) -> list[Stored]:
    """The leases that count, at a moment of the store's clock."""
    found = [each for each in backend.list(PREFIX) if _KEY.fullmatch(each.key)]
    return [each for each in found if now_us - each.modified_us <= LIVES_US]


def ended(backend: Backend, *, now_us: int) -> list[Stored]:
    """Those that were left behind, and ended long ago; and what was written there to try what the store can do."""
    return [each for each in backend.list(PREFIX) if now_us - each.modified_us > 2 * LIVES_US]
