"""Tables as Parquet: written and read in row groups, hashed by content, so that a table is never in memory twice."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from disdat.core import canonical
from disdat.core.bundle import Frame
from disdat.core.canonical import Json
from disdat.core.digest import LogicalDigest
from disdat.errors import Corrupt, Unserializable
from disdat.registry import Registry
from disdat.values import axes, columns, filecolumn, literal, tablefile
from disdat.values.columnhash import CHUNK_ROWS, table_logical
from disdat.values.columns import Arrow, Cells, Stored
from disdat.values.ipc import decode_schema
from disdat.values.markers import Text
from disdat.values.serializer import Blob, Sink, Source

ROW_GROUP_BYTES = 16 << 20
"""While a table is read, two row groups are in memory beside it."""
MOST_ROWS = 16 * CHUNK_ROWS
"""Of a row group; as many as pyarrow writes."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the Parquet file: its name there, and what lies in it."""

    name: str
    stored: Stored
    has_files: bool = False

    def to_json(self) -> dict[str, Json]:
        files: dict[str, Json] = {"files": True} if self.has_files else {}
        return {"column": self.name, "cells": self.stored.cells, **files}


@dataclass(frozen=True, slots=True)
class Plan:
    """A table that is about to be written."""

    form: str
    row_count: int
    columns: Sequence[Column]
    index: Sequence[Column]
    head: Json
    """What ``table1`` begins with."""
    counted: Sequence[Stored]
    """The columns ``table1`` counts, in its order."""
    fields: Mapping[str, Json]
    """The value of the ``disdat`` key of the file."""

    @property
    def all(self) -> Sequence[Column]:
        return [*self.columns, *self.index]


class TableSerializer:
    """Data frames and series of pandas, tables of pyarrow, data frames of polars."""

    def dump(self, value: object, where: str, sink: Sink) -> Frame:
        given = value.value if isinstance(value, Text) else value
        capture = _text_column if isinstance(value, Text) else _any_column(sink)
        plan = _planner(given, where)(given, where, capture)
        with sink.blob() as blob:
            logical = _write(plan, blob)
        files = [column.name for column in plan.columns if column.has_files]
        names = [column.name for column in plan.columns]
        return Frame(
            "",
            "table",
            logical,
            form=plan.form,
            media_type="application/vnd.apache.parquet",
            shape=(plan.row_count, len(plan.columns)),
            digest=blob.digest,
            size_bytes=blob.size_bytes,
            details={"columns": names, **({"files": files} if files else {})},
        )

    def load(self, frame: Frame, source: Source) -> object:
        try:
            with tablefile.opened(frame, source) as file:
                fields = tablefile.fields(frame, file)
                return _LOADERS[frame.form](fields, file, source)
        except (pa.ArrowException, ValueError, KeyError, TypeError, IndexError) as exc:
            raise Corrupt(f"the table {frame.name!r} cannot be read: {exc}") from exc


SERIALIZER = TableSerializer()

FRAME_MAKERS: Registry[Callable[[pa.Table], object]] = Registry("kind of data frame")
FRAME_MAKERS.add_lazy("polars", "polars:from_arrow", remedy="pip install 'disdat[polars]'")

Capture = Callable[[Stored, str, str], Column]
"""A stored column, its name in the file and its place: the column, of files where it names files."""


def _text_column(stored: Stored, name: str, where: str) -> Column:
    return Column(name, stored)


def _any_column(sink: Sink) -> Capture:
    def capture(stored: Stored, name: str, where: str) -> Column:
        files = filecolumn.capture(stored, where, sink)
        return Column(name, stored) if files is None else Column(name, files, has_files=True)

    return capture


def _planner(value: object, where: str) -> Callable[[Any, str, Capture], Plan]:
    if type(value) is pd.DataFrame:
        return _plan_frame
    if type(value) is pd.Series:
        return _plan_series
    if type(value) is pa.Table:
        return _plan_arrow
    if literal.type_name(value) == "polars.DataFrame":
        return _plan_polars
    hint = _HINTS.get(literal.type_name(value), "convert it to a DataFrame, a Series, or a plain value")
    raise Unserializable(where, f"values of type {literal.type_name(value)} are not stored", hint=hint)


