"""What a remote vouches for of the objects that are known by that alone."""

from __future__ import annotations

from collections.abc import Callable

from disdat.core.digest import Digest
from disdat.core.places import Place
from disdat.core.weak import SMALLEST_BYTES, Weak
from disdat.errors import Corrupt
from disdat.store.backend import Backend, Stored
from disdat.store.batch import ObjectBatch


def identity(backend: Backend, found: Stored) -> Weak | None:
    """
    What tells an object, as it was found, from all others; None where it is too small, or nothing tells.

    Raises:
        KeyNotFound: It is gone.
        PermissionDenied, Unavailable: It may not be read, or the remote does not answer.
    """
    if found.size_bytes < SMALLEST_BYTES or not backend.url.startswith("s3://"):
        return None
    return Weak.of(found.etag, backend.checksum(found.key))


def check(backend: Backend, place: Place) -> None:
    """
    Look whether an object is still the one that was published there, without reading it.

    Raises:
        Corrupt: It is another one.
        KeyNotFound, PermissionDenied, Unavailable: As :func:`identity`.
    """
    found = backend.head(place.key)
    if found.size_bytes == place.length and identity(backend, found) == place.weak:
        return
    raise replaced(backend, place)


def take(
    backend: Backend, batch: ObjectBatch, name: Digest, place: Place, progress: Callable[[int], None]
) -> Corrupt | None:
    """
    Take in an object, of which the remote must say the same before and after; what is wrong with it, and nothing came.

    What was read once is known by its bytes, whatever the remote says. Raises KeyNotFound, and what *progress* does.
    """
    try:
        with batch.weak_blob(name) as blob:
            expected = blob.expected
            if expected is None:
                check(backend, place)
            for piece in backend.read_pieces(place.key, length=place.length):
                blob.write(piece)
                progress(len(piece))
            if expected is None:
                check(backend, place)
    except Corrupt as exc:
        return exc
    return None if expected in (None, blob.digest) else replaced(backend, place)


def replaced(backend: Backend, place: Place) -> Corrupt:
    """What to say of one that is not any more the one that was published."""
    return Corrupt(
        f"{backend.url}/{place.key} is another object than the one that was published",
        hint="put that one back, or make the bundle again",
    )
