"""Reading objects off a remote, verified, for who needs few and keeps none: the nodes of trees, manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from disdat.core.digest import Digest, of_bytes
from disdat.core.places import Place
from disdat.errors import DigestMismatch, ObjectNotFound
from disdat.remote import transfer
from disdat.store.backend import Backend, KeyNotFound

Places = Callable[[Iterable[Digest]], Mapping[Digest, Sequence[Place]]]
"""Says where objects lie."""

_READERS = 16
_TOGETHER = 2000


def read(backend: Backend, places: Places, digest: Digest) -> bytes:
    """
    The bytes of an object, from the first of its places that has them right.

    Raises:
        ObjectNotFound: There is none.
        DigestMismatch: What is there is not right.
    """
    damage: DigestMismatch | None = None
    for place in places([digest]).get(digest, ()):
        try:
            data = backend.get_range(place.key, place.offset, place.length)
        except KeyNotFound:
            continue
        if (found := of_bytes(data)) == digest:
            return data
        damage = transfer.damaged(backend, place.key, digest, found)
    raise damage or ObjectNotFound(f"object {digest} is not at {backend.url}")


def read_many(backend: Backend, places: Places, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes | None]]:
    """Yield small objects with their bytes, in no order; None for those that :func:`read` must look for."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(digests), _TOGETHER):
            left = set(digests[start : start + _TOGETHER])
            loads = transfer.loads(places(left))
            for found in pool.map(lambda load: _right(backend, load), loads):
                left -= found.keys()
                yield from found.items()
            yield from ((digest, None) for digest in sorted(left))


def _right(backend: Backend, load: transfer.Load) -> dict[Digest, bytes]:
    """Those objects of one key that are right."""
    try:
        return {digest: data for digest, data in transfer.read_small(backend, load) if of_bytes(data) == digest}
    except KeyNotFound:
        return {}
