"""A value of every kind that can be stored, by name, and what it means that two of them are the same."""

from __future__ import annotations

import math
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

import disdat


class Point:
    """What only a pickle can hold."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    __hash__ = None


LITERALS: dict[str, object] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -7,
    "int of 64 bits": 2**64,
    "huge int": -(7**400),
    "float": 0.1,
    "negative zero": -0.0,
    "nan": math.nan,
    "infinity": -math.inf,
    "complex": complex(1.5, -0.0),
    "empty text": "",
    "text": 'a "b" \\ \n\0 ünïcödé \U0001f40d',
    "long text": "abc" * 30_000,
    "empty bytes": b"",
    "bytes": bytes(range(256)),
    "many bytes": bytes(range(256)) * 1000,
    "datetime": datetime(2026, 3, 1, 9, 0, 0, 123456),  # noqa: DTZ001 - naive ones must come back naive
    "datetime in UTC": datetime(2026, 3, 1, 9, tzinfo=UTC),
    "datetime in a zone": datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "date": date(2026, 3, 1),
    "time": time(9, 30, 15, 1),
    "timedelta": timedelta(days=-1, microseconds=1),
    "decimal": Decimal("1.10"),
    "decimal nan": Decimal("NaN"),
    "uuid": uuid.UUID(int=7),
}
CONTAINERS: dict[str, object] = {
    "empty list": [],
    "empty tuple": (),
    "empty dict": {},
    "empty set": set(),
    "list of ints": [1, 2, 3],
    "list of texts": ["a", "bb"],
    "mixed list": [1, "a", 2.5, None, True],
    "list with none": [None, 1],
    "list of dicts": [{"a": 1}],
    "ragged list": [[1], [2, 3], []],
    "tuple of one": (1,),
    "tuple": (1, "a"),
    "tuple of lists": ([1, 2], ["a", "b"]),
    "dict of scalars": {"a": 1, "c": 2.5},
    "dict of a text": {"a": "x"},
    "dict of anything": {"z": None, "a": {"b": [1, (2,)]}, "": "empty key"},
    "dict by other keys": {1: "int", None: "none", (1, 2): "tuple", b"x": "bytes", 1.5: "float"},
    "set": {1, "a", (2, 3)},
    "many numbers": list(range(20_000)),
    "deep list": [[[[[[[[[["deep"]]]]]]]]]],
}
TABLES: dict[str, Callable[[], object]] = {
    "frame": lambda: pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", "y"], "d": [True, False]}),
    "empty frame": pd.DataFrame,
    "frame without rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="int8")}),
    "frame with none": lambda: pd.DataFrame({"a": ["x", None]}),
    "indexed frame": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
    "frame by two keys": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", "n"])
    ),
    "frame of nullables": lambda: pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    ),
    "frame of categories": lambda: pd.DataFrame(
        {"a": pd.Categorical(["x", "y"], categories=["z", "y", "x"], ordered=True)}
    ),
    "frame of times": lambda: pd.DataFrame(
        {
            "plain": pd.to_datetime(["2026-03-01 09:00:00", None]),
            "zoned": pd.to_datetime(["2026-03-01 09:00", "2026-03-02 10:00"], utc=True).tz_convert("Europe/Berlin"),
            "span": pd.to_timedelta(["1 day", None]),
        }
    ),
    "frame by numbers": lambda: pd.DataFrame({0: [1], 1: [2]}),
    "series": lambda: pd.Series([1, 2], index=["x", "y"], name="numbers", dtype="int16"),
    "series without a name": lambda: pd.Series(["a", None]),
    "arrow table": lambda: pa.table({"a": [1, None], "b": ["x", "y"], "c": [[1], [2, 3]]}),
}
ARRAYS: dict[str, Callable[[], object]] = {
    **{
        f"array of {name}": (lambda name=name: np.arange(6).reshape(2, 3).astype(name))
        for name in ("bool", "i1", "u8", ">i4", "f2", "f8", "c16", "U3", "S3", "M8[us]", "m8[s]")
    },
    "array of texts": lambda: np.array([["a", "bb"], ["", "ccc"]]),
    "structured array": lambda: np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "empty array": lambda: np.empty((0, 3)),
    "array without dimensions": lambda: np.array(7.5),
    "array in column order": lambda: np.asfortranarray(np.arange(8.0).reshape(2, 4)),
    "large array": lambda: np.arange(100_000, dtype="i4"),
    "array with nan": lambda: np.array([1.0, float("nan"), -0.0]),
    "numpy int": lambda: np.int8(-7),
    "numpy float": lambda: np.float32(0.1),
    "numpy bool": lambda: np.bool_(True),
    "numpy time": lambda: np.datetime64("2026-03-01", "D"),
}
OTHERS: dict[str, Callable[[], object]] = {
    "frames and arrays in a dict": lambda: {
        "frame": pd.DataFrame({"a": [1]}),
        "arrays": [np.arange(3), np.arange(20_000.0)],
        "plain": ("x", {"deep": pd.Series([1.5])}),
    },
    "text that names a file": lambda: disdat.text(__file__),
    "pickled": lambda: disdat.Pickled(Point(7)),
    "pickled in a list": lambda: [1, disdat.Pickled(OrderedDict(a=1))],
}

EVERY: dict[str, Callable[[], object]] = {
    **{name: (lambda value=value: value) for name, value in (LITERALS | CONTAINERS).items()},
    **TABLES,
    **ARRAYS,
    **OTHERS,
}
"""Name -> makes the value, anew each time."""

READ_BACK: dict[str, Callable[[], object]] = {
    "text that names a file": lambda: __file__,
    "pickled": lambda: Point(7),
    "pickled in a list": lambda: [1, OrderedDict(a=1)],
}
"""What comes back, where it is not what was given."""


def expected(name: str) -> object:
    return READ_BACK.get(name, EVERY[name])()


def same(one: object, other: object) -> bool:
    """Whether two values are equal and, at every depth, of one type; NaN is itself, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    return _COMPARED.get(type(one), _plain)(one, other)


def _plain(one: object, other: object) -> bool:
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return one == other and repr(one) == repr(other) if not isinstance(one, Point) else one == other


def _sequences(one: list, other: list) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


def _dicts(one: dict, other: dict) -> bool:
    return _sequences(list(one.items()), list(other.items()))


def _sets(one: set, other: set) -> bool:
    return one == other and {type(each) for each in one} == {type(each) for each in other}


def _arrays(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _frames(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    compare = pd.testing.assert_frame_equal if isinstance(one, pd.DataFrame) else pd.testing.assert_series_equal
    try:
        compare(one, other, check_exact=True, check_freq=False)
    except AssertionError:
        return False
    return True


_COMPARED: dict[type, Callable[..., bool]] = {
    float: lambda one, other: repr(one) == repr(other),
    complex: lambda one, other: repr(one) == repr(other),
    Decimal: lambda one, other: repr(one) == repr(other),
    list: _sequences,
    tuple: _sequences,
    dict: _dicts,
    set: _sets,
    np.ndarray: _arrays,
    pd.DataFrame: _frames,
    pd.Series: _frames,
    pa.Table: pa.Table.equals,
}
