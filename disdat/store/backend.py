"""
Backends: bytes by key, wherever they are kept.

A key is text of one or more parts joined by ``/``. Every backend keeps the contract of
:class:`disdat.testing.backend_contract.BackendContract`; what some cannot do, :func:`probe` finds out by trying.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from disdat.config import Settings
from disdat.core.checksum import Checksum
from disdat.errors import InvalidInput, NotFound, PermissionDenied, StorageError
from disdat.registry import Registry

Progress = Callable[[int], None]
"""Called with the bytes that were read or sent since the last call, from any thread; fewer than none if begun again."""
Piece = bytes | memoryview

PIECE_BYTES = 8 << 20
"""What is sent, or asked for, at a time, and at most handed over at a time."""
PIECES_IN_FLIGHT = 3
"""So many pieces of one object are on their way at a time: what one call holds in memory at most, and one more."""
COALESCED_BYTES = 1 << 20
"""Ranges that are no further apart are read as one."""
LONGEST_SIGNED_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept under a key."""

    key: str
    size_bytes: int
    modified_us: int
    """When it was written by the backend's clock, µs since the epoch, UTC; some know it to the second only."""
    etag: str = ""
    """Differs when what is kept differs; empty where it was not told."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """Bytes, and the etag they are replaced by :meth:`Backend.put_if_match` with."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a backend did when it was tried."""

    creates_once: bool
    """Of many who create under one key, one succeeds."""
    swaps: bool
    """Bytes are replaced only by who knows what is there."""
    signs: bool
    """There are URLs by which anybody reads an object for a while."""
    checksums: bool
    """It says what it computed over an object's bytes when it took them."""
    writes: bool = True
    """We may write there; what else it can do is not known where we may not."""


READ_ONLY = Abilities(creates_once=False, swaps=False, signs=False, checksums=False, writes=False)


class Backend(Protocol):
    """
    Bytes by key, for many threads and processes at once, and for processes forked from one that used it.

    A write is seen whole or not at all, and is durable when the call returns. A key is not both an object and the
    beginning of another up to a ``/``. All methods raise InvalidInput for what is no key, and StorageError
    where the backend refuses: PermissionDenied, or Unavailable if trying again may help.

    **Lost replies.** A request that was lost on its way back is repeated, and finds what it wrote itself. So
    :meth:`put_if_absent` may say False, and :meth:`put_if_match` None, to the very caller whose bytes are kept; and one
    that raised Unavailable may have written. Who must know writes something nobody else would, and reads it back.
    """

    @property
    def url(self) -> str:
        """What :func:`open_backend` opens it by."""

    def get(self, key: str) -> bytes:
        """The bytes, of an object that is small; KeyNotFound if there are none."""

    def get_versioned(self, key: str) -> Versioned:
        """The bytes, and which version they are; KeyNotFound if there are none."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """The *length* bytes from *offset* on, fewer where they end before; KeyNotFound if there are none."""

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """
        What :meth:`get_range` gives for each (offset, length), in few requests: what lies close is read as one.

        All is held in memory, and what lies between ranges as well.
        """

    def read_pieces(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        """
        Yield the bytes from *offset* on, or *length* of them, in pieces of at most :data:`PIECE_BYTES`.

        Some are fetched ahead, as many bytes as :data:`PIECES_IN_FLIGHT` at most. All are of one version: Unavailable
        where another is written meanwhile. Errors come with the first piece, KeyNotFound too.
        """

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes, in place of what was there."""

    def put_file(self, key: str, file: BinaryIO, size_bytes: int, *, progress: Progress | None = None) -> None:
        """
        Keep the next *size_bytes* of a file that can seek, in place of what was there; memory does not grow with them.

        StorageError if the file has fewer. *progress* hears of bytes as they are read, which is before they are sent.
        """

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep bytes unless there are some; whether these were kept. Of many who try at once, one is told True."""

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        """
        Keep bytes in place of those of this *etag*; their own etag, or None where others or none are there.

        Of many who try at once with one etag, one succeeds.
        """

    def copy(self, source_key: str, target_key: str) -> None:
        """Keep under *target_key* what is under *source_key*, by the backend itself; KeyNotFound if nothing is."""

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """Yield what is kept under keys that begin with *prefix* and come after *start_after*, by their UTF-8 bytes."""

    def list_below(self, prefix: str) -> Sequence[str]:
        """The next parts of the keys that begin with *prefix*, which is empty or ends with ``/``; sorted, each once."""

    def delete(self, key: str) -> None:
        """Forget the bytes; that there are none is fine."""

    def delete_many(self, keys: Iterable[str]) -> None:
        """Forget the bytes of each key, in few requests; after an error, of some."""

    def head(self, key: str) -> Stored:
        """What is kept under a key; KeyNotFound if nothing is."""

    def checksum(self, key: str) -> Checksum | None:
        """
        What the backend computed over all of an object when it took it; None where it computed or tells nothing.

        An object of ours that is larger than :data:`PIECE_BYTES` was sent in parts of :func:`part_bytes`.
        """

    def signed_url(self, key: str, *, expires_s: int) -> str:
        """A URL by which anybody may read an object for so long; InvalidInput where there are none, or not so long."""


class KeyNotFound(NotFound):
    """A backend keeps nothing under this key."""

    kind = "key-not-found"

    def __init__(self, key: str, url: str) -> None:
        super().__init__(f"{url} has no {key!r}", hint="check the URL, and that the remote was pushed to")
        self.key = key


class Unsupported(StorageError):
    """A backend cannot do this at all."""

    kind = "unsupported"


Opener = Callable[[str, Settings | None], Backend]

BACKENDS: Registry[Opener] = Registry("kind of URL")
"""What opens the URLs of each scheme."""

BACKENDS.add_lazy("file", "disdat.store.local:open_url")
BACKENDS.add_lazy("memory", "disdat.store.memory:open_url")
for _scheme in ("s3", "gs", "az"):
    BACKENDS.add_lazy(_scheme, "disdat.store.cloud:open_url", remedy="pip install --force-reinstall disdat")


def open_backend(url: str, settings: Settings | None = None) -> Backend:
    """
    The backend of a URL: ``file:///directory``, ``memory://name``, ``s3://bucket/prefix``, or ``gs://`` or ``az://``.

    *settings* are those in force, if not given. Asks the network nothing: the first call does, and it is what tells
    that there are no credentials (NotConfigured) or no such bucket (BucketNotFound).

    Raises:
        InvalidInput: The URL is none of these.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in BACKENDS:
        raise InvalidInput(f"cannot open {url!r}", hint="a URL begins with file://, s3://, gs:// or az://")
    return BACKENDS.get(scheme)(url, settings)


