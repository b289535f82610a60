"""
Packs: many small objects in one file, their index at its end. ``docs/format.md`` has the bytes.

Writing takes one pass, in the order of the digests, so equal objects make equal packs. Nothing is compressed:
an array in a pack can be memory-mapped.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias

from disdat.core.digest import CHUNK_BYTES, Digest, Hasher, of_bytes, of_chunks, raw_of_bytes
from disdat.errors import Corrupt, DigestMismatch, UnknownFormat

SUFFIX = ".pack"
MAX_BYTES = 64 << 20
"""A pack holds at most this many bytes of objects."""
RUN_BYTES = 64 << 10
"""So much of a pack is read at once: of 1 MiB the bytes have left the processor's cache before they are written."""

_MAGIC, _END = b"DSDTPAK1", b"DSDTPEND"
_ENTRY = struct.Struct("<32sQQ")
_DIGEST_BYTES = 32
_TRAILER_BYTES = 56
_UNHASHED_BYTES = _DIGEST_BYTES + len(_END)
_Row: TypeAlias = tuple[bytes, int, int]
_HINT = "`dsdt verify` lists what is affected; add the data again, or restore the file from a backup"


@dataclass(frozen=True, slots=True)
class Packed:
    """Where in a pack an object is."""

    digest: Digest
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack is called, without suffix, and what is in it."""

    name: str
    index: bytes
    """As it lies in the file, in order of the digests."""

    @property
    def contents(self) -> tuple[Packed, ...]:
        return tuple(Packed(Digest.from_raw(raw), offset, length) for raw, offset, length in self.rows())

    def rows(self) -> Iterator[_Row]:
        """Yield each object's digest as its 32 bytes, its offset and its length: what is cheap of many objects."""
        return _ENTRY.iter_unpack(self.index)


def write(objects: dict[Digest, bytes], sink: Callable[[bytes], None]) -> Pack:
    """
    Hand the bytes of a pack of *objects* to *sink*, in pieces of about 1 MiB; the pack's name is known after.

    What was gathered is taken out of *objects*, so that who collects the next pack can use its memory.
    """
    hasher = Hasher()
    index = bytearray()
    for piece in _gather(_body(objects, index), CHUNK_BYTES):
        hasher.update(piece)
        sink(piece)
    name = hasher.digest()
    sink(name.raw + _END)
    return Pack(name.hex, bytes(index))


class PackReader:
    """
    An open pack; a context manager. Several threads may read from one.

    Raises:
        Corrupt: The pack's frame or index is not whole. What is in the objects is not looked at.
        UnknownFormat: A later version wrote it.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("rb", buffering=0)
        try:
            self.pack = self._read_index()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def contents(self) -> tuple[Packed, ...]:
        """The objects, in order of their digests."""
        return self.pack.contents

    def read(self, entry: Packed) -> bytes:
        """The bytes of an object; DigestMismatch unless they are its."""
        return read_from(self._file, entry)

    def right_of(self, wanted: Container[bytes]) -> Iterator[tuple[bytes, memoryview]]:
        """Yield those of the objects *wanted*, by the 32 bytes of their digests, that are right, with their bytes."""
        for run in _runs(row for row in self.pack.rows() if row[0] in wanted):
            start, (_, last, length) = run[0][1], run[-1]
            data = memoryview(os.pread(self._file.fileno(), last + length - start, start))
            for raw, offset, length in run:
                piece = data[offset - start : offset - start + length]
                if raw_of_bytes(piece) == raw:
                    yield raw, piece

    def verify(self) -> None:
        """Read all bytes; DigestMismatch unless they are those the pack is named by."""
        size_bytes = os.fstat(self._file.fileno()).st_size
        found = of_chunks(self._pieces(size_bytes - _UNHASHED_BYTES), expected_bytes=size_bytes)
        written = os.pread(self._file.fileno(), _DIGEST_BYTES, size_bytes - _UNHASHED_BYTES)
        self._check_whole(found, written)

    def each(self) -> Iterator[tuple[Packed, bytes]]:
        """Yield every object and its bytes, whatever they are; at the end DigestMismatch as :meth:`verify`."""
        hasher = Hasher(expected_bytes=os.fstat(self._file.fileno()).st_size)
        with self.path.open("rb", buffering=CHUNK_BYTES) as file:
            hasher.update(file.read(len(_MAGIC)))
            for entry in self.contents:
                data = file.read(entry.length)
                hasher.update(data)
                yield entry, data
            rest = file.read()
        hasher.update(rest[:-_UNHASHED_BYTES])
        self._check_whole(hasher.digest(), rest[-_UNHASHED_BYTES : -len(_END)])

    def _check_whole(self, found: Digest, written: bytes) -> None:
        for expected in (self.path.name.removesuffix(SUFFIX), written.hex()):
            if found.hex != expected:
                raise DigestMismatch(f"pack {self.path}", expected=expected, found=found.hex, hint=_HINT)

    def _pieces(self, end: int) -> Iterator[bytes]:
        for offset in range(0, end, CHUNK_BYTES):
            yield os.pread(self._file.fileno(), min(CHUNK_BYTES, end - offset), offset)

    def _read_index(self) -> Pack:
        fd = self._file.fileno()
        size_bytes = os.fstat(fd).st_size
        self._check_frame(os.pread(fd, len(_MAGIC), 0), size_bytes)
        trailer = os.pread(fd, _TRAILER_BYTES, size_bytes - _TRAILER_BYTES)
        start, count = _number(trailer, 0), _number(trailer, 8)
        if start + count * _ENTRY.size + _TRAILER_BYTES != size_bytes or not trailer.endswith(_END):
            raise self._damaged("its end is missing or is not an index")
        pack = Pack(self.path.name.removesuffix(SUFFIX), os.pread(fd, count * _ENTRY.size, start))
        if not _are_in_order(pack, start):
            raise self._damaged("its index does not match its objects")
        return pack

    def _check_frame(self, magic: bytes, size_bytes: int) -> None:
        if magic != _MAGIC and magic.startswith(_MAGIC[:-1]):
            raise UnknownFormat(f"pack {self.path}", found=magic[-1:].decode("latin-1"), supported=1)
        if magic != _MAGIC:
            raise self._damaged("it does not begin as a pack does")
        if size_bytes < len(_MAGIC) + _TRAILER_BYTES:
            raise self._damaged("it was cut short")

    def _damaged(self, how: str) -> Corrupt:
        return Corrupt(f"pack {self.path} is damaged: {how}", hint=_HINT)


def read(path: Path, entry: Packed) -> bytes:
    """The bytes of one object without reading the pack's index; DigestMismatch unless they are its."""
    with path.open("rb", buffering=0) as file:
        return read_from(file, entry)


