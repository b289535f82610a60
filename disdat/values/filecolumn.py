"""Columns of a table whose cells name files: captured with the table, and read as paths again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa

from disdat.core.tree import file_logical
from disdat.errors import BadLinkError
from disdat.values import files
from disdat.values.columnhash import CHUNK_ROWS
from disdat.values.columns import Arrow, Stored
from disdat.values.serializer import Sink, Source


def capture(column: Stored, where: str, sink: Sink) -> Stored | None:
    """
    The column of the files that the cells of *column* name; None if it is a column of something else.

    Every cell that is not null must name a file. Whether that is meant shows in the first: a URL there means
    it, and then every cell must name one; an existing file means it if all others name one too.
    """
    if column.kind != "string":
        return None
    found = _found(column, where, sink)
    if not found:
        return None
    places = _places(found, where, sink)
    stored = pa.array([places.get(cell) for _, cell in _cells(column)], column.arrow_type)
    logical = {place: file_logical(place, sink.entry(place)) for place in places.values()}
    return replace(
        column,
        kind="file",
        part=lambda start, stop: stored.slice(start, stop - start),
        hashed=lambda cells: _logical(cells, logical),
    )


def restore(column: pa.ChunkedArray, source: Source) -> pa.ChunkedArray:
    """What the files are read by whose places in the tree *column* has: their paths on this machine, or URLs."""
    places = column.to_pylist()
    named = [place for place in dict.fromkeys(places) if place is not None]
    paths = dict(zip(named, source.locate(named), strict=True))
    return pa.chunked_array([pa.array([paths.get(place) for place in places], column.type)])


def _places(found: Mapping[str, files.Named], where: str, sink: Sink) -> dict[str | None, str]:
    """Capture files; their places in the tree, by the text that names them."""
    local = {cell: item.path for cell, item in found.items() if isinstance(item, files.Found)}
    places: dict[str | None, str] = dict(zip(local, sink.add_files(list(local.values())), strict=True))
    for url, place in files.capture_links(found.values(), sink).items():
        if sink.is_directory(place):
            raise BadLinkError(f"cannot store {where}: {url} is a directory", hint="name its files one by one")
        places[url] = place
    return places


def _found(column: Stored, where: str, sink: Sink) -> dict[str, files.Named]:
    """What names files by the text that does; empty for a column of plain text."""
    found: dict[str, files.Named] = {}
    must_be_files = False
    for row, cell in _cells(column):
        if cell is None or cell in found:
            continue
        must_be_files = must_be_files or (not found and files.is_link(cell))
        item = files.find_text(cell, f"{where} row {row}", sink)
        if item is None or (isinstance(item, files.Found) and item.is_directory):
            if must_be_files:
                raise BadLinkError(f"cannot store {where} row {row}: {cell!r} names no file, as other cells do")
            return {}
        found[cell] = item
    return found


def _cells(column: Stored) -> Iterator[tuple[int, str | None]]:
    for start in range(0, column.row_count, CHUNK_ROWS):
        part = column.part(start, min(start + CHUNK_ROWS, column.row_count))
        yield from enumerate(part.to_pylist(), start)


def _logical(cells: Arrow, logical: Mapping[str, str]) -> Arrow:
    return pa.array([logical.get(place) for place in cells.to_pylist()], pa.string())
