"""Which cells of two columns differ, row by row: nulls and NaN equal themselves. Vectorised, but for nested cells."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from disdat.values.comparable import Comparable
from disdat.values.difference import Tolerance

Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

BLOCK_ROWS = 1024
"""Nested cells are compared in Python, in those blocks only that are not equal as a whole."""


def differing(old: Comparable, new: Comparable, tolerance: Tolerance) -> Mask:
    """For each row whether its cells differ; the columns are of one type (``unified``) and one length."""
    return as_bits(_differing(old.cells, new.cells, tolerance))


def as_bits(found: pa.ChunkedArray) -> Mask:
    """Booleans without nulls as numpy has them; without pandas, which ``to_numpy`` would import."""
    bits = [_unpacked(chunk) for chunk in found.chunks if len(chunk)]
    return np.concatenate(bits) if bits else np.zeros(0, bool)


def _unpacked(chunk: pa.Array) -> Mask:
    packed = np.frombuffer(chunk.buffers()[1], np.uint8)
    bits: Mask = np.unpackbits(packed, bitorder="little")[chunk.offset : chunk.offset + len(chunk)].view(bool)
    return bits


def _differing(old: pa.ChunkedArray, new: pa.ChunkedArray, tolerance: Tolerance) -> pa.ChunkedArray:
    kind = old.type
    if pa.types.is_null(kind):
        return _none(len(old))
    if pa.types.is_struct(kind):
        return _differing_fields(old, new, tolerance)
    if pa.types.is_nested(kind):
        return _differing_objects(old, new)
    found = unequal(old, new)
    return pc.and_not(found, _near(old, new, tolerance)) if tolerance and _is_number(kind) else found


def unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where cells that are not nested differ; never null."""
    found = pc.not_equal(old, new)
    if pa.types.is_floating(old.type):
        found = pc.and_not(found, pc.and_(pc.is_nan(old), pc.is_nan(new)))
    # Not fill_null(found, False): to make Arrow's of one of Python's values imports pandas, 40 MB and half a second.
    is_known = pc.and_kleene(found, pc.is_valid(found))
    return pc.or_(is_known, pc.xor(old.is_null(), new.is_null()))


def as_arrow(numbers: Numbers) -> pa.Array:
    """Whole numbers as Arrow, in the same memory; without pandas, which ``pa.array`` would import."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def _none(count: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(np.zeros(count, bool))])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _near(old: pa.ChunkedArray, new: pa.ChunkedArray, tolerance: Tolerance) -> pa.ChunkedArray:
    """Where two numbers are no further apart than the tolerance; never null."""
    left, right = (side.cast(pa.float64(), safe=False) for side in (old, new))
    size = pc.max_element_wise(pc.abs(left), pc.abs(right), skip_nulls=False)
    most = pc.max_element_wise(pc.multiply(size, tolerance.relative), tolerance.absolute, skip_nulls=False)
    # Infinity is apart from everything but itself, though infinite tolerances of it would allow all.
    near = pc.and_(pc.less_equal(pc.abs(pc.subtract(right, left)), most), pc.is_finite(size))
    return pc.fill_null(near, False)


def _differing_fields(old: pa.ChunkedArray, new: pa.ChunkedArray, tolerance: Tolerance) -> pa.ChunkedArray:
    found = pc.xor(old.is_null(), new.is_null())
    # What lies in the fields of a null struct does not count; flatten() makes them null.
    for left, right in zip(old.flatten(), new.flatten(), strict=True):
        found = pc.or_(found, _differing(left, right, tolerance))
    return found


def _differing_objects(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    found = np.zeros(len(old), bool)
    for start in range(0, len(old), BLOCK_ROWS):
        left, right = old.slice(start, BLOCK_ROWS), new.slice(start, BLOCK_ROWS)
        if not left.equals(right):
            pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
            found[start : start + len(left)] = [not _alike(one, other) for one, other in pairs]
    return pa.chunked_array([pa.array(found)])


def _alike(old: object, new: object) -> bool:
    """Whether two cells of one nested type are equal, NaN to itself."""
    match old, new:
        case list(), list():
            return len(old) == len(new) and all(map(_alike, old, new))
        case dict(), dict():
            return old.keys() == new.keys() and all(_alike(item, new[name]) for name, item in old.items())
        case tuple(), tuple():  # an entry of a map
            return all(map(_alike, old, new))
        case float(), float() if np.isnan(old):
            return bool(np.isnan(new))
    return bool(old == new)
