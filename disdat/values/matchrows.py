"""Which rows of two tables are the same row: by the values of key columns, or by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from disdat.values.comparecells import as_arrow, as_bits, unequal

Positions: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


@dataclass(frozen=True, slots=True)
class Matched:
    """
    The rows of two tables.

    Row ``old[i]`` of the one is row ``new[i]`` of the other, in the order of the old ones; the others are in one only.
    """

    old: Positions
    new: Positions
    removed: Positions
    added: Positions

    @property
    def moved(self) -> bool:
        """Whether the rows that both have are in another order."""
        return bool((np.diff(self.new) < 0).any())


def by_position(old_count: int, new_count: int) -> Matched:
    """Rows of one number are one row."""
    both = np.arange(min(old_count, new_count))
    return Matched(both, both, np.arange(len(both), old_count), np.arange(len(both), new_count))


@dataclass(frozen=True, slots=True)
class Keyed:
    """
    The keys of two tables as whole numbers, equal where the keys are.

    Made by sorting: hashing a million numbers takes ten times their memory.
    """

    old: Positions
    new: Positions

    @property
    def is_unique(self) -> bool:
        """Whether no key is in one table twice."""
        return self.repeated() == (None, None)

    def repeated(self) -> tuple[int | None, int | None]:
        """In each table, the first row whose key an earlier row has too; None where keys are unique."""
        return _first_repeated(self.old), _first_repeated(self.new)

    def matched(self) -> Matched:
        """The rows with equal keys; every key is unique."""
        if np.array_equal(self.old, self.new):
            return by_position(len(self.old), len(self.new))
        size = int(max(self.old.max(initial=-1), self.new.max(initial=-1))) + 1
        place = np.full(size, -1)
        place[self.new] = np.arange(len(self.new))
        found = place[self.old]
        old, removed = np.flatnonzero(found >= 0), np.flatnonzero(found < 0)
        is_added = np.ones(len(self.new), bool)
        is_added[found[old]] = False
        return Matched(old, found[old], removed, np.flatnonzero(is_added))


def keyed(columns: Sequence[tuple[pa.ChunkedArray, pa.ChunkedArray]]) -> Keyed:
    """
    The keys made of columns of the old and the new table, a pair of one type; nulls and NaN equal themselves.

    ArrowNotImplementedError for columns whose cells have no order, such as lists.
    """
    parts = [_numbered(old, new) for old, new in columns]
    whole = parts[0]
    for part in parts[1:]:
        size = int(max(part.old.max(initial=0), part.new.max(initial=0))) + 1
        pairs = [whole.old * size + part.old, whole.new * size + part.new]
        whole = _numbered(*(pa.chunked_array([as_arrow(numbers)]) for numbers in pairs))
    return whole


def _numbered(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Keyed:
    """The ranks of the cells among all of both columns; of columns that are equal those of one are enough."""
    is_same = old.equals(new)
    ranks = _ranks(old.chunks if is_same else [*old.chunks, *new.chunks], old.type)
    return Keyed(ranks, ranks) if is_same else Keyed(ranks[: len(old)], ranks[len(old) :])


def _ranks(chunks: Sequence[pa.Array], kind: pa.DataType) -> Positions:
    cells = pa.chunked_array(chunks, kind)
    if _is_ascending(cells):
        return np.arange(len(cells))
    order = pc.sort_indices(cells)
    cells = cells.take(order)
    above, below = cells.slice(0, len(cells) - 1), cells.slice(1)
    is_next = unequal(above, below)
    ranks = np.zeros(len(cells), np.int64)
    ranks[1:] = np.cumsum(as_bits(is_next))
    found = np.empty(len(cells), np.int64)
    found[np.frombuffer(order.buffers()[1], np.uint64)] = ranks
    return found


def _is_ascending(cells: pa.ChunkedArray) -> bool:
    """Whether each cell is greater than the one before, as most keys are: sorting would take six times their memory."""
    if len(cells) < 2:
        return True
    is_less = pc.less(cells.slice(0, len(cells) - 1), cells.slice(1))
    return pc.all(is_less, skip_nulls=False).as_py() is True


def _first_repeated(keys: Positions) -> int | None:
    if len(keys) == 0 or np.bincount(keys).max() < 2:
        return None
    _, first = np.unique(keys, return_index=True)
    is_first = np.zeros(len(keys), bool)
    is_first[first] = True
    return int(np.flatnonzero(~is_first)[0])
