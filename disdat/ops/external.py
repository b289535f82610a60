"""Files elsewhere that a value names by ``s3://`` URLs: looked at, and read once, as streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache

from disdat.core.digest import Hasher
from disdat.core.tree import Entry
from disdat.errors import BadLinkError, InvalidInput, NotConfigured, NotFound, Unavailable
from disdat.store.backend import Backend, check_key, open_backend
from disdat.store.objects import ObjectBatch

READERS = 32
"""So many files are looked at at once."""
SMALL_BYTES = 1 << 20
"""What is larger is read by itself, in pieces."""
_TOGETHER = 64
"""So many small files are held in memory at most."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where what a URL names is kept, and where in the value the URL is."""

    url: str
    where: str
    backend: Backend
    key: str


@dataclass(frozen=True, slots=True)
class External:
    """What a URL names, as it was when it was looked at; of a small one the bytes too."""

    place: _Place
    etag: str
    size_bytes: int
    data: bytes | None = None

    @property
    def url(self) -> str:
        return self.place.url

    @property
    def name(self) -> str:
        """The bucket and the key, as a path."""
        return "/" + self.url.partition("://")[2]


def look(links: Mapping[str, str]) -> Iterator[External]:
    """
    Yield what URLs name, each given with its place in the value.

    Raises:
        BadLinkError: Nothing is at one; the message has its place and itself.
        NotConfigured: There are no credentials.
        PermissionDenied, Unavailable: It may not be read, or its store does not answer.
    """
    backend = cache(open_backend)  # one for each bucket
    places = [_place(url, where, backend) for url, where in links.items()]
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(places), _TOGETHER):
            yield from pool.map(_look, places[start : start + _TOGETHER])


def download(found: External, batch: ObjectBatch) -> Entry:
    """Take in the bytes, all of one version; raises what :func:`look` does."""
    if found.data is not None:
        return Entry(batch.put(found.data), found.size_bytes)
    with _told(found.place), batch.blob() as blob:
        for piece in found.place.backend.read_pieces(found.place.key):
            blob.write(piece)
    return Entry(blob.digest, blob.size_bytes)


def hashed(found: External) -> Entry:
    """
    The file that it becomes, its bytes read and not kept.

    Raises:
        Unavailable: It was replaced since it was looked at.
        As :func:`look`.
    """
    hasher = Hasher(expected_bytes=found.size_bytes)
    with _told(found.place):
        for piece in found.place.backend.read_pieces(found.place.key):
            hasher.update(piece)
        if found.place.backend.head(found.place.key).etag != found.etag:
            raise replaced(found)
    return Entry(hasher.digest(), hasher.size_bytes)


def replaced(found: External) -> Unavailable:
    """What to say of one that is not any more what it was."""
    return Unavailable(f"{found.url} was replaced while it was read", hint="try again once nobody writes to it")


def _place(url: str, where: str, backend: Callable[[str], Backend]) -> _Place:
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    with _refused(url, where):
        return _Place(url, where, backend(f"{scheme}://{bucket}"), check_key(key))


def _look(place: _Place) -> External:
    with _told(place):
        found = place.backend.head(place.key)
        if found.size_bytes > SMALL_BYTES:
            return External(place, found.etag, found.size_bytes)
        read = place.backend.get_versioned(place.key)
        return External(place, read.etag, len(read.data), read.data)


def _told(place: _Place) -> AbstractContextManager[None]:
    return _refused(place.url, place.where)


@contextmanager
def _refused(url: str, where: str) -> Iterator[None]:
    """Let errors say which URL they are about."""
    try:
        yield
    except (NotFound, InvalidInput) as exc:
        reason = "is not there" if isinstance(exc, NotFound) else "cannot be read"
        raise BadLinkError(
            f"cannot store {where}: {url} {reason}: {exc}",
            hint="check the URL, or store it as text with disdat.text()",
        ) from exc
    except NotConfigured as exc:
        raise NotConfigured(f"cannot read {url}: {exc}", hint=exc.hint) from exc
