"""How two arrays differ: shape, dtype, and the items that both have, read in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from disdat.values.arrayhash import PIECE_BYTES, Array
from disdat.values.difference import ArrayDifference, ItemChange, Tolerance

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

_NUMBERS = "iufc"
_FAMILIES = (frozenset("biufc"), frozenset("UT"))
"""Kinds of dtypes whose values may be equal."""


def compare(old: Array, new: Array, tolerance: Tolerance, *, limit: int | None) -> ArrayDifference:
    """
    How *new* differs from *old*.

    Where only the lengths of the first axis differ, the items that both have are compared; where other axes or the
    number of axes do, or where the dtypes have no values in common, none are.
    """
    shapes, dtypes = (old.shape, new.shape), (str(old.dtype), str(new.dtype))
    why = _why_not(old, new)
    if why:
        return ArrayDifference(*shapes, *dtypes, why=why)
    rows = min(old.shape[0], new.shape[0]) if old.ndim else None
    found = _Found(tolerance, limit, (old if rows is None else old[:rows]).shape)
    for start, left, right in _pieces(old, new, rows):
        found.add(start, left, right)
    return ArrayDifference(
        *shapes,
        *dtypes,
        compared=found.compared,
        differing=found.differing,
        max_abs=found.max_abs if found.are_numbers else None,
        mean_abs=found.sum_abs / found.finite if found.finite else None,
        shown=tuple(found.shown),
        why="" if old.shape == new.shape else f"only the first {rows:,} along the first axis are in both",
    )


def _why_not(old: Array, new: Array) -> str:
    if old.ndim != new.ndim or old.shape[1:] != new.shape[1:]:
        return "items have no counterpart, as the shapes differ"
    if not _have_values_in_common(old.dtype, new.dtype):
        return f"items of dtype {old.dtype} and {new.dtype} have no values in common"
    return ""


def _have_values_in_common(old: np.dtype[Any], new: np.dtype[Any]) -> bool:
    if old.names is not None and old.names == new.names:
        return all(_have_values_in_common(old[name], new[name]) for name in old.names)
    if old.subdtype is not None or new.subdtype is not None:
        return old.shape == new.shape and _have_values_in_common(old.base, new.base)
    if "V" in {old.kind, new.kind}:
        return old == new
    return old.kind == new.kind or any({old.kind, new.kind} <= family for family in _FAMILIES)


def _pieces(old: Array, new: Array, rows: int | None) -> Iterator[tuple[int, Array, Array]]:
    """The items of both, some at a time, each with the place in C order of its first one."""
    left, right = (side.reshape(-1) if rows is None else side[:rows].reshape(-1) for side in (old, new))
    count = max(PIECE_BYTES // max(old.dtype.itemsize, new.dtype.itemsize, 1), 1)
    for start in range(0, len(left), count):
        yield start, left[start : start + count], right[start : start + count]


@dataclass(slots=True)
class _Found:
    """What is found, fed with one piece after another."""

    tolerance: Tolerance
    limit: int | None
    shape: tuple[int, ...]
    compared: int = 0
    differing: int = 0
    are_numbers: bool = False
    max_abs: float = 0.0
    sum_abs: float = 0.0
    finite: int = 0
    shown: list[ItemChange] = field(default_factory=list)

    def add(self, start: int, old: Array, new: Array) -> None:
        self.compared += len(old)
        found = _unequal(old, new)
        if old.dtype.kind in _NUMBERS and new.dtype.kind in _NUMBERS:
            self.are_numbers = True
            apart = np.where(found, _apart(old, new), 0.0)
            self._measure(apart)
            found &= ~_near(old, new, apart, self.tolerance)
        self.differing += int(np.count_nonzero(found))
        wanted = None if self.limit is None else self.limit - len(self.shown)
        self.shown += [self._change(start, place, old, new) for place in np.flatnonzero(found)[:wanted].tolist()]

    def _measure(self, apart: Floats) -> None:
        apart = apart[~np.isnan(apart)]
        self.max_abs = max(self.max_abs, float(apart.max(initial=0.0)))
        self.sum_abs += float(apart.sum())
        self.finite += len(apart)

    def _change(self, start: int, place: int, old: Array, new: Array) -> ItemChange:
        index = tuple(int(part) for part in np.unravel_index(start + place, self.shape)) if self.shape else ()
        return ItemChange(index, _item(old, place), _item(new, place))


def _unequal(old: Array, new: Array) -> Mask:
    """Where items differ; NaN, NaT and a missing text each equal themselves."""
    if old.dtype.names is not None:
        fields = (_unequal(old[name], new[name]) for name in old.dtype.names)
        whole: Mask = np.logical_or.reduce([found.reshape(len(old), -1).any(axis=1) for found in fields])
        return whole
    if old.dtype.kind == "T" or new.dtype.kind == "T":
        return np.array([not _same_text(*pair) for pair in zip(old.tolist(), new.tolist(), strict=True)], bool)
    if old.dtype.kind == "V":
        return np.array([one != other for one, other in zip(old.tolist(), new.tolist(), strict=True)], bool)
    found: Mask = old != new
    if old.dtype.kind in "fcMm" and new.dtype.kind in "fcMm":
        is_missing = np.isnat if old.dtype.kind in "Mm" else np.isnan
        found &= ~(is_missing(old) & is_missing(new))
    return found


def _same_text(old: object, new: object) -> bool:
    if isinstance(old, str) and isinstance(new, str):
        return old == new
    return not isinstance(old, str) and not isinstance(new, str)


def _apart(old: Array, new: Array) -> Floats:
    wide = np.result_type(old.dtype, new.dtype, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart: Floats = np.abs(new.astype(wide) - old.astype(wide)).astype(np.float64)
    return apart


def _near(old: Array, new: Array, apart: Floats, tolerance: Tolerance) -> Mask:
    if not tolerance:
        return np.zeros(len(apart), bool)
    size = np.maximum(np.abs(old.astype(np.complex128)), np.abs(new.astype(np.complex128)))
    with np.errstate(invalid="ignore"):
        # Infinity is apart from everything but itself, though infinite tolerances of it would allow all.
        return (apart <= np.maximum(tolerance.absolute, tolerance.relative * size)) & np.isfinite(size)


def _item(items: Array, place: int) -> object:
    item = items[place]
    return item.item() if isinstance(item, np.generic) else item
