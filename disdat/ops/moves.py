"""
Renaming bundles, and taking them to another context: events, and never bytes.

A copy is the same bundle, of the same uuid, made from the same inputs. It is written in one change; a move removes it
from where it was in a second one, so that a crash in between leaves it in both, and moving it again completes it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from disdat.catalog.catalog import Added, looking_at
from disdat.catalog.indexed import Moment
from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.event import Event
from disdat.errors import (
    AlreadyExists,
    BundleNotFound,
    ContextNotFound,
    InvalidInput,
    ObjectNotFound,
    PermissionDenied,
)
from disdat.ops import contexts, elsewhere, find, needs, presence, runs
from disdat.ops.given import check_name
from disdat.remote.known import Presence


@dataclass(frozen=True, slots=True)
class Taken:
    """Which bundles of a context are, or would be, new in another one, and which were there already; oldest first."""

    source: str
    target: str
    new: tuple[Row, ...]
    there: tuple[Row, ...]

    @property
    def all(self) -> tuple[Row, ...]:
        """Both."""
        return tuple(sorted((*self.new, *self.there), key=_age))


class _Overtaken(Exception):
    """Somebody said something of a bundle after it was copied."""


def chosen(context: Context, references: Iterable[str]) -> list[Row]:
    """The bundles that references name, each once, oldest first. Raises what :func:`disdat.ops.find.resolve` does."""
    return _once(find.resolve(context, reference) for reference in references)


def versions(context: Context, names: Iterable[str]) -> list[Row]:
    """Every version of each of *names*, oldest first; BundleNotFound where one has none."""
    return _once(row for name in names for row in find.chosen(context, name, which=find.Which.ALL))


def rename(context: Context, rows: Sequence[Row], name: str) -> list[Row]:
    """
    Give bundles another name, in one change, and return those that had another one.

    Each keeps its place in time: the one that was made last is the latest of the name.

    Raises:
        BadName, InvalidInput: It cannot be a bundle's name; nothing was changed.
    """
    if not name:
        raise InvalidInput("a bundle is renamed to something", hint="give the new name")
    check_name("the new name", name)
    changed = [row for row in rows if row.name != name]
    if changed:
        context.home.ensure()
        context.catalog.commit([_renamed(row.uuid, name) for row in changed], actor=runs.actor())
    return changed


def plan(source: Context, rows: Sequence[Row], target: str) -> Taken:
    """What copying bundles to a context, which need not be there yet, would do; changes nothing."""
    try:
        there = contexts.named(source.home, target)
    except ContextNotFound:
        _check_here(source, None, rows)
        return Taken(source.name, contexts.local_name(target), tuple(sorted(rows, key=_age)), ())
    _check_apart(source, there)
    taken = _taken(source, there, rows, there.catalog.rows([row.uuid for row in rows]))
    _check_here(source, there, taken.new)
    return taken


def found_or_made(home: Home, name: str) -> Context:
    """The context of a name, which is created where there is none."""
    try:
        return contexts.named(home, name)
    except ContextNotFound:
        try:
            return contexts.create(home, name)
        except AlreadyExists:  # another process made it meanwhile, or it goes by another name on its remote
            return contexts.named(home, name)


def copy(source: Context, target: Context, rows: Sequence[Row]) -> Taken:
    """
    Write bundles of one context to another one of the same home, in one change; those that are there stay as they are.

    Name, tags and commitment are what they are now. Their inputs need not be there. Of several versions the one that
    was made last is the latest, and a copy counts as made now: it is later than what was in the other context.

    Raises:
        InvalidInput: Both are one context, or of two homes.
        BundleNotFound: One was removed meanwhile; nothing was changed.
        ObjectNotFound: Bytes of one were purged, which was there at the moment *source* is seen as of; nothing was
            changed.
    """
    _check_apart(source, target)
    source.home.ensure()
    with source.home.store.kept():  # else collection could take what a bundle needs that is removed meanwhile
        taken, _ = _copy(source, target, rows)
    return taken


def move(source: Context, target: Context, rows: Sequence[Row]) -> Taken:
    """
    As :func:`copy`, and then remove the bundles from where they were; their directories there stay until collection.

    What is said of one meanwhile, where it was, goes with it.

    Raises:
        PermissionDenied: The first context may not be changed; nothing was.
        InvalidInput: It is seen as of a moment; nothing was changed.
    """
    source.check_is_now()
    _check_apart(source, target)
    if not os.access(source.directory, os.W_OK, effective_ids=True):
        raise PermissionDenied(f"may not remove bundles from the context {source.name}", hint="`dsdt copy` copies them")
    source.home.ensure()
    with source.home.store.kept():
        taken, written = _copy(source, target, rows)
        while not _removed(source, target, taken):
            taken, written = _copy(source, target, rows, instead_of=written)
    return taken


def _once(rows: Iterable[Row]) -> list[Row]:
    return sorted({row.uuid: row for row in rows}.values(), key=_age)


def _age(row: Row) -> tuple[int, str]:
    return row.made_us, row.uuid


def _check_apart(source: Context, target: Context) -> None:
    if source.home.root != target.home.root:
        raise InvalidInput(f"{source.name} and {target.name} are contexts of different homes", hint="use one home")
    if source.name == target.name or source.directory.resolve() == target.directory.resolve():
        raise InvalidInput(f"they are in the context {source.name} already", hint="name another one")


def _copy(
    source: Context, target: Context, rows: Sequence[Row], *, instead_of: Sequence[Event] = ()
) -> tuple[Taken, list[Event]]:
    """Write what *rows* are by now to *target*, *instead_of* what an earlier copy wrote there."""
    uuids = [row.uuid for row in rows]
    replaced = {uuid for each in instead_of if each.kind == event.ADD for uuid in each.subjects}
    restored = {uuid for each in instead_of if each.kind == event.RESTORE for uuid in each.subjects}
    void = [event.undone(each for each in instead_of if each.kind != event.RUN)] if instead_of else []
    while True:
        now = source.catalog.rows(uuids)
        present, known = target.catalog.rows(uuids), target.catalog.known(uuids)
        known -= replaced & present.keys() - restored
        there = {uuid: row for uuid, row in present.items() if uuid not in replaced}
        taken = _taken(source, target, [now.get(row.uuid, row) for row in rows], there)
        _check_bytes(source, taken.new)
        absent = _check_here(source, target, taken.new)
        before = [row.uuid for row in taken.new if row.uuid in known]
        drafts = [*void, *_drafts(source, target, taken.new, before)]
        unused = [row.uuid for row in taken.new if row.uuid not in known | replaced]
        try:
            written = target.catalog.commit(drafts, actor=runs.actor(), unused=unused)
        except AlreadyExists:  # another process copied one meanwhile, and may have removed it
            continue
        if absent:
            target.remote.known.note_presence(absent)
        return taken, written


def _check_bytes(source: Context, rows: Sequence[Row]) -> None:
    """Refuse bundles of a moment that are not there any more, and of which bytes are gone."""
    if source.moment_us is None:
        return
    today = source.home.context(source.name).catalog.rows([row.uuid for row in rows])
    removed = [row for row in rows if row.uuid not in today]
    objects = source.catalog.manifest_objects(removed)
    inline = source.catalog.added([row.uuid for row in removed if row.manifest not in objects])
    data = {uuid: each.data for uuid, each in inline.items()}
    manifests = ((row.uuid, row.manifest, data.get(row.uuid)) for row in removed)
    lost = needs.lost(source.home.store, manifests, elsewhere=partial(elsewhere.on_remote, source))
    if gone := [row for row in removed if row.uuid in lost]:
        raise ObjectNotFound(
            f"{len(gone)} of {len(rows)} cannot be copied: bytes of {gone[0].name or '(unnamed)'} {gone[0].uuid[:8]}"
            " were purged",
            hint="what was purged is gone for good; restore it from a backup of the home",
        )


def _check_here(source: Context, target: Context | None, rows: Sequence[Row]) -> Mapping[str, Presence]:
    """Refuse bundles whose bytes are on a remote only, where *target* is not bound to that; else what is here."""
    states = presence.of_rows(source, [row.uuid for row in rows])
    absent = {uuid: state for uuid, state in states.items() if state is not Presence.LOCAL}
    if absent and (target is None or not _is_one(source, target)):
        first = next(row for row in rows if row.uuid in absent)
        assert source.binding is not None
        raise InvalidInput(
            f"bytes of {len(absent)} of {len(rows)} are not here, and only contexts of {source.binding.url} get them:"
            f" {first.name or '(unnamed)'} {first.uuid[:8]}",
            hint=f"`dsdt pull -l {first.name}` or `dsdt localize` fetches them first",
        )
    return absent


def _is_one(source: Context, target: Context) -> bool:
    """Whether both are bound to one remote context."""
    ours, theirs = source.binding, target.binding
    return ours is not None and theirs is not None and (ours.id, ours.name) == (theirs.id, theirs.name)


def _removed(source: Context, target: Context, taken: Taken) -> bool:
    """Remove what was copied from where it was; False, and nothing was, where it is not what was copied any more."""
    copied = {row.uuid: row for row in taken.new}
    left: list[str] = []

    def check(now: Mapping[str, Row]) -> None:
        if any(copied.get(uuid, row) != row for uuid, row in now.items()):
            raise _Overtaken
        left[:] = sorted(now)

    def drafts(_: Moment) -> list[event.Draft]:
        gone: dict[str, Json] = {"uuids": list(left), "to": _named(target)}
        return [event.Draft(event.REMOVE, gone)] if left else []

    try:
        source.catalog.commit(drafts, actor=runs.actor(), check=looking_at([row.uuid for row in taken.all], check))
    except _Overtaken:
        return False
    return True


def _taken(source: Context, target: Context, rows: Sequence[Row], present: Mapping[str, Row]) -> Taken:
    in_order = sorted(rows, key=_age)
    new = tuple(row for row in in_order if row.uuid not in present)
    return Taken(source.name, target.name, new, tuple(row for row in in_order if row.uuid in present))


def _drafts(source: Context, target: Context, rows: Sequence[Row], before: Sequence[str]) -> Iterator[event.Draft]:
    """What makes the bundles in *target* what they are in *source*; some, *before*, were there once."""
    added = source.catalog.added([row.uuid for row in rows])
    if missing := [row for row in rows if row.uuid not in added]:
        raise BundleNotFound(
            f"no bundle {missing[0].uuid} in the context {source.name}", hint="it was removed just now"
        )
    manifests = {uuid: cast("Mapping[str, Any]", canonical.decode(each.data)) for uuid, each in added.items()}
    yield from _runs(source, target, manifests.values())
    if before:
        yield event.restored(before)
    left = _left_tags(target, before)
    came = source.catalog.came([row.uuid for row in rows])
    for row in rows:
        origin = _named(source) | ({"fetched": True} if row.uuid in came else {})
        yield event.Draft(event.ADD, {**_add(added[row.uuid]), "from": origin})
        fields = manifests[row.uuid]
        yield from _tags(row, dict(fields.get("tags", {})), left.get(row.uuid))
        if row.name != fields.get("name", "") or row.uuid in left:
            yield _renamed(row.uuid, row.name)
    if committed := [row.uuid for row in rows if row.committed]:
        yield event.Draft(event.COMMIT, {"uuids": committed})


def _add(added: Added) -> dict[str, Json]:
    return {key: value for key, value in added.event.payload.items() if key in {"uuid", "manifest", "body"}}


def _tags(row: Row, at_birth: Mapping[str, str], left: set[str] | None) -> Iterator[event.Draft]:
    """The event that makes the tags what they are; of a bundle that was there once, over what was said of it then."""
    tags = row.tags
    changed = {key: text for key, text in tags.items() if left is not None or at_birth.get(key) != text}
    unset = (at_birth.keys() | (left or set())) - tags.keys()
    if changed or unset:
        yield event.tagged(row.uuid, set_to=changed, unset=unset)


def _left_tags(target: Context, before: Sequence[str]) -> dict[str, set[str]]:
    """The tags that were ever set of bundles that were there once."""
    found: dict[str, set[str]] = {uuid: set() for uuid in before}
    keys: dict[str, set[str]] = defaultdict(set)
    for each in target.catalog.about(before) if before else ():
        if each.kind == event.TAG:
            keys[str(each.payload["uuid"])].update(cast("Mapping[str, str]", each.payload.get("set", {})))
    return found | keys


def _runs(source: Context, target: Context, manifests: Iterable[Mapping[str, Any]]) -> Iterator[event.Draft]:
    """The records of the runs that made the bundles, where the other context has none."""
    for run_id in dict.fromkeys(str(fields["run"]["id"]) for fields in manifests if fields.get("run")):
        run = source.catalog.run(run_id)
        if run is not None and target.catalog.run(run_id) is None:
            yield runs.draft(run)


def _renamed(uuid: str, name: str) -> event.Draft:
    return event.Draft(event.RENAME, {"uuid": uuid, "name": name})


def _named(context: Context) -> dict[str, Json]:
    return {"id": context.id, "name": context.name}
