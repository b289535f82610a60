"""Columns of stored tables as Arrow arrays that can be compared: what they hold, whatever stored it. No pandas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from disdat.core import canonical
from disdat.core.tree import Entry
from disdat.errors import Unserializable
from disdat.values import literal
from disdat.values.ipc import from_ipc

_types = pa.types
_LARGEST_DECIMAL = 76
_DIGITS: Mapping[str, int] = {"8": 3, "16": 5, "32": 10, "64": 20}

Show = Callable[[pa.Scalar], object]
"""A cell that is not null as the Python value people know."""


@dataclass(frozen=True, slots=True)
class Comparable:
    """
    The cells of a column, and what they mean.

    Columns of one *kind* are of values that may be equal; where the kinds are the same but the Arrow types are not,
    :func:`unified` makes them so.
    """

    cells: pa.ChunkedArray
    kind: str
    show: Show

    def value(self, row: int) -> object:
        """One cell as a Python value, None where it is missing."""
        scalar = self.cells[row]
        return self.show(scalar) if scalar.is_valid else None


def column(cells: Mapping[str, Any], stored: pa.ChunkedArray) -> Comparable:  # CELLS of docs/format.md
    """What a column holds that is described by *cells*."""
    match cells:
        case {"categories": categories, "of": of}:
            values = column(of, from_ipc(categories))
            return replace(values, cells=_taken(values.cells, stored))
        case {"period": frequency}:
            return Comparable(stored, f"period {frequency}", _show_period(str(frequency)))
        case {"interval": closed, "of": of}:
            return _interval(str(closed), of, stored)
        case {"numpy": dtype} if "c" in str(dtype):
            return Comparable(stored, "complex", _show_complex)
        case {"object": "literal"}:
            return Comparable(_without_missing(stored), "literal", _show_literal)
    return plain(stored)


def files(stored: pa.ChunkedArray, tree: Mapping[str, Entry]) -> Comparable:
    """What a column of files holds: each cell the file's path and the digest of its bytes."""
    places = stored.to_pylist()
    named = {place: f"{place} {tree[place].digest}" for place in dict.fromkeys(places) if place is not None}
    return Comparable(pa.chunked_array([pa.array(map(named.get, places), pa.large_string())]), "file", _show_plain)


def plain(stored: pa.ChunkedArray) -> Comparable:
    """What a column holds whose cells are what Arrow says they are."""
    cells = _normal(stored)
    kind = cells.type
    for name, is_kind in _KINDS.items():
        if is_kind(kind):
            return Comparable(cells, name, _SHOWN.get(name, _show_plain))
    return Comparable(cells, f"nested {kind}", _show_plain)


def unified(old: Comparable, new: Comparable) -> tuple[Comparable, Comparable] | None:
    """Both columns with one Arrow type; None where no cell of one could equal a cell of the other."""
    if old.cells.type == new.cells.type and old.kind == new.kind:
        return old, new
    if "null" in {old.kind, new.kind}:
        return _as_other_null(old, new)
    if old.kind != new.kind and "literal" in {old.kind, new.kind}:
        return _as_literals(old, new)
    old, new = _without_bool(old), _without_bool(new)
    common = _common_type(old, new)
    if common is None:
        return None
    try:
        return replace(old, cells=old.cells.cast(common)), replace(new, cells=new.cells.cast(common))
    except pa.ArrowInvalid:  # a number that the wider type does not have exactly
        return None


def key_cells(given: Comparable) -> pa.ChunkedArray:
    """What rows are matched by: the cells, of files their paths."""
    if given.kind != "file":
        return given.cells
    return pc.replace_substring_regex(given.cells, r" [a-z0-9]+:[0-9a-f]+$", "")


def named_by(given: Comparable, row: int) -> object:
    """The value that names a row: the cell, of a file its path."""
    value = given.value(row)
    return value.rpartition(" ")[0] if given.kind == "file" and isinstance(value, str) else value


