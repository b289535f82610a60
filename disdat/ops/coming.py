"""What a pull would bring: found out on the remote, and nothing of it taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from disdat.catalog import history
from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import event, manifest
from disdat.core.bundle import NOTHING, Bundle
from disdat.core.digest import Digest
from disdat.core.event import BundleState, Event
from disdat.ops import find, presence, pull
from disdat.remote.known import Presence


@dataclass(frozen=True, slots=True)
class Coming:
    """A bundle a pull is about. Of one whose manifest is an object that is not here, name and size are not known."""

    uuid: str
    name: str | None
    made_us: int
    size_bytes: int | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What a pull would do: the bundles it is about, and how many objects of how many bytes would come, if known."""

    bundles: tuple[Coming, ...]
    objects: int
    bytes_wanted: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A bundle as it will be known, with what names its objects."""

    coming: Coming
    bundle: Bundle | None
    tags: Mapping[str, str]


def plan(
    context: Context,
    name: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    every_version: bool = False,
    with_bytes: bool = False,
) -> PullPlan:
    """
    What :func:`disdat.ops.pull.pull` would do; reads what was published since, and changes nothing.

    Raises:
        As that does, also where what is named is not there.
    """
    context.check_is_now()
    with context.remote.mirror() as mirror:
        published = [each for stored in mirror.unread() for each in stored.publication.said.events]
    new = list(_new(context, published, pull.removed_here(context, name, uuid)))
    if name is None and uuid is None and not tags:
        return _plan(context, new, _absent_here(context) if with_bytes else [], with_bytes=with_bytes)
    here = _here(context, Filter(name=name, uuid=uuid, tags=tags))
    meant = [each for each in new if _matches(each, name, uuid, tags)] + here
    if not meant:
        raise pull.not_there(context, name, uuid, [each.coming.name or "" for each in new])
    newest = sorted(meant, key=lambda each: (each.coming.made_us, each.coming.uuid), reverse=True)
    return _plan(context, newest if every_version else newest[:1], [], with_bytes=with_bytes)


def _new(context: Context, published: Sequence[Event], restored: Set[str]) -> Iterable[_Found]:
    """Yield what will be there and is not, the newest first."""
    uuids = {uuid for each in published for uuid in each.subjects} | restored
    ours = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    counting = [each for each in ours if each.kind != event.REMOVE or not restored >= set(each.subjects)]
    states = event.fold([*counting, *published])
    here = context.catalog.rows(list(states))
    for state in sorted(states.values(), key=lambda each: (each.made_us, each.uuid), reverse=True):
        if state.uuid not in here:
            yield _found(state)


def _found(state: BundleState) -> _Found:
    bundle = None if state.body is None else manifest.decode(state.body)
    name = state.name if bundle is None or state.name is not None else bundle.name
    size_bytes = None if bundle is None else bundle.size_bytes
    coming = Coming(state.uuid, name, state.made_us, size_bytes, is_new=True)
    return _Found(coming, bundle, state.tags({} if bundle is None else bundle.tags))


def _here(context: Context, wanted: Filter) -> list[_Found]:
    """The bundles that are known here, and on the remote."""
    return [_known(row) for row in pull.published(context, find.search(context, wanted))]


def _absent_here(context: Context) -> list[_Found]:
    """The bundles that are known here, and whose bytes are not."""
    rows = find.search(context, Filter())
    states = presence.of_rows(context, [row.uuid for row in rows])
    return [_known(row) for row in rows if states[row.uuid] is not Presence.LOCAL]


def _known(row: Row) -> _Found:
    return _Found(Coming(row.uuid, row.name, row.made_us, row.size_bytes, is_new=False), None, row.tags)


def _matches(found: _Found, name: str | None, uuid: str | None, tags: Mapping[str, str]) -> bool:
    named = name is None or found.coming.name == name
    return named and uuid in {None, found.coming.uuid} and tags.items() <= found.tags.items()


def _plan(context: Context, meant: Sequence[_Found], others: Sequence[_Found], *, with_bytes: bool) -> PullPlan:
    sizes: dict[Digest, int] = {}
    if with_bytes:
        manifests = context.catalog.bundles([each.coming.uuid for each in [*meant, *others] if not each.coming.is_new])
        bundles = [*manifests.values(), *(each.bundle for each in meant if each.bundle is not None)]
        for bundle in bundles:
            sizes |= presence.absent(context, bundle)
    return PullPlan(tuple(each.coming for each in [*meant, *others]), len(sizes), sum(sizes.values()))
