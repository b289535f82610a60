"""Which objects bundles need here, in whatever context of the home, and which bundles others can have too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress

from disdat import config
from disdat.catalog import history
from disdat.catalog.keeping import Gone, Keeping, Present
from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import event, reach
from disdat.core.digest import Digest
from disdat.errors import ObjectNotFound
from disdat.ops import everywhere, presence, trees
from disdat.ops.everywhere import Asked, Asking
from disdat.remote.known import Presence

_S = 1_000_000


def unpublished(context: Context, uuids: Sequence[str]) -> set[str]:
    """Those of some bundles that are not on the remote, by what is published of them and known here."""
    if context.binding is None:
        return set(uuids)
    said = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    published = context.remote.known.published([each.write_key for each in said])
    return set(uuids) - event.fold(each for each in said if each.write_key in published).keys()


def left_behind(context: Context, uuids: Sequence[str]) -> list[Row]:
    """What bundles were made from, and that in turn, as far as it is here and not on the remote; the nearest first."""
    found: list[str] = []
    seen, level = set(uuids), list(uuids)
    while level:
        edges = context.catalog.edges(level)
        read = dict.fromkeys(given for uuid in level for _, given in edges.get(uuid, ()) if given not in seen)
        seen.update(read)
        missing = unpublished(context, list(read)) if read else set()
        level = [uuid for uuid in read if uuid in missing]  # what is there had its own told of when it was pushed
        found += level
    rows = context.catalog.rows(found)
    return [rows[uuid] for uuid in found if uuid in rows]


def needed_here(context: Context, digests: Set[Digest], *, dropping: Set[str]) -> dict[Digest, str]:
    """
    Those of some objects that a bundle of any context needs here, and which one; not those *dropping* of *context*.

    A bundle of which nothing is kept here needs nothing; nor does one that was removed and is published, or was removed
    longer ago than the retention.

    Raises:
        Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
    """
    asking = Asking.of(context.home, context.home.store.collector(clock_us=context.home.clock_us))
    found: dict[Digest, str] = {}
    with everywhere.contexts(asking) as contexts:

        def look(asked: Asked, keeping: Keeping) -> None:
            is_own = asked.name == context.name and not asked.is_deleted
            of_one = _OfContext(asking, asked, keeping, dropping if is_own else frozenset())
            for digest, who in of_one.needed(digests):
                found.setdefault(digest, who)

        everywhere.ask_all(contexts, look)
    return found


class _OfContext:
    """What one context needs here, but for the bundles *dropping*."""

    def __init__(self, asking: Asking, asked: Asked, keeping: Keeping, dropping: Set[str]) -> None:
        self._asking = asking
        self._name = asked.name
        self._keeping = keeping
        self._dropping = dropping
        # One that was deleted, and may be brought back, is asked for nothing but what it says.
        self._context = None if asked.is_deleted else asking.home.context(asked.name)
        self._is_bound = self._context is not None and self._context.binding is not None

    def needed(self, digests: Set[Digest]) -> Iterator[tuple[Digest, str]]:
        """Yield those of some objects that are needed, each with what to call who needs it."""
        naming = {digest: self._keeping.naming(digest) for digest in digests}
        kept = self._kept({each for of_one in naming.values() for each in of_one})
        yield from (
            (digest, self._called(each)) for digest, of_one in naming.items() for each in of_one if each in kept
        )
        yield from self._in_trees(digests)
        now_us, retention_us = self._asking.home.clock_us(), config.load().gc_retention_s * _S
        for gone in self._keeping.gone():
            if not reach.is_root(gone.since_us, now_us=now_us, retention_us=retention_us):
                break  # the others went earlier
            yield from self._by(gone, digests)

    def _kept(self, bundles: Set[Present]) -> set[Present]:
        """Those of some bundles of which something is kept here."""
        others = {each for each in bundles if each.uuid not in self._dropping}
        if self._context is None or not self._is_bound:
            return others
        states = presence.kept(self._context, [each.uuid for each in others])
        away = [uuid for uuid, state in states.items() if state is Presence.REMOTE]
        needless = set(away) - unpublished(self._context, away) if away else set()
        return {each for each in others if each.uuid not in needless}

    def _in_trees(self, digests: Set[Digest]) -> Iterator[tuple[Digest, str]]:
        stored = dict(self._keeping.stored_trees())
        bundles = {each for each in self._keeping.present() if each.number in stored} if stored else set()
        walked: set[Digest] = set()
        for each in sorted(self._kept(bundles)):
            yield from ((digest, self._called(each)) for digest in self._below(stored[each.number], walked) & digests)

    def _by(self, gone: Gone, digests: Set[Digest]) -> Iterator[tuple[Digest, str]]:
        found: set[Digest] = set()
        name = ""
        with suppress(ObjectNotFound):  # its manifest was an object, and was purged
            for needed in self._keeping.needed_by(gone):
                name = needed.name
                found |= needed.digests
                if needed.root is not None:
                    found |= self._below(needed.root, set(), may_lack=True)
        if found & digests and (self._context is None or unpublished(self._context, [gone.uuid])):
            who = f"{self._called(Present(0, gone.uuid, name))}, which was removed"
            yield from ((digest, who) for digest in found & digests)

    def _below(self, root: Digest, walked: set[Digest], *, may_lack: bool = False) -> set[Digest]:
        """What a tree consists of, but for what lies below nodes that were walked."""
        found: set[Digest] = set()

        def fresh(nodes: Iterable[Digest]) -> list[Digest]:
            new = [node for node in nodes if node not in walked]
            walked.update(new)
            return new

        # What lies below a node that is not here is not kept here either, where a remote has it.
        lost = walked.discard if may_lack or self._is_bound else None
        trees.walk(self._asking.peek, root, fresh=fresh, note=found.update, lost=lost)
        return found

    def _called(self, bundle: Present) -> str:
        return f"{bundle.name or '(unnamed)'} {bundle.uuid[:8]} in {self._name}"
