"""``table1``: what a table's content is named by, hashed from Arrow arrays in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.core.digest import LogicalDigest, logical
from disdat.values.arrayhash import with_one_nan

CHUNK_ROWS = 1 << 16
"""A chunk always has this many rows but for the last, whatever row groups and chunks the table has."""

Cells: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"  # of any dtype


class ColumnHash:
    """The content of one column of *kind*, given from the top in arrays whose lengths are multiples of CHUNK_ROWS."""

    def __init__(self, kind: Json, dictionary: bytes = b"") -> None:
        head = canonical.encode(kind)
        self._hash = blake3(len(head).to_bytes(8, "little") + head + dictionary)

    def update(self, cells: pa.Array | pa.ChunkedArray) -> None:
        for chunk in _chunks(cells):
            _hash_chunk(self._hash, chunk)

    def digest(self) -> bytes:
        return self._hash.digest()


def column_digest(kind: Json, cells: pa.Array | pa.ChunkedArray) -> bytes:
    """The digest of a whole column."""
    column = ColumnHash(kind)
    column.update(cells)
    return column.digest()


def table_logical(head: Json, columns: list[bytes]) -> LogicalDigest:
    """``table1`` of a table with this head and these columns' digests."""
    data = canonical.encode(head)
    hasher = blake3(b"table1" + len(data).to_bytes(8, "little") + data)
    for column in columns:
        hasher.update(column)
    return logical("table1", hasher.digest())


def kind_of(kind: pa.DataType) -> Json:
    """
    The type as it counts for ``table1``; TypeError for one that no column may have.

    A dictionary counts as its values here: that of a whole column is told apart by whoever stores it.
    """
    for is_kind, name in _NAMED.items():
        if is_kind(kind):
            return name
    for is_kind, describe in _DESCRIBED.items():
        if is_kind(kind):
            return describe(kind)
    raise TypeError(f"columns of type {kind} cannot be stored")


_types = pa.types
_NAMED: Mapping[Callable[[pa.DataType], bool], str] = {
    _types.is_boolean: "bool",
    _types.is_int8: "int8",
    _types.is_int16: "int16",
    _types.is_int32: "int32",
    _types.is_int64: "int64",
    _types.is_uint8: "uint8",
    _types.is_uint16: "uint16",
    _types.is_uint32: "uint32",
    _types.is_uint64: "uint64",
    _types.is_float16: "float16",
    _types.is_float32: "float32",
    _types.is_float64: "float64",
    _types.is_date: "date",
    _types.is_null: "null",
    _types.is_string: "string",
    _types.is_large_string: "string",
    _types.is_string_view: "string",
    _types.is_binary: "binary",
    _types.is_large_binary: "binary",
    _types.is_binary_view: "binary",
}


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        _types.is_list(kind)
        or _types.is_large_list(kind)
        or _types.is_list_view(kind)
        or _types.is_large_list_view(kind)
    )


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


_DESCRIBED: Mapping[Callable[[pa.DataType], bool], Callable[[Any], Json]] = {
    _types.is_time: lambda kind: ["time", kind.unit],
    _types.is_timestamp: lambda kind: ["timestamp", kind.unit, kind.tz],
    _types.is_duration: lambda kind: ["duration", kind.unit],
    _types.is_decimal: lambda kind: ["decimal", kind.precision, kind.scale],
    _types.is_fixed_size_binary: lambda kind: ["fixed", kind.byte_width],
    _is_list: lambda kind: ["list", kind_of(kind.value_type)],
    _types.is_fixed_size_list: lambda kind: ["fixedlist", kind.list_size, kind_of(kind.value_type)],
    _types.is_map: lambda kind: ["map", kind_of(kind.key_type), kind_of(kind.item_type)],
    _types.is_struct: lambda kind: ["struct", [[field.name, kind_of(field.type)] for field in kind]],
    _types.is_dictionary: lambda kind: kind_of(kind.value_type),
    _is_extension: lambda kind: ["extension", kind.extension_name, kind_of(kind.storage_type)],
}


