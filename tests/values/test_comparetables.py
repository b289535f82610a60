"""Comparing tables: what is said to have changed is what has to be changed."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disdat import values
from disdat.errors import BadQuery, Corrupt, InvalidInput
from disdat.testing.memory import MemoryBundle
from disdat.values import comparetables, storedtable
from disdat.values.difference import (
    Change,
    Column,
    Options,
    Row,
    SchemaDifference,
    TableDifference,
    Tolerance,
    TypeChange,
)
from tests.conftest import examples
from tests.values import test_table


def compare(old: object, new: object, *key: str, rtol: float = 0, atol: float = 0, limit: int | None = None) -> Any:
    """The difference of two tables, stored and read."""
    with tempfile.TemporaryDirectory() as root:
        sides = MemoryBundle(Path(root, "old")), MemoryBundle(Path(root, "new"))
        for side in sides:
            side.root.mkdir()
        (before,), (after,) = (values.dump(value, side) for value, side in zip((old, new), sides, strict=True))
        with storedtable.opened(before, sides[0]) as one, storedtable.opened(after, sides[1]) as other:
            return comparetables.compare(one, other, Options(key, Tolerance(rtol, atol), limit))


def rows(old: object, new: object, *key: str, **options: Any) -> Any:
    return compare(old, new, *key, **options).rows


CELLS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "float": (st.floats(width=64), "float64"),
    "nullable": (st.none() | st.integers(-5, 5), "Int64"),
    "text": (st.none() | st.text("ab\0é", max_size=3), "object"),
    "flag": (st.booleans(), "bool"),
    "day": (st.none() | st.dates(dt.date(2020, 1, 1), dt.date(2020, 1, 9)), "object"),
    "moment": (st.sampled_from([pd.NaT, pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-02")]), "datetime64[us]"),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Tables of the same columns, of which ``key`` is unique; many have keys and cells in common."""
    keys = draw(st.lists(st.integers(0, 6), unique=True, max_size=6))
    columns: dict[str, Any] = {"key": pd.Series(keys, dtype="int64")}
    for name, (cells, dtype) in CELLS.items():
        drawn = draw(st.lists(cells, min_size=len(keys), max_size=len(keys)))
        columns[name] = pd.Series(drawn, dtype=dtype)
    return pd.DataFrame(columns)