_HINTS = {
    "pandas.Timestamp": "convert it with .to_pydatetime()",
    "pandas.Timedelta": "convert it with .to_pytimedelta()",
    "pandas.NAType": "use None",
    "pandas.NaTType": "use None",
    "polars.LazyFrame": "call .collect() first",
    "polars.Series": "call .to_frame() first",
    "pyarrow.RecordBatch": "make it a table with pyarrow.Table.from_batches()",
}


def _plan_frame(frame: pd.DataFrame, where: str, capture: Capture) -> Plan:
    labels = frame.columns.tolist()
    names = _names(labels)
    stored = [
        capture(columns.store(frame.iloc[:, n].array, place), names[n], place)
        for n, place in enumerate(f"{where}.column {label!r}" for label in labels)
    ]
    axis = axes.store(frame.columns, f"{where}.columns")
    fields: dict[str, Json] = {"labels": axes.to_json(axis)}
    return _plan("dataframe", frame, stored, labels, fields, where)


def _plan_series(series: pd.Series, where: str, capture: Capture) -> Plan:
    name = literal.encode_plain(series.name, lambda: f"{where}.name")
    stored = capture(columns.store(series.array, where), _names([series.name])[0], where)
    return _plan("series", series, [stored], [series.name], {"labels": {"name": name}}, where)


def _plan(
    form: str,
    value: pd.DataFrame | pd.Series,
    stored: Sequence[Column],
    labels: Sequence[object],
    fields: dict[str, Json],
    where: str,
) -> Plan:
    axis = axes.store(value.index, f"{where}.index")
    taken = {column.name for column in stored}
    index = [Column(_free(_index_name(value.index.names[n], n), taken), level) for n, level in enumerate(axis.levels)]
    if axis.fields and axis.counted:
        fields["index"] = {**axis.fields, **({"levels": [level.to_json() for level in index]} if index else {})}
    if value.attrs:
        fields["attrs"] = literal.encode_plain(dict(value.attrs), lambda: f"{where}.attrs")
    head: Json = {
        "rows": len(value),
        "index": [[name, level.kind] for name, level in zip(axis.names, axis.counted, strict=True)],
        "columns": [[axes.label_json(label), column.stored.kind] for label, column in zip(labels, stored, strict=True)],
    }
    counted = [*axis.counted, *(column.stored for column in stored)]
    return Plan(form, len(value), stored, index, head, counted, fields)


def _plan_arrow(table: pa.Table, where: str, capture: Capture, *, form: str = "arrow") -> Plan:
    names = _names(table.column_names)
    places = [f"{where}.column {name!r}" for name in table.column_names]
    stored = [
        capture(columns.store_arrow(column, {"arrow": None}, place), name, place)
        for column, name, place in zip(table.columns, names, places, strict=True)
    ]
    pairs = zip(table.column_names, stored, strict=True)
    kinds: list[Json] = [[axes.label_json(name), column.stored.kind] for name, column in pairs]
    head: Json = {"rows": table.num_rows, "index": [], "columns": kinds}
    schema = base64.b64encode(table.schema.serialize()).decode("ascii")
    return Plan(form, table.num_rows, stored, [], head, [column.stored for column in stored], {"schema": schema})


def _plan_polars(frame: Any, where: str, capture: Capture) -> Plan:  # polars is an extra; its types may not be there
    import polars as pl  # whoever has a frame of it has imported it

    try:
        table = frame.to_arrow()
    except (pa.ArrowException, pl.exceptions.PolarsError) as exc:
        raise Unserializable(where, f"Arrow lacks a column's type: {exc}", hint="cast it to one Arrow has") from exc
    back = cast("pl.DataFrame", pl.from_arrow(table.slice(0, 0))).schema
    for name, dtype in frame.schema.items():
        if back[name] != dtype:
            reason = f"a column of type {dtype} would come back as {back[name]}"
            raise Unserializable(f"{where}.column {name!r}", reason, hint="cast it to a type Arrow has")
    return _plan_arrow(_with_own_dictionaries(table), where, capture, form="polars")


