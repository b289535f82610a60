"""Comparing literals: every place that differs is found, and no other."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.testing.memory import MemoryBundle
from disdat.values import compareliterals, dump
from disdat.values.compareliterals import Ref
from disdat.values.difference import Added, Removed, Reordered, Replaced, Tolerance, as_json
from tests.values.strategies import SCALARS, VALUES, exact


def compare(old: object, new: object, *, rtol: float = 0, atol: float = 0) -> list[tuple[str, object]]:
    return list(compareliterals.compare(old, new, Tolerance(rtol, atol)))


CASES: list[tuple[object, object, list[tuple[str, object]]]] = [
    (1, 2, [("", Replaced(1, 2))]),
    (1, 1.0, [("", Replaced(1, 1.0))]),
    (1, True, [("", Replaced(1, True))]),
    (math.nan, math.nan, []),
    (0.0, -0.0, []),
    ("a", b"a", [("", Replaced("a", b"a"))]),
    (Decimal("1.0"), Decimal("1.00"), [("", Replaced(Decimal("1.0"), Decimal("1.00")))]),
    ([1, 2], [1, 3, 4], [("[1]", Replaced(2, 3)), ("[2]", Added(4))]),
    ([1, 2], [1], [("[1]", Removed(2))]),
    ((1,), [1], [("", Replaced((1,), [1]))]),
    ({"a": 1}, {"a": 1, "b": 2}, [("['b']", Added(2))]),
    ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 3}]}, [("['a']", Removed(1)), ("['b'][1]['c']", Replaced(2, 3))]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [("", Reordered())]),
    ({"x": {"a": 1, "b": 2}}, {"x": {"b": 3, "a": 1}}, [("['x']", Reordered()), ("['x']['b']", Replaced(2, 3))]),
    ({1: "a"}, {True: "a"}, [("[1]", Removed("a")), ("[True]", Added("a"))]),
    ({math.nan: 1}, {float("nan"): 2}, [("[nan]", Replaced(1, 2))]),
    ({1, 2}, {2, 3}, [("{1}", Removed(1)), ("{3}", Added(3))]),
    ({math.nan}, {float("nan")}, []),
    (frozenset({1}), {1}, [("", Replaced(frozenset({1}), {1}))]),
    (None, 0, [("", Replaced(None, 0))]),
    (np.float32(1), np.float64(1), [("", Replaced(np.float32(1), np.float64(1)))]),
    (np.float64("nan"), np.float64("nan"), []),
]


@pytest.mark.parametrize(("old", "new", "found"), CASES, ids=[f"{old!r} {new!r}" for old, new, _ in CASES])
def test_what_differs_and_where(old: object, new: object, found: list[tuple[str, object]]) -> None:
    seen = compare(old, new)
    assert seen == found
    assert [type(each.old) for _, each in seen if isinstance(each, Replaced)] == [
        type(each.old) for _, each in found if isinstance(each, Replaced)
    ]


@given(VALUES)
def test_a_value_does_not_differ_from_a_copy_of_itself(value: Any) -> None:
    assert compare(value, copy.deepcopy(value)) == []


@given(VALUES, VALUES)
def test_values_that_are_not_the_same_differ_and_in_as_many_places_both_ways(old: Any, new: Any) -> None:
    there, back = compare(old, new), compare(new, old)
    same = exact(old) == exact(new) or repr(exact(old)).replace("-0.0", "0.0") == repr(exact(new)).replace(
        "-0.0", "0.0"
    )
    if not same and "0.0" not in repr((old, new)):
        assert there
    assert len(there) == len(back)


@given(st.lists(SCALARS, max_size=8), st.lists(SCALARS, max_size=8))
def test_the_changes_applied_to_the_old_list_give_the_new_one(old: list[Any], new: list[Any]) -> None:
    made = list(old)
    for place, change in compare(old, new):
        position = int(place[1:-1])
        if isinstance(change, Replaced):
            made[position] = change.new
        elif isinstance(change, Added):
            made.append(change.new)
    assert compare(made[: len(new)], new) == []


def test_numbers_are_equal_within_the_tolerance() -> None:
    assert compare([1.0, 100, 1j, np.float32(1)], [1.05, 101, 1.05j, np.float32(1.05)], rtol=0.1) == []
    assert compare([1.0], [1.2], rtol=0.1) == [("[0]", Replaced(1.0, 1.2))]
    assert compare([math.inf], [1.0], rtol=0.1) == [("[0]", Replaced(math.inf, 1.0))]
    assert compare([10**400], [10**400 + 1], rtol=0.1) == [("[0]", Replaced(10**400, 10**400 + 1))]
    assert compare([True], [False], atol=5) == [("[0]", Replaced(True, False))]


def test_depth_is_no_limit_and_long_places_are_shortened() -> None:
    old: Any = 1
    new: Any = 2
    for _ in range(5000):
        old, new = [old], [new]
    ((place, change),) = compare(old, new)
    assert change == Replaced(1, 2)
    assert len(place) <= compareliterals.LONGEST_PLACE
    assert "…" in place


def test_a_frame_is_equal_to_one_of_equal_content_and_is_shown_by_its_kind(tmp_path: Path) -> None:
    bundle = MemoryBundle(tmp_path)
    refs = [Ref(dump(value, bundle)[0], lambda: None) for value in (np.arange(3), np.arange(3), np.arange(4))]
    assert compare([refs[0]], [refs[1]]) == []
    assert compare({"s": {refs[0]}}, {"s": {refs[1]}}) == []
    ((place, change),) = compare([refs[0]], [refs[2]])
    assert (place, change) == ("[0]", compareliterals.Frames(refs[0].frame, refs[2].frame))
    assert compare([refs[0]], [1]) == [("[0]", Replaced(refs[0], 1))]
    assert as_json(refs[0]) == "<array int64 3, 152 bytes>"


@given(VALUES)
def test_any_value_is_told_as_json(value: Any) -> None:
    as_json(value)


def test_a_value_is_told_as_literals_are_encoded() -> None:
    assert as_json(datetime(2026, 1, 1, tzinfo=UTC)) == {"datetime": ["2026-01-01T00:00:00", 0, {"offset": [0, None]}]}
    assert as_json(math.inf) == {"float": "inf"}
    assert as_json(object) == "<class 'object'>"
