"""Which bytes of bundles are here: a fact of the home, noted beside the context where it is not all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.errors import Corrupt, NotFound
from disdat.ops import needs
from disdat.ops.needs import Needs
from disdat.remote.known import Presence

_TOGETHER = 500


def of_rows(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    """Of each bundle whether its bytes are here, as far as is known: what was never fetched was made here."""
    if context.binding is None:
        return dict.fromkeys(uuids, Presence.LOCAL)
    noted = context.remote.known.presence(uuids)
    return {uuid: noted.get(uuid, Presence.LOCAL) for uuid in uuids}


def note_fetched(context: Context, adds: Iterable[Event]) -> None:
    """Note of bundles that were just fetched whether their bytes are here; looks at no more than their manifests."""
    needed = {uuid: _named(each) for each in adds for uuid in each.subjects}
    there = context.home.store.has_many({digest for of_one in needed.values() for digest in of_one})
    found = {uuid: _presence(of_one, there) for uuid, of_one in needed.items()}
    # Where the root of a large tree is here, what lies below it may not be.
    doubtful = [uuid for uuid, state in found.items() if state is not Presence.REMOTE and needed[uuid]]
    context.remote.known.note_presence(
        {uuid: state for uuid, state in found.items() if state is not Presence.LOCAL} | look(context, doubtful)
    )


def look(context: Context, uuids: Sequence[str]) -> dict[str, Presence]:
    """Look whether the bytes of bundles are here, and note it."""
    found: dict[str, Presence] = {}
    for start in range(0, len(uuids), _TOGETHER):
        some = uuids[start : start + _TOGETHER]
        found |= _look(context, some)
    context.remote.known.note_presence(found)
    return found


def absent(context: Context, bundle: Bundle) -> dict[Digest, int]:
    """The objects of a bundle that are not here, with their sizes, 0 where that is not known."""
    with Needs() as nodes:
        wanted = dict(needs.of_bundle(bundle, nodes, needs.tolerant(context.home.store.read)))
        wanted |= dict.fromkeys(nodes.all(), 0)
    there = context.home.store.has_many(wanted)
    return {digest: size_bytes for digest, size_bytes in wanted.items() if digest not in there}


def _look(context: Context, uuids: Sequence[str]) -> Mapping[str, Presence]:
    try:
        bundles = context.catalog.bundles(uuids)
    except (Corrupt, NotFound):  # a manifest that is an object, and not here
        bundles = {uuid: each for uuid in uuids if (each := _bundle(context, uuid)) is not None}
    with Needs() as nodes:
        read = needs.tolerant(context.home.store.read)
        wanted = {uuid: {d for d, _ in needs.of_bundle(each, nodes, read)} for uuid, each in bundles.items()}
    there = context.home.store.has_many({digest for of_one in wanted.values() for digest in of_one})
    return {uuid: _presence(wanted.get(uuid), there) for uuid in uuids}


def _named(add: Event) -> set[Digest]:
    """The objects that a manifest names, read off its JSON; what is not as it should be names none."""
    body = add.payload.get("body")
    if not isinstance(body, Mapping):
        return {Digest(str(add.payload["manifest"]))}
    tree = cast("Mapping[str, Any]", body.get("tree", {}))
    named = [each.get("digest") for each in cast("Sequence[Mapping[str, Any]]", body.get("frames", ()))]
    named += [each.get("digest") for each in tree.get("entries", ())]
    return {Digest(text) for text in [*named, tree.get("root")] if isinstance(text, str)}


def _bundle(context: Context, uuid: str) -> Bundle | None:
    try:
        return context.catalog.bundle(uuid)
    except (Corrupt, NotFound):
        return None


def _presence(wanted: set[Digest] | None, there: set[Digest]) -> Presence:
    if wanted is None or (wanted and not wanted & there):
        return Presence.REMOTE
    return Presence.LOCAL if wanted <= there else Presence.PARTIAL
