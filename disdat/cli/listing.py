"""How bundles are listed: the short form, Disdat's long form, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from disdat.catalog.queries import Row
from disdat.cli import render
from disdat.core.canonical import Json
from disdat.core.reserved import is_reserved
from disdat.ops import when

PADS = (20, 20, 8, 18, 8, 40)
"""How wide Disdat's columns are, but for the last; a cell that is longer pushes the others aside."""
_HEADER = ("NAME", "PROC_NAME", "OWNER", "DATE", "COMMITTED", "UUID")
_PRESENCE_CHARS = 8
UNNAMED = "(unnamed)"
HERE = "local"
"""How the presence of a bundle is called of which all is here."""


def names(rows: Iterable[Row]) -> Iterator[str]:
    """Every name once, in the order of *rows*."""
    return map(shown_name, dict.fromkeys(row.name for row in rows))


def marked_names(rows: Sequence[Row], presence: Mapping[str, str]) -> list[str]:
    """The names of *rows*, each with whether the bundle is here, where not all of it is."""
    marks = [presence[row.uuid] for row in rows]
    cells = [[shown_name(row.name), "" if mark == HERE else f"({mark})"] for row, mark in zip(rows, marks, strict=True)]
    return render.table(cells) if cells else []


def long(
    rows: Iterable[Row],
    *,
    widths: Sequence[int],
    params: bool,
    presence: Mapping[str, str] | None = None,
    weak: Set[str] = frozenset(),
) -> Iterator[str]:
    """
    Disdat's table: cells padded to *widths* between tabs, none cut; *params* adds a line to each bundle.

    With *presence*, one more column says of each bundle whether its bytes are here; those in *weak* have a ``~`` there.
    """
    also, padded = ([], widths) if presence is None else (["PRESENCE"], [*widths, _PRESENCE_CHARS])
    yield _line([*_HEADER, *also, "TAGS"], padded)
    for row in rows:
        shown = render.pairs(user_tags(row))
        here = [] if presence is None else [presence[row.uuid] + ("~" if row.uuid in weak else "")]
        yield _line([*_cells(row), *here, shown], padded)
        if params:
            yield f"\t ARGS: {render.pairs(row.params)}"


def fitting(rows: Iterable[Row]) -> list[int]:
    """Widths at which no cell of *rows* or the header pushes others aside; Disdat's where they are enough."""
    found = [max(pad, len(title)) for pad, title in zip(PADS, _HEADER, strict=True)]
    for row in rows:
        found = [max(width, len(cell)) for width, cell in zip(found, _cells(row), strict=True)]
    return found


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


def _cells(row: Row) -> list[str]:
    cells = [row.name, row.processing_name, row.owner, local_time(row.created_us), str(row.committed), row.uuid]
    return [render.one_line(cell) for cell in cells]


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    *padded, last = cells
    return "\t".join([*(cell.ljust(width) for cell, width in zip(padded, widths, strict=True)), last])
