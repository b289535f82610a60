"""A stored table, its columns read one at a time, so that a comparison holds two columns and not two tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from disdat.core.bundle import Frame
from disdat.errors import Corrupt
from disdat.values import comparable, literal, tablefile
from disdat.values.comparable import Comparable
from disdat.values.comparetables import Level, Table
from disdat.values.difference import Column
from disdat.values.serializer import Source


@contextmanager
def opened(frame: Frame, source: Source) -> Iterator[Table]:
    """The table of a frame; Corrupt, then or when a column is read, if it cannot be."""
    with ExitStack() as open_files:
        with _reading(frame):
            table = _table(frame, open_files.enter_context(tablefile.opened(frame, source)), source)
        yield table


@contextmanager
def _reading(frame: Frame) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, ValueError, KeyError, TypeError, IndexError) as exc:
        raise Corrupt(f"the table {frame.name!r} cannot be read: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _Reader:
    frame: Frame
    file: pq.ParquetFile
    source: Source

    def column(self, described: Mapping[str, Any]) -> Comparable:
        with _reading(self.frame):
            name = described["column"]
            stored = pa.chunked_array(self._chunks(name), self.file.schema_arrow.field(name).type)
            if described.get("files"):
                return comparable.files(stored, self.source.below(""))
            return comparable.column(described["cells"], stored)

    def level(self, column: Column, described: Mapping[str, Any]) -> Level:
        stored_type = self.file.schema_arrow.field(described["column"]).type
        is_measured = pa.types.is_floating(stored_type) or pa.types.is_nested(stored_type)
        return Level(column, partial(self.column, described), may_be_key=not is_measured)

    def _chunks(self, name: str) -> list[pa.Array]:
        """A column by row groups, and on one thread: read otherwise, more memory than the column's stays in use."""
        groups = range(self.file.num_row_groups)
        # A name selects "a.b" beside "a".
        parts = (self.file.read_row_group(group, columns=[name], use_threads=False).column(name) for group in groups)
        return [chunk for part in parts for chunk in part.chunks]


def _table(frame: Frame, file: pq.ParquetFile, source: Source) -> Table:
    fields, reader = tablefile.fields(frame, file), _Reader(frame, file, source)
    types = tablefile.type_names(frame, file.schema_arrow, fields)
    levels = [reader.level(Column(each["column"], _type(each, types)), each) for each in fields["columns"]]
    taken = {level.column.name for level in levels}
    index = list(_index(fields, reader, types, taken))
    every = {level.column.name: level for level in (*levels, *index)}
    return Table(int(fields["rows"]), every, tuple(level.column.name for level in index))


def _type(described: Mapping[str, Any], types: Mapping[str, str]) -> str:
    return f"{types[described['column']]} of files" if described.get("files") else types[described["column"]]


def _index(fields: Mapping[str, Any], reader: _Reader, types: Mapping[str, str], taken: set[str]) -> Iterator[Level]:
    """The levels of the rows' index, under the names that pandas gives them as columns."""
    index = fields.get("index") or {}
    if "range" in index:
        name = literal.decode(index["names"][0])
        shown = "index" if name is None else str(name)
        column = Column(_free(shown, taken), "index int64")
        yield Level(column, partial(_numbers, *index["range"]))
    levels: Sequence[Mapping[str, Any]] = index.get("levels", ())
    for number, (described, name) in enumerate(zip(levels, index.get("names", ()), strict=False)):
        unnamed = "index" if len(levels) == 1 else f"level_{number}"
        shown = unnamed if name is None else described["column"]
        column = Column(_free(shown, taken), f"index {types[described['column']]}")
        yield reader.level(column, described)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _numbers(start: int, stop: int, step: int) -> Comparable:
    return comparable.plain(pa.chunked_array([pa.array(np.arange(start, stop, step, dtype=np.int64))]))
