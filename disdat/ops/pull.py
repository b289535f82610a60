"""Pulling: having here what others published, and its bytes where they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from disdat.catalog import history
from disdat.catalog.history import History
from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import event, similar
from disdat.core.bundle import NOTHING
from disdat.core.event import Event
from disdat.errors import BundleNotFound
from disdat.ops import fetching, find, holding, localizing, presence, runs
from disdat.ops.fetching import FetchResult
from disdat.ops.localizing import Localized, Progress
from disdat.remote import transfer
from disdat.remote.known import Presence

_NAMED = 2000
"""Among so many bundles one is looked for that may have been meant."""


@dataclass(frozen=True, slots=True)
class PullResult:
    """What a pull brought: the bundles that were meant, those of which bytes came, and what the fetch before found."""

    rows: tuple[Row, ...]
    localized: tuple[Row, ...]
    objects: int
    bytes_received: int
    fetched: FetchResult
    seconds: float


def pull(
    context: Context,
    name: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    every_version: bool = False,
    with_bytes: bool = False,
    progress: Progress | None = None,
    jobs: int = transfer.JOBS,
) -> PullResult:
    """
    Fetch; of the newest bundle of a name, *every_version* of it, or all, if none is named, *with_bytes* the bytes too.

    Without them, they come when they are first asked for. A bundle that is named, and was removed here, is there again.

    Raises:
        BundleNotFound: The remote has none; the message says what it has.
        As :func:`disdat.ops.fetching.fetch` and :func:`disdat.ops.localizing.localize`.
    """
    context.check_is_now()
    started_s = time.monotonic()
    fetched = fetching.fetch(context)
    if name is None and uuid is None and not tags:
        rows = list(context.catalog.rows(fetched.new).values())
        wanted = find.search(context, Filter()) if with_bytes else []
    else:
        rows = _named(context, name, uuid, tags, every_version=every_version)
        wanted = rows if with_bytes else []
    here = presence.of_rows(context, [row.uuid for row in wanted])
    absent = [row for row in wanted if here[row.uuid] is not Presence.LOCAL]
    localized = localizing.localize(context, absent, progress=progress, jobs=jobs) if absent else Localized((), 0, 0, 0)
    return PullResult(
        tuple(rows),
        localized.bundles,
        localized.objects,
        localized.bytes_received,
        fetched,
        time.monotonic() - started_s,
    )


def _named(
    context: Context, name: str | None, uuid: str | None, tags: Mapping[str, str], *, every_version: bool
) -> list[Row]:
    """The bundles that are meant; what was removed here, and not for all, is there again."""
    _restore(context, name, uuid)
    versions = find.select(context, name, uuid=uuid, tags=tags, which=find.Which.ALL)
    if every_version:
        found = published(context, versions)
    else:  # the latest may be one that was never pushed
        found = published(context, versions[:1]) or published(context, versions)[:1]
    if not found:
        raise not_there(context, name, uuid)
    return found


def published(context: Context, rows: Sequence[Row]) -> list[Row]:
    """Those of some bundles that are on the remote, as far as is known here."""
    missing = holding.unpublished(context, [row.uuid for row in rows])
    return [row for row in rows if row.uuid not in missing]


def not_there(context: Context, name: str | None, uuid: str | None, also_there: Iterable[str] = ()) -> BundleNotFound:
    """What to raise where nothing that was fetched, or is *also_there*, is named so."""
    meant = repr(name if name is not None else uuid) if name is not None or uuid is not None else "with these tags"
    names = sorted({*_published_names(context), *also_there})
    there = similar.closest(name, names) if name else None
    hint = f"did you mean {there!r}?" if there else _what_is_there(names)
    return BundleNotFound(f"{_where(context)} has no bundle {meant}", hint=hint)


def _published_names(context: Context) -> set[str]:
    """The names of what is on the remote, as far as is known here; of much, the newest."""
    return {row.name for row in published(context, find.search(context, Filter(committed=True, limit=_NAMED)))}


def _restore(context: Context, name: str | None, uuid: str | None) -> None:
    """Let removals count no more that were made here, of bundles that are still published."""
    if uuids := removed_here(context, name, uuid):
        context.catalog.commit([event.restored(sorted(uuids))], actor=runs.actor())


def removed_here(context: Context, name: str | None, uuid: str | None) -> set[str]:
    """The bundles so named that were removed here, and are still published."""
    known = context.remote.known

    def removed(of: History) -> dict[str, list[Event]]:
        gone = of.gone(uuid or "")
        names = of.names(gone) if name is not None else {}
        meant = [each for each in gone if each == uuid or (name is not None and names.get(each) == name)]
        return {each: list(of.events(of.about([each]))) for each in meant}

    about = history.ask(context.catalog, removed)
    return {each for each, events in about.items() if _was_removed_here(events, known.published)}


def _was_removed_here(events: Iterable[Event], published: Callable[[Sequence[str]], Set[str]]) -> bool:
    """Whether what others know of a bundle is that it is there."""
    counting = event.valid(events)
    theirs = published([each.write_key for each in counting])
    known = [each.kind for each in counting if each.write_key in theirs]
    return event.ADD in known and event.REMOVE not in known


def _what_is_there(names: Sequence[str]) -> str:
    if not names:
        return "nothing is published there yet"
    shown = ", ".join(names[:5])
    return f"it has {shown}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _where(context: Context) -> str:
    assert context.binding is not None
    return f"the remote context {context.binding.name} at {context.binding.url}"
