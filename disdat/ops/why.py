"""Why an object is kept: the shortest way to it from what needs it; and what collection plans for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from disdat.catalog.keeping import Keeping
from disdat.context import Home
from disdat.core import reach, tree
from disdat.core.digest import ALGORITHM, Digest
from disdat.core.reach import Fate, Owner
from disdat.errors import Corrupt, ObjectNotFound
from disdat.ops import gc
from disdat.ops.gc import Collection, Marked, Policy
from disdat.ops.trashed import Judged
from disdat.store.collect import IN_FILE
from disdat.store.peek import Peek


@dataclass(frozen=True, slots=True)
class Way:
    """Who needs an object, and what it is there: the path of a file or directory of a bundle, where it is one."""

    owner: Owner
    path: str = ""
    nodes: tuple[Digest, ...] = ()
    """The nodes of a stored tree that lead to it, from the root."""


@dataclass(frozen=True, slots=True)
class Why:
    """What keeps an object, or what becomes of it."""

    digest: Digest
    size_bytes: int | None
    way: Way | None
    last: Owner | None
    """Who last needed what nobody needs; None where nobody ever did."""
    fate: Fate | None
    """What becomes of it in the store; None where it is not there."""
    trashed: Judged | None
    """What of the trash has it."""


def why(home: Home, text: str, policy: Policy) -> Why:
    """
    Why the object *text*, with or without ``blake3:``, is kept, or what becomes of it; changes nothing.

    Raises:
        InvalidInput: *text* is no digest.
        ObjectNotFound: It is not here, and nobody needs it.
        UnknownFormat, Corrupt: It cannot be told what some bundle needs.
    """
    digest = Digest.parse(text if ":" in text else f"{ALGORITHM}:{text}")
    with Collection(home, policy).marked() as found:
        places = dict(_places(found, digest))
        trashed = next((each for each in found.judged() if _has(found, each, digest)), None)
        way = next(_ways(found, digest), None) if found.marks.needed([digest]) else None
        if not places and trashed is None and way is None:
            raise ObjectNotFound(
                f"object {digest} is neither in the store nor in its trash, and nobody needs it",
                hint="`dsdt gc --list` lists the objects there are",
            )
        fates = {Fate.KEPT} if way else {gc.fate_in(found.sorted.tallies, place) for place in places}
        return Why(
            digest=digest,
            size_bytes=max(places.values(), default=None),
            way=way,
            last=found.marks.last_owner_of(digest),
            fate=(Fate.KEPT if Fate.KEPT in fates else Fate.TRASHED) if places else None,
            trashed=trashed,
        )


def _places(found: Marked, digest: Digest) -> Iterator[tuple[int, int]]:
    """Where in the store an object is, as collection numbers places, and its bytes."""
    parts = found.run.collector.parts
    if stat := parts.loose.find(digest):
        yield IN_FILE, stat.st_size
    numbers = {name: number for number, name in found.run.collector.pack_names().items()}
    for name, entry in parts.packed.find([digest]).get(digest, ()):
        if name in numbers:  # else it was written since
            yield numbers[name], entry.length


def _has(found: Marked, judged: Judged, digest: Digest) -> bool:
    return judged.thing.path in found.peek.trashed_in(digest)


def _ways(found: Marked, digest: Digest) -> Iterator[Way]:
    """The ways to an object, of each kind the shortest: by bundles that are present, that were removed, by runs."""
    for each in found.contexts:
        yield from each.ask(partial(_named, each.name, digest))
    yield from _in_trees(
        [tree for each in found.contexts for tree in each.ask(partial(_trees, each.name))], digest, found.peek
    )
    gone = [need for each in found.contexts for need in each.ask(partial(_gone, each.name, found.run))]
    for owner, digests, _ in gone:
        if digest in digests:
            yield Way(owner)
    yield from _in_trees([(owner, root) for owner, _, root in gone if root is not None], digest, found.peek)
    for each in found.contexts:
        yield from each.ask(partial(_of_runs, each.name, digest))


def _named(context: str, digest: Digest, keeping: Keeping) -> list[Way]:
    """By bundles whose manifests name it."""
    return [
        Way(Owner(context, bundle.uuid, bundle.name), keeping.path_in(bundle, digest) or "")
        for bundle in keeping.naming(digest)
    ]


def _trees(context: str, keeping: Keeping) -> list[tuple[Owner, Digest]]:
    roots = dict(keeping.stored_trees())
    return [
        (Owner(context, each.uuid, each.name), roots[each.number]) for each in keeping.present() if each.number in roots
    ]


def _gone(context: str, run: Collection, keeping: Keeping) -> list[tuple[Owner, frozenset[Digest], Digest | None]]:
    found: list[tuple[Owner, frozenset[Digest], Digest | None]] = []
    for gone in keeping.gone():
        if not reach.is_root(gone.since_us, now_us=run.now_us, retention_us=run.policy.retention_us):
            break
        with suppress(ObjectNotFound):
            found += [
                (Owner(context, gone.uuid, needed.name, gone.since_us), needed.digests, needed.root)
                for needed in keeping.needed_by(gone)
            ]
    return found


def _of_runs(context: str, digest: Digest, keeping: Keeping) -> list[Way]:
    return [Way(Owner(context, run, "", is_run=True)) for run, packages in keeping.package_sets() if packages == digest]


def _in_trees(roots: Sequence[tuple[Owner, Digest]], digest: Digest, peek: Peek) -> Iterator[Way]:
    """By trees that are stored, level by level from all roots at once: the first way found is a shortest one."""
    level = [Way(owner, "", (root,)) for owner, root in roots]
    seen: set[Digest] = set()
    while level:
        below: list[Way] = []
        for way in level:
            node = way.nodes[-1]
            if node in seen:
                continue
            seen.add(node)
            with suppress(ObjectNotFound, Corrupt):  # of a bundle that was removed some may be lost
                links = tree.links(node, peek.read(node))
                for name, child in (*links.files, *links.nodes):
                    if child == digest:
                        yield Way(way.owner, _joined(way.path, name), way.nodes)
                below += [Way(way.owner, _joined(way.path, name), (*way.nodes, child)) for name, child in links.nodes]
        level = below


def _joined(path: str, name: str) -> str:
    return "/".join(filter(None, (path, name)))
