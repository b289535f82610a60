"""Reading objects off a remote, verified, for who needs few and keeps none: the nodes of trees, manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from disdat.core.digest import Digest, Hasher, of_bytes
from disdat.core.places import Place
from disdat.errors import Corrupt, DigestMismatch, DisdatError, ObjectNotFound
from disdat.remote import transfer, vouched
from disdat.store.backend import Backend, KeyNotFound

Places = Callable[[Iterable[Digest]], Mapping[Digest, Sequence[Place]]]
"""Says where objects lie."""

_READERS = 16
_CHECKERS = 4
"""So many keys are read at once where all is: packs may be large."""
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


def wrong(
    backend: Backend, places: Mapping[Digest, Sequence[Place]], *, progress: Callable[[int], None]
) -> dict[Digest, DisdatError]:
    """
    Read objects; those that are right in none of their places, and why not. What is weak there is looked at only.

    *progress* is told bytes as they are read, by any thread. StorageError where the remote does not answer.
    """
    left = {digest: list(of_one) for digest, of_one in places.items()}
    failed: dict[Digest, DisdatError] = {}
    with ThreadPoolExecutor(_CHECKERS) as pool:
        while loads := transfer.loads({digest: of_one for digest, of_one in left.items() if of_one}):
            found: dict[Digest, DisdatError] = {}
            for of_load in pool.map(lambda load: _wrong(backend, load, progress), loads):
                found |= of_load
            tried = {digest: place for load in loads for digest, place in load.wanted}
            failed = {digest: exc for digest, exc in failed.items() if digest not in tried} | found
            left = {digest: [place for place in left[digest] if place != tried[digest]] for digest in found}
    return failed


def _wrong(backend: Backend, load: transfer.Load, progress: Callable[[int], None]) -> dict[Digest, DisdatError]:
    """Those objects of one key that are not right there, and why not."""
    failed: dict[Digest, DisdatError] = {}
    if any(place.weak is not None for _, place in load.wanted):
        return _replaced(backend, load)
    try:
        for digest, found, size_bytes in _large(backend, load) if load.is_large else _small(backend, load):
            progress(size_bytes)
            if found != digest:
                failed[digest] = transfer.damaged(backend, load.key, digest, found)
    except KeyNotFound as exc:
        return dict.fromkeys((digest for digest, _ in load.wanted), exc)
    return failed


def _replaced(backend: Backend, load: transfer.Load) -> dict[Digest, DisdatError]:
    """Of what lies under a key and is known by what the remote says of it, what is not there any more."""
    failed: dict[Digest, DisdatError] = {}
    for digest, place in load.wanted:
        try:
            vouched.check(backend, place)
        except (Corrupt, KeyNotFound) as exc:
            failed[digest] = exc
    return failed


def _small(backend: Backend, load: transfer.Load) -> Iterator[tuple[Digest, Digest, int]]:
    for digest, data in transfer.read_small(backend, load):
        yield digest, of_bytes(data), len(data)


def _large(backend: Backend, load: transfer.Load) -> Iterator[tuple[Digest, Digest, int]]:
    for digest, place in load.wanted:
        hasher = Hasher(expected_bytes=place.length)
        for piece in backend.read_pieces(load.key, offset=place.offset, length=place.length):
            hasher.update(piece)
        yield digest, hasher.digest(), place.length
