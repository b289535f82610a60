"""Fetching: taking over what others published, without its bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from disdat.catalog import history
from disdat.context import Context
from disdat.core import event
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.core.places import object_key
from disdat.ops import pending, presence
from disdat.ops.uncollected import uncollected
from disdat.remote import transfer
from disdat.remote.mirror import Mirror, Refused

Progress = Callable[[int, int], None]
"""Is told how many publications of how many were read."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch brought: the bundles that are new here, those that are gone, and what could not be used."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    publications: int
    refused: tuple[Refused, ...]
    seconds: float


def fetch(context: Context, *, progress: Progress | None = None) -> FetchResult:
    """
    Take over what was published since the last fetch; no bytes of values and files are moved.

    Raises:
        NotConfigured: The context has no remote.
        Unavailable: The remote does not answer; what was taken over so far stays.
        Conflict: Another store is where the remote was.
    """
    with context.remote.mirror() as mirror:
        return into(context, mirror, progress=progress)


def into(context: Context, mirror: Mirror, *, progress: Progress | None = None) -> FetchResult:
    """As :func:`fetch`, for who has the mirror."""
    context.home.ensure()
    started_s = time.monotonic()
    spoken_of: dict[str, None] = {}
    there: set[str] = set()
    lost: dict[Digest, Refused] = {}

    def receive(events: Sequence[Event], publications: Sequence[str]) -> None:
        adds = [each for each in events if each.kind == event.ADD]
        lost.update(_bring_manifests(context, mirror, adds))
        uuids = [uuid for uuid in _subjects(context, events) if uuid not in spoken_of]
        there.update(context.catalog.present(uuids))
        spoken_of.update(dict.fromkeys(uuids))
        if context.catalog.receive(events, note=note_of(context, publications)) < len(events):
            pending.note_repeated(context)
        presence.note_fetched(context, adds)

    with uncollected():
        fetched = mirror.fetch(receive, progress=progress)
    spoken_of.update(dict.fromkeys(_heal(context, mirror, lost)))
    now = dict.fromkeys(context.catalog.present(list(spoken_of)))
    new = tuple(uuid for uuid in now if uuid not in there)
    gone = tuple(uuid for uuid in there if uuid not in now)
    refused = (*fetched.refused, *lost.values())
    return FetchResult(new, gone, fetched.publications, refused, time.monotonic() - started_s)


def _subjects(context: Context, events: Sequence[Event]) -> list[str]:
    """The bundles that events speak of, be it by undoing what is known here."""
    found = dict.fromkeys(uuid for each in events for uuid in each.subjects)
    if undone := [key for each in events for key in each.undoes]:
        found |= dict.fromkeys(history.ask(context.catalog, lambda of: sorted(of.spoken_of(of.same_write(undone)))))
    return list(found)


def _bring_manifests(context: Context, mirror: Mirror, adds: Sequence[Event]) -> dict[Digest, Refused]:
    """Have the manifests here that are objects: nothing is known of a bundle without. Those that are not to be had."""
    wanted = {_manifest(each) for each in adds if "body" not in each.payload}
    absent = wanted - context.home.store.has_many(wanted)
    if not absent:
        return {}
    loads = transfer.loads(mirror.known.places(absent))
    received = transfer.receive(mirror.backend, context.home.store, loads, progress=lambda _: None)
    keys = {digest: load.key for load in loads for digest, _ in load.wanted}
    why = {digest: str(received.left.get(digest, "nobody published it")) for digest in absent}
    left = (absent - keys.keys()) | received.left.keys()
    return {digest: Refused(keys.get(digest, object_key(digest)), f"a manifest: {why[digest]}") for digest in left}


def _heal(context: Context, mirror: Mirror, lost: dict[Digest, Refused]) -> list[str]:
    """Those bundles whose manifests were missing until now and are here; of the others, *lost* gets why."""
    unread = context.catalog.unreadable()
    if not unread:
        return []
    about = context.catalog.about(list(unread))
    adds = [each for each in about if each.kind == event.ADD and "body" not in each.payload]
    manifests = {uuid: _manifest(each) for each in adds for uuid in each.subjects if uuid in unread}
    lost.update(_bring_manifests(context, mirror, [each for each in adds if _manifest(each) not in lost]))
    here = context.home.store.has_many(manifests.values())
    healed = [uuid for uuid, digest in manifests.items() if digest in here]
    if healed:
        context.catalog.reread(healed)
    return healed


def _manifest(add: Event) -> Digest:
    return Digest.parse(str(add.payload["manifest"]))


def note_of(context: Context, publications: Sequence[str]) -> event.Draft:
    """What says in the log that the events after it were fetched."""
    assert context.binding is not None
    return event.Draft(event.FETCH, {"remote": context.binding.id, "publications": list(publications)})
