"""A file to write to whose bytes become an object: in memory while it is small, in staging once it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from disdat.core.digest import CHUNK_BYTES, Digest, Hasher, of_bytes
from disdat.durable import Disk, storage_errors
from disdat.store.files import Staging, WriteBack

_LARGE_BYTES = 256 << 10
"""A piece of so many bytes is written as it is: to copy it costs more than a call."""


class Blob:
    """
    A writable binary file, as pyarrow and numpy want one, and a context manager.

    Its bytes are kept when it is closed, and forgotten when an exception leaves the block. Where some are *expected*,
    others are forgotten too: its digest tells what it was given.
    """

    def __init__(
        self,
        *,
        staging: Staging,
        disk: Disk,
        limit_bytes: int,
        keep_bytes: Callable[[bytes], Digest],
        keep_file: Callable[[Path, Digest], None],
        expected: Digest | None = None,
    ) -> None:
        self._staging, self._disk, self._limit_bytes = staging, disk, limit_bytes
        self.expected = expected
        self._keep_bytes, self._keep_file = keep_bytes, keep_file
        self._buffer = bytearray()
        self._spilled: _Spilled | None = None
        self._size_bytes = 0
        self._digest: Digest | None = None
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    @property
    def digest(self) -> Digest:
        """The digest of all bytes; ValueError before the blob is closed."""
        if self._digest is None:
            raise ValueError("the blob has no digest before it is closed")
        return self._digest

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def mode(self) -> str:
        return "wb"

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._size_bytes

    def flush(self) -> None:
        """Do nothing: bytes count when the blob is closed."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take all of *data*, any buffer of bytes; returns how many."""
        if self.closed:
            raise ValueError("write to a closed blob")
        piece = memoryview(data).cast("B")
        with storage_errors("store an object"):
            self._take(piece)
        self._size_bytes += len(piece)
        return len(piece)

    def close(self) -> None:
        """Keep the bytes; nothing happens the second time."""
        if self.closed:
            return
        self.closed = True
        with storage_errors("store an object"):
            self._digest = self._keep()
        self._buffer = bytearray()

    def discard(self) -> None:
        """Forget the bytes; nothing happens once the blob is closed."""
        if self.closed:
            return
        self.closed = True
        self._buffer = bytearray()
        if self._spilled is not None:
            path, _ = self._spilled.finish()
            self._staging.discard(path)

    def _take(self, piece: memoryview) -> None:
        if len(piece) >= _LARGE_BYTES:
            self._flush_buffer()
            self._spill().write(piece)
        else:
            self._buffer += piece
            if len(self._buffer) >= CHUNK_BYTES:
                self._flush_buffer()

    def _keep(self) -> Digest:
        if self._spilled is None and self._size_bytes < self._limit_bytes:
            data = bytes(self._buffer)
            return self._keep_bytes(data) if self.expected is None else self._keep_expected(data)
        self._flush_buffer()
        path, digest = self._spill().finish()
        if self.expected in (None, digest):
            self._keep_file(path, digest)
        else:
            self._staging.discard(path)
        return digest

    def _keep_expected(self, data: bytes) -> Digest:
        digest = of_bytes(data)
        return self._keep_bytes(data) if digest == self.expected else digest

    def _flush_buffer(self) -> None:
        if self._buffer:
            self._spill().write(memoryview(self._buffer))
            self._buffer = bytearray()

    def _spill(self) -> _Spilled:
        if self._spilled is None:
            self._spilled = _Spilled(*self._staging.create(), self._disk)
        return self._spilled


class _Spilled:
    """The staging file of a blob."""

    def __init__(self, path: Path, file: BinaryIO, disk: Disk) -> None:
        self._path, self._file, self._disk = path, file, disk
        self._hasher = Hasher(expected_bytes=CHUNK_BYTES)
        self._write_back = WriteBack(file, disk)

    def write(self, piece: memoryview) -> None:
        self._hasher.update(piece)
        self._disk.write(self._file, piece)
        self._write_back.reached(self._hasher.size_bytes)

    def finish(self) -> tuple[Path, Digest]:
        self._file.close()
        return self._path, self._hasher.digest()