def _with_own_dictionaries(table: pa.Table) -> pa.Table:
    """Categories in order of appearance: those of polars number what the whole process has seen."""
    for n, field in enumerate(table.schema):
        if any(key.startswith(b"_PL_CATEGORICAL") for key in field.metadata or {}):
            values = table.column(n).cast(field.type.value_type)
            table = table.set_column(n, field, values.dictionary_encode().cast(field.type))
    return table


def _names(labels: Iterable[object]) -> list[str]:
    """A name in the file for each label, distinct and not empty."""
    taken: set[str] = set()
    return [_free(str(label) if label is not None else "value", taken) for label in labels]


def _free(wanted: str, taken: set[str]) -> str:
    text = wanted.encode("utf-8", "replace").decode("utf-8") or "_"
    name, count = text, 1
    while name in taken:
        count += 1
        name = f"{text}#{count}"
    taken.add(name)
    return name


def _index_name(name: object, level: int) -> str:
    return f"__index_level_{level}__" if name is None else str(name)


class _Output(io.RawIOBase):
    """A blob as pyarrow wants a file: it asks how far it has written."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, piece: Any, /) -> int:  # typeshed's name for what has a buffer is its own
        self._written += self._blob.write(piece)
        return memoryview(piece).nbytes


def _write(plan: Plan, blob: Blob) -> LogicalDigest:
    """Write the Parquet file and return ``table1``: a row group is hashed while it is written."""
    described = [column.to_json() for column in plan.columns]
    fields = canonical.encode({"format": tablefile.FORMAT, "rows": plan.row_count, "columns": described, **plan.fields})
    schema = pa.schema([pa.field(column.name, column.stored.arrow_type) for column in plan.all])
    schema = schema.with_metadata({tablefile.METADATA_KEY: fields})
    hashers = _Hashers(plan)
    texts = [column.name for column in plan.all if _repeats(column.stored.arrow_type)]
    with ThreadPoolExecutor(1) as pool, _writer(blob, schema, texts) as writer:
        for start, stop in _row_groups(plan):
            parts = [column.stored.part(start, stop) for column in plan.all]
            hashed = pool.submit(hashers.update, parts, start, stop)
            if parts:
                writer.write_table(pa.Table.from_arrays(parts, schema=schema), row_group_size=stop - start)
            hashed.result()
    return table_logical(plan.head, hashers.digests())


def _writer(blob: Blob, schema: pa.Schema, texts: list[str]) -> pq.ParquetWriter:
    file = pa.PythonFile(_Output(blob), mode="w")
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts)


def _repeats(kind: pa.DataType) -> bool:
    """Whether cells of this type are often equal, so that a dictionary of them pays; that of numbers rarely does."""
    return not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _row_groups(plan: Plan) -> Iterator[tuple[int, int]]:
    size = sum(column.stored.size_bytes for column in plan.all)
    row_bytes = max(size // max(plan.row_count, 1), 1)
    chunks = ROW_GROUP_BYTES // row_bytes // CHUNK_ROWS
    step = min(max(chunks, 1) * CHUNK_ROWS, MOST_ROWS)
    for start in range(0, plan.row_count, step):
        yield start, min(start + step, plan.row_count)


class _Hashers:
    """The hashes of the columns that count, fed with row groups as they are stored."""

    def __init__(self, plan: Plan) -> None:
        self._counted = [(stored, stored.hasher()) for stored in plan.counted]
        self._position = {id(column.stored): n for n, column in enumerate(plan.all)}

    def update(self, parts: Sequence[Arrow], start: int, stop: int) -> None:
        for stored, hasher in self._counted:
            position = self._position.get(id(stored))
            # A range that is not the default index counts, but is not stored.
            part = stored.part(start, stop) if position is None else parts[position]
            hasher.update(stored.hashed(part))

    def digests(self) -> list[bytes]:
        return [hasher.digest() for _, hasher in self._counted]


def _load_frame(fields: Mapping[str, Any], file: pq.ParquetFile, source: Source) -> pd.DataFrame:
    arrays, index = _load_columns(fields, file, source)
    columns_ = [pd.Series(cast("Any", array), index=index, dtype=array.dtype, copy=False) for array in arrays]
    frame = pd.DataFrame(dict(enumerate(columns_)), index=index, copy=False)
    frame.columns = axes.from_json(fields["labels"])
    frame.attrs = _attrs(fields)
    return frame


def _load_series(fields: Mapping[str, Any], file: pq.ParquetFile, source: Source) -> pd.Series:
    (array,), index = _load_columns(fields, file, source)
    name = cast("Any", literal.decode(fields["labels"]["name"]))
    series = pd.Series(cast("Any", array), index=index, name=name, dtype=array.dtype, copy=False)
    series.attrs = _attrs(fields)
    return series


def _load_arrow(fields: Mapping[str, Any], file: pq.ParquetFile, source: Source) -> pa.Table:
    schema = decode_schema(fields["schema"])
    read = file.read()
    arrays = []
    for n, (field, described) in enumerate(zip(schema, fields["columns"], strict=True)):
        column = filecolumn.restore(read.column(n), source) if described.get("files") else read.column(n)
        if "categories" in described["cells"]:
            arrays.append(columns.restore_dictionary(described["cells"], column, field.type))
        else:
            arrays.append(column.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _load_polars(fields: Mapping[str, Any], file: pq.ParquetFile, source: Source) -> object:
    return FRAME_MAKERS.get("polars")(_load_arrow(fields, file, source))


_LOADERS: Mapping[str, Callable[[Mapping[str, Any], pq.ParquetFile, Source], object]] = {
    "dataframe": _load_frame,
    "series": _load_series,
    "arrow": _load_arrow,
    "polars": _load_polars,
}


def _attrs(fields: Mapping[str, Any]) -> dict[Any, Any]:
    return cast("dict[Any, Any]", literal.decode(fields.get("attrs", {"dict": []})))


def _load_columns(fields: Mapping[str, Any], file: pq.ParquetFile, source: Source) -> tuple[list[Cells], pd.Index]:
    """The columns of the frame, and its index."""
    index = fields.get("index")
    levels = (index or {}).get("levels", [])
    described = [*fields["columns"], *levels]
    schema = file.schema_arrow
    makers = [_maker(one, schema.field(n).type, fields["rows"], source) for n, one in enumerate(described)]
    for part in _read_ahead(file):
        for maker, column in zip(makers, part.columns, strict=True):
            maker.add(column)
    arrays = [maker.made() for maker in makers]
    count = len(fields["columns"])
    return arrays[:count], axes.restore(index, arrays[count:], fields["rows"])


def _read_ahead(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """The row groups, each read while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(file.read_row_group, group) for group in range(min(1, file.num_row_groups))]
        for group in range(1, file.num_row_groups + 1):
            part = coming.pop().result()
            if group < file.num_row_groups:
                coming.append(pool.submit(file.read_row_group, group))
            yield part


