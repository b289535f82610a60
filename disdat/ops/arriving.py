"""The bundles that are there for others only once events are published: what they need must be there by then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from disdat.catalog import history, index
from disdat.context import Context
from disdat.core import event, manifest
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.event import Event


@dataclass(frozen=True, slots=True)
class Arriving:
    """Bundles, and those of their manifests that are objects."""

    bundles: tuple[Bundle, ...]
    manifests: frozenset[Digest]


def by(context: Context, events: Sequence[Event]) -> Arriving:
    """
    The bundles that events add or bring back; of one of these, what was removed with it comes back with it.

    Raises:
        ObjectNotFound, DigestMismatch: A manifest is not here, or damaged.
    """
    found = list(_manifests(context, _uuids(context, events)).values())
    known = context.remote.known.published([add.write_key for add, _ in found])
    known |= {each.write_key for each in events}
    found = [(add, data) for add, data in found if add.write_key in known]
    objects = frozenset(_named(add) for add, _ in found if "body" not in add.payload)
    return Arriving(tuple(manifest.decode(data) for _, data in found), objects)


def _uuids(context: Context, events: Iterable[Event]) -> list[str]:
    found: dict[str, None] = {}
    undone: list[str] = []
    for each in events:
        if each.kind in (event.ADD, event.RESTORE):
            found |= dict.fromkeys(each.subjects)
        undone += each.undoes
    if undone:  # be it here or not: what is removed here only, comes back for others
        found |= dict.fromkeys(history.ask(context.catalog, lambda of: sorted(of.spoken_of(of.same_write(undone)))))
    return list(found)


def _manifests(context: Context, uuids: Sequence[str]) -> Mapping[str, tuple[Event, bytes]]:
    """What added bundles, be they here or not, and their manifests."""
    found = {uuid: (each.event, each.data) for uuid, each in context.catalog.added(uuids).items()}
    gone = [uuid for uuid in uuids if uuid not in found]
    for each in _adding(context, gone) if gone else ():
        data = index.verified_manifest(_named(each), each, context.home.store.read)
        found[each.subjects[0]] = each, data
    return found


def _adding(context: Context, uuids: Sequence[str]) -> list[Event]:
    events = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    return [each for each in events if each.kind == event.ADD and each.subjects[0] in uuids]


def _named(add: Event) -> Digest:
    return Digest.parse(str(add.payload["manifest"]))