def missing_as_null(given: Comparable) -> Comparable:
    """The column with null in place of NaN: between columns of two types both say that nothing is there."""
    if not _types.is_floating(given.cells.type):
        return given
    return replace(given, cells=pc.if_else(pc.is_nan(given.cells), None, given.cells))


def _taken(values: pa.ChunkedArray, codes: pa.ChunkedArray) -> pa.ChunkedArray:
    dictionary = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    return pa.chunked_array([dictionary.take(chunk) for chunk in codes.chunks], values.type)


def _normal(stored: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells in the widest of the types that differ only in how they lie in memory."""
    kind = stored.type
    if isinstance(kind, pa.BaseExtensionType):
        return _normal(pa.chunked_array([chunk.storage for chunk in stored.chunks], kind.storage_type))
    if _types.is_dictionary(kind):
        return _normal(stored.cast(kind.value_type))
    if _types.is_string(kind) or _types.is_string_view(kind):
        return stored.cast(pa.large_string())
    if _types.is_binary(kind) or _types.is_binary_view(kind) or _types.is_fixed_size_binary(kind):
        return stored.cast(pa.large_binary())
    if _types.is_float16(kind):
        return stored.cast(pa.float32())
    return stored.cast(pa.date32()) if _types.is_date64(kind) else stored


def _is_number(kind: pa.DataType) -> bool:
    return bool(_types.is_integer(kind) or _types.is_floating(kind) or _types.is_decimal(kind))


_KINDS: Mapping[str, Callable[[pa.DataType], bool]] = {
    "null": _types.is_null,
    "bool": _types.is_boolean,
    "number": _is_number,
    "text": _types.is_large_string,
    "bytes": _types.is_large_binary,
    "date": _types.is_date32,
    "moment": lambda kind: _types.is_timestamp(kind) and kind.tz is None,
    "instant": lambda kind: _types.is_timestamp(kind) and kind.tz is not None,
    "duration": _types.is_duration,
    "time": _types.is_time,
}


def _as_other_null(old: Comparable, new: Comparable) -> tuple[Comparable, Comparable]:
    if old.kind == "null":
        return replace(new, cells=old.cells.cast(new.cells.type)), new
    return old, replace(old, cells=new.cells.cast(old.cells.type))


def _as_literals(old: Comparable, new: Comparable) -> tuple[Comparable, Comparable] | None:
    try:
        return _literals(old), _literals(new)
    except Unserializable:  # no cell of any object column is equal to what is no literal
        return None


def _literals(given: Comparable) -> Comparable:
    if given.kind == "literal":
        return given
    values = (given.show(cell) if cell.is_valid else None for cell in given.cells)
    texts = [None if value is None else _literal_text(value) for value in values]
    return Comparable(pa.chunked_array([pa.array(texts, pa.large_string())]), "literal", _show_literal)


def _literal_text(value: object) -> str:
    return canonical.encode(literal.encode_plain(value, lambda: "a cell")).decode("ascii")


def _common_type(old: Comparable, new: Comparable) -> pa.DataType | None:
    """The type that has all values of both; None where there is none."""
    kinds, left, right = {old.kind, new.kind}, old.cells.type, new.cells.type
    if kinds == {"number"}:
        return _common_number(left, right)
    if kinds <= {"date", "moment"}:
        return pa.timestamp(_finer(left, right))
    if len(kinds) > 1:
        return None
    if old.kind == "instant":
        return pa.timestamp(_finer(left, right), "UTC")
    if old.kind == "duration":
        return pa.duration(_finer(left, right))
    return pa.time64(_finer(left, right, least="us")) if old.kind == "time" else None


def _without_bool(given: Comparable) -> Comparable:
    """The column with 0 and 1 in place of False and True, which in Python are equal to them."""
    return replace(given, cells=given.cells.cast(pa.int8()), kind="number") if given.kind == "bool" else given


def _common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if _types.is_floating(left) or _types.is_floating(right):
        return pa.float64()
    if _types.is_decimal(left) or _types.is_decimal(right):
        return _common_decimal(_as_decimal(left), _as_decimal(right))
    if _types.is_signed_integer(left) == _types.is_signed_integer(right):
        return max(left, right, key=lambda kind: int(kind.bit_width))
    return pa.int64() if pa.uint64() not in {left, right} else pa.decimal128(20, 0)


def _as_decimal(kind: pa.DataType) -> tuple[int, int]:
    """How many digits are needed before and after the point."""
    if _types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return _DIGITS[str(kind.bit_width)], 0


def _common_decimal(left: tuple[int, int], right: tuple[int, int]) -> pa.DataType | None:
    scale = max(left[1], right[1])
    precision = max(left[0], right[0]) + scale
    if precision > _LARGEST_DECIMAL:
        return None
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def _finer(left: pa.DataType, right: pa.DataType, *, least: str = "s") -> str:
    units = ["s", "ms", "us", "ns"]
    found = [units.index(kind.unit) for kind in (left, right) if hasattr(kind, "unit") and not _types.is_date(kind)]
    return units[max([*found, units.index(least)])]


def _without_missing(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Literals with null where their cell is missing, whatever marks it."""
    texts = texts.cast(pa.large_string())
    markers = ["null", '{"float":"nan"}', '{"missing":"NA"}', '{"missing":"NaT"}']
    return pc.if_else(pc.is_in(texts, pa.array(markers, pa.large_string())), None, texts)


def _interval(closed: str, of: Mapping[str, Any], stored: pa.ChunkedArray) -> Comparable:
    left, right = (column(of, side) for side in stored.flatten())
    sides = [left.cells, right.cells]
    whole = _struct(sides, stored)
    opening, ending = "[" if closed in {"left", "both"} else "(", "]" if closed in {"right", "both"} else ")"

    def show(cell: pa.Scalar) -> object:
        return f"{opening}{left.show(cell['left'])}, {right.show(cell['right'])}{ending}"

    return Comparable(whole, f"interval {closed} {left.kind}", show)


def _struct(sides: list[pa.ChunkedArray], stored: pa.ChunkedArray) -> pa.ChunkedArray:
    arrays = [side.combine_chunks() for side in sides]
    fields = [pa.field(name, array.type) for name, array in zip(("left", "right"), arrays, strict=True)]
    missing = stored.is_null().combine_chunks()
    return pa.chunked_array([pa.StructArray.from_arrays(arrays, fields=fields, mask=missing)])


def _show_plain(cell: pa.Scalar) -> object:
    return cell.as_py()


def _show_time(cell: pa.Scalar) -> object:
    """A date or time of Python; as text where it is finer than microseconds, or out of Python's range."""
    try:
        if getattr(cell.type, "unit", "") == "ns":
            narrow = {"timestamp": pa.timestamp("us", getattr(cell.type, "tz", None)), "duration": pa.duration("us")}
            return cell.cast(narrow.get(_family(cell.type), pa.time64("us"))).as_py()
        return cell.as_py()
    except KeyError:  # a time zone that this machine does not know
        return cell.cast(pa.timestamp(cell.type.unit, "UTC")).as_py()
    except (pa.ArrowInvalid, ValueError, OverflowError):
        return str(cell.cast(pa.string()).as_py()) if _family(cell.type) != "duration" else f"{cell.value} ns"


def _family(kind: pa.DataType) -> str:
    return "timestamp" if _types.is_timestamp(kind) else "duration" if _types.is_duration(kind) else "time"


def _show_complex(cell: pa.Scalar) -> object:
    return complex(cell["real"].as_py(), cell["imag"].as_py())


def _show_literal(cell: pa.Scalar) -> object:
    return literal.decode(cast("literal.Code", json.loads(cell.as_py())))


def _show_period(frequency: str) -> Show:
    def show(cell: pa.Scalar) -> object:
        import pandas as pd  # half a second, and only periods that are shown need it

        return str(pd.Period(ordinal=cell.as_py(), freq=frequency))

    return show


_SHOWN: Mapping[str, Show] = dict.fromkeys(("date", "moment", "instant", "duration", "time"), _show_time)
