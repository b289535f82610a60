"""
The note beside a catalog of how far the log was acknowledged, for when the catalog has not seen all of that.

Without it a last record that is damaged would pass for a torn tail. It is written after the record was synced
and is not synced itself, so it may be older than the log's end and is never ahead of what is durable.
``docs/format.md`` has the bytes.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from blake3 import blake3

from disdat.catalog.log import START, Position

SUFFIX = "-end"

_POSITION = struct.Struct("<QQ")
_CHECK_BYTES = 16
_BYTES = _POSITION.size + _CHECK_BYTES


class EndNote:
    """
    The note beside one catalog's file, made where there is none; to write it needs the context's lock.

    Who lets go of it need not close it, as with SQLite's connections.
    """

    __slots__ = ("_fd",)

    def __init__(self, catalog: str) -> None:
        self._fd = -1
        self._fd = os.open(catalog + SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def read(self) -> Position:
        """How far the log was acknowledged, at least."""
        return _decode(os.pread(self._fd, _BYTES, 0))

    def write(self, end: Position) -> None:
        """Note that the log was acknowledged up to *end*, where it is durable."""
        os.pwrite(self._fd, _encode(end), 0)

    def close(self) -> None:
        """Close the file; nothing happens the second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def read_beside(catalog: Path) -> Position:
    """How far the log was acknowledged, at least, as the note beside a catalog says, if both are there."""
    note = Path(f"{catalog}{SUFFIX}")
    return _decode(note.read_bytes()) if catalog.exists() and note.exists() else START


def _encode(end: Position) -> bytes:
    position = _POSITION.pack(*end)
    return position + _check(position)


def _decode(note: bytes) -> Position:
    position, check = note[: _POSITION.size], note[_POSITION.size :]
    # A power cut may leave it empty, and a reader without the lock may meet it half written.
    if len(note) != _BYTES or check != _check(position):
        return START
    return Position(*_POSITION.unpack(position))


def _check(position: bytes) -> bytes:
    return blake3(position).digest(_CHECK_BYTES)
