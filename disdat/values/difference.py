"""
How two values differ: what a comparison found, each kind of it a value of its own.

Counts are always whole; what is shown of rows, items and files is cut to the limit of the comparison. Importing this
imports neither numpy nor pyarrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from disdat.core.bundle import Frame
from disdat.core.canonical import Json
from disdat.core.tree import Entry
from disdat.errors import BadQuery, Unserializable
from disdat.values import literal


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Numbers a and b count as equal where ``|a - b| <= max(absolute, relative * max(|a|, |b|))``."""

    relative: float = 0.0
    absolute: float = 0.0

    def __post_init__(self) -> None:
        for name, number in (("relative", self.relative), ("absolute", self.absolute)):
            if not 0 <= number < math.inf:
                raise BadQuery(f"the {name} tolerance is {number}", hint="it is a number, not less than 0")

    def __bool__(self) -> bool:
        return self.relative > 0 or self.absolute > 0

    def allows(self, old: complex, new: complex) -> bool:
        """Whether two numbers count as equal; NaN equals nothing here."""
        try:
            size, difference = float(max(abs(old), abs(new))), float(abs(old - new))
        except OverflowError:  # integers beyond all floats
            return old == new
        return old == new or (math.isfinite(size) and difference <= max(self.absolute, self.relative * size))


@dataclass(frozen=True, slots=True)
class Options:
    """How two values are compared."""

    key: tuple[str, ...] = ()
    """The columns that rows of tables are matched by; none: guessed, or by position."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    limit: int | None = None
    """How many rows, items, files or places of each kind are kept to be shown; None: all."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was, and what is now."""

    old: object
    new: object

    def to_json(self) -> dict[str, Json]:
        return {"old": as_json(self.old), "new": as_json(self.new)}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, its type as pandas or Arrow names it; a level of the rows' index says so in its type."""

    name: str
    type: str

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "type": self.type}


