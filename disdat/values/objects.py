"""Columns of Python objects: which of them can be stored, and as what."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.errors import Unserializable
from disdat.values import literal

Objects: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"  # of dtype object, one dimension

_MARKERS: Mapping[str, object] = {"none": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
_MARKER_TYPES: Mapping[type, str] = {type(None): "none", type(pd.NA): "NA", type(pd.NaT): "NaT"}
_NATIVE: Mapping[type, pa.DataType] = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    bool: pa.bool_(),
    int: pa.int64(),
    date: pa.date32(),
}


@dataclass(frozen=True, slots=True)
class Described:
    """What the cells of a column of objects are: OBJECT of ``docs/format.md``, and the Arrow type for it."""

    type: str
    arrow_type: pa.DataType
    marker: str = ""

    @property
    def cells(self) -> Mapping[str, Json]:
        return {"object": self.type} if self.type == "literal" else {"object": self.type, "missing": self.marker}

    def part(self, values: Objects, where: str) -> Callable[[int, int], pa.Array]:
        """Rows of *values* as Arrow; Unserializable from the function returned where a cell cannot be stored."""

        def part(start: int, stop: int) -> pa.Array:
            if self.type == "literal":
                texts = [_encode(cell, where, start + row) for row, cell in enumerate(values[start:stop])]
                return pa.array(texts, self.arrow_type)
            try:
                return pa.array(values[start:stop], self.arrow_type, from_pandas=True)
            except UnicodeEncodeError as exc:
                raise Unserializable(where, "a cell is no valid Unicode", hint="store it as bytes") from exc

        return part


LITERAL = Described("literal", pa.large_string())


def describe(values: Objects, where: str) -> Described:
    """What the cells are; Unserializable, naming the first row that differs, if they are of several types."""
    kinds, markers = _survey(values)
    if len(kinds) > 1:
        row, first, other = _first_difference(values)
        names = f"{literal.type_name(first)} and {literal.type_name(other)}"
        raise Unserializable(
            f"{where} row {row}", f"the column mixes {names}", hint="make its cells of one type, with astype()"
        )
    return _described(kinds, markers, values)


def describe_labels(values: Objects) -> Described:
    """What labels are, which may be of several literal types."""
    kinds, markers = _survey(values)
    return LITERAL if len(kinds) > 1 else _described(kinds, markers, values)


def restore(cells: Mapping[str, Json], column: pa.ChunkedArray) -> Objects:
    """The objects that were stored."""
    values = np.empty(len(column), object)
    if cells["object"] == "literal":
        for row, text in enumerate(column.to_pylist()):
            values[row] = _decode(text)
        return values
    marker = _MARKERS[str(cells["missing"])]
    start = 0
    for chunk in column.chunks:
        values[start : start + len(chunk)] = _cells(chunk)
        start += len(chunk)
    values[column.is_null().to_numpy() if len(column) else []] = marker
    return values


def _cells(chunk: pa.Array) -> object:
    if pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type):
        return chunk.to_numpy(zero_copy_only=False)
    return chunk.to_pylist()


def _survey(values: Objects) -> tuple[set[type], set[str]]:
    """The types of the cells that are there, and the markers of those that are missing."""
    types = set(map(type, values))
    markers = {_MARKER_TYPES[kind] for kind in types if kind in _MARKER_TYPES}
    kinds = types - set(_MARKER_TYPES)
    if float in kinds:
        floats = [cell for cell in values if type(cell) is float]
        if any(map(math.isnan, floats)):
            markers.add("nan")
        if all(map(math.isnan, floats)):
            kinds.discard(float)
    return kinds, markers


def _described(kinds: set[type], markers: set[str], values: Objects) -> Described:
    marker = min(markers, default="none")
    if len(markers) > 1:
        return LITERAL
    if not kinds:
        return Described("null", pa.null(), marker)
    (kind,) = kinds
    if kind not in _NATIVE or (kind is int and not _fits(values)):
        return LITERAL
    return Described(kind.__name__, _NATIVE[kind], marker)


def _fits(values: Objects) -> bool:
    return all(-(1 << 63) <= cell < 1 << 63 for cell in values if type(cell) is int)


def _first_difference(values: Objects) -> tuple[int, object, object]:
    present = ((row, cell) for row, cell in enumerate(values) if not _is_missing(cell))
    _, first = next(present)
    return next((row, first, cell) for row, cell in present if type(cell) is not type(first))


def _is_missing(cell: object) -> bool:
    return type(cell) in _MARKER_TYPES or (type(cell) is float and math.isnan(cell))


def _encode(cell: object, where: str, row: int) -> str:
    marker = _MARKER_TYPES.get(type(cell), "none")
    code = literal.encode_plain(cell, lambda: f"{where} row {row}") if marker == "none" else {"missing": marker}
    return canonical.encode(code).decode("ascii")


def _decode(text: str) -> object:
    code = json.loads(text)
    if isinstance(code, dict) and "missing" in code:
        return _MARKERS[cast("str", code["missing"])]
    return literal.decode(code)