def _maker(
    described: Mapping[str, Any], arrow_type: pa.DataType, row_count: int, source: Source
) -> _Filled | _Gathered:
    dtype = columns.fills(described["cells"])
    return _Gathered(described, arrow_type, source) if dtype is None else _Filled(dtype, row_count)


class _Filled:
    """A column of numpy's own types, filled part by part: at no time is it there twice."""

    def __init__(self, dtype: np.dtype[Any], row_count: int) -> None:
        self._array = np.empty(row_count, dtype)
        self._filled = 0

    def add(self, part: pa.ChunkedArray) -> None:
        columns.fill(self._array[self._filled : self._filled + len(part)], part)
        self._filled += len(part)

    def made(self) -> Cells:
        if self._filled != len(self._array):
            raise ValueError(f"{len(self._array)} rows were to be read, {self._filled} are there")
        return self._array


class _Gathered:
    """A column made of all of its parts at once; most share them."""

    def __init__(self, described: Mapping[str, Any], arrow_type: pa.DataType, source: Source) -> None:
        self._described = described
        self._type = arrow_type
        self._source = source
        self._chunks: list[pa.Array] = []

    def add(self, part: pa.ChunkedArray) -> None:
        self._chunks.extend(part.chunks)

    def made(self) -> Cells:
        column = pa.chunked_array(self._chunks, self._type)
        if self._described.get("files"):
            column = filecolumn.restore(column, self._source)
        return columns.restore(self._described["cells"], column)
