"""Whether the bytes of earlier results can be had: they are here, or the remote has them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.places import Place
from disdat.core.tree import TreeRef
from disdat.errors import Corrupt, NotFound, Unavailable
from disdat.ops import needs

_T = TypeVar("_T")
_ASKED_AT_ONCE = 16


class Reach:
    """
    What was found out in one run, where each thing on the remote is asked for once.

    With *recompute*, what cannot be asked for is taken for gone.
    """

    def __init__(self, context: Context, *, recompute: bool = False) -> None:
        self._context = context
        self._recompute = recompute
        self._sizes: dict[str, int | None] = {}
        self._was_checked = False
        self._was_fetched = False

    def lacking(self, bundles: Iterable[Bundle]) -> set[str]:
        """
        Those of some bundles, by uuid, whose bytes are neither here nor on the remote.

        Raises:
            Unavailable: Bytes are not here, and the remote does not say whether it has them.
        """
        needed = {each.uuid: objects for each in bundles if (objects := set(self._objects(each)))}
        if not needed:
            return set()
        here = self._context.home.store.has_many(set[Digest]().union(*needed.values()))
        absent = {uuid: objects - here for uuid, objects in needed.items() if not objects <= here}
        if not absent:
            return set()
        lost = self._lost(set[Digest]().union(*absent.values()))
        return {uuid for uuid, objects in absent.items() if objects & lost}

    def manifests(self, uuids: Sequence[str]) -> dict[str, Bundle]:
        """
        Bundles as their manifests record them, fetched where they are objects that are not here.

        Those that were removed, and those whose manifest is lost or damaged, are left out.
        """
        if self._context.binding is not None:
            with suppress(NotFound, Corrupt):
                self._asking(lambda: self._bring_manifests(uuids), otherwise=None)
        found = ((uuid, self._manifest(uuid)) for uuid in uuids)
        return {uuid: bundle for uuid, bundle in found if bundle is not None}

    def _manifest(self, uuid: str) -> Bundle | None:
        with suppress(NotFound, Corrupt):
            return self._context.catalog.bundle(uuid)
        return None

    def _bring_manifests(self, uuids: Sequence[str]) -> None:
        from disdat.ops import localizing  # most of what is read is here

        catalog = self._context.catalog
        objects = catalog.manifest_objects(list(catalog.rows(uuids).values()))
        localizing.bring_absent(self._context, dict.fromkeys(objects, 0))

    def _objects(self, bundle: Bundle) -> Iterator[Digest]:
        """What a bundle's value and files are made of, as far as the nodes of its tree are here."""
        yield from (frame.digest for frame in bundle.frames if frame.digest is not None)
        nodes: list[Digest] = []
        read = needs.tolerant(self._context.home.store.read)

        def noted(node: Digest) -> bytes:
            nodes.append(node)
            return read(node)

        if isinstance(bundle.tree, TreeRef) or bundle.tree:
            yield from (entry.digest for entry in needs.files(bundle, noted).values())
            yield from nodes

    def _lost(self, absent: set[Digest]) -> set[Digest]:
        """Those of some objects that the remote does not have either."""
        if self._context.binding is None:
            return absent
        return self._asking(lambda: self._not_there(absent), otherwise=absent)

    def _asking(self, ask: Callable[[], _T], *, otherwise: _T) -> _T:
        try:
            return ask()
        except Unavailable as exc:
            if self._recompute:
                return otherwise
            raise Unavailable(
                f"results of earlier runs are on the remote only: {exc.message}",
                hint="try again when it answers, or make them anew with --recompute (in Python recompute=True)",
            ) from exc

    def _not_there(self, absent: set[Digest]) -> set[Digest]:
        if not self._was_checked:
            self._context.remote.check()
            self._was_checked = True
        left = self._without_place(absent)
        if left and not self._was_fetched:
            from disdat.ops import fetching  # most of what is read is here

            # It may lie elsewhere by now.
            fetching.fetch(self._context.home.context(self._context.name))
            self._was_fetched = True
            left = self._without_place(left)
        return left

    def _without_place(self, objects: set[Digest]) -> set[Digest]:
        places = self._context.remote.known.places(objects)
        self._ask({place.key for of_one in places.values() for place in of_one} - self._sizes.keys())
        return {each for each in objects if not any(map(self._has, places.get(each, ())))}

    def _has(self, place: Place) -> bool:
        size_bytes = self._sizes[place.key]
        return size_bytes is not None and place.offset + place.length <= size_bytes

    def _ask(self, keys: set[str]) -> None:
        if not keys:
            return
        asked = sorted(keys)
        with ThreadPoolExecutor(min(_ASKED_AT_ONCE, len(asked))) as pool:
            self._sizes |= zip(asked, pool.map(self._size, asked), strict=True)

    def _size(self, key: str) -> int | None:
        """How many bytes the remote keeps under a key; None where it keeps nothing."""
        with suppress(NotFound):
            return self._context.remote.backend.head(key).size_bytes
        return None
