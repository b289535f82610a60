"""Fetching: taking over what others published, without its bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from disdat.context import Context
from disdat.core import event
from disdat.core.event import Event
from disdat.ops import presence
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

    def receive(events: Sequence[Event], publications: Sequence[str]) -> None:
        uuids = list(dict.fromkeys(uuid for each in events for uuid in each.subjects))
        there.update(context.catalog.rows([uuid for uuid in uuids if uuid not in spoken_of]))
        spoken_of.update(dict.fromkeys(uuids))
        context.catalog.receive(events, note=_note(mirror, context, publications))

        presence.note_fetched(context, [each for each in events if each.kind == event.ADD])

    fetched = mirror.fetch(receive, progress=progress)
    now = context.catalog.rows(list(spoken_of))
    new = tuple(uuid for uuid in now if uuid not in there)
    gone = tuple(uuid for uuid in there if uuid not in now)
    return FetchResult(new, gone, fetched.publications, tuple(fetched.refused), time.monotonic() - started_s)


def _note(mirror: Mirror, context: Context, publications: Sequence[str]) -> event.Draft:
    assert context.binding is not None
    return event.Draft(event.FETCH, {"remote": context.binding.id, "publications": list(publications)})
