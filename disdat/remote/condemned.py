"""
What collections of a remote have condemned, and how others save from it what they need.

A list is changed by compare-and-swap only, so of who strikes something off and who begins to delete one is first. How a
list goes on from being made to being removed is in :mod:`disdat.remote.collecting`.
"""  # fmt: skip

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.errors import Corrupt, Unavailable, UnknownFormat
from disdat.store.backend import Backend, KeyNotFound

FORMAT = 1
PREFIX = "gc/"
CONDEMNED, DELETING = "condemned", "deleting"
WAIT_S = 600.0
_POLL_S = 0.5
_KEY = re.compile(rf"{PREFIX}[0-9A-HJKMNP-TV-Z]{{26}}\.json")


@dataclass(frozen=True, slots=True)
class Condemned:
    """The list of one collection: keys that wait to be deleted, or are being."""

    keys: frozenset[str]
    since_us: int | None = None
    """Since when all who push can know of it, by the store's clock; None while that is not known."""
    leases: frozenset[str] = frozenset()
    """The keys of the leases there were then: of pushes that may not know of it."""
    by: str = ""
    """Who changed it last, where a collection did."""
    until_us: int | None = None
    """Who deletes is done by then, by the store's clock, or takes another turn; None while nobody deletes."""

    @property
    def deleting(self) -> bool:
        """Whether somebody deletes, or did, and died."""
        return self.until_us is not None

    def without(self, keys: Set[str]) -> Condemned:
        """The list less some keys."""
        return replace(self, keys=self.keys - keys)


class Listed(NamedTuple):
    """A list, its key, and which version of it this is."""

    key: str
    condemned: Condemned
    etag: str


@dataclass(frozen=True, slots=True)
class Spared:
    """What came of asking all lists for what is needed."""

    gone: frozenset[str]
    """What was being deleted, and by now is."""
    lists: frozenset[str]
    """The keys of the lists that are still there, and have nothing that is needed."""


def encode(condemned: Condemned) -> bytes:
    """The list as it is stored."""
    fields: dict[str, Json] = {
        "format": FORMAT,
        "state": DELETING if condemned.deleting else CONDEMNED,
        "keys": sorted(condemned.keys),
    }
    if condemned.since_us is not None:
        fields |= {"since": condemned.since_us, "leases": sorted(condemned.leases)}
    if condemned.by:
        fields["by"] = condemned.by
    if condemned.until_us is not None:
        fields["until"] = condemned.until_us
    return canonical.encode(fields) + b"\n"


def decode(where: str, data: bytes) -> Condemned:
    """The list :func:`encode` wrote; Corrupt if it is none, UnknownFormat if a later version wrote it."""
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(data))
        if fields["format"] != FORMAT:
            raise UnknownFormat(where, found=fields["format"], supported=FORMAT, hint="upgrade disdat")
        if fields["state"] not in {CONDEMNED, DELETING}:
            raise ValueError(f"it has the state {fields['state']!r}")
        until = int(fields["until"]) if fields["state"] == DELETING else None
        since = fields.get("since")
        keys, leases = (frozenset(map(str, fields.get(name, ()))) for name in ("keys", "leases"))
        return Condemned(keys, None if since is None else int(since), leases, str(fields.get("by", "")), until)
    except (KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{where} is damaged: {exc!r}", hint="`dsdt gc --remote` starts anew once it is deleted") from exc


def listed(backend: Backend) -> Iterator[Listed]:
    """Yield all lists there are, in order of their ids; raises what :func:`decode` does."""
    for each in list(backend.list(PREFIX)):
        if _KEY.fullmatch(each.key) and (found := read(backend, each.key)) is not None:
            yield found


def read(backend: Backend, key: str) -> Listed | None:
    """The list under a key; None where there is none."""
    try:
        found = backend.get_versioned(key)
    except KeyNotFound:
        return None
    return Listed(key, decode(f"{backend.url}/{key}", found.data), found.etag)


def there(backend: Backend) -> frozenset[str]:
    """
    The keys of the lists there are, but for those with nothing in them.

    What is on a list that is made later is not deleted while a lease lives that was there before.
    """
    return frozenset(each.key for each in listed(backend) if each.condemned.keys)


def spare(backend: Backend, needed: Callable[[], Set[str]], *, sleep: Callable[[float], None] = time.sleep) -> Spared:
    """
    Strike keys that are *needed* off all lists, and wait until those that were being deleted are.

    Whoever calls this has a lease. *needed* is asked only where there is a list.

    Raises:
        Unavailable: A collection has been deleting for :data:`WAIT_S`, and may have died: `dsdt gc --remote` goes on.
    """
    gone: frozenset[str] = frozenset()
    lists: set[str] = set()
    for each in listed(backend):
        hit, is_left = _spare(backend, each, frozenset(needed()), sleep)
        gone |= hit
        if is_left:
            lists.add(each.key)
    return Spared(gone, frozenset(lists))


def _spare(
    backend: Backend, found: Listed, needed: frozenset[str], sleep: Callable[[float], None]
) -> tuple[frozenset[str], bool]:
    """What of a list was being deleted, and whether there is something left in it."""
    end_s = time.monotonic() + WAIT_S
    hit: frozenset[str] = frozenset()
    look: Listed | None = found
    while look is not None:
        if not (now_hit := look.condemned.keys & needed):
            return hit, bool(look.condemned.keys)
        if not look.condemned.deleting:
            backend.put_if_match(look.key, encode(look.condemned.without(now_hit)), look.etag)
        else:
            hit |= now_hit
            if time.monotonic() > end_s:
                raise Unavailable(
                    f"a collection has been deleting from {backend.url} for {WAIT_S:.0f} s",
                    hint="`dsdt gc --remote` goes on where it stopped",
                )
            sleep(_POLL_S)
        look = read(backend, found.key)  # what came of it
    return hit, False
