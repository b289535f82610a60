"""The details of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
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
    assert columns[0] == Column("n", "double", has_files=False)
    assert "string" in columns[1].type


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