def read_from(pack: BinaryIO, entry: Packed) -> bytes:
    """The bytes of one object of an open pack; DigestMismatch unless they are its."""
    return checked(pack.name, entry, os.pread(pack.fileno(), entry.length, entry.offset))


def find_right(paths: Iterable[Path], digest: Digest) -> Path | None:
    """The first of some packs that has the right bytes of an object; None if none has."""
    for path in paths:
        with suppress(Corrupt, OSError), PackReader(path) as reader:
            for entry in reader.contents:
                if entry.digest == digest:
                    reader.read(entry)
                    return path
    return None


def checked(path: str | Path, entry: Packed, data: bytes) -> bytes:
    """*data* if it is the object's; DigestMismatch naming object and pack otherwise."""
    found = of_bytes(data)
    if found != entry.digest:
        raise DigestMismatch(f"object {entry.digest} in pack {path}", expected=entry.digest, found=found, hint=_HINT)
    return data


def _body(objects: dict[Digest, bytes], index: bytearray) -> Iterator[bytes]:
    """Yield all but the hash and the end, noting in *index* where each object is."""
    yield _MAGIC
    offset = len(_MAGIC)
    for digest in sorted(objects):
        data = objects.pop(digest)
        index += _ENTRY.pack(digest.raw, offset, len(data))
        offset += len(data)
        yield data
    yield bytes(index)
    yield _bytes(offset) + _bytes(len(index) // _ENTRY.size)


def _gather(parts: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
    """Join small parts into pieces of at least *size_bytes*, but the last."""
    held: list[bytes] = []
    held_bytes = 0
    for part in parts:
        held.append(part)
        held_bytes += len(part)
        if held_bytes >= size_bytes:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join(held)


def _runs(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Gather rows of objects that lie one after another into runs, each of which is one read."""
    run: list[_Row] = []
    size_bytes = 0
    for row in rows:
        if run and (size_bytes >= RUN_BYTES or row[1] != run[0][1] + size_bytes):
            yield run
            run, size_bytes = [], 0
        run.append(row)
        size_bytes += row[2]
    if run:
        yield run


def _are_in_order(pack: Pack, end: int) -> bool:
    """Whether the objects lie one after another, by digest, and fill the pack up to its index."""
    expected, last = len(_MAGIC), b""
    for raw, offset, length in pack.rows():
        if offset != expected or raw <= last:
            return False
        expected, last = offset + length, raw
    return expected == end


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _bytes(number: int) -> bytes:
    return number.to_bytes(8, "little")
