"""Literals: equal, of exactly their type, in any nesting, and named by their content."""

from __future__ import annotations

import decimal
import enum
import math
import subprocess
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical
from disdat.core.bundle import INLINE_LITERAL_BYTES, Frame, Inline
from disdat.core.digest import LogicalDigest
from disdat.errors import Corrupt, NotConfigured, UnknownFormat, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import dump, load
from disdat.values.nested import MAX_DEPTH
from tests.values.strategies import HASHABLE, VALUES, exact

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Elsewhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=1)


def logical(value: object) -> LogicalDigest:
    return dump(value, MemoryBundle(Path("/nonexistent")))[0].logical


def nested(depth: int, make: type = list) -> object:
    value: object = make()
    for _ in range(depth - 1):
        value = make([value])
    return value


@given(VALUES)
def test_what_goes_in_comes_out_of_exactly_its_type(value):
    bundle = MemoryBundle(Path("/nonexistent"))
    assert exact(load(dump(value, bundle), bundle)) == exact(value)


@given(VALUES)
def test_the_logical_digest_is_a_function_of_the_value(value):
    bundle = MemoryBundle(Path("/nonexistent"))
    read = load(dump(value, bundle), bundle)
    assert logical(read) == logical(value)


@given(VALUES, VALUES)
def test_different_values_have_different_logical_digests(one, other):
    assert (logical(one) == logical(other)) == (exact(one) == exact(other))


@given(st.lists(HASHABLE, unique=True), st.randoms())
def test_the_order_of_a_set_does_not_count_and_that_of_a_dict_does(items, random):
    shuffled = random.sample(items, len(items))
    assert logical(set(items)) == logical(set(shuffled))
    one, other = dict.fromkeys(items), dict.fromkeys(shuffled)
    assert (logical(one) == logical(other)) == (list(map(exact, items)) == list(map(exact, shuffled)))


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, "1", b"1", Decimal(1), 1 + 0j, np.int64(1)),
        (0.0, -0.0),
        ([], (), {}, set(), frozenset(), "", b"", bytearray(), None, False, 0),
        ([[1], 2], [[1, 2]], [1, [2]]),
        (["a", "bc"], ["ab", "c"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [["a", 1], ["b", 2]]),
        ({1: "a"}, {True: "a"}, {1.0: "a"}, {"1": "a"}),
        (Decimal("1.0"), Decimal("1.00")),
        (
            datetime(2026, 10, 25, 2, 30),  # noqa: DTZ001 - naive ones are values too
            datetime(2026, 10, 25, 2, 30, fold=1),  # noqa: DTZ001
            datetime(2026, 10, 25, 2, 30, tzinfo=UTC),
        ),
        (timezone(timedelta(hours=1)), timezone(timedelta(hours=1), "CET")),
        ({"dict": []}, {}),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_values_that_python_may_call_equal_differ(values):
    stored = [datetime(2026, 1, 1, tzinfo=value) if isinstance(value, timezone) else value for value in values]
    assert len({logical(value) for value in stored}) == len(stored)


def test_nan_is_one_value():
    negative = math.copysign(math.nan, -1)
    assert logical(math.nan) == logical(negative) == logical(float("nan") + 1)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.5),
        np.int8(-3),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.complex64(1 + 2j),
        np.float16("nan"),
        np.longdouble("0.1"),
        np.datetime64("2026-01-01T00:00:00.000000001"),
        np.datetime64("NaT", "25s"),
        np.timedelta64(3, "D"),
        np.str_("a\0"),
        np.str_(""),
        np.bytes_(b"a\0"),
    ],
)
def test_numpy_scalars_inside_a_value_keep_their_type(value, bundle):
    read = load(dump([value, {"a": value}], bundle), bundle)
    assert [type(one) for one in (read[0], read[1]["a"])] == [type(value)] * 2
    assert repr(read[0]) == repr(value)
    assert getattr(read[0], "dtype", None) == getattr(value, "dtype", None)


def test_numpy_scalars_may_be_keys_and_members_of_sets(bundle):
    value = {np.int64(1): {np.float64(0.5)}, (np.str_("a"), 2): frozenset([np.bool_(False)])}
    assert exact(load(dump(value, bundle), bundle)) == exact(value)


@pytest.mark.parametrize("limit", [sys.int_info.str_digits_check_threshold, 0])
def test_integers_of_any_size_are_stored_whatever_the_limit_on_digits(limit, bundle):
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(limit)
    try:
        value = -(3**100_000)
        assert load(dump(value, bundle), bundle) == value
    finally:
        sys.set_int_max_str_digits(before)


def test_the_decimal_context_of_the_caller_counts_for_nothing(bundle):
    value = Decimal("1.2345678901234567890123456789012345E+77")
    expected = logical(value)
    with decimal.localcontext(prec=3, capitals=0):
        assert logical(value) == expected
        assert str(load(dump(value, bundle), bundle)) == str(value)


@pytest.mark.parametrize("make", [list, tuple, frozenset])
@pytest.mark.parametrize("depth", [31, 32, 33, 64, 65, MAX_DEPTH])
def test_a_value_may_be_nested_to_the_stated_depth(make, depth, bundle):
    value = nested(depth, make)
    read = load(dump(value, bundle), bundle)
    for _ in range(depth - 1):
        assert type(read) is make
        (read,) = read
    assert read == make()


def test_dicts_may_be_nested_to_the_stated_depth(bundle):
    value: object = "bottom"
    for _ in range(MAX_DEPTH):
        value = {"key": value}
    read = load(dump(value, bundle), bundle)
    for _ in range(MAX_DEPTH):
        read = read["key"]
    assert read == "bottom"


