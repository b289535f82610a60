"""
What collections of a remote have condemned, and how others save from it what they need.

A list is changed by compare-and-swap only, so of who strikes something off and who begins to delete one is first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, cast

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.errors import Corrupt, Unavailable, UnknownFormat
from disdat.store.backend import Backend, KeyNotFound

FORMAT = 1
PREFIX = "gc/"
CONDEMNED, DELETING = "condemned", "deleting"
WAIT_S = 600.0
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Condemned:
    """The list of one collection: keys that wait, since a moment of the store's clock, to be deleted, or are being."""

    keys: frozenset[str]
    since_us: int
    deleting: bool = False

    def without(self, keys: Set[str]) -> Condemned:
        """The list less some keys."""
        return replace(self, keys=self.keys - keys)


def encode(condemned: Condemned) -> bytes:
    """The list as it is stored."""
    fields: dict[str, Json] = {
        "format": FORMAT,
        "state": DELETING if condemned.deleting else CONDEMNED,
        "since": condemned.since_us,
        "keys": sorted(condemned.keys),
    }
    return canonical.encode(fields) + b"\n"


def decode(where: str, data: bytes) -> Condemned:
    """The list :func:`encode` wrote; Corrupt if it is none, UnknownFormat if a later version wrote it."""
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(data))
        if fields["format"] != FORMAT:
            raise UnknownFormat(where, found=fields["format"], supported=FORMAT, hint="upgrade disdat")
        if fields["state"] not in {CONDEMNED, DELETING}:
            raise ValueError(f"it has the state {fields['state']!r}")
        keys = frozenset(map(str, fields["keys"]))
        return Condemned(keys, int(fields["since"]), fields["state"] == DELETING)
    except (KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{where} is damaged: {exc!r}", hint="`dsdt gc --remote` starts anew once it is deleted") from exc


def spare(
    backend: Backend, needed: Callable[[], Set[str]], *, sleep: Callable[[float], None] = time.sleep
) -> frozenset[str]:
    """
    Strike keys that are *needed* off all lists; returns those that were being deleted, and by now are.

    Whoever calls this has a lease. *needed* is asked only where there is a list.

    Raises:
        Unavailable: A collection has been deleting for :data:`WAIT_S`, and may have died: `dsdt gc --remote` goes on.
    """
    gone: frozenset[str] = frozenset()
    for listed in list(backend.list(PREFIX)):
        gone |= _spare(backend, listed.key, frozenset(needed()), sleep)
    return gone


def _spare(backend: Backend, key: str, needed: frozenset[str], sleep: Callable[[float], None]) -> frozenset[str]:
    end_s = time.monotonic() + WAIT_S
    hit: frozenset[str] = frozenset()
    while True:
        try:
            found = backend.get_versioned(key)
        except KeyNotFound:
            return hit
        condemned = decode(f"{backend.url}/{key}", found.data)
        hit = condemned.keys & needed
        if not hit:
            return frozenset()
        if not condemned.deleting:
            backend.put_if_match(key, encode(condemned.without(hit)), found.etag)
            continue  # what came of it is read
        if time.monotonic() > end_s:
            raise Unavailable(
                f"a collection has been deleting from {backend.url} for {WAIT_S:.0f} s",
                hint="`dsdt gc --remote` goes on where it stopped",
            )
        sleep(_POLL_S)
