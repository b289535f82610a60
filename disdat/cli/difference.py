"""How two bundles differ, as lines for people: all of it, or a line for each thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from disdat.cli import listing, render
from disdat.core.bundle import Dependency
from disdat.ops.diff import BundleDifference, Changes, InputChange
from disdat.values.difference import (
    Added,
    ArrayDifference,
    Change,
    FileChange,
    FilesDifference,
    Incomparable,
    Part,
    Removed,
    Reordered,
    Replaced,
    Row,
    RowChange,
    RowsDifference,
    SchemaDifference,
    TableDifference,
)

_SHOWN_CHARS = 60
_DIGEST = re.compile(r"(blake3:[0-9a-f]{8})[0-9a-f]{56}")
ALL = "--limit 0 shows all"


def lines(found: BundleDifference) -> Iterator[str]:
    """What ``dsdt diff`` prints; nothing but the two bundles where they do not differ."""
    yield f"--- {listing.summary(found.old)}"
    yield f"+++ {listing.summary(found.new)}"
    for name, changes in _said(found).items():
        if changes:
            yield f"{name}:"
            yield from (f"  {_change_line(key, change)}" for key, change in changes.items())
    if found.inputs:
        yield "inputs:"
        yield from (f"  {_input_line(each)}" for each in found.inputs)
    for part in found.value.parts:
        yield from _part_lines(part)
    if more := found.value.count - len(found.value.parts):
        yield f"and {render.count(more, 'more place')} in the value; {ALL}"


def stat(found: BundleDifference) -> Iterator[str]:
    """What ``dsdt diff --stat`` prints: a line for each thing that differs."""
    rows = [(name, _count_text(changes)) for name, changes in _said(found).items() if changes]
    if found.inputs:
        rows.append(("inputs", f"{len(found.inputs):,} changed"))
    rows += [(f"value{part.place}", _summary(part)) for part in found.value.parts]
    if more := found.value.count - len(found.value.parts):
        rows.append(("value", f"and {render.count(more, 'more place')}"))
    yield from render.table([[render.one_line(cell) for cell in row] for row in rows])


def _said(found: BundleDifference) -> Mapping[str, Changes]:
    return {"params": found.params, "tags": found.tags, "metrics": found.metrics, "code": found.code}


def _count_text(changes: Changes) -> str:
    added = sum(change.old is None for change in changes.values())
    removed = sum(change.new is None for change in changes.values())
    return _counts(added, removed, len(changes) - added - removed, "")


def _counts(added: int, removed: int, changed: int, thing: str) -> str:
    told = [(added, "added"), (removed, "removed"), (changed, "changed")]
    parts = [f"{render.count(count, thing) if thing else f'{count:,}'} {what}" for count, what in told if count]
    return ", ".join(parts)


def _change_line(name: str, change: Change) -> str:
    old, new = (_DIGEST.sub(r"\1…", str(side)) for side in (change.old, change.new))
    if change.old is None:
        return render.one_line(f"+ {name}: {new}")
    if change.new is None:
        return render.one_line(f"- {name}: {old}")
    return render.one_line(f"~ {name}: {old} -> {new}")


def _input_line(change: InputChange) -> str:
    if change.old is None or change.new is None:
        sign, known = ("+", change.new) if change.old is None else ("-", change.old)
        return render.one_line(f"{sign} {change.argument}: {_version(known)}")
    same = " (equal content)" if change.same_content else ""
    return render.one_line(f"~ {change.argument}: {_version(change.old)} -> {_version(change.new)}{same}")


def _version(known: Dependency | None) -> str:
    return "" if known is None else f"{known.name or listing.UNNAMED} {known.uuid}"


def _part_lines(part: Part) -> Iterator[str]:
    head = f"value{part.place}"
    match part.difference:
        case TableDifference() as table:
            yield render.one_line(f"{head}: a table")
            yield from (f"  {line}" for line in (*_schema_lines(table.schema), *_rows_lines(table.rows)))
        case ArrayDifference() as array:
            yield render.one_line(f"{head}: an array, {_array_text(array)}")
            yield from (f"  {line}" for line in _item_lines(array))
        case FilesDifference() as files:
            yield render.one_line(f"{head}: files, {_summary(part)}")
            yield from (f"  {line}" for line in _file_lines(files))
        case Incomparable() as other:
            yield render.one_line(f"{head}: {other.old} -> {other.new}")
            yield f"  note: {render.one_line(other.why)}"
        case _:
            yield render.one_line(f"{head}: {_literal_text(part)}")


def _literal_text(part: Part) -> str:
    match part.difference:
        case Replaced(old, new):
            return f"{_short(old)} -> {_short(new)}"
        case Added(new):
            return f"added {_short(new)}"
        case Removed(old):
            return f"removed {_short(old)}"
        case Reordered():
            return "its keys are in another order"
    return ""


def _summary(part: Part) -> str:
    """What differs, in a line."""
    match part.difference:
        case TableDifference(schema, rows):
            cells = render.count(rows.cell_count, "cell") + " changed" if rows.cell_count else ""
            parts = (_schema_text(schema), _rows_text(rows), cells)
            return "table: " + "; ".join(text for text in parts if text)
        case ArrayDifference() as array:
            return f"array: {_array_text(array)}"
        case FilesDifference(added, removed, changed):
            return _counts(added, removed, changed, "file")
        case Incomparable(why, old, new):
            return f"{old} -> {new}; {why}"
    return _literal_text(part)


def _schema_text(schema: SchemaDifference) -> str:
    counts = _counts(len(schema.added), len(schema.removed), len(schema.changed), "column")
    return ", ".join(text for text in (counts, "columns in another order" if schema.order else "") if text)


def _rows_text(rows: RowsDifference) -> str:
    counts = _counts(rows.added_count, rows.removed_count, rows.changed_count, "row")
    return ", ".join(text for text in (counts, "rows in another order" if rows.moved else "") if text)


def _schema_lines(schema: SchemaDifference) -> Iterator[str]:
    if schema:
        yield "columns:"
    yield from (render.one_line(f"  + {column.name}: {column.type}") for column in schema.added)
    yield from (render.one_line(f"  - {column.name}: {column.type}") for column in schema.removed)
    for change in schema.changed:
        note = "" if change.compared else " (cells not compared: the types have no values in common)"
        yield render.one_line(f"  ~ {change.name}: {change.old} -> {change.new}{note}")
    if schema.order:
        yield f"  in another order: {_names(schema.order[0])} -> {_names(schema.order[1])}"


def _names(names: Sequence[str]) -> str:
    return _cut(", ".join(names))


def _rows_lines(rows: RowsDifference) -> Iterator[str]:
    by = f"key {', '.join(rows.key)}{' (guessed)' if rows.guessed else ''}" if rows.key else "position"
    told = _rows_text(rows) or "no changes"
    yield render.one_line(f"rows by {by}: {told}, of {rows.old_count:,} -> {rows.new_count:,}")
    if rows.cells:
        cells = ", ".join(f"{name} {count:,}" for name, count in rows.cells.items())
        yield render.one_line(f"cells: {_cut(cells, 4 * _SHOWN_CHARS)}")
    yield from (f"  {line}" for line in _shown_rows(rows))


def _shown_rows(rows: RowsDifference) -> Iterator[str]:
    yield from (_row_change_line(each) for each in rows.changed)
    yield from _more(rows.changed_count - len(rows.changed), "changed row")
    yield from (f"- {_row_line(each, rows.key)}" for each in rows.removed)
    yield from _more(rows.removed_count - len(rows.removed), "removed row")
    yield from (f"+ {_row_line(each, rows.key)}" for each in rows.added)
    yield from _more(rows.added_count - len(rows.added), "added row")


def _more(count: int, thing: str) -> Iterator[str]:
    if count:
        yield f"and {count:,} more {thing}{'' if count == 1 else 's'}; {ALL}"


def _row_change_line(row: RowChange) -> str:
    cells = ", ".join(f"{name}: {_short(each.old)} -> {_short(each.new)}" for name, each in row.cells.items())
    return render.one_line(f"~ {_key_text(row.key) or f'row {row.old_position}'}: {cells}")


def _row_line(row: Row, key: Sequence[str]) -> str:
    named = {name: row.cells[name] for name in key}
    cells = ", ".join(f"{name}: {_short(cell)}" for name, cell in row.cells.items() if name not in named)
    return render.one_line(f"{_key_text(named) or f'row {row.position}'}{': ' if cells else ''}{cells}")


def _key_text(key: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_short(cell)}" for name, cell in key.items())


def _array_text(array: ArrayDifference) -> str:
    shapes = ["×".join(map(str, shape)) or "a scalar" for shape in (array.old_shape, array.new_shape)]
    texts = [_pair("shape", *shapes), _pair("dtype", array.old_dtype, array.new_dtype)]
    if array.compared:
        texts.append(f"{array.differing:,} of {render.count(array.compared, 'item')} differ")
    if array.differing and array.max_abs is not None:
        texts.append(f"at most by {array.max_abs:g}")
    if array.differing and array.mean_abs is not None:
        texts.append(f"by {array.mean_abs:g} on average")
    return ", ".join(text for text in (*texts, array.why) if text)


def _pair(name: str, old: str, new: str) -> str:
    return "" if old == new else f"{name} {old} -> {new}"


def _item_lines(array: ArrayDifference) -> Iterator[str]:
    for item in array.shown:
        yield render.one_line(f"~ [{', '.join(map(str, item.index))}]: {_short(item.old)} -> {_short(item.new)}")
    if array.shown:
        yield from _more(array.differing - len(array.shown), "item")


def _file_lines(files: FilesDifference) -> Iterator[str]:
    yield from (render.one_line(_file_line(each)) for each in files.shown)
    count = files.added_count + files.removed_count + files.changed_count
    yield from _more(count - len(files.shown), "file")


def _file_line(change: FileChange) -> str:
    match change.old, change.new:
        case None, entry if entry is not None:
            return f"+ {change.path}  {render.size(entry.size_bytes)}"
        case entry, None if entry is not None:
            return f"- {change.path}  {render.size(entry.size_bytes)}"
        case old, new if old is not None and new is not None:
            content = "" if old.digest == new.digest else f"{render.size(old.size_bytes)} -> "
            modes = {True: "executable", False: "not executable"}
            mode = "" if old.executable == new.executable else f", now {modes[new.executable]}"
            unread = ", as far as S3 says" if content and (old.weak or new.weak) else ""
            return f"~ {change.path}  {content}{render.size(new.size_bytes)}{mode}{unread}"
    return change.path


def _short(value: object) -> str:
    return _cut(_DIGEST.sub(r"\1…", repr(value) if isinstance(value, str) else str(value)))


def _cut(text: str, most: int = _SHOWN_CHARS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
