"""What a notebook shows of a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from disdat.core.bundle import Frame

if TYPE_CHECKING:  # it brings in the catalog, which importing the API must not
    from disdat.ops.details import Details

_SHOWN_FRAMES = 10


def facts(named: Mapping[str, str]) -> str:
    """A table of names and values; those that are empty are left out."""
    rows = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in named.items() if text)
    return f"<table>{''.join(rows)}</table>"


def details(named: Mapping[str, str], found: Details) -> str:
    """The same with sizes, inputs and run, and below it what is in the bundle: small literals, tables' first rows."""
    lineage, row = found.bundle.lineage, found.row
    more = {
        "size": f"{row.size_bytes:,} bytes in {row.file_count:,} files",
        "inputs": ", ".join(f"{each.argument}: {each.name}" for each in lineage.inputs),
        "run": f"{found.run.user}@{found.run.host}" if found.run else "",
    }
    return facts({**named, **more}) + "".join(_frames(found))


def _frames(found: Details) -> Iterator[str]:
    frames = found.bundle.frames
    for frame in frames[:_SHOWN_FRAMES]:
        yield f"<p>{escape(_described(frame))}</p>"
        if head := found.heads.get(frame.name):
            columns = found.columns[frame.name]
            yield _head([column.name for column in columns[: len(head[0])]], head)
    if found.literal is not None:
        yield f"<pre>{escape(found.literal)}</pre>"
    if len(frames) > _SHOWN_FRAMES:
        yield f"<p>and {len(frames) - _SHOWN_FRAMES:,} more</p>"


def _described(frame: Frame) -> str:
    shape = " × ".join(f"{count:,}" for count in frame.shape) if frame.shape is not None else ""
    return ", ".join(part for part in (frame.name or "value", frame.kind, frame.form, frame.dtype, shape) if part)


def _head(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line("th", names), *(_line("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
