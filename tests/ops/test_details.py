"""The details of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from disdat.context import Context, Home
from disdat.core.bundle import CodeRef, Lineage
from disdat.ops import bundles, details, find
from disdat.ops.add import add
from disdat.ops.bundles import Birth
from disdat.ops.details import Column
from disdat.ops.runs import of_process


def test_they_hold_manifest_files_and_the_run(context: Context) -> None:
    Path("tree/sub").mkdir(parents=True)
    Path("tree/sub/a").write_text("aa", "utf-8")
    made = add(context, "data", ["tree"])
    found = details.of(context, find.need(context, "data"))
    assert found.bundle == made
    assert {path: entry.size_bytes for path, entry in found.files.items()} == {"sub/a": 2}
    assert found.directory == context.bundle_directory(made.uuid)
    assert found.run == of_process()


def test_a_large_directory_is_listed_whole(context: Context) -> None:
    Path("tree").mkdir()
    names = {f"{n:03}" for n in range(300)}
    for name in names:
        Path("tree", name).touch()
    add(context, "data", ["tree"])
    assert set(details.of(context, find.need(context, "data")).files) == names


def test_reading_them_makes_no_file(context: Context) -> None:
    Path("a").write_text("a", "utf-8")
    made = add(context, "data", ["a"])
    details.of(context, find.need(context, "data"))
    assert not context.bundle_directory(made.uuid).exists()


@pytest.mark.parametrize("rows", [1, 20_000])
def test_the_columns_of_tables_have_types(context: Context, rows: int) -> None:
    """Whether the table lies in a pack or is an object of its own."""
    table = pd.DataFrame({"n": np.random.default_rng(0).random(rows), "s": ["x"] * rows})
    bundles.write(context, {"table": table, "n": 1}, Birth("data"))
    [(_, columns)] = details.of(context, find.need(context, "data")).columns.items()
    assert [column.name for column in columns] == ["n", "s"]
    assert columns[0] == Column("n", "float64", has_files=False)
    assert columns[1] == Column("s", "str", has_files=False)


def test_columns_are_named_as_pandas_names_them(context: Context) -> None:
    days = pd.date_range("2026-01-01", periods=2)
    table = pd.DataFrame(
        {
            "float": [1.5, 2.0],
            "nullable": pd.array([1, None], dtype="Int64"),
            "str": ["a", "b"],
            "string": pd.array(["a", None], dtype="string"),
            "category": pd.Categorical(["a", "b"]),
            "object": pd.Series(["a", None], dtype=object),
            "day": days,
            "zoned": days.tz_localize("Europe/Berlin"),
            "period": days.to_period("D"),
            "interval": pd.interval_range(0, 2),
            "bool": [True, False],
            "arrow": pd.array([1, 2], dtype="int32[pyarrow]"),
            "wait": days - days[0],
        }
    )
    bundles.write(context, table, Birth("data"))
    columns = details.of(context, find.need(context, "data")).columns[""]
    assert {column.name: column.type for column in columns} == {
        name: str(dtype) for name, dtype in table.dtypes.items()
    }


def test_columns_of_an_arrow_table_are_named_as_arrow_does(context: Context) -> None:
    table = pa.table({"n": pa.array([1], pa.int16()), "d": pa.array(["x"]).dictionary_encode()})
    bundles.write(context, table, Birth("data"))
    columns = details.of(context, find.need(context, "data")).columns[""]
    assert [column.type for column in columns] == [str(field.type) for field in table.schema]


@pytest.mark.parametrize("value", [0.97, None, {"a": (1,)}, "two\nlines", {1, 2}, list(range(50))])
def test_a_small_literal_is_there_itself(context: Context, value: object) -> None:
    bundles.write(context, value, Birth("data"))
    assert details.of(context, find.need(context, "data")).literal == repr(value)


@pytest.mark.parametrize("value", [list(range(1000)), {"n": 1, "table": pd.DataFrame({"n": [1]})}, np.zeros(3)])
def test_a_large_literal_or_one_that_holds_other_values_is_not(context: Context, value: object) -> None:
    bundles.write(context, value, Birth("data"))
    assert details.of(context, find.need(context, "data")).literal is None


def test_what_is_known_without_the_bytes_is_shown_without_them(context: Context) -> None:
    bundles.write(context, pd.DataFrame({"n": [1]}), Birth("data"))
    for pack in (context.home.root / "store" / "packs").iterdir():
        pack.chmod(0o600)
        pack.write_bytes(b"")
    reopened = Home(context.home.root).context("demo")
    found = details.of(reopened, find.need(reopened, "data"))
    assert found.columns == {"": [Column("n", "", has_files=False)]}


def test_they_show_what_the_context_says_now(context: Context) -> None:
    made = bundles.write(context, 1, Birth("data", lineage=Lineage(code=CodeRef("mod.fn"))))
    bundles.tag(context, find.need(context, "data"), set_to={"k": "v"})
    found = details.of(context, find.need(context, "data"))
    assert (found.row.tags, dict(made.tags)) == ({"k": "v"}, {})


@pytest.mark.parametrize("rows", [3, 50_000])
def test_the_first_rows_of_a_table_are_there_as_short_texts(context: Context, rows: int) -> None:
    table = pd.DataFrame({"n": range(rows), "s": ["x" * 100] * rows, "none": [None] * rows})
    bundles.write(context, table, Birth("data"))
    [head] = details.of(context, find.need(context, "data")).heads.values()
    assert [row[0] for row in head] == [str(n) for n in range(min(rows, details.HEAD_ROWS))]
    assert {row[1] for row in head} == {"x" * 23 + "…"}
    assert {row[2] for row in head} == {""}


def test_a_wide_table_shows_its_first_columns_and_an_empty_one_no_rows(context: Context) -> None:
    wide = pd.DataFrame({f"c{n}": [n] for n in range(100)})
    bundles.write(context, {"wide": wide, "empty": wide.iloc[:0]}, Birth("data"))
    heads = details.of(context, find.need(context, "data")).heads
    assert sorted(map(len, heads.values())) == [0, 1]
    assert [len(row) for head in heads.values() for row in head] == [details.HEAD_COLUMNS]
