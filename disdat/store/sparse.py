"""Sparse files: a copy of a file with holes takes no more of the disk than the file does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from disdat.core.digest import CHUNK_BYTES
from disdat.durable import Disk

Write = Callable[[bytes | memoryview], None]

BLOCK_BYTES = 1 << 16
"""Zeros are left out in blocks of this size."""
_ZEROS = bytes(CHUNK_BYTES)
_UNIT_BYTES = 512
"""What ``st_blocks`` counts, whatever the blocks of the file system are."""


def has_holes(file: BinaryIO) -> bool:
    """Whether an open file takes less of the disk than it has bytes."""
    found = os.fstat(file.fileno())
    return found.st_blocks * _UNIT_BYTES < found.st_size


@contextmanager
def writing_copy(source: BinaryIO, target: BinaryIO, *, disk: Disk) -> Iterator[Write]:
    """
    What appends to *target*, which is empty, the bytes that are read of *source*.

    Where *source* has holes, blocks of zeros become holes. Zeros are recognised, not asked for (``SEEK_HOLE``): of
    a file that was just written some file systems told holes that were none, and copies lost data.
    """
    if not has_holes(source):
        yield partial(disk.write, target)
        return
    yield partial(_write_sparse, target, disk)
    disk.truncate(Path(target.name), target.tell())  # a hole at the end is no byte yet


def _write_sparse(target: BinaryIO, disk: Disk, piece: bytes | memoryview) -> None:
    if _is_zero(piece):
        target.seek(len(piece), os.SEEK_CUR)
        return
    for start in range(0, len(piece), BLOCK_BYTES):
        block = piece[start : start + BLOCK_BYTES]
        if _is_zero(block):
            target.seek(len(block), os.SEEK_CUR)
        else:
            disk.write(target, block)


def _is_zero(piece: bytes | memoryview) -> bool:
    # Of bytes the comparison is one memcmp; of a memoryview it goes item by item.
    return bytes(piece) == _ZEROS[: len(piece)]
