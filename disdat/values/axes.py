"""The index of a pandas frame, of rows or of columns: as columns, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from disdat.core.canonical import Json
from disdat.errors import Unserializable
from disdat.values import columns, literal
from disdat.values.columns import Cells, Stored
from disdat.values.ipc import from_ipc, to_ipc


@dataclass(frozen=True, slots=True)
class Axis:
    """An index to be stored: its levels as columns, and what they do not say."""

    fields: Mapping[str, Json]
    """AXIS of ``docs/format.md`` without its levels; empty for the default index."""
    names: Sequence[Json]
    levels: Sequence[Stored]
    """None for a range, which needs no column."""
    counted: Sequence[Stored]
    """The levels as ``table1`` has them: those of a range too, but not of the default index."""


def store(index: pd.Index, where: str) -> Axis:
    """How an index is stored; Unserializable if it cannot be."""
    names = [_encode_name(name, where) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return _store_range(index, names)
    if isinstance(index, pd.MultiIndex):
        arrays = [index.get_level_values(level).array for level in range(index.nlevels)]
    else:
        arrays = [index.array]
    levels = [columns.store_labels(array, f"{where} level {n}") for n, array in enumerate(arrays)]
    fields: dict[str, Json] = {"names": names}
    if isinstance(index, pd.MultiIndex):
        fields["multi"] = True
    if freq := _freq(index):
        fields["freq"] = freq
    return Axis(fields, names, levels, levels)


def restore(fields: Mapping[str, Json] | None, levels: Sequence[Cells], row_count: int) -> pd.Index:
    """The index that was stored; *fields* is None for the default one."""
    if fields is None:
        return pd.RangeIndex(row_count)
    names = [cast("Any", literal.decode(name)) for name in cast("Sequence[Json]", fields["names"])]
    if "range" in fields:
        start, stop, step = cast("Sequence[int]", fields["range"])
        return pd.RangeIndex(start, stop, step, name=names[0])
    if fields.get("multi"):
        arrays = [_index(level) for level in levels]
        return pd.MultiIndex.from_arrays(arrays, names=names)
    index: pd.Index = _index(levels[0])
    if "freq" in fields:
        cast("Any", index).freq = fields["freq"]
    index.name = names[0]
    return index


def to_json(axis: Axis) -> Mapping[str, Json]:
    """An index with its levels in it, for one that is small: that of the columns."""
    levels: list[Json] = [{"ipc": to_ipc(level.all()), "cells": level.cells} for level in axis.levels]
    return {**axis.fields, "levels": levels} if levels else axis.fields


def from_json(fields: Mapping[str, Json]) -> pd.Index:
    """The index :func:`to_json` was given."""
    levels = cast("Sequence[Mapping[str, Json]]", fields.get("levels", []))
    arrays = [columns.restore(cast("Mapping[str, Json]", one["cells"]), from_ipc(one["ipc"])) for one in levels]
    return restore(fields, arrays, 0)


def _store_range(index: pd.RangeIndex, names: list[Json]) -> Axis:
    start, stop, step = index.start, index.stop, index.step
    is_default = start == 0 and step == 1 and index.name is None
    # What else a range is equal to: an index of these integers.
    counted = Stored(
        {"numpy": "<i8"},
        pa.int64(),
        "int64",
        len(index),
        0,
        lambda first, last: pa.array(np.arange(start + first * step, start + last * step, step, dtype="i8")),
    )
    fields: dict[str, Json] = {"range": [start, stop, step], "names": names}
    return Axis(fields, [] if is_default else names, [], [] if is_default else [counted])


def _index(values: Cells) -> pd.Index:
    index: pd.Index = pd.Index(cast("Any", values), dtype=cast("Any", values.dtype))
    return index


def _encode_name(name: object, where: str) -> Json:
    return literal.encode_plain(name, lambda: f"{where} name {name!r}")


def _freq(index: pd.Index) -> str | None:
    """The frequency, where its text gives it back."""
    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or index.freq is None:
        return None
    text = str(index.freqstr)
    try:
        return text if pd.tseries.frequencies.to_offset(text) == index.freq else None
    except ValueError:
        return None


def label_json(label: object) -> Json:
    """A column's label as ``table1`` has it: its literal, or for one that is none its type and text."""
    try:
        return literal.encode_plain(label, lambda: "a label")
    except Unserializable:
        return {"label": [literal.type_name(label), str(label)]}
