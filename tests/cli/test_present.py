"""Values as text and as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from disdat.cli import present
from disdat.errors import InvalidInput, StorageError

HERE = Path("/home/context/objects/uuid")
FILE = f"{HERE}/a.txt"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (pd.DataFrame({"f": [FILE, None], "n": [1, 2]}), ["f n", f"0 file://{FILE} 1", "1 NaN 2"]),
        (pd.Series([FILE], name="f"), ["f", f"0 file://{FILE}"]),
        (pa.table({"f": [FILE]}), ["f", f"0 file://{FILE}"]),
        (pd.DataFrame({"f": ["/elsewhere/a.txt"]}), ["f", "0 /elsewhere/a.txt"]),
        (pd.DataFrame({"f": [Path(FILE)]}), ["f", f"0 file://{FILE}"]),
        ([FILE], [f"['{FILE}']"]),
        (Path(FILE), [FILE]),
        ("text", ["text"]),
    ],
)
def test_the_files_of_a_table_are_urls_and_others_are_paths(value, printed):
    lines = present.text(value, HERE, width=None).splitlines()
    assert [" ".join(line.split()) for line in lines] == printed


def test_a_table_of_many_rows_is_cut_only_where_asked_to():
    frame = pd.DataFrame({"n": range(1000)})
    assert len(present.text(frame, HERE, width=None).splitlines()) == 1001
    cut = present.text(frame, HERE, width=80).splitlines()
    assert cut[-1] == "[1000 rows x 1 columns]"
    assert len(cut) < 60


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_is_as_wide_as_the_terminal_at_most(width):
    frame = pd.DataFrame({"f": [FILE * 10], "g": [FILE * 10], **{f"column{n}": [n] for n in range(30)}})
    shown = present.text(frame, HERE, width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(f"column{n}" in shown for n in range(30))
    assert f"file://{FILE}"[: width - 20] in shown


def test_a_column_name_may_be_there_twice():
    frame = pd.DataFrame([[FILE, FILE]], columns=["f", "f"])
    assert present.text(frame, HERE, width=None).count("file://") == 2


@pytest.mark.parametrize(
    ("value", "csv"),
    [
        (pd.DataFrame({"a": [1], "f": [FILE]}), f"a,f\n1,file://{FILE}\n"),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="key")), "key,a\nx,1\n"),
        (pd.DataFrame({"a": [1, 2]}, index=[5, 6]), ",a\n5,1\n6,2\n"),
        (pd.Series([1, 2], name="s"), "s\n1\n2\n"),
        (np.array([1, 2]), "value\n1\n2\n"),
        (np.array([[1, 2], [3, 4]]), "0,1\n1,2\n3,4\n"),
        (np.array(7), "value\n7\n"),
        ([(1, "a"), (2, "b")], "0,1\n1,a\n2,b\n"),
        ({"a": np.array([1, 2]), "b": (3, 4)}, "a,b\n1,3\n2,4\n"),
        ([], "value\n"),
        (None, "value\n\n"),
        ("a,b", 'value\n"a,b"\n'),
    ],
)
def test_csv_holds_the_rows_and_an_index_that_says_something(tmp_path, value, csv):
    present.write_csv(value, HERE, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text("utf-8").replace('""\n', "\n") == csv


@pytest.mark.parametrize(
    "value",
    [{"a": {"b": 1}}, {"a": [1], "b": 2}, {"a": [1], "b": [1, 2]}, {"t": pd.DataFrame()}, np.zeros((2, 2, 2))],
)
def test_what_is_no_table_is_refused_before_the_file_is_touched(tmp_path, value):
    target = tmp_path / "out.csv"
    target.write_text("mine", "utf-8")
    with pytest.raises(InvalidInput, match="is no table"):
        present.write_csv(value, HERE, target)
    assert target.read_text("utf-8") == "mine"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"none/out\.csv"):
        present.write_csv(1, HERE, tmp_path / "none" / "out.csv")
