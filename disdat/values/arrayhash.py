"""``array1``: what an array's content is named by, whatever its byte order, padding and layout in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
from blake3 import blake3

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.core.digest import threads_for

PIECE_BYTES = 1 << 20
"""Arrays are read in pieces of this size, so that a big one is never copied whole."""

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"  # any shape and dtype is the point here


def pieces(array: Array) -> Iterator[Array]:
    """The items in C order, as contiguous arrays of one dimension and about a mebibyte; each until the next."""
    if array.nbytes == 0:
        return
    count = max(PIECE_BYTES // array.itemsize, 1)
    buffered = partial(np.nditer, flags=["external_loop", "buffered"], buffersize=count, order="C")
    # numpy's types do not know that an nditer of one array yields arrays.
    runs = [array.reshape(-1)] if array.flags.c_contiguous else cast("Iterable[Array]", buffered(array))
    for run in runs:
        # A run of an array that is not contiguous may be a view of it, as long as the array.
        for start in range(0, run.size, count):
            yield np.ascontiguousarray(run[start : start + count])


def as_bytes(piece: Array) -> memoryview:
    """The bytes of a contiguous array; not copied."""
    return piece.reshape(-1).view(np.uint8).data if piece.nbytes else memoryview(b"")


def content(items: Array, wanted: np.dtype[Any]) -> Array:
    """Items as they are hashed: as *wanted*, their :func:`packed` dtype, NaN one value. *items* itself if it is so."""
    plain = items if items.dtype == wanted else items.astype(wanted)
    return with_one_nan(plain)


def hasher(kind: Json, shape: Sequence[int], *, expected_bytes: int = 0) -> blake3:
    """A hash of an array of this kind and shape, to be given its content."""
    head = canonical.encode([kind, list(shape)])
    start = b"array1" + len(head).to_bytes(8, "little") + head
    return blake3(start, max_threads=threads_for(expected_bytes))


def kind_of(dtype: np.dtype[Any]) -> Json:
    """The dtype as it counts for ``array1``: without byte order and padding."""
    if dtype.names is not None:
        return [[name, kind_of(dtype[name])] for name in dtype.names]
    if dtype.subdtype is not None:
        return ["array", kind_of(dtype.base), list(dtype.shape)]
    return dtype.str[1:]


def packed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype with little-endian items and no padding."""
    if dtype.names is not None:
        return np.dtype([(name, packed(dtype[name])) for name in dtype.names])
    if dtype.subdtype is not None:
        return np.dtype((packed(dtype.base), dtype.shape))
    return dtype.newbyteorder("<")


def with_one_nan(items: Array) -> Array:
    """Return *items* with every NaN the same, and with zero for the bytes a long double does not use."""
    if items.dtype.names is not None:
        return _with_one_nan_in_fields(items)
    if items.dtype.kind == "c":
        parts = items.view(items.real.dtype)
        fixed = with_one_nan(parts)
        return items if fixed is parts else fixed.view(items.dtype)
    if items.dtype.kind != "f":
        return items
    is_nan = np.isnan(items)
    if is_nan.any():
        items = items.copy()
        items[is_nan] = np.nan
    return _without_padding(items) if items.dtype.itemsize > 8 else items


def _with_one_nan_in_fields(items: Array) -> Array:
    names = [name for name in items.dtype.names or () if _has_float(items.dtype[name])]
    if names:
        items = items.copy()
    for name in names:
        field = np.ascontiguousarray(items[name])
        items[name] = with_one_nan(field)
    return items


def _has_float(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return any(_has_float(dtype[name]) for name in dtype.names)
    return dtype.base.kind in "fc" or (dtype.subdtype is not None and _has_float(dtype.base))


def _without_padding(items: Array) -> Array:
    if np.finfo(items.dtype).nmant != 63:  # only the 80-bit format of x86 is padded
        return items
    items = items.copy()
    items.reshape(-1).view(np.uint8).reshape(-1, items.dtype.itemsize)[:, 10:] = 0
    return items