def test_deeper_is_refused_without_a_recursion_error(bundle):
    with pytest.raises(Unserializable, match=r"more than 1000 containers inside each other"):
        dump(nested(MAX_DEPTH + 1), bundle)
    with pytest.raises(Unserializable):
        dump(nested(100_000), bundle)


def test_a_value_that_contains_itself_is_refused_by_its_place(bundle):
    value: dict[str, object] = {"a": [1]}
    value["a"].append((2, value))  # type: ignore[attr-defined]
    with pytest.raises(Unserializable, match=r"contains itself") as raised:
        dump(value, bundle)
    assert raised.value.where == "value['a'][1][1]"


def test_a_value_may_contain_one_object_twice(bundle):
    inner = [1]
    assert load(dump([inner, inner], bundle), bundle) == [[1], [1]]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "value"),
        ([1, object()], "value[1]"),
        ({"a": [0, {"b": (object(),)}]}, "value['a'][1]['b'][0]"),
        ({1: object(), "1": 2}, "value[1]"),
        ({(1, object()): 1}, "value key"),
        ({"x": {(object(),): 1}}, "value['x'] key"),
        ({object()}, "value{0}"),
        (Point(1, 2), "value"),
        ([OrderedDict(a=1)], "value[0]"),
        ({"a": Colour.RED}, "value['a']"),
        ([pd.Timestamp(0)], "value[0]"),
        ([pd.NA], "value[0]"),
        (range(3), "value"),
        (iter([]), "value"),
        ([1j, len], "value[1]"),
        ({"t": time(1, tzinfo=Elsewhere())}, "value['t']"),
        ([1, "a", time(1, tzinfo=Elsewhere())], "value[2]"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_place_with_a_hint(value, where, bundle):
    with pytest.raises(Unserializable) as raised:
        dump(value, bundle)
    assert raised.value.where.startswith(where)
    assert raised.value.hint


def test_a_long_place_is_shortened(bundle):
    value: object = object()
    for _ in range(500):
        value = [value]
    with pytest.raises(Unserializable) as raised:
        dump(value, bundle)
    assert len(raised.value.where) < 210


def test_a_literal_is_inline_up_to_the_stated_size_and_then_an_object(bundle):
    longest = "a" * (INLINE_LITERAL_BYTES - 2)
    (inline,), (stored,) = dump(longest, bundle), dump(longest + "a", bundle)
    assert inline.inline == Inline(longest)
    assert inline.digest is None
    assert stored.inline is None
    assert bundle.objects[stored.digest] == canonical.encode(longest + "a")
    assert stored.size_bytes == INLINE_LITERAL_BYTES + 1
    assert load([stored], bundle) == longest + "a"


def test_what_is_inside_a_value_but_no_literal_has_a_frame_named_by_its_place(bundle):
    frames = dump({"a": [1, np.arange(3)], "b": (np.arange(2),)}, bundle)
    assert [(frame.name, frame.kind) for frame in frames] == [
        ("", "literal"),
        ("['a'][1]", "array"),
        ("['b'][0]", "array"),
    ]
    assert frames[0].inline == Inline(
        {"dict": [["a", [1, {"frame": "['a'][1]"}]], ["b", {"tuple": [{"frame": "['b'][0]"}]}]]}
    )


def test_places_that_read_alike_have_frames_of_different_names(bundle):
    keys = ["k" * 100 + str(n) for n in range(3)]
    frames = dump({key: np.arange(n) for n, key in enumerate(keys)}, bundle)
    assert len({frame.name for frame in frames}) == 4
    assert [len(array) for array in load(frames, bundle).values()] == [0, 1, 2]


def test_the_logical_digest_of_what_is_inside_counts_not_its_bytes_or_name(bundle):
    little, big = np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")
    assert logical([little]) == logical([big])
    assert logical([little]) != logical([little + 1])
    assert logical({"a": little, "b": big}) == logical({"a": big, "b": little})


@pytest.mark.parametrize(
    "code",
    [
        {"int": "zz"},
        {"nonsense": 1},
        {"frame": "missing"},
        {"datetime": ["2026-01-01"]},
        {"dict": [[[], 1]]},
        {"bytes": "not base64!"},
        {"decimal": "x"},
        {"scalar": ["<f8", "AA=="]},
        {"a": 1, "b": 2},
        {},
    ],
)
def test_an_encoding_of_nothing_is_damage(code, bundle):
    frame = Frame("", "literal", logical(None), inline=Inline(code))
    with pytest.raises(Corrupt, match="is not one"):
        load([frame], bundle)


def test_a_frame_of_an_unknown_kind_is_of_another_format(bundle):
    with pytest.raises(UnknownFormat, match="kind hologram"):
        load([Frame("", "hologram", logical(None))], bundle)


def test_no_frames_are_no_value(bundle):
    with pytest.raises(Corrupt):
        load([], bundle)


def test_a_time_zone_this_machine_does_not_know_is_asked_for(bundle):
    frame = Frame("", "literal", logical(None), inline=Inline({"time": ["01:00:00", 0, {"zone": "Mars/Base"}]}))
    with pytest.raises(NotConfigured, match="Mars/Base") as raised:
        load([frame], bundle)
    assert "tzdata" in raised.value.hint


def test_a_scalar_is_dumped_and_loaded_without_numpy_pandas_or_pyarrow():
    program = """
import sys
from pathlib import Path
from disdat.testing.memory import MemoryBundle
from disdat.values import dump, load
bundle = MemoryBundle(Path("."))
assert load(dump({"a": [1, 2.5, "x", None]}, bundle), bundle) == {"a": [1, 2.5, "x", None]}
print(sorted({"numpy", "pandas", "pyarrow", "polars", "luigi", "cloudpickle"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
