"""Comparing arrays: shape, dtype, and the statistics of what differs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disdat.values import comparearrays
from disdat.values.arrayhash import PIECE_BYTES
from disdat.values.difference import ArrayDifference, ItemChange, Tolerance

NUMBERS = hnp.arrays(
    np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-9, 9) | st.just(math.nan)
)


def compare(old: Any, new: Any, *, rtol: float = 0, atol: float = 0, limit: int | None = None) -> ArrayDifference:
    return comparearrays.compare(np.asarray(old), np.asarray(new), Tolerance(rtol, atol), limit=limit)


@given(NUMBERS)
def test_an_array_does_not_differ_from_itself(array: Any) -> None:
    found = compare(array, array.copy())
    assert not found
    assert (found.compared, found.differing, found.max_abs) == (array.size, 0, 0.0)


@given(st.data())
def test_the_statistics_are_those_of_all_items(data: st.DataObject) -> None:
    old = data.draw(NUMBERS)
    new = data.draw(hnp.arrays(np.float64, old.shape, elements=st.floats(-9, 9) | st.just(math.nan)))
    found, back = compare(old, new), compare(new, old)
    unequal = (old != new) & ~(np.isnan(old) & np.isnan(new))
    apart = np.abs(new - old)
    apart = np.where(np.isnan(old) & np.isnan(new), 0, apart)
    numbers = apart[~np.isnan(apart)]
    assert found.differing == back.differing == np.count_nonzero(unequal)
    assert found.max_abs == back.max_abs == numbers.max(initial=0)
    assert found.mean_abs == (pytest.approx(numbers.mean()) if len(numbers) else None)
    made = old.copy()
    for item in found.shown:
        made[item.index] = item.new
    np.testing.assert_array_equal(made, new)


def test_large_arrays_are_compared_in_pieces() -> None:
    old = np.zeros((3, PIECE_BYTES // 8))
    new = old.copy()
    new[0, 1], new[2, -1] = 1, 2
    found = compare(old, new, limit=1)
    assert (found.compared, found.differing, found.max_abs) == (old.size, 2, 2.0)
    assert found.mean_abs == 3 / old.size
    assert found.shown == (ItemChange((0, 1), 0.0, 1.0),)


def test_arrays_of_two_lengths_are_compared_as_far_as_both_go() -> None:
    found = compare([[1, 2], [3, 4]], [[1, 9]])
    assert (found.old_shape, found.new_shape, found.compared, found.differing) == ((2, 2), (1, 2), 2, 1)
    assert "first 1 along the first axis" in found.why


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "shapes differ"),
        (np.zeros(6), np.zeros((3, 2)), "shapes differ"),
        (np.zeros(2), np.array(["a", "b"]), "no values in common"),
        (np.zeros(1, "M8[s]"), np.zeros(1, "m8[s]"), "no values in common"),
        (np.zeros(1, "S1"), np.zeros(1, "U1"), "no values in common"),
        (np.zeros(1, "V1"), np.zeros(1, "V2"), "no values in common"),
        (np.zeros(1, [("a", "i4")]), np.zeros(1, [("b", "i4")]), "no values in common"),
        (np.zeros(1, [("a", "i4")]), np.zeros(1, [("a", "U4")]), "no values in common"),
    ],
)
def test_what_has_nothing_in_common_is_not_compared_and_says_why(old: Any, new: Any, why: str) -> None:
    found = compare(old, new)
    assert found
    assert (found.compared, found.differing) == (0, 0)
    assert why in found.why


SAME = [
    ("f8", [1.0, math.nan]), ("c16", [1j, complex(math.nan, 0)]), ("M8[s]", ["2026-01-01", "NaT"]), ("U3", ["a", "b"]),
    ("S3", [b"a", b"b"]), ("?", [True, False]), ("V2", [b"ab", b"cd"]), ("f2", [1, 2]), ("g", [1, math.nan]),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "items"), SAME)
def test_items_that_are_the_same_are_equal_and_others_are_not(dtype: str, items: list[Any]) -> None:
    array = np.array(items, dtype)
    assert not compare(array, array.copy())
    assert compare(array, array[::-1]).differing == 2


def test_texts_that_may_be_missing_and_fields_are_compared() -> None:
    text = np.array(["a", None, "b"], np.dtypes.StringDType(na_object=None))
    assert not compare(text, text.copy())
    assert [item.index for item in compare(text, text[::-1]).shown] == [(0,), (2,)]
    fields = np.array([(1, [1.0, math.nan]), (2, [0, 0])], [("a", "i4"), ("b", "f8", (2,))])
    assert not compare(fields, fields.copy())
    assert compare(fields, fields[::-1]).differing == 2
    assert compare(fields, fields[::-1]).max_abs is None


def test_dtypes_are_compared_by_value_and_reported() -> None:
    found = compare(np.array([1, 2], "i4"), np.array([1, 2.5], "f8"))
    assert (found.old_dtype, found.new_dtype) == ("int32", "float64")
    assert found.shown == (ItemChange((1,), 2, 2.5),)
    assert not compare(np.array([1], ">i4"), np.array([1], "<i4")).differing


def test_an_array_without_dimensions_is_one_item() -> None:
    assert compare(np.float64(1), np.float64(2)).shown == (ItemChange((), 1.0, 2.0),)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_arrays_are_equal(shape: tuple[int, ...]) -> None:
    found = compare(np.zeros(shape), np.zeros(shape))
    assert not found
    assert (found.max_abs, found.mean_abs) == (None, None)


def test_items_are_equal_within_the_tolerance_and_the_statistics_still_tell() -> None:
    assert not compare([1.0, 2.0], [1.05, 2.0], atol=0.1)
    assert compare([1.0, 2.0], [1.05, 2.0], atol=0.1).max_abs == pytest.approx(0.05)
    assert compare([1.0, math.inf], [1.05, 1.0], rtol=0.1).differing == 1
    assert compare([math.inf], [-math.inf], rtol=1).differing == 1
    assert not compare([1j], [1.05j], rtol=0.1)
