"""How bundles are listed: the short form, Disdat's long form, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from disdat.catalog.queries import Row
from disdat.cli import render
from disdat.core.bundle import is_reserved
from disdat.core.canonical import Json
from disdat.ops import when

_WIDTHS = (20, 20, 8, 18, 8, 40)
_HEADER = ("NAME", "PROC_NAME", "OWNER", "DATE", "COMMITTED", "UUID", "TAGS")
UNNAMED = "(unnamed)"


def names(rows: Iterable[Row]) -> Iterator[str]:
    """Every name once, in the order of *rows*."""
    return map(shown_name, dict.fromkeys(row.name for row in rows))


def long(rows: Iterable[Row], *, tags: bool, params: bool) -> Iterator[str]:
    """Disdat's table: padded cells between tabs, none cut; *params* adds a line to each bundle."""
    yield _cells(_HEADER)
    for row in rows:
        cells = [row.name, row.processing_name, row.owner, local_time(row.created_us), str(row.committed), row.uuid]
        shown = render.pairs(user_tags(row)) if tags else ""
        yield _cells([*map(render.one_line, cells), shown])
        if params:
            yield f"\t ARGS: {render.pairs(row.params)}"


def as_json(row: Row) -> dict[str, Json]:
    """A bundle as every command's JSON shows it."""
    return {
        "uuid": row.uuid,
        "name": row.name,
        "processing_name": row.processing_name,
        "owner": row.owner,
        "created": utc(row.created_us),
        "committed": row.committed,
        "root_task": row.root_task,
        "tags": user_tags(row),
        "params": row.params,
        "files": row.file_count,
        "size_bytes": row.size_bytes,
    }


def user_tags(row: Row) -> dict[str, str]:
    """The tags that people set."""
    return {key: value for key, value in row.tags.items() if not is_reserved(key)}


def shown_name(name: str) -> str:
    """A bundle's name on one line."""
    return render.one_line(name) or UNNAMED


def summary(row: Row) -> str:
    """One bundle in a sentence: name, uuid, date."""
    return f"{shown_name(row.name)} {row.uuid} of {when.local(row.created_us):%Y-%m-%d %H:%M:%S}"


def local_time(time_us: int) -> str:
    """A moment as Disdat lists it: ``MM-DD-YY HH:MM:SS``, local time."""
    return f"{when.local(time_us):%m-%d-%y %H:%M:%S}"


def utc(time_us: int) -> str:
    """A moment for programs: ISO 8601, UTC, to the microsecond."""
    return f"{when.from_us(time_us):%Y-%m-%dT%H:%M:%S.%f}Z"


def _cells(cells: Iterable[str]) -> str:
    *padded, last = cells
    return "\t".join([*(cell.ljust(width) for cell, width in zip(padded, _WIDTHS, strict=True)), last])
