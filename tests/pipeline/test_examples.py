"""What the examples in `examples/pipelines` say they do; `test_mnist.py` has the one of the README."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.context import Context, Home
from disdat.errors import ApplyError
from disdat.ops import add, bundles, contexts, fetching, find, remotes
from disdat.pipeline.loading import load_class
from disdat.pipeline.run import apply
from tests.pipeline.conftest import Applied

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
IRIS = EXAMPLES / "iris.csv"
SEARCH, MEANS, CLASSIFY = "pipelines.fanout.Search", "pipelines.iris.Means", "pipelines.sharing.Classify"
EVALUATE = "pipelines.mnist.Evaluate"
FLOWER = {"petal_length": 4.9, "petal_width": 1.6}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def where_examples_are(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.chdir(EXAMPLES)


def write_idx(path: Path, array: np.ndarray) -> None:
    """A file as MNIST has them; gzipped where its name says so."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(directory: Path, *, sheet: str = "", marks: str = "-") -> None:
    """Digits whose images are a lit row: 40 to learn from, 20 to be read."""
    directory.mkdir()
    for part, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count) % 10
        images = np.zeros((count, 12, 9), dtype=np.uint8)
        images[np.arange(count), labels] = 255
        write_idx(directory / f"{part}-images{marks}idx3-ubyte{sheet}", images)
        write_idx(directory / f"{part}-labels{marks}idx1-ubyte{sheet}", labels)


@pytest.mark.parametrize(("sheet", "marks"), [("", "-"), (".gz", "-"), ("", ".")])
def test_the_files_of_mnist_are_read_where_they_are(context: Context, tmp_path: Path, sheet: str, marks: str) -> None:
    write_mnist(tmp_path / "mnist", sheet=sheet, marks=marks)
    applied = Applied(context)
    assert applied(EVALUATE, {"images": str(tmp_path / "mnist")}) == ["Evaluate", "GetFiles", "Train"]
    data, table = applied.value("GetFiles"), applied.value("Evaluate")
    assert isinstance(data, dict)
    assert isinstance(table, pd.DataFrame)
    assert (data["images"].shape, data["images"].dtype, data["learn"]) == ((60, 12, 9), np.uint8, 40)
    assert data["labels"].tolist() == [*(list(range(10)) * 6)]
    assert (table.to_numpy() == 2 * np.eye(10)).all()
    assert find.need(context, "Evaluate").tags["accuracy"] == "1.000"


def test_other_files_of_mnist_are_noticed_and_moved_ones_are_not(context: Context, tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    applied = Applied(context)
    applied(EVALUATE, {"images": str(tmp_path / "mnist")})
    os.rename(tmp_path / "mnist", tmp_path / "moved")
    assert applied(EVALUATE, {"images": str(tmp_path / "moved")}) == []
    write_idx(tmp_path / "moved" / "t10k-labels-idx1-ubyte", np.zeros(20))
    assert applied(EVALUATE, {"images": str(tmp_path / "moved")}) == ["Evaluate", "GetFiles", "Train"]


def test_a_directory_without_the_files_of_mnist_is_told(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ApplyError, match="train-images-idx3-ubyte"):
        Applied(context)(EVALUATE, {"images": str(tmp_path)})


def test_a_search_makes_its_tasks_as_it_goes_and_each_once(context: Context) -> None:
    applied = Applied(context)
    first = applied(SEARCH, {"rounds": 1})
    assert first == [*["Evaluate"] * 4, "GetData", "Search", *["Train"] * 4]
    assert applied(SEARCH, {"rounds": 1}) == []
    assert applied(SEARCH, {"rounds": 2}) == ["Evaluate", "Evaluate", "Search", "Train", "Train"]
    tried = applied.value("Search")
    assert isinstance(tried, pd.DataFrame)
    assert len(tried) == 6
    assert tried["accuracy"].is_monotonic_decreasing
    assert tried["gamma"][0] == float(find.need(context, "Search").tags["gamma"])
    assert tried["accuracy"][0] > 0.95


def test_a_table_is_added_and_another_version_of_it_is_noticed(context: Context, tmp_path: Path) -> None:
    add.add_inline(context, "iris", IRIS)
    applied = Applied(context)
    assert applied(MEANS) == ["Distinct", "iris.means"]
    means = applied.value("iris.means")
    assert isinstance(means, pd.DataFrame)
    assert means.loc["setosa", "petal_length"] == 1.462
    assert means["flowers"].to_dict() == {"setosa": 50, "versicolor": 50, "virginica": 49}
    flowers = pd.read_csv(IRIS)
    flowers.drop_duplicates().to_csv(tmp_path / "distinct.csv", index=False)
    add.add_inline(context, "iris", tmp_path / "distinct.csv")
    assert applied(MEANS) == ["Distinct"]  # which came out as before
    flowers[:100].to_csv(tmp_path / "two.csv", index=False)
    add.add_inline(context, "iris", tmp_path / "two.csv")
    assert applied(MEANS) == ["Distinct", "iris.means"]


def test_a_pipeline_begins_where_that_of_another_home_ended(tmp_path: Path) -> None:
    ann, bob = (bound(tmp_path, who) for who in ("ann", "bob"))
    with pytest.raises(ApplyError, match=r"iris\.means"):
        apply(bob, load_class(CLASSIFY), FLOWER)
    add.add_inline(ann, "iris", IRIS)
    apply(ann, load_class(MEANS), incremental_push=True)
    fetching.fetch(bob)
    shutil.rmtree(tmp_path / "ann")  # nothing of it is needed any more
    assert apply(bob, load_class(CLASSIFY), FLOWER)["did_work"]
    assert bundles.value(bob, find.need(bob, "Classify").uuid) == {"species": "versicolor", "distance_cm": 0.696}
    assert not apply(bob, load_class(CLASSIFY), FLOWER)["did_work"]


def bound(tmp_path: Path, who: str) -> Context:
    """A context in a home of somebody's own, bound to one directory."""
    context = contexts.create(Home(tmp_path / who), "work")
    return remotes.bind(context, "team", f"file://{tmp_path}/remote", layout="packed").context