def plain(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows as Python values, in which everything that is missing is None."""
    return [{name: python(cell) for name, cell in row.items()} for row in table.to_dict("records")]


def python(cell: Any) -> object:
    if cell is None or (not isinstance(cell, str) and pd.isna(cell)):
        return None
    return cell.to_pydatetime() if isinstance(cell, pd.Timestamp) else cell


def applied(old: pd.DataFrame, found: TableDifference) -> dict[object, dict[str, object]]:
    """The rows of *old* by key, after what *found* says was changed in it."""
    result = {row["key"]: dict(row) for row in plain(old)}
    for removed in found.rows.removed:
        del result[removed.cells["key"]]
    for added in found.rows.added:
        result[added.cells["key"]] = {name: python(cell) for name, cell in added.cells.items()}
    for change in found.rows.changed:
        for name, cell in change.cells.items():
            assert result[change.key["key"]][name] == python(cell.old)
            result[change.key["key"]][name] = python(cell.new)
    return result


@settings(max_examples=examples(30))
@given(tables(), tables())
def test_the_changes_applied_to_the_old_table_give_the_new_one(old: pd.DataFrame, new: pd.DataFrame) -> None:
    found = compare(old, new, "key")
    assert applied(old, found) == {row["key"]: row for row in plain(new)}
    assert found.rows.cell_count == sum(len(change.cells) for change in found.rows.changed)
    assert found.rows.changed_count == len(found.rows.changed)


@settings(max_examples=examples(15))
@given(tables(), tables())
def test_the_other_way_round_everything_is_the_other_way_round(old: pd.DataFrame, new: pd.DataFrame) -> None:
    there, back = compare(old, new, "key").rows, compare(new, old, "key").rows
    assert there.cells == back.cells
    assert there.moved == back.moved
    assert [repr(row) for row in there.added] == [repr(row) for row in back.removed]
    assert [repr(row) for row in there.removed] == [repr(row) for row in back.added]
    mirrored = {
        repr(change.key): {name: repr(Change(cell.new, cell.old)) for name, cell in change.cells.items()}
        for change in back.changed
    }
    given = {repr(row.key): {name: repr(cell) for name, cell in row.cells.items()} for row in there.changed}
    assert given == mirrored


@settings(max_examples=examples(15))
@given(tables(), st.randoms())
def test_a_table_does_not_differ_from_itself_in_any_order_of_rows(table: pd.DataFrame, random: Any) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    found = compare(table, table.iloc[order].reset_index(drop=True), "key")
    assert not found.schema
    assert (found.rows.added_count, found.rows.removed_count, found.rows.changed_count) == (0, 0, 0)
    assert found.rows.moved == (order != sorted(order))


EVERY = {**test_table.FRAMES, **test_table.SERIES, **test_table.ARROW}


@pytest.mark.parametrize("name", EVERY)
def test_no_table_of_any_types_differs_from_itself_however_it_is_read(name: str) -> None:
    given = EVERY[name]
    value = given() if callable(given) else given
    assert not compare(value, value)
    assert not compare(value, value, rtol=0.1)


def test_no_two_tables_are_too_different_to_be_compared() -> None:
    every = [given() if callable(given) else given for given in EVERY.values()]
    for old, new in itertools.pairwise(every):
        json.dumps(compare(old, new, limit=3).to_json())


@settings(max_examples=examples(15))
@given(tables(), tables(), st.integers(0, 3))
def test_a_limit_keeps_the_first_and_counts_all(old: pd.DataFrame, new: pd.DataFrame, limit: int) -> None:
    whole, cut = compare(old, new, "key").rows, compare(old, new, "key", limit=limit).rows
    for name in ("added", "removed", "changed"):
        assert repr(getattr(cut, name)) == repr(getattr(whole, name)[:limit])
        assert getattr(cut, f"{name}_count") == getattr(whole, f"{name}_count")
    assert cut.cells == whole.cells


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_the_schema_says_what_was_added_removed_changed_and_moved() -> None:
    old = frame(a=[1], b=[2], c=[3], d=[4])
    new = frame(c=[3], a=[1.0], e=["x"], d=[4])
    assert compare(old, new).schema == SchemaDifference(
        added=(Column("e", "str"),),
        removed=(Column("b", "int64"),),
        changed=(TypeChange("a", "int64", "float64", True),),
        order=(("a", "c", "d"), ("c", "a", "d")),
    )


def test_without_a_key_rows_are_matched_by_position() -> None:
    found = rows(frame(x=[1.5, 1.5, 2.5]), frame(x=[1.5, 2.5, 2.5, 3.5]))
    assert (found.key, found.guessed, found.added_count, found.removed_count) == ((), False, 1, 0)
    assert found.added == (Row(3, {"x": 3.5}),)
    assert [(change.key, change.old_position, dict(change.cells)) for change in found.changed] == [
        ({}, 1, {"x": Change(1.5, 2.5)})
    ]


GUESSES: list[tuple[str, pd.DataFrame, pd.DataFrame, tuple[str, ...]]] = [
    ("a number", frame(id=[1, 2], x=[5, 5]), frame(id=[2, 1], x=[5, 6]), ("id",)),
    ("a text", frame(x=[5, 5], id=["a", "b"]), frame(x=[5, 6], id=["b", "a"]), ("id",)),
    ("the first of two", frame(a=[1, 2], b=["a", "b"], x=0), frame(a=[1, 2], b=["a", "b"], x=1), ("a",)),
    ("no measurement", frame(x=[0.5, 1.5], y=[1, 1]), frame(x=[0.5, 2.5], y=[1, 1]), ()),
    ("not one that is unique in one only", frame(a=[1, 2], x=0), frame(a=[1, 1], x=0), ()),
    ("not one with missing cells", frame(a=["a", None], x=0), frame(a=["a", None], x=1), ()),
    ("not one of which little is in both", frame(a=[1, 2, 3], x=0), frame(a=[3, 4, 5], x=0), ()),
    ("not the only column", frame(a=[1, 2, 3]), frame(a=[1, 2, 4]), ()),
    ("not of another type", frame(a=["1", "2"], x=0), frame(a=[1, 2], x=0), ()),
    ("the index", frame(x=[1, 2], id=[1, 2]).set_index("id"), frame(x=[2, 1], id=[2, 3]).set_index("id"), ("id",)),
    ("an index without a name", frame(x=[1, 2]).set_axis(["a", "b"]), frame(x=[1, 3]).set_axis(["a", "b"]), ("index",)),
    (
        "two levels",
        frame(a=[1, 1], b=[1, 2], x=0).set_index(["a", "b"]),
        frame(a=[1, 2], b=[1, 2], x=0).set_index(["a", "b"]),
        ("a", "b"),
    ),
    ("a range", frame(x=[1, 2]).set_axis(range(5, 7)), frame(x=[1, 3]).set_axis(range(6, 8)), ("index",)),
    (
        "not an index that is not unique",
        frame(x=[0.5, 2]).set_axis(["a", "a"]),
        frame(x=[1, 3]).set_axis(["a", "b"]),
        (),
    ),
]


@pytest.mark.parametrize(("old", "new", "key"), [each[1:] for each in GUESSES], ids=[each[0] for each in GUESSES])
def test_a_key_is_guessed(old: pd.DataFrame, new: pd.DataFrame, key: tuple[str, ...]) -> None:
    found = rows(old, new)
    assert (found.key, found.guessed) == (key, bool(key))


def test_a_key_may_be_of_several_columns_and_of_two_types() -> None:
    old = frame(a=pd.Series([1, 1, 2], dtype="int32"), b=["x", "y", None], n=[1, 2, 3])
    new = frame(a=[2, 1, 1], b=[None, "y", "x"], n=[3, 2, 9])
    found = rows(old, new, "a", "b")
    assert [(change.key, dict(change.cells)) for change in found.changed] == [({"a": 1, "b": "x"}, {"n": Change(1, 9)})]
    assert (found.added_count, found.removed_count, found.moved) == (0, 0, True)


def test_missing_keys_are_equal_each_to_its_like() -> None:
    table = pa.table({"k": [float("nan"), None, 1.0], "x": [1, 2, 3]})
    other = pa.table({"k": [None, 1.0, float("nan")], "x": [2, 3, 4]})
    (change,) = rows(table, other, "k").changed
    assert dict(change.cells) == {"x": Change(1, 4)}


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_key_that_is_not_unique_is_refused_with_an_example(which: str) -> None:
    good, bad = frame(k=[1, 2, 3], n=0), frame(k=[1, 7, 7], n=0)
    pair = (bad, good) if which == "old" else (good, bad)
    with pytest.raises(InvalidInput, match=f"key k is not unique in the {which} table: rows 1 and 2 both have k=7"):
        compare(*pair, "k")


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_key_that_is_not_there_is_refused_with_those_that_are(which: str) -> None:
    pair = (frame(a=[1]), frame(b=[1])) if which == "new" else (frame(b=[1]), frame(a=[1]))
    with pytest.raises(BadQuery, match=f"the {which} table has no column 'a'") as caught:
        compare(*pair, "a")
    assert caught.value.hint == "it has b"


@pytest.mark.parametrize(
    "table",
    [pa.table({"k": [[1], [2]]}), frame(k=[1j, 2j]), frame(k=pd.interval_range(0, 2)), frame(k=[None])],
    ids=["lists", "complex", "intervals", "nothing"],
)
def test_what_has_no_order_can_be_no_key(table: object) -> None:
    with pytest.raises(InvalidInput, match="no key can be made"):
        compare(table, table, "k")


def column(*cells: object, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, dtype=dtype)})


SAME: list[tuple[str, object, object]] = [
    ("NaN", column(float("nan"), 1.0), column(float("nan"), 1.0)),
    ("zeros", column(0.0), column(-0.0)),
    ("narrower integers", column(1, 2, dtype="int8"), column(1, 2)),
    ("unsigned and signed", column(1, dtype="uint64"), column(1)),
    ("integers and floats", column(1, 2), column(1.0, 2.0)),
    ("flags and numbers", column(True, False), column(1, 0)),
    ("floats of two widths", column(0.5, dtype="float32"), column(0.5)),
    ("NaN and NA of floats", column(float("nan"), 1.0), column(None, 1.0, dtype="Float64")),
    ("NaN and NA", column(float("nan"), 1.0), column(None, 1, dtype="Int64")),
    ("texts of two storages", column("a", None, dtype="object"), column("a", None, dtype="string")),
    ("categories", column("a", "b", dtype="category"), column("a", "b")),
    ("categories in another order", column("a", "b", dtype="category"), column("b", "a", dtype="category")[::-1]),
    ("units of time", column("2026-01-01", dtype="datetime64[s]"), column("2026-01-01", dtype="datetime64[ns]")),
    (
        "zones",
        column("2026-01-01 01:00+01:00", dtype="datetime64[us, Europe/Berlin]"),
        column("2026-01-01", dtype="datetime64[us, UTC]"),
    ),
    ("dates and moments", column(dt.date(2026, 1, 1)), column("2026-01-01", dtype="datetime64[us]")),
    ("objects of literals", column(Decimal("1.5"), None), column(Decimal("1.5"), float("nan"), dtype="object")),
    ("large integers", column(2**70), column(2**70)),
    ("objects that are dates, and all sorts", column(dt.date(2026, 1, 1), None), column(dt.date(2026, 1, 1), pd.NA)),
    ("decimals", pa.table({"x": [Decimal("1.5")]}), pa.table({"x": [Decimal("1.50")]})),
    ("decimals and floats", pa.table({"x": [Decimal("1.5")]}), pa.table({"x": [1.5]})),
    ("only missing", column(None, None), column(None, None, dtype="Int64")),
    ("bytes", pa.table({"x": pa.array([b"ab"], pa.binary(2))}), pa.table({"x": pa.array([b"ab"], pa.large_binary())})),
    ("lists with NaN", pa.table({"x": [[float("nan")], None]}), pa.table({"x": [[float("nan")], None]})),
    ("structs with NaN", pa.table({"x": [{"a": float("nan")}, None]}), pa.table({"x": [{"a": float("nan")}, None]})),
    ("empty", column(dtype="float64"), column(dtype="float64")),
]


@pytest.mark.parametrize(("old", "new"), [each[1:] for each in SAME], ids=[each[0] for each in SAME])
def test_cells_of_equal_value_are_equal_whatever_their_types(old: Any, new: Any) -> None:
    new = new.reset_index(drop=True) if isinstance(new, pd.DataFrame) else new
    found = compare(old, new)
    assert not found.rows
    assert all(change.compared for change in found.schema.changed)


OTHER: list[tuple[str, object, object, object, object]] = [
    ("numbers", column(1), column(2), 1, 2),
    ("a missing one", column(1.5), column(float("nan")), 1.5, None),
    ("null and NaN", pa.table({"x": [None, 1.0]}), pa.table({"x": [float("nan"), 1.0]}), None, None),
    ("numbers of two types", column(1), column(1.5), 1, 1.5),
    ("texts", column("a"), column("b"), "a", "b"),
    ("categories", column("a", "b", dtype="category"), column("c", "b", dtype="category"), "a", "c"),
    ("lists", pa.table({"x": [[1, 2]]}), pa.table({"x": [[1, 3]]}), [1, 2], [1, 3]),
    (
        "maps",
        pa.table({"x": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}),
        pa.table({"x": pa.array([[("a", 2)]], pa.map_(pa.string(), pa.int64()))}),
        [("a", 1)],
        [("a", 2)],
    ),
    ("structs", pa.table({"x": [{"a": 1}]}), pa.table({"x": [{"a": 2}]}), {"a": 1}, {"a": 2}),
    ("complex numbers", column(1j), column(2 + 1j), 1j, 2 + 1j),
    ("periods", column(pd.Period("2026-01", "M")), column(pd.Period("2026-02", "M")), "2026-01", "2026-02"),
    ("intervals", column(pd.Interval(0, 1)), column(pd.Interval(0, 2)), "(0, 1]", "(0, 2]"),
    ("literals", column(Decimal("1.5")), column(Decimal("2.5")), Decimal("1.5"), Decimal("2.5")),
    (
        "nanoseconds",
        column(pd.Timestamp(1)),
        column(pd.Timestamp(2)),
        "1970-01-01 00:00:00.000000001",
        "1970-01-01 00:00:00.000000002",
    ),
    (
        "moments",
        column(pd.Timestamp("2026-01-01")),
        column(pd.Timestamp("2026-01-02")),
        dt.datetime(2026, 1, 1),  # noqa: DTZ001 - naive, as the column is
        dt.datetime(2026, 1, 2),  # noqa: DTZ001 - as above
    ),
    (
        "durations",
        column(pd.Timedelta("1s")),
        column(pd.Timedelta("2s")),
        dt.timedelta(seconds=1),
        dt.timedelta(seconds=2),
    ),
]


@pytest.mark.parametrize(("old", "new", "was", "now"), [each[1:] for each in OTHER], ids=[each[0] for each in OTHER])
def test_a_changed_cell_is_shown_as_a_value_of_python(old: object, new: object, was: object, now: object) -> None:
    change = rows(old, new).changed[0].cells["x"]
    seen = [None if isinstance(cell, float) and np.isnan(cell) else cell for cell in (change.old, change.new)]
    assert seen == [was, now]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (column("1"), column(1)),
        (column(pd.Timestamp("2026-01-01")), column(1)),
        (column(pd.Timestamp("2026-01-01")), column(pd.Timestamp("2026-01-01", tz="UTC"))),
        (column(pd.Period("2026-01", "M")), column(pd.Period("2026-01-01", "D"))),
        (column(2**62 + 1), column(0.5)),
        (column("a", dtype="object"), column(1, dtype="object")),
    ],
)
def test_types_without_values_in_common_are_a_change_of_the_schema_alone(old: object, new: object) -> None:
    found = compare(old, new)
    assert [change.compared for change in found.schema.changed] == [False]
    assert not found.rows


TOLERANT: list[tuple[float, float, dict[str, float], bool]] = [
    (1.0, 1.1, {}, False),
    (1.0, 1.1, {"atol": 0.2}, True),
    (1.0, 1.1, {"atol": 0.05}, False),
    (100.0, 110.0, {"rtol": 0.1}, True),
    (110.0, 100.0, {"rtol": 0.1}, True),
    (100.0, 120.0, {"rtol": 0.1}, False),
    (float("inf"), 1.0, {"rtol": 0.1}, False),
    (float("inf"), float("inf"), {"rtol": 0.1}, True),
    (float("inf"), -float("inf"), {"rtol": 1.0}, False),
    (float("nan"), 1.0, {"atol": 9.0}, False),
    (float("nan"), float("nan"), {"atol": 9.0}, True),
]


@pytest.mark.parametrize(("old", "new", "tolerance", "equal"), TOLERANT)
@pytest.mark.parametrize("made", [column, lambda x: pa.table({"x": [{"a": x}]})], ids=["plain", "struct"])
def test_numbers_are_equal_within_the_tolerance(
    made: Callable[[float], object], old: float, new: float, tolerance: dict[str, float], equal: bool
) -> None:
    assert bool(rows(made(old), made(new), **tolerance)) is not equal


def test_integers_and_decimals_have_tolerance_too() -> None:
    assert not rows(column(1000), column(1001), atol=1)
    assert not rows(pa.table({"x": [Decimal("1.00")]}), pa.table({"x": [Decimal("1.01")]}), atol=0.02)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(BadQuery):
        Tolerance(relative=bad)
    with pytest.raises(BadQuery):
        Tolerance(absolute=bad)


def test_a_column_of_files_is_compared_by_path_and_content(tmp_path: Path) -> None:
    def table(**files: str) -> pd.DataFrame:
        for name, text in files.items():
            (tmp_path / name).write_text(text, "utf-8")
        return pd.DataFrame({"file": [str(tmp_path / name) for name in files], "n": 1})

    with tempfile.TemporaryDirectory() as root:
        sides = MemoryBundle(Path(root, "old")), MemoryBundle(Path(root, "new"))
        for side in sides:
            side.root.mkdir()
        (before,) = values.dump(table(a="1", b="2"), sides[0])
        (after,) = values.dump(table(b="changed", c="3"), sides[1])
        with storedtable.opened(before, sides[0]) as old, storedtable.opened(after, sides[1]) as new:
            found = comparetables.compare(old, new, Options(("file",))).rows
    assert [str(row.cells["file"]).split()[0] for row in found.removed] == ["a"]
    assert [str(row.cells["file"]).split()[0] for row in found.added] == ["c"]
    assert [(change.key, set(change.cells)) for change in found.changed] == [({"file": "b"}, {"file"})]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([True, False]),
        pa.array([Decimal("1.5"), None], pa.decimal256(50, 2)),
        pa.array([1, 2], pa.time32("s")),
        pa.array([1, 2], pa.duration("ms")),
        pa.array([1, 2], pa.timestamp("us", "Asia/Tokyo")),
        pa.array([b"a", b"b"], pa.binary(1)),
        pa.array(["a", "b"]).dictionary_encode(),
    ],
    ids=lambda cells: str(cells.type),
)
def test_what_has_an_order_can_be_a_key(cells: pa.Array) -> None:
    old = pa.table({"k": cells, "n": [1, 2]})
    new = pa.table({"k": cells.take(pa.array([1, 0])), "n": [2, 3]})
    found = rows(old, new, "k")
    assert (found.added_count, found.removed_count, found.moved, found.cells) == (0, 0, True, {"n": 1})


def test_columns_that_begin_alike_are_told_apart() -> None:
    old = pa.table({"a": [{"b": 1}], "a.b": [2], "n": [0]})
    new = pa.table({"a": [{"b": 1}], "a.b": [3], "n": [0]})
    assert rows(old, new).cells == {"a.b": 1}


def test_labels_that_repeat_are_told_apart() -> None:
    old = pd.DataFrame([[1, 2]], columns=["a", "a"])
    new = pd.DataFrame([[1, 3]], columns=["a", "a"])
    assert rows(old, new).cells == {"a#2": 1}


def test_an_index_that_became_a_column_is_a_change_of_type() -> None:
    table = frame(id=[1, 2], x=[1, 1])
    found = compare(table.set_index("id"), table)
    assert found.schema.changed == (TypeChange("id", "index int64", "int64", True),)
    assert not found.rows


@pytest.mark.parametrize("stored", [b"no table", b""])
def test_what_is_no_table_is_damage(tmp_path: Path, stored: bytes) -> None:
    bundle = MemoryBundle(tmp_path)
    (frame,) = values.dump(column(1), bundle)
    digest, size = bundle.put(stored)
    with pytest.raises(Corrupt), storedtable.opened(replace(frame, digest=digest, size_bytes=size), bundle):
        pass


def test_a_foreign_parquet_file_is_damage(tmp_path: Path) -> None:
    bundle = MemoryBundle(tmp_path)
    (frame,) = values.dump(column(1), bundle)
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    digest, size = bundle.put((tmp_path / "t.parquet").read_bytes())
    with pytest.raises(Corrupt), storedtable.opened(replace(frame, digest=digest, size_bytes=size), bundle):
        pass


def test_tables_of_polars_and_pandas_are_compared() -> None:
    polars = pytest.importorskip("polars")
    found = compare(polars.DataFrame({"k": ["a", "b"], "n": [1, 2]}), frame(k=["b", "a"], n=[3, 1]), "k")
    assert [dict(change.cells) for change in found.rows.changed] == [{"n": Change(2, 3)}]