@dataclass(frozen=True, slots=True)
class TypeChange:
    """A column whose type changed; its cells are compared by value where the types have values in common."""

    name: str
    old: str
    new: str
    compared: bool

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "old": self.old, "new": self.new, "compared": self.compared}


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """How the columns differ; :attr:`order` has the columns that both have, where their order differs."""

    added: tuple[Column, ...] = ()
    removed: tuple[Column, ...] = ()
    changed: tuple[TypeChange, ...] = ()
    order: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.order)

    def to_json(self) -> dict[str, Json]:
        order: Json = None if self.order is None else {"old": list(self.order[0]), "new": list(self.order[1])}
        return {
            "added": [each.to_json() for each in self.added],
            "removed": [each.to_json() for each in self.removed],
            "changed": [each.to_json() for each in self.changed],
            "order": order,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A row that only one table has: its number from 0, and its cells by column."""

    position: int
    cells: Mapping[str, object]

    def to_json(self) -> dict[str, Json]:
        return {"row": self.position, "cells": {name: as_json(cell) for name, cell in self.cells.items()}}


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that changed: its key (empty where rows are matched by position), its numbers from 0, its changed cells."""

    key: Mapping[str, object]
    old_position: int
    new_position: int
    cells: Mapping[str, Change]

    def to_json(self) -> dict[str, Json]:
        return {
            "key": {name: as_json(cell) for name, cell in self.key.items()},
            "old_row": self.old_position,
            "new_row": self.new_position,
            "cells": {name: change.to_json() for name, change in self.cells.items()},
        }


@dataclass(frozen=True, slots=True)
class RowsDifference:
    """
    How the rows differ, matched by the columns of :attr:`key`, or by position where it is empty.

    The counts are of all rows, and of cells in columns that both tables have; the rows themselves are the first ones.
    """

    key: tuple[str, ...]
    guessed: bool
    old_count: int
    new_count: int
    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0
    moved: bool = False
    """Whether the rows that both have are in another order."""
    cells: Mapping[str, int] = field(default_factory=dict)
    """How many cells changed, of each column in which one did."""
    added: tuple[Row, ...] = ()
    removed: tuple[Row, ...] = ()
    changed: tuple[RowChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added_count or self.removed_count or self.changed_count or self.moved)

    @property
    def cell_count(self) -> int:
        return sum(self.cells.values())

    def to_json(self) -> dict[str, Json]:
        return {
            "key": list(self.key),
            "guessed": self.guessed,
            "old_count": self.old_count,
            "new_count": self.new_count,
            "added_count": self.added_count,
            "removed_count": self.removed_count,
            "changed_count": self.changed_count,
            "moved": self.moved,
            "cells": dict(self.cells),
            "added": [each.to_json() for each in self.added],
            "removed": [each.to_json() for each in self.removed],
            "changed": [each.to_json() for each in self.changed],
        }


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Two tables: their columns and their rows."""

    schema: SchemaDifference
    rows: RowsDifference

    def __bool__(self) -> bool:
        return bool(self.schema or self.rows)

    def to_json(self) -> dict[str, Json]:
        return {"kind": "table", "schema": self.schema.to_json(), "rows": self.rows.to_json()}


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item of an array that changed."""

    index: tuple[int, ...]
    old: object
    new: object

    def to_json(self) -> dict[str, Json]:
        return {"index": list(self.index), "old": as_json(self.old), "new": as_json(self.new)}


@dataclass(frozen=True, slots=True)
class ArrayDifference:
    """
    Two arrays: shapes, dtypes, and the items that both have.

    The statistics are of ``|new - old|`` over the :attr:`compared` items; None where items are no numbers. A pair with
    one NaN counts as differing and in no statistics.
    """

    old_shape: tuple[int, ...]
    new_shape: tuple[int, ...]
    old_dtype: str
    new_dtype: str
    compared: int = 0
    differing: int = 0
    max_abs: float | None = None
    mean_abs: float | None = None
    shown: tuple[ItemChange, ...] = ()
    why: str = ""
    """Why not all items were compared."""

    def __bool__(self) -> bool:
        return bool(self.differing) or self.old_shape != self.new_shape or self.old_dtype != self.new_dtype

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": "array",
            "shape": {"old": list(self.old_shape), "new": list(self.new_shape)},
            "dtype": {"old": self.old_dtype, "new": self.new_dtype},
            "compared": self.compared,
            "differing": self.differing,
            "max_abs": as_json(self.max_abs),
            "mean_abs": as_json(self.mean_abs),
            "items": [each.to_json() for each in self.shown],
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that was added (:attr:`old` is None), removed (:attr:`new` is None) or changed."""

    path: str
    old: Entry | None
    new: Entry | None

    def to_json(self) -> dict[str, Json]:
        return {"path": self.path, "old": _entry_json(self.old), "new": _entry_json(self.new)}


@dataclass(frozen=True, slots=True)
class FilesDifference:
    """Two files, or two directories."""

    added_count: int
    removed_count: int
    changed_count: int
    shown: tuple[FileChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added_count or self.removed_count or self.changed_count)

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": "files",
            "added_count": self.added_count,
            "removed_count": self.removed_count,
            "changed_count": self.changed_count,
            "files": [each.to_json() for each in self.shown],
        }


@dataclass(frozen=True, slots=True)
class Replaced:
    """A part of a literal that is another one now."""

    old: object
    new: object

    def to_json(self) -> dict[str, Json]:
        return {"kind": "changed", "old": as_json(self.old), "new": as_json(self.new)}


@dataclass(frozen=True, slots=True)
class Added:
    """A key of a dict, an item of a list or set that only the new value has."""

    new: object

    def to_json(self) -> dict[str, Json]:
        return {"kind": "added", "new": as_json(self.new)}


@dataclass(frozen=True, slots=True)
class Removed:
    """A key of a dict, an item of a list or set that only the old value has."""

    old: object

    def to_json(self) -> dict[str, Json]:
        return {"kind": "removed", "old": as_json(self.old)}


@dataclass(frozen=True, slots=True)
class Reordered:
    """A dict whose keys, as far as both have them, are in another order."""

    def to_json(self) -> dict[str, Json]:
        return {"kind": "order"}


@dataclass(frozen=True, slots=True)
class Incomparable:
    """Two values that differ and cannot be, or were not, compared further, and why; what is known of each."""

    why: str
    old: str
    new: str

    def to_json(self) -> dict[str, Json]:
        return {"kind": "incomparable", "why": self.why, "old": self.old, "new": self.new}


Difference: TypeAlias = (
    TableDifference | ArrayDifference | FilesDifference | Replaced | Added | Removed | Reordered | Incomparable
)


@dataclass(frozen=True, slots=True)
class Part:
    """A place inside the value, such as ``['a'][3]``, empty for the value itself, and what differs there."""

    place: str
    difference: Difference

    def to_json(self) -> dict[str, Json]:
        return {"place": self.place, **self.difference.to_json()}


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """Every place at which two values differ, the first ones shown."""

    count: int = 0
    parts: tuple[Part, ...] = ()

    def __bool__(self) -> bool:
        return self.count > 0

    def to_json(self) -> dict[str, Json]:
        return {"count": self.count, "parts": [part.to_json() for part in self.parts]}


def described(frame: Frame) -> str:
    """What is known of a frame without its bytes: ``table dataframe 10×3, 1,234 bytes``."""
    shape = "×".join(map(str, frame.shape)) if frame.shape is not None else ""
    words = " ".join(part for part in dict.fromkeys((frame.kind, frame.form, frame.dtype, shape)) if part)
    return f"{words}, {frame.size_bytes:,} bytes" if frame.size_bytes else words


def as_json(value: object) -> Json:
    """A Python value as JSON: as literals are encoded on disk, or else as text."""
    try:
        return literal.encode_plain(value, lambda: "a value")
    except Unserializable:
        return str(value)


def _entry_json(entry: Entry | None) -> Json:
    if entry is None:
        return None
    return {"digest": entry.digest, "size_bytes": entry.size_bytes, "executable": entry.executable}
