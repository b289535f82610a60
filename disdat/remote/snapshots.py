"""
Snapshots: many publications in one object, so that who comes late reads little.

A snapshot replaces nothing: all publications are those that lie by themselves and those in any snapshot. So two
processes may gather at once, and what one of them deletes is in a snapshot that nobody deletes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, cast

import zstandard

from disdat.core import canonical, event, publication
from disdat.core.canonical import Json
from disdat.core.places import context_key
from disdat.errors import Corrupt
from disdat.remote.known import Stored
from disdat.store.backend import Backend, Piece

FORMAT = 1
GRACE_US = 86_400_000_000
"""A publication is not deleted before it was stored for so long."""

_NAME = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.zst")
MAX_BYTES = 256 << 20
"""What takes more than this, as one line or decompressed, is not believed, and so not written."""
_FEED_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
_LEVEL = 3


def is_name(name: str) -> bool:
    """Whether a key that ends so is a snapshot's."""
    return _NAME.fullmatch(name) is not None


def read(backend: Backend, key: str) -> Iterator[Stored]:
    """
    Yield the publications of a snapshot, as many as are asked for.

    Raises:
        Corrupt: It is damaged or cut short, at the place that was reached; UnknownFormat if a later version wrote it.
        KeyNotFound: It is not there.
    """
    count = 0
    is_whole = False
    try:
        for line in _lines(backend, key):
            fields = cast("Mapping[str, Any]", canonical.decode(line))
            if "publication" in fields:
                yield Stored(publication.from_json(fields["publication"]), int(fields["stored"]))
                count += 1
            elif fields.get("count", count) != count:
                raise ValueError(f"it has {count} of {fields['count']} publications")
            else:
                publication.check_format(fields)
                is_whole = "count" in fields
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"snapshot {key} is damaged: {exc!r}") from exc
    if not is_whole:
        raise Corrupt(f"snapshot {key} was cut short")


def write(
    backend: Backend, remote_context: str, stored: Iterable[Stored], *, time_us: int
) -> tuple[str, frozenset[str]]:
    """
    Gather publications, given in order of their ids, in a new snapshot; its key, and the names of what is in it.

    It was read back, and is right. Memory is that of the compressed bytes.
    """  # fmt: skip
    key = context_key(remote_context, f"snapshots/{event.ulid(time_us)}.zst")
    packed = io.BytesIO()
    names = []
    with zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(packed, closefd=False) as sink:
        sink.write(_line({"format": FORMAT}))
        for each in stored:
            names.append(each.publication.name)
            sink.write(_line({"stored": each.stored_us, "publication": publication.to_json(each.publication)}))
        sink.write(_line({"format": FORMAT, "count": len(names)}))
    backend.put(key, packed.getvalue())
    if [each.publication.name for each in read(backend, key)] != names:
        raise Corrupt(f"snapshot {key} is not what was written")
    return key, frozenset(names)


def replaced(
    older: Mapping[str, frozenset[str]], loose: Mapping[str, int], kept: frozenset[str], *, now_us: int
) -> set[str]:
    """
    The keys that nobody needs beside a snapshot of the publications *kept*, by name; a function of values.

    *older* are the snapshots of smaller ids, with what is in them, and *loose* says when each publication that lies by
    itself was stored.
    """  # fmt: skip
    gone = {key for key, names in older.items() if names <= kept}
    return gone | {key for key, us in loose.items() if key.rpartition("/")[2] in kept and now_us - us > GRACE_US}


def decompress(packed: bytes) -> bytes:
    """What was compressed; Corrupt where it was damaged, or would be absurdly large."""
    data = io.BytesIO()
    for piece in _decompressed(io.BytesIO(packed), "what was compressed"):
        data.write(piece)
        if data.tell() > MAX_BYTES:
            raise Corrupt(f"what was compressed would take more than {MAX_BYTES:,} bytes")
    return data.getvalue()


def _line(fields: Json) -> bytes:
    return canonical.encode(fields) + b"\n"


def _lines(backend: Backend, key: str) -> Iterator[bytes]:
    held = bytearray()
    for piece in _decompressed(_Pieces(backend.read_pieces(key)), f"snapshot {key}"):
        first, *rest = piece.split(b"\n")
        held += first
        if rest:
            yield bytes(held)
            yield from rest[:-1]
            held = bytearray(rest[-1])
        if len(held) > MAX_BYTES:
            raise Corrupt(f"snapshot {key} is damaged: a line has no end")
    if held:
        raise Corrupt(f"snapshot {key} is damaged: its last line has no end")


def _decompressed(source: BinaryIO | _Pieces, what: str) -> Iterator[bytes]:
    """Yield what bytes decompress to in small pieces, however much that is; Corrupt where they are damaged."""
    context = zstandard.ZstdDecompressor()
    with context.stream_reader(cast("BinaryIO", source), read_size=_FEED_BYTES, closefd=False) as reader:
        try:
            while piece := reader.read(_PIECE_BYTES):
                yield piece
        except zstandard.ZstdError as exc:
            raise Corrupt(f"{what} is damaged: {exc}") from exc


class _Pieces:
    """Pieces as a file that is read."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def read(self, size_bytes: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = memoryview(piece)
        given, self._held = self._held[:size_bytes], self._held[size_bytes:]
        return bytes(given)
