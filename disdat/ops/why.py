"""Why an object is kept: the shortest way to it from what needs it; and what collection plans for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from disdat.catalog.keeping import Keeping
from disdat.context import Home
from disdat.core import reach, tree
from disdat.core.digest import ALGORITHM, Digest
from disdat.core.reach import Fate, Owner
from disdat.errors import BadQuery, Corrupt, InvalidInput, ObjectNotFound
from disdat.ops import everywhere, gc
from disdat.ops.everywhere import Asked
from disdat.ops.gc import Collection, Marked, Policy
from disdat.ops.trashed import Judged
from disdat.store.collect import IN_FILE
from disdat.store.peek import Peek

MIN_PREFIX = 8
"""So many digits of a digest name an object, where no other one begins so."""
_HEX = 64
_DIGITS = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},{_HEX}}}")
_SHOWN = 5
_MOST = _SHOWN + 1


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

    *text* may be the beginning of its digest, eight hex digits or more.

    Raises:
        InvalidInput: *text* is no digest, and cannot begin one.
        BadQuery: Several begin so; the message lists some.
        ObjectNotFound: It is not here, and nobody needs it.
        UnknownFormat, Corrupt: It cannot be told what some bundle needs.
    """
    prefix = _prefix(text)
    with Collection(home, policy).marked() as found:
        digest = _meant(found, prefix)
        places = dict(_places(found, digest))
        way = next(_ways(found, digest), None) if found.marks.needed([digest]) else None
        fates = {Fate.KEPT} if way else {gc.fate_in(found.sorted.tallies, place) for place in places}
        return Why(
            digest=digest,
            size_bytes=max(places.values(), default=None),
            way=way,
            last=found.marks.last_owner_of(digest),
            fate=(Fate.KEPT if Fate.KEPT in fates else Fate.TRASHED) if places else None,
            trashed=_trashed(found, digest),
        )


def _prefix(text: str) -> str:
    """The hex digits that *text* gives of a digest."""
    digits = text.removeprefix(f"{ALGORITHM}:")
    if not _DIGITS.fullmatch(digits):
        raise InvalidInput(
            f"not a digest: {text!r}",
            hint=f"`dsdt gc --list` lists the objects there are; {MIN_PREFIX} digits or more of one do",
        )
    return digits


def _meant(found: Marked, prefix: str) -> Digest:
    """The one object, of those that are here or needed, whose digest begins so."""
    first, last = bytes.fromhex(prefix.ljust(_HEX, "0")), bytes.fromhex(prefix.ljust(_HEX, "f"))
    known = {*found.marks.between(first, last, limit=_MOST), *islice(found.peek.trashed_between(first, last), _MOST)}
    candidates = sorted(known)
    if not candidates:
        raise ObjectNotFound(
            f"object {ALGORITHM}:{prefix} is neither in the store nor in its trash, and nobody needs it",
            hint="`dsdt gc --list` lists the objects there are",
        )
    if len(candidates) > 1:
        more = " and more" if len(candidates) > _SHOWN else ""
        raise BadQuery(
            f"{prefix!r} is ambiguous: {', '.join(candidates[:_SHOWN])}{more}", hint="give more of the digest"
        )
    return candidates[0]


def _places(found: Marked, digest: Digest) -> Iterator[tuple[int, int]]:
    """Where in the store an object is, as collection numbers places, and its bytes."""
    parts = found.run.collector.parts
    if stat := parts.loose.find(digest):
        yield IN_FILE, stat.st_size
    numbers = {name: number for number, name in found.run.collector.pack_names().items()}
    for name, entry in parts.packed.find([digest]).get(digest, ()):
        if name in numbers:  # else it was written since
            yield numbers[name], entry.length


def _trashed(found: Marked, digest: Digest) -> Judged | None:
    """What becomes of the thing in the trash that has an object."""
    paths = found.peek.trashed_in(digest)
    things = (thing for thing in found.run.collector.trash.things() if thing.path in paths) if paths else ()
    return next(found.judge.each(things), None)


def _ways(found: Marked, digest: Digest) -> Iterator[Way]:
    """The ways to an object, of each kind the shortest: by bundles that are present, that were removed, by runs."""
    ask = partial(everywhere.ask_all, found.contexts)
    yield from chain.from_iterable(ask(partial(_named, digest)))
    yield from _in_trees([*chain.from_iterable(ask(_trees))], digest, found.peek)
    gone = [*chain.from_iterable(ask(partial(_gone, found.run, digest)))]
    yield from (Way(each) for each in gone if isinstance(each, Owner))
    yield from _in_trees([each for each in gone if not isinstance(each, Owner)], digest, found.peek)
    yield from chain.from_iterable(ask(partial(_of_runs, digest)))


def _named(digest: Digest, context: Asked, keeping: Keeping) -> list[Way]:
    """By bundles whose manifests name it."""
    return [
        Way(Owner(context.name, bundle.uuid, bundle.name), keeping.path_in(bundle, digest) or "")
        for bundle in keeping.naming(digest)
    ]


def _trees(context: Asked, keeping: Keeping) -> list[tuple[Owner, Digest]]:
    roots = dict(keeping.stored_trees())
    return [
        (Owner(context.name, each.uuid, each.name), roots[each.number])
        for each in keeping.present()
        if each.number in roots
    ]


def _gone(run: Collection, digest: Digest, context: Asked, keeping: Keeping) -> list[Owner | tuple[Owner, Digest]]:
    """The bundles that were removed and named it, or that have a stored tree, with its root."""
    found: list[Owner | tuple[Owner, Digest]] = []
    for gone in keeping.gone():
        if not reach.is_root(gone.since_us, now_us=run.now_us, retention_us=run.policy.retention_us):
            break
        with suppress(ObjectNotFound):
            for needed in keeping.needed_by(gone):
                owner = Owner(context.name, gone.uuid, needed.name, gone.since_us)
                if digest in needed.digests:
                    found.append(owner)
                elif needed.root is not None:
                    found.append((owner, needed.root))
    return found


def _of_runs(digest: Digest, context: Asked, keeping: Keeping) -> list[Way]:
    return [
        Way(Owner(context.name, run, "", is_run=True)) for run, packages in keeping.package_sets() if packages == digest
    ]


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
