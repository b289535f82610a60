"""
Sharing with those who have no disdat: URLs, good for a while, by which anybody reads the files and values of a bundle.

What is shared is a copy of its own: the URL of a pack would give its neighbours away.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import canonical, event
from disdat.core.bundle import Bundle, Frame
from disdat.core.digest import Digest, of_bytes
from disdat.core.places import Place, key_of_path, share_key
from disdat.errors import InvalidInput, ObjectNotFound
from disdat.ops import fetching, find, localizing, needs
from disdat.remote import vouched
from disdat.remote.plain import LARGEST_COPY_BYTES
from disdat.store.backend import LONGEST_SIGNED_S, Backend, KeyNotFound

_ENDINGS = {
    "application/json": ".json",
    "application/x-npy": ".npy",
    "application/vnd.apache.parquet": ".parquet",
    "application/x-pickle": ".pickle",
}

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are ready."""


@dataclass(frozen=True, slots=True)
class Link:
    """One file, or one stored value: its path in the bundle, or what it is called; and where anybody may read it."""

    name: str
    size_bytes: int
    url: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A bundle that is shared, and until when, µs since the epoch."""

    row: Row
    links: tuple[Link, ...]
    until_us: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A file or a value of a bundle; :attr:`data` of one that lies in the manifest."""

    name: str
    size_bytes: int
    digest: Digest | None
    data: bytes | None = None


def share(context: Context, reference: str, *, expires_s: int, progress: Progress | None = None) -> Shared:
    """
    Make URLs by which anybody reads a bundle's files and values for so long, at most 7 days.

    Each is of a copy on the remote, which collection deletes when the time is over; until then nothing takes it back.

    Raises:
        NotConfigured: The context has no remote.
        InvalidInput: The remote has no URLs that others can read, or not for so long; or there is nothing to share.
        BundleNotFound, RefNotFound, BadQuery: As :func:`disdat.ops.find.resolve`.
        ObjectNotFound: Bytes are neither on the remote nor here.
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    backend = context.remote.backend
    if not 0 < expires_s <= LONGEST_SIGNED_S:
        raise InvalidInput(f"a URL cannot be good for {expires_s:,} s", hint="for 1 second to 7 days it can")
    row = find.resolve(context, reference)
    id_ = event.ulid(0)
    backend.signed_url(share_key(id_, "x"), expires_s=expires_s)  # says where it cannot be done at all
    fetching.fetch(context)
    parts = list(_parts(context, context.catalog.bundle(row.uuid)))
    if not parts:
        raise InvalidInput(f"{row.name or row.uuid} has neither a value nor files", hint="share another bundle")
    now_us = context.home.clock_us() + context.remote.known.number("offset")
    until_us = now_us + expires_s * 1_000_000
    id_ = event.ulid(until_us)
    total, done = sum(part.size_bytes for part in parts), 0
    for part in parts:
        _copy(context, backend, part, share_key(id_, part.name))
        done += part.size_bytes
        if progress is not None:
            progress(done, total)
    links = [
        Link(part.name, part.size_bytes, backend.signed_url(share_key(id_, part.name), expires_s=expires_s))
        for part in parts
    ]
    return Shared(row, tuple(links), until_us)


def _parts(context: Context, bundle: Bundle) -> Iterator[_Part]:
    """Yield what can be read of a bundle without disdat; files first."""
    localizing.bring_trees(context, [bundle])
    files = needs.files(bundle, context.home.store.read)
    taken = {key_of_path(path) for path in files}
    for path, entry in files.items():
        yield _Part(key_of_path(path), entry.size_bytes, entry.digest)
    for number, frame in enumerate(bundle.frames):
        part = _value(frame, number)
        if part is not None and part.name not in taken:
            yield part


def _value(frame: Frame, number: int) -> _Part | None:
    stem = "value" if number == 0 else f"value-{number}"
    if frame.digest is not None:
        return _Part(stem + _ENDINGS.get(frame.media_type, ""), frame.size_bytes, frame.digest)
    if frame.path is not None:
        return None  # its files are there
    if frame.inline is None:
        return None
    data = canonical.encode(frame.inline.value)
    return _Part(f"{stem}.json", len(data), None, data)


def _copy(context: Context, backend: Backend, part: _Part, key: str) -> None:
    """Have a copy of a file or value under a key."""
    if part.data is not None or part.digest is None:
        backend.put(key, part.data or b"")
        return
    for place in context.remote.known.places([part.digest]).get(part.digest, ()):
        try:
            if _copied(backend, place, part.digest, key):
                return
        except KeyNotFound:
            continue  # deleted since; there may be another, or the bytes may be here
    _send(context, backend, part.digest, key)


def _copied(backend: Backend, place: Place, digest: Digest, key: str) -> bool:
    """Whether the remote had the bytes by themselves and copied them, or has them in a pack, where they are right."""
    if place.is_whole:
        if place.weak is not None:
            vouched.check(backend, place)
        if place.length > LARGEST_COPY_BYTES:
            return False
        backend.copy(place.key, key)
        return True
    data = backend.get_range(place.key, place.offset, place.length)
    if of_bytes(data) != digest:
        return False
    backend.put_file(key, io.BytesIO(data), len(data))
    return True


def _send(context: Context, backend: Backend, digest: Digest, key: str) -> None:
    store = context.home.store
    if digest not in store.has_many([digest]):
        raise ObjectNotFound(
            f"object {digest} is neither here nor at {backend.url} so that it can be shared",
            hint="`dsdt pull --localize` fetches it; `dsdt verify --remote` finds what is missing",
        )
    path, offset, size_bytes = store.open_path(digest)
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        backend.put_file(key, cast("BinaryIO", file), size_bytes)