def _chunks(cells: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    if isinstance(cells, pa.ChunkedArray) and cells.num_chunks > 1:
        cells = _widened(cells)  # joined cells may have more bytes than 32-bit offsets count
    for start in range(0, len(cells), CHUNK_ROWS):
        chunk = cells.slice(start, CHUNK_ROWS)
        yield chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk


def _widened(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if _types.is_string(cells.type):
        return cells.cast(pa.large_string())
    return cells.cast(pa.large_binary()) if _types.is_binary(cells.type) else cells


def _hash_chunk(hasher: blake3, cells: pa.Array) -> None:
    if isinstance(cells, pa.ExtensionArray):
        cells = cells.storage
    if _types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    hasher.update(len(cells).to_bytes(8, "little"))
    is_valid = None if cells.null_count == 0 else _bits(cells.is_valid())
    hasher.update(b"\0" if is_valid is None else b"\1" + _packed(is_valid))
    for is_kind, hash_cells in _CONTENT.items():
        if is_kind(cells.type):
            hash_cells(hasher, cells, is_valid)
            return
    _hash_fixed(hasher, cells, is_valid)


def _hash_nothing(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    """Nulls have no content."""


def _hash_bool(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    hasher.update(_packed(_bits(cells if is_valid is None else pc.fill_null(cells, False))))


def _hash_fixed(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    """Cells of one width: numbers, moments, decimals, bytes."""
    values = _fixed(cells)
    if is_valid is not None:
        values = values.copy()
        values[~is_valid] = 0
    hasher.update(np.ascontiguousarray(with_one_nan(values)).reshape(-1).view(np.uint8).data)


def _fixed(cells: pa.Array) -> Cells:
    kind = cells.type
    if _types.is_date64(kind):
        cells = cells.cast(pa.date32())
    elif _types.is_decimal(kind):
        wide = pa.decimal128 if kind.precision <= 38 else pa.decimal256
        cells = cells.cast(wide(kind.precision, kind.scale))
    kind = cells.type
    width = kind.byte_width
    if _types.is_floating(kind):
        return _from_buffer(cells, np.dtype(f"<f{width}"), 1)
    if _types.is_time32(kind):
        return _from_buffer(cells, np.dtype("<i4"), 1).astype("<i8")
    is_number = width in {1, 2, 4, 8} and not _types.is_fixed_size_binary(kind)
    return _from_buffer(cells, np.dtype(f"<u{width}"), 1) if is_number else _from_buffer(cells, np.dtype("u1"), width)


def _from_buffer(cells: pa.Array, dtype: np.dtype[Any], count: int) -> Cells:
    """The cells as they lie in Arrow's memory, *count* items of *dtype* each; not copied."""
    if len(cells) == 0:
        return np.empty((0, count), dtype)
    width = dtype.itemsize * count
    items = np.frombuffer(cells.buffers()[1], dtype, len(cells) * count, cells.offset * width)
    return items if count == 1 else items.reshape(len(cells), count)


def _hash_text(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    if _types.is_string_view(cells.type):
        cells = cells.cast(pa.large_string())
    elif _types.is_binary_view(cells.type):
        cells = cells.cast(pa.large_binary())
    offsets = _offsets(cells)
    lengths = np.diff(offsets).astype("<i8", copy=False)
    if is_valid is not None and lengths[~is_valid].any():
        cells = pc.fill_null(cells, "" if _types.is_large_string(cells.type) or _types.is_string(cells.type) else b"")
        offsets = _offsets(cells)
        lengths = np.diff(offsets).astype("<i8", copy=False)
    hasher.update(lengths.view(np.uint8).data)
    text = cells.buffers()[2]
    if text is not None:
        hasher.update(memoryview(text)[offsets[0] : offsets[-1]])


def _offsets(cells: pa.Array) -> Cells:
    if len(cells) == 0:
        return np.zeros(1, "<i8")
    dtype = np.dtype("<i4" if _types.is_string(cells.type) or _types.is_binary(cells.type) else "<i8")
    return np.frombuffer(cells.buffers()[1], dtype, len(cells) + 1, cells.offset * dtype.itemsize)


def _hash_list(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy(zero_copy_only=False)
    hasher.update(lengths.astype("<i8").view(np.uint8).data)
    _hash_chunk(hasher, cells.flatten())


def _hash_map(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    key, value = pa.field("key", cells.type.key_type, nullable=False), pa.field("value", cells.type.item_type)
    _hash_list(hasher, cells.cast(pa.list_(pa.struct([key, value]))), is_valid)


def _hash_fixed_list(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    _hash_chunk(hasher, cells.flatten())


def _hash_struct(hasher: blake3, cells: pa.Array, is_valid: Cells | None) -> None:
    for field in cells.flatten():
        _hash_chunk(hasher, field)


_TEXT = frozenset({pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()})


def _is_text(kind: pa.DataType) -> bool:
    return kind in _TEXT


_CONTENT: Mapping[Callable[[pa.DataType], bool], Callable[[blake3, pa.Array, Cells | None], None]] = {
    _types.is_null: _hash_nothing,
    _types.is_boolean: _hash_bool,
    _is_text: _hash_text,
    _is_list: _hash_list,
    _types.is_map: _hash_map,
    _types.is_fixed_size_list: _hash_fixed_list,
    _types.is_struct: _hash_struct,
}


def _bits(cells: pa.Array) -> Cells:
    bits: Cells = cells.to_numpy(zero_copy_only=False)
    return bits


def _packed(bits: Cells) -> bytes:
    return np.packbits(bits.astype(bool, copy=False), bitorder="little").tobytes()
