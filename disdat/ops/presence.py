"""
Which bytes of bundles are here: a fact of the home.

What is noted of a bundle beside its context is what is kept here for it: nothing for one that was only fetched, or was
delocalized. Other bundles may have the same bytes, so what is here is found by looking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

from disdat.catalog.keeping import Keeping
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.errors import Corrupt, NotFound
from disdat.ops import needs
from disdat.ops.needs import Needs
from disdat.remote.known import Presence
from disdat.store.collect import portions

MOST_LOOKED_AT = 500
"""Of so many bundles it is looked whether bytes that were not kept are here all the same; of more, what is noted."""
_TOGETHER = 500
_LOOKED = "presence"
"""The fact that what is not noted was looked for: ``mirror.db`` may be new."""


def of_rows(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    """Of each bundle whether its bytes are here, as far as is known: what was never fetched was made here."""
    found = kept(context, uuids)
    doubtful = [uuid for uuid, state in found.items() if state is not Presence.LOCAL]
    if len(doubtful) <= MOST_LOOKED_AT:
        found |= _look(context, doubtful)
    return found


def kept(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    """Of each bundle whether its bytes are kept here for it, whatever other bundles have."""
    if context.binding is None:
        return dict.fromkeys(uuids, Presence.LOCAL)
    known = context.remote.known
    if known.fact(_LOOKED) is None:
        _look_at_all(context)
    noted = known.presence(uuids)
    return {uuid: noted.get(uuid, Presence.LOCAL) for uuid in uuids}


def weak(context: Context) -> set[str]:
    """The bundles some of whose files are known by what the remote says of them only, or were until they were read."""
    return set() if context.binding is None else context.remote.known.weak(context.binding.name)


def note_fetched(context: Context, adds: Iterable[Event]) -> None:
    """Note of bundles that were just fetched whether their bytes are here; looks at no more than their manifests."""
    needed = {uuid: _named(each) for each in adds for uuid in each.subjects}
    there = context.home.store.has_many({digest for of_one in needed.values() for digest in of_one})
    # Where some is here all is to be looked at: below the root of a large tree, say.
    doubtful = [uuid for uuid, named in needed.items() if named & there]
    remote = {uuid: Presence.REMOTE for uuid, named in needed.items() if named and not named & there}
    _note(context, remote | _look(context, doubtful))


def look(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    """Look whether the bytes of bundles are here, and note that what is here is kept."""
    found = _look(context, uuids)
    context.remote.known.note_presence(found)
    return found


def absent(context: Context, bundle: Bundle) -> dict[Digest, int]:
    """The objects of a bundle that are not here, with their sizes, 0 where that is not known."""
    with Needs() as nodes:
        wanted = dict(needs.of_bundle(bundle, nodes, needs.tolerant(context.home.store.read)))
        wanted |= dict.fromkeys(nodes.all(), 0)
    there = context.home.store.has_many(wanted)
    return {digest: size_bytes for digest, size_bytes in wanted.items() if digest not in there}


def bytes_here(context: Context, uuids: Sequence[str]) -> dict[str, int]:
    """Of each bundle how many bytes of values and files are here."""
    found = dict.fromkeys(uuids, 0)
    for of_some, there in _each(context, uuids):
        for uuid, data in of_some.items():
            if data is not None:
                found[uuid] = sum(size_bytes for digest, size_bytes in data.objects.items() if digest in there)
    return found


@dataclass(frozen=True, slots=True)
class _Data:
    """The objects of a bundle's value and files with their sizes, as far as its tree is here, and whether all is."""

    objects: Mapping[Digest, int]
    is_all: bool


def _look_at_all(context: Context) -> None:
    """Note of all bundles that lack something what is here: where it is not known what was noted before."""
    now = context.home.context(context.name)
    known = now.remote.known

    def ask(keeping: Keeping) -> list[str]:
        uuids = {each.number: each.uuid for each in keeping.present()}
        noted = known.presence(list(uuids.values()))  # it was fetched since
        doubtful = {number for number, uuid in uuids.items() if uuid not in noted}
        stored = {number for number, _ in keeping.stored_trees()} & doubtful
        return [uuids[number] for number in sorted(stored | _lacking(now, keeping, doubtful))]

    _note(now, _look(now, now.catalog.keeping(ask)))
    known.note({_LOOKED: 1})


def _lacking(context: Context, keeping: Keeping, bundles: Set[int]) -> set[int]:
    """The numbers of those of some bundles whose manifests name what is not here."""
    found: set[int] = set()
    for some in portions((each for each in keeping.objects() if each[1] in bundles), _TOGETHER):
        here = {digest.raw for digest in context.home.store.has_many(Digest.from_raw(raw) for raw, _ in some)}
        found.update(number for raw, number in some if raw not in here)
    return found


def _note(context: Context, found: Mapping[str, Presence]) -> None:
    context.remote.known.note_presence({uuid: state for uuid, state in found.items() if state is not Presence.LOCAL})


def _look(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    return {uuid: _presence(data, there) for of_some, there in _each(context, uuids) for uuid, data in of_some.items()}


def _each(context: Context, uuids: Sequence[str]) -> Iterator[tuple[dict[str, _Data | None], set[Digest]]]:
    """Yield the data of some bundles at a time, and which of their objects are here."""
    for some in portions(uuids, _TOGETHER):
        of_some = _data(context, some)
        objects = {digest for data in of_some.values() if data is not None for digest in data.objects}
        yield of_some, context.home.store.has_many(objects)


def _data(context: Context, uuids: Sequence[str]) -> dict[str, _Data | None]:
    """What bundles are made of; None of one whose manifest is not here."""
    try:
        bundles = context.catalog.bundles(uuids)
    except (Corrupt, NotFound):  # a manifest that is an object
        bundles = {uuid: each for uuid in uuids if (each := _bundle(context, uuid)) is not None}
    return {uuid: _data_of(context, bundles[uuid]) if uuid in bundles else None for uuid in uuids}


def _data_of(context: Context, bundle: Bundle) -> _Data:
    lacking: list[Digest] = []

    def read(digest: Digest) -> bytes:
        try:
            return context.home.store.read(digest)
        except (Corrupt, NotFound):
            lacking.append(digest)
            raise

    files = needs.files(bundle, needs.tolerant(read))
    objects = {frame.digest: frame.size_bytes for frame in bundle.frames if frame.digest is not None}
    return _Data(objects | {each.digest: each.size_bytes for each in files.values()}, not lacking)


def _named(add: Event) -> set[Digest]:
    """The objects that a manifest names, read off its JSON; what is not as it should be names none."""
    body = add.payload.get("body")
    if not isinstance(body, Mapping):
        return {Digest(str(add.payload["manifest"]))}
    try:
        tree = cast("Mapping[str, Any]", body.get("tree", {}))
        named = [each.get("digest") for each in cast("Sequence[Mapping[str, Any]]", body.get("frames", ()))]
        named += [each.get("digest") for each in tree.get("entries", ())]
        return {Digest.parse(text) for text in [*named, tree.get("root")] if text is not None}
    except (TypeError, ValueError, AttributeError):
        return set()


def _bundle(context: Context, uuid: str) -> Bundle | None:
    try:
        return context.catalog.bundle(uuid)
    except (Corrupt, NotFound):
        return None


def _presence(data: _Data | None, there: set[Digest]) -> Presence:
    if data is None:
        return Presence.REMOTE
    if data.is_all and data.objects.keys() <= there:
        return Presence.LOCAL
    return Presence.PARTIAL if data.objects.keys() & there else Presence.REMOTE
