"""Columns of pandas: what each is stored as in Arrow, and how it is made again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from disdat.core.canonical import Json
from disdat.errors import Unserializable
from disdat.values import literal, objects
from disdat.values.columnhash import ColumnHash, column_digest, kind_of
from disdat.values.ipc import decode_type, encode_type, from_ipc, to_ipc

Cells: TypeAlias = "np.ndarray[Any, np.dtype[Any]] | pd.api.extensions.ExtensionArray"
Arrow: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclass(frozen=True, slots=True)
class Stored:
    """A column as it is stored: any rows of it as Arrow, made when asked for, so that it is never there twice."""

    cells: Mapping[str, Json]
    """What it is in Python: CELLS of ``docs/format.md``."""
    arrow_type: pa.DataType
    kind: Json
    """Its type as ``table1`` has it."""
    row_count: int
    size_bytes: int
    part: Callable[[int, int], Arrow]
    """The rows from the first number up to the second."""
    hashed: Callable[[Arrow], Arrow] = lambda cells: cells
    """What counts for the logical digest of cells as they are stored."""
    dictionary: bytes = b""
    """The digest of the categories."""

    def all(self) -> Arrow:
        return self.part(0, self.row_count)

    def hasher(self) -> ColumnHash:
        return ColumnHash(self.kind, self.dictionary)


def store(values: Cells, where: str) -> Stored:
    """How a column of pandas is stored; Unserializable if it cannot be."""
    if (plain := _as_numpy(values)) is not None:
        return _store_numpy(plain, where)
    for dtype, storer in _STORERS.items():
        if isinstance(values.dtype, dtype):
            return storer(values, where)
    raise Unserializable(where, f"a column of dtype {values.dtype}", hint="convert it with astype()")


def restore(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    """The column that was stored; KeyError, ValueError or TypeError if *cells* describes none."""
    for key, restorer in _RESTORERS.items():
        if key in cells:
            return restorer(cells, column)
    raise ValueError(f"no column is described by {cells}")


def fills(cells: Mapping[str, Json]) -> np.dtype[Any] | None:
    """The dtype of a column that is made by filling an array part by part; None for one made whole."""
    return np.dtype(str(cells["numpy"])) if "numpy" in cells else None


def fill(target: np.ndarray[Any, np.dtype[Any]], column: pa.ChunkedArray) -> None:
    """Write cells to *target*, an array of the dtype :func:`fills` named and of their number."""
    start = 0
    for chunk in column.chunks:
        part = target[start : start + len(chunk)]
        if target.dtype.kind == "c":
            part.real, part.imag = (field.to_numpy(zero_copy_only=False) for field in chunk.flatten())
        else:
            part[:] = chunk.to_numpy(zero_copy_only=False)
        start += len(chunk)


def store_dictionary(column: pa.ChunkedArray) -> Stored:
    """How a column of Arrow dictionaries is stored: as its indices, with one dictionary for all."""
    column = column.unify_dictionaries()
    kind = column.type
    dictionary = column.chunk(0).dictionary if column.num_chunks else pa.array([], kind.value_type)
    values_kind = kind_of(kind.value_type)
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks], kind.index_type)
    cells: dict[str, Json] = {"categories": to_ipc(dictionary), "of": {"arrow": None}, "ordered": kind.ordered}
    return Stored(
        cells,
        kind.index_type,
        ["dictionary", kind.ordered, values_kind],
        len(codes),
        codes.nbytes,
        lambda start, stop: codes.slice(start, stop - start),
        hashed=lambda cells: cells.cast(pa.int32()),
        dictionary=column_digest(values_kind, dictionary),
    )


def restore_dictionary(cells: Mapping[str, Json], codes: pa.ChunkedArray, kind: pa.DictionaryType) -> pa.ChunkedArray:
    """The column :func:`store_dictionary` was given."""
    dictionary = from_ipc(cells["categories"]).combine_chunks().cast(kind.value_type)
    chunks = [pa.DictionaryArray.from_arrays(chunk, dictionary, ordered=kind.ordered) for chunk in codes.chunks]
    return pa.chunked_array(chunks, kind)


def _from_arrow(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Stored:
    return Stored(
        cells,
        column.type,
        kind_of(column.type),
        len(column),
        column.nbytes,
        lambda start, stop: column.slice(start, stop - start),
    )


def _store_numpy(values: np.ndarray[Any, np.dtype[Any]], where: str) -> Stored:
    dtype = values.dtype
    if dtype.kind == "O":
        return _store_objects(values, where)
    if dtype.kind not in "biufcMm" or dtype.itemsize > 8 * (1 + (dtype.kind == "c")):
        raise Unserializable(where, f"a column of dtype {dtype}", hint="convert it with astype()")
    if dtype.kind == "c":
        return _store_complex(values)
    given = pa.from_numpy_dtype(dtype.newbyteorder("="))
    arrow_type = _parquet_type(given)

    def part(start: int, stop: int) -> pa.Array:
        try:
            native = values[start:stop].astype(dtype.newbyteorder("="), copy=False)
            return pa.array(native).cast(arrow_type)
        except pa.ArrowInvalid as exc:
            raise Unserializable(where, str(exc)) from exc

    cells = {"numpy": dtype.str}
    hashed = _hashed_as(given, arrow_type)
    return Stored(cells, arrow_type, kind_of(given), len(values), values.nbytes, part, hashed)


def _store_complex(values: np.ndarray[Any, np.dtype[Any]]) -> Stored:
    dtype = values.dtype
    side = pa.float32() if dtype.itemsize == 8 else pa.float64()
    arrow_type = pa.struct([pa.field("real", side), pa.field("imag", side)])

    def part(start: int, stop: int) -> pa.Array:
        rows = values[start:stop]
        sides = [pa.array(np.ascontiguousarray(side, side.dtype.newbyteorder("="))) for side in (rows.real, rows.imag)]
        return pa.StructArray.from_arrays(sides, fields=list(arrow_type))

    kind: Json = ["complex", dtype.itemsize * 8]
    return Stored({"numpy": dtype.str}, arrow_type, kind, len(values), values.nbytes, part)


def _hashed_as(given: pa.DataType, stored: pa.DataType) -> Callable[[Arrow], Arrow]:
    """What makes stored cells count as what was given."""
    return (lambda cells: cells) if given == stored else (lambda cells: cells.cast(given))


def store_labels(values: Cells, where: str) -> Stored:
    """As :func:`store`, for labels and index levels: objects of several literal types may stand in one."""
    plain = _as_numpy(values)
    if plain is None or plain.dtype != object:
        return store(values, where)
    return _store_described(objects.describe_labels(plain), plain, where)


def _as_numpy(values: Cells) -> np.ndarray[Any, np.dtype[Any]] | None:
    """The numpy array that *values* is or wraps."""
    # Not its subclasses: strings in Python objects are one, with a dtype of their own.
    is_wrapped = type(values) is pd.arrays.NumpyExtensionArray or isinstance(values.dtype, np.dtype)
    return np.asarray(values) if is_wrapped else None


def _store_objects(values: np.ndarray[Any, np.dtype[Any]], where: str) -> Stored:
    return _store_described(objects.describe(values, where), values, where)


def _store_described(described: objects.Described, values: np.ndarray[Any, np.dtype[Any]], where: str) -> Stored:
    kind: Json = "literal" if described.type == "literal" else kind_of(described.arrow_type)
    size = 64 * len(values)
    return Stored(described.cells, described.arrow_type, kind, len(values), size, described.part(values, where))


def _store_strings(values: Any, where: str) -> Stored:  # pandas' array types differ in what they have
    dtype = values.dtype
    is_nan = isinstance(dtype.na_value, float)
    cells = {"str": dtype.storage, "na": "nan" if is_nan else "NA"}
    if dtype.storage == "pyarrow":
        return _from_arrow(cells, _chunked(pa.array(values)))
    plain = np.asarray(values, dtype=object)
    part = objects.Described("str", pa.large_string(), "nan").part(plain, where)
    return Stored(cells, pa.large_string(), "string", len(values), 64 * len(values), part)


def _store_masked(values: Any, where: str) -> Stored:  # as above
    arrow_type = pa.from_numpy_dtype(values.dtype.numpy_dtype)
    return Stored(
        {"pandas": str(values.dtype)},
        arrow_type,
        kind_of(arrow_type),
        len(values),
        values.nbytes,
        lambda start, stop: pa.array(values[start:stop]),
    )


def _store_zoned(values: Any, where: str) -> Stored:  # as above
    cells: Mapping[str, Json] = {
        "zoned": values.dtype.unit,
        "zone": literal.encode_zone(values.dtype.tz, lambda: where),
    }
    given = pa.array(values[:0]).type
    arrow_type = _parquet_type(given)

    def part(start: int, stop: int) -> pa.Array:
        return pa.array(values[start:stop]).cast(arrow_type)

    hashed = _hashed_as(given, arrow_type)
    return Stored(cells, arrow_type, kind_of(given), len(values), values.nbytes, part, hashed)


def _store_categories(values: Any, where: str) -> Stored:  # as above
    categories = store_labels(values.categories.array, f"{where} categories")
    codes = values.codes
    cells: dict[str, Json] = {
        "categories": to_ipc(categories.all()),
        "of": categories.cells,
        "ordered": bool(values.ordered),
    }
    arrow_type = pa.from_numpy_dtype(codes.dtype)
    return Stored(
        cells,
        arrow_type,
        ["dictionary", bool(values.ordered), categories.kind],
        len(codes),
        codes.nbytes,
        lambda start, stop: pa.array(codes[start:stop], mask=codes[start:stop] < 0),
        hashed=lambda cells: cells.cast(pa.int32()),
        dictionary=column_digest(categories.kind, categories.hashed(categories.all())),
    )


def _store_periods(values: Any, where: str) -> Stored:  # as above
    ordinals, missing = values.asi8, values.isna()
    freq = values.freqstr
    return Stored(
        {"period": freq},
        pa.int64(),
        ["period", freq],
        len(values),
        values.nbytes,
        lambda start, stop: pa.array(ordinals[start:stop], mask=missing[start:stop]),
    )


def _store_intervals(values: Any, where: str) -> Stored:  # as above
    left, right = (store(side.array, where) for side in (values.left, values.right))
    missing = values.isna()
    arrow_type = pa.struct([pa.field("left", left.arrow_type), pa.field("right", right.arrow_type)])

    def part(start: int, stop: int) -> Arrow:
        sides = [_one(side.part(start, stop)) for side in (left, right)]
        return pa.StructArray.from_arrays(sides, fields=list(arrow_type), mask=pa.array(missing[start:stop]))

    return Stored(
        {"interval": values.closed, "of": left.cells},
        arrow_type,
        ["interval", values.closed, left.kind],
        len(values),
        values.nbytes,
        part,
    )


def _store_arrow(values: Any, where: str) -> Stored:  # as above
    column = _chunked(pa.array(values))
    cells: dict[str, Json] = {"arrow": encode_type(column.type)}
    return store_arrow(column, cells, where)


def store_arrow(column: pa.ChunkedArray, cells: Mapping[str, Json], where: str) -> Stored:
    """How a column of Arrow is stored, described by *cells* but for a dictionary; Unserializable if Parquet cannot."""
    try:
        if pa.types.is_dictionary(column.type):
            return store_dictionary(column)
        stored = column.cast(_parquet_type(column.type))
        _check_parquet(stored.type)
        hashed = _hashed_as(column.type, stored.type)
        return replace(_from_arrow(cells, stored), kind=kind_of(column.type), hashed=hashed)
    except (TypeError, pa.ArrowException) as exc:
        hint = "cast it to a type Parquet has"
        raise Unserializable(where, f"a column of type {column.type}: {exc}", hint=hint) from exc


_NARROWER = {pa.timestamp("s"): pa.timestamp("ms"), pa.time32("s"): pa.time32("ms"), pa.date64(): pa.date32()}


def _parquet_type(kind: pa.DataType) -> pa.DataType:
    """The type that holds the same and that Parquet, which has no seconds, gives back as it was."""
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    return _NARROWER.get(kind, kind)


@lru_cache(maxsize=256)
def _check_parquet(kind: pa.DataType) -> None:
    file = io.BytesIO()
    pq.write_table(pa.schema([pa.field("", kind)]).empty_table(), file)
    read = pq.read_schema(io.BytesIO(file.getvalue())).field(0).type
    if read != kind:
        raise TypeError(f"Parquet would give back {read}")


def _chunked(column: Arrow) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _one(column: Arrow) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _restore_numpy(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    target = np.empty(len(column), str(cells["numpy"]))
    fill(target, column)
    return target


def _made(dtype: Any, column: pa.ChunkedArray) -> Cells:
    """The column as *dtype*, by the method pandas asks of its own dtypes but does not declare."""
    made: Cells = dtype.__from_arrow__(column)
    return made


def _restore_masked(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    return _made(pd.api.types.pandas_dtype(str(cells["pandas"])), column)


def _restore_strings(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    missing = float("nan") if cells["na"] == "nan" else pd.NA
    return _made(pd.StringDtype(cast("Any", cells["str"]), missing), column)


def _restore_zoned(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    zone = literal.decode_zone(cells["zone"])
    return _made(pd.DatetimeTZDtype(cast("Any", cells["zoned"]), cast("Any", zone)), column)


def _restore_categories(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    of = cast("Mapping[str, Json]", cells["of"])
    values = restore(of, from_ipc(cells["categories"]))
    codes = column.fill_null(-1).to_numpy() if len(column) else np.empty(0, "i1")
    categories = pd.Index(values, dtype=values.dtype)
    return pd.Categorical.from_codes(codes, categories, ordered=bool(cells["ordered"]))


def _restore_periods(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    ordinals = column.fill_null(pd.NaT.value).to_numpy()
    index = cast("Any", pd.PeriodIndex).from_ordinals(ordinals, freq=str(cells["period"]))  # not in pandas' stubs
    return cast("Cells", index.array)


def _restore_intervals(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    of = cast("Mapping[str, Json]", cells["of"])
    left, right = (restore(of, _chunked(side)) for side in _flattened(column))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=cast("Any", cells["interval"]))


def _flattened(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    return list(column.flatten())


def _restore_arrow(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Cells:
    kind = decode_type(cells["arrow"])
    return _made(pd.ArrowDtype(kind), column.cast(kind))


_MASKED = (
    pd.Int8Dtype,
    pd.Int16Dtype,
    pd.Int32Dtype,
    pd.Int64Dtype,
    pd.UInt8Dtype,
    pd.UInt16Dtype,
    pd.UInt32Dtype,
    pd.UInt64Dtype,
    pd.Float32Dtype,
    pd.Float64Dtype,
    pd.BooleanDtype,
)
_STORERS: Mapping[Any, Callable[[Any, str], Stored]] = {
    pd.StringDtype: _store_strings,
    pd.CategoricalDtype: _store_categories,
    pd.DatetimeTZDtype: _store_zoned,
    pd.PeriodDtype: _store_periods,
    pd.IntervalDtype: _store_intervals,
    pd.ArrowDtype: _store_arrow,
    **dict.fromkeys(_MASKED, _store_masked),
}
_RESTORERS: Mapping[str, Callable[[Mapping[str, Json], pa.ChunkedArray], Cells]] = {
    "numpy": _restore_numpy,
    "pandas": _restore_masked,
    "str": _restore_strings,
    "zoned": _restore_zoned,
    "categories": _restore_categories,
    "period": _restore_periods,
    "interval": _restore_intervals,
    "arrow": _restore_arrow,
    "object": objects.restore,
}
