"""Removing bundles for everybody who shares a remote context; an undo, pushed, brings them back for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from disdat.catalog import history
from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import event
from disdat.core.bundle import NOTHING
from disdat.core.event import Event
from disdat.core.publication import Said
from disdat.errors import BadQuery, BundleNotFound, InvalidInput
from disdat.ops import fetching, find, pull, runs
from disdat.remote.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Removal:
    """A bundle that is to be removed for everybody; :attr:`row` is None where it was removed here before."""

    uuid: str
    name: str
    row: Row | None


def selected(context: Context, references: Sequence[str], *, tags: Mapping[str, str] = NOTHING) -> list[Removal]:
    """
    The bundles that references name exactly: NAME (the latest of it), NAME@VERSION, or a whole uuid.

    With *tags*, of a name the latest that has them. What a reference names twice is there once.

    Raises:
        BadQuery: Nothing is named, or only the beginning of a uuid is.
        BundleNotFound, RefNotFound: One names nothing that is here, or that was removed only here.
        InvalidInput: One was never pushed.
    """
    context.check_is_now()
    context.remote  # noqa: B018 - it must have one
    if not references:
        raise BadQuery("nothing is named", hint="name each bundle that is to be removed for everybody")
    found = {each.uuid: each for each in (_exactly(context, reference, tags) for reference in references)}
    _refuse_unpublished(context, found.values())
    return list(found.values())


def published(context: Context) -> list[Removal]:
    """
    All bundles of a context that are published, after a fetch.

    Raises:
        NotConfigured: The context has no remote.
        Unavailable: The remote does not answer.
    """
    fetching.fetch(context)
    found: list[Removal] = []
    for rows in context.catalog.pages():
        there = _published(context, [row.uuid for row in rows])
        found += [Removal(row.uuid, row.name, row) for row in rows if row.uuid in there]
    return found


def remove(context: Context, removals: Sequence[Removal]) -> None:
    """
    Remove bundles for everybody, here too; published on return. Their bytes go by collection, after the retention.

    Killed in between it was either done, and the next fetch brings it here, or not done at all.

    Raises:
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    context.check_is_now()
    if not removals:
        return
    with context.remote.mirror() as mirror:
        fetching.into(context, mirror)
        uuids = [each.uuid for each in removals]
        about = history.ask(context.catalog, lambda of: of.about(uuids))
        after_us = max((row.time_us for row in about), default=0) + 1
        made = _event(context, uuids, time_us=max(mirror.now_us(), after_us))
        _publish(context, mirror, made)


def _publish(context: Context, mirror: Mirror, made: Event) -> None:
    def receive(events: Sequence[Event], publications: Sequence[str]) -> None:
        context.catalog.receive(events, note=fetching.note_of(context, publications), actor=made.actor)

    mirror.publish(Said(events=[made]), actor=made.actor, receive=receive)


def _event(context: Context, uuids: Sequence[str], *, time_us: int) -> Event:
    id_ = event.ulid(time_us)
    # No number among the home's own: it is not one of the log's, but fetched into it, like anybody else's.
    return Event(
        id_, time_us, context.home.id, 0, event.REMOVE, {"uuids": list(uuids)}, actor=runs.actor(), write_id=id_
    )


def _exactly(context: Context, reference: str, tags: Mapping[str, str]) -> Removal:
    if _is_uuid(reference):
        return _of_uuid(context, reference, tags)
    if tags and (row := find.get(context, reference, tags=tags)) is not None:
        return Removal(row.uuid, row.name, row)
    row = find.of_name(context, reference)
    if row is not None and tags.items() <= row.tags.items():
        _refuse_prefix(reference, row)
        return Removal(row.uuid, row.name, row)
    if find.is_uuid_prefix(reference):
        raise BadQuery(
            f"{reference!r} is not a whole uuid, and nothing is named so",
            hint="give all of it: what is removed for everybody must be named exactly",
        )
    if row is None:
        find.resolve(context, reference)  # says what may have been meant
    raise BundleNotFound(f"{reference!r} has not these tags", hint="`dsdt ls -v` shows tags")


def _refuse_prefix(reference: str, row: Row) -> None:
    """NAME@ may be followed by a whole uuid, or by what is none."""
    name, _, version = reference.rpartition("@")
    if name == row.name and row.uuid.startswith(version) and version != row.uuid and row.name != reference:
        raise BadQuery(f"{version!r} is not a whole uuid", hint=f"`{name}@{row.uuid}` names that version exactly")


def _of_uuid(context: Context, uuid: str, tags: Mapping[str, str]) -> Removal:
    row = context.catalog.get(uuid)
    if row is not None and tags.items() <= row.tags.items():
        return Removal(uuid, row.name, row)
    if row is None and uuid in pull.removed_here(context, None, uuid):
        names = history.ask(context.catalog, lambda of: of.names([uuid]))
        return Removal(uuid, names.get(uuid, ""), None)
    raise BundleNotFound(f"no bundle with uuid {uuid} in the context {context.name}", hint="`dsdt ls -v` shows uuids")


def _refuse_unpublished(context: Context, removals: Iterable[Removal]) -> None:
    by_uuid = {each.uuid: each for each in removals}
    there = _published(context, list(by_uuid))
    for uuid, each in by_uuid.items():
        if uuid not in there:
            raise InvalidInput(
                f"{each.name or '(unnamed)'} {uuid[:8]} was never pushed", hint="`dsdt rm` removes it here"
            )


def _published(context: Context, uuids: Sequence[str]) -> set[str]:
    """Those of some bundles that others know of."""
    events = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    adds = [each for each in events if each.kind == event.ADD]
    known = context.remote.known.published([each.write_key for each in adds])
    return {uuid for each in adds if each.write_key in known for uuid in each.subjects}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