# What XML can carry, and no control character: servers and their clients do not agree on the rest.
_NOT_IN_KEYS = re.compile("[\0-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def check_key(key: str) -> str:
    """The key itself; InvalidInput if it is none."""
    if not {"", ".", ".."}.isdisjoint(key.split("/")) or _NOT_IN_KEYS.search(key) or len(key.encode("utf-8")) > 1024:
        raise InvalidInput(
            f"not a key: {key!r}", hint="a key has parts joined by /, no control characters, and at most 1,024 bytes"
        )
    return key


def check_parent(prefix: str) -> str:
    """What :meth:`Backend.list_below` takes; InvalidInput if it is not."""
    if prefix:
        if not prefix.endswith("/"):
            raise InvalidInput(f"not the beginning of keys: {prefix!r}", hint="it ends with /")
        check_key(prefix[:-1])
    return prefix


def check_range(offset: int, length: int) -> None:
    """InvalidInput if there cannot be such bytes."""
    if offset < 0 or length < 0:
        raise InvalidInput(f"there are no {length} bytes from {offset} on")


def part_bytes(size_bytes: int) -> int:
    """The size of the parts in which an object larger than :data:`PIECE_BYTES` is sent: S3 takes 10,000 at most."""
    least = -(-size_bytes // 9_000)
    return max(PIECE_BYTES, -(-least // (1 << 20)) << 20)


def read_file(file: BinaryIO, size_bytes: int, progress: Progress | None = None) -> Iterator[bytes]:
    """Yield the next *size_bytes* of a file in pieces of 1 MiB; StorageError if it has fewer."""
    left = size_bytes
    while left:
        piece = file.read(min(left, 1 << 20))
        if not piece:
            raise StorageError(f"a file ended {left:,} bytes too early", hint="wait until nothing writes to it")
        left -= len(piece)
        yield piece
        if progress:
            progress(len(piece))


@dataclass(frozen=True, slots=True)
class Span:
    """Ranges that are read as one; *wanted* are their places among all."""

    offset: int
    length: int
    wanted: tuple[int, ...]


def coalesced(ranges: Sequence[tuple[int, int]]) -> list[Span]:
    """The fewest reads that give all ranges, with at most :data:`COALESCED_BYTES` between two that are read as one."""
    spans: list[Span] = []
    for place in sorted(range(len(ranges)), key=lambda place: ranges[place]):
        offset, length = ranges[place]
        check_range(offset, length)
        if not length:
            continue
        last = spans[-1] if spans else None
        if last and offset - (last.offset + last.length) <= COALESCED_BYTES:
            end = max(last.offset + last.length, offset + length)
            spans[-1] = Span(last.offset, end - last.offset, (*last.wanted, place))
        else:
            spans.append(Span(offset, length, (place,)))
    return spans


def cut(ranges: Sequence[tuple[int, int]], spans: Sequence[Span], read: Iterable[bytes]) -> list[bytes]:
    """The bytes of each range, out of what was read of each span."""
    found = [b""] * len(ranges)
    for span, data in zip(spans, read, strict=True):
        for place in span.wanted:
            start = ranges[place][0] - span.offset
            found[place] = data[start : start + ranges[place][1]]
    return found


def probe(backend: Backend, prefix: str) -> Abilities:
    """
    What a backend can do, found by doing it below *prefix*, where nothing is left.

    Raises:
        StorageError: What was written cannot be read or deleted: PermissionDenied, Unavailable.
    """
    key = f"{prefix}probe-{os.urandom(16).hex()}"
    try:
        backend.put(key, b"probe")
    except PermissionDenied:
        return READ_ONLY
    try:
        return Abilities(
            creates_once=_creates_once(backend, key),
            swaps=_swaps(backend, key),
            signs=_signs(backend, key),
            checksums=backend.checksum(key) is not None,
        )
    finally:
        backend.delete(key)


def _creates_once(backend: Backend, key: str) -> bool:
    with suppress(Unsupported):
        return not backend.put_if_absent(key, b"other") and backend.get(key) == b"probe"
    return False


def _swaps(backend: Backend, key: str) -> bool:
    with suppress(Unsupported):
        first = backend.get_versioned(key)
        second = backend.put_if_match(key, b"second", first.etag)
        late = backend.put_if_match(key, b"third", first.etag)
        return bool(first.etag and second) and late is None and backend.get(key) == b"second"
    return False


def _signs(backend: Backend, key: str) -> bool:
    with suppress(InvalidInput):
        return bool(backend.signed_url(key, expires_s=60))
    return False
