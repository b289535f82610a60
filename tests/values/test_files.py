"""Which values name files, what is captured, and how it is read back."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import luigi
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from disdat.core.tree import file_logical, tree_logical
from disdat.errors import BadLinkError, PathNotFound, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import dump, load, text


@pytest.fixture
def one(tmp_path: Path) -> Path:
    path = tmp_path / "one.txt"
    path.write_text("one")
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    path = tmp_path / "two #?;%41.txt"
    path.write_text("two")
    return path


def contents(value: object) -> object:
    """The value with the content of the file for each path that is not its source's."""
    if isinstance(value, dict):
        return {key: contents(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(contents(item) for item in value)
    return Path(value).read_text() if "/tree/" in str(value) else value


def test_a_path_comes_back_as_a_path_to_equal_content(one, bundle):
    (frame,) = frames = dump(one, bundle)
    one.unlink()
    read = load(frames, bundle)
    assert (type(read), read.read_text(), frame.kind, frame.form) == (type(one), "one", "file", "path")
    assert (frame.path, frame.size_bytes, frame.digest, frame.inline) == ("one.txt", 3, None, None)
    assert frame.logical == file_logical("one.txt", bundle.entry("one.txt"))


def test_a_string_that_names_a_file_comes_back_as_a_string(one, bundle):
    read = load(dump(str(one), bundle), bundle)
    assert type(read) is str
    assert read != str(one)
    assert Path(read).read_text() == "one"


def test_a_relative_string_names_a_file_too(one, bundle, monkeypatch):
    monkeypatch.chdir(one.parent)
    assert Path(load(dump("one.txt", bundle), bundle)).read_text() == "one"


def test_equal_files_of_one_name_are_equal_whatever_names_them(one, tmp_path):
    first = dump(one, MemoryBundle(tmp_path))[0]
    second = dump(str(one), MemoryBundle(tmp_path))[0]
    assert first.logical == second.logical
    one.chmod(0o755)
    assert dump(one, MemoryBundle(tmp_path))[0].logical != first.logical


def test_a_directory_path_comes_back_with_everything_below(one, tmp_path, bundle):
    directory = tmp_path / "data"
    (directory / "deep").mkdir(parents=True)
    (directory / "deep" / "file").write_bytes(b"x")
    (frame,) = frames = dump(directory, bundle)
    read = load(frames, bundle)
    assert (frame.kind, frame.path, frame.size_bytes) == ("directory", "data", 1)
    assert frame.logical == tree_logical(bundle.below("data"))
    assert (read / "deep" / "file").read_bytes() == b"x"


def test_a_string_that_names_a_directory_is_text_unless_the_bundle_made_it(tmp_path, bundle):
    elsewhere, own = tmp_path / "elsewhere", tmp_path / "own" / "out"
    for directory in (elsewhere, own):
        directory.mkdir(parents=True)
        (directory / "file").write_text("x")
    assert load(dump(str(elsewhere), bundle), bundle) == str(elsewhere)
    (frame,) = dump(str(own), bundle)
    assert (frame.kind, frame.form) == ("directory", "str")


def test_strings_in_a_list_tuple_or_set_are_files_only_if_all_of_them_are(one, two, bundle):
    for make in (list, tuple, set):
        assert contents(load(dump(make([str(one), str(two)]), bundle), bundle)) == make(["one", "two"])
        mixed = make([str(one), "no file"])
        assert load(dump(mixed, bundle), bundle) == mixed


def test_other_items_beside_the_strings_do_not_matter(one, bundle):
    assert contents(load(dump([1, str(one), None], bundle), bundle)) == [1, "one", None]


def test_each_value_of_a_dict_counts_by_itself_and_keys_never_do(one, bundle):
    value = {str(one): str(one), "b": "text", "c": [str(one)], "d": {"e": str(one)}}
    assert contents(load(dump(value, bundle), bundle)) == {
        str(one): "one",
        "b": "text",
        "c": ["one"],
        "d": {"e": "one"},
    }


def test_paths_are_files_whatever_stands_beside_them(one, bundle):
    assert contents(load(dump([one, "text"], bundle), bundle)) == ["one", "text"]


def test_paths_may_be_in_a_set_and_two_equal_sets_have_one_logical_digest(one, two, tmp_path):
    digests = {dump(value, MemoryBundle(tmp_path))[0].logical for value in ({one, two}, {two, one})}
    assert len(digests) == 1


def test_a_luigi_target_is_its_file_and_comes_back_as_a_string(one, bundle):
    for value in (luigi.LocalTarget(str(one)), [luigi.LocalTarget(str(one))]):
        read = contents(load(dump(value, bundle), bundle))
        assert read in ("one", ["one"])


@pytest.mark.parametrize("make", [str, lambda path: path.as_uri().removeprefix("file://")])
def test_a_file_url_is_its_file_quoted_or_not(make, two, bundle):
    assert contents(load(dump("file://" + make(two), bundle), bundle)) == "two"
    assert contents(load(dump(["file://" + make(two), "text"], bundle), bundle)) == ["two", "text"]


@pytest.mark.parametrize("url", ["file:///no/such/file", "file://host/etc/passwd", "file://", "s3://bucket/key"])
@pytest.mark.parametrize(
    ("wrap", "where"),
    [
        (lambda url: url, "value"),
        (lambda url: {"a": [0, (url,)]}, "value['a'][1][0]"),
        (lambda url: {"a": url}, "value['a']"),
        (lambda url: pd.DataFrame({"x": [url]}), "value.column 'x' row 0"),
        (lambda url: [pd.Series([None, url])], "value[0] row 1"),
    ],
)
def test_a_url_that_cannot_be_captured_is_refused_by_its_place_with_a_hint(url, wrap, where, bundle):
    with pytest.raises(BadLinkError, match=r"cannot store ") as raised:
        dump(wrap(url), bundle)
    assert f"cannot store {where}:" in str(raised.value)
    assert raised.value.hint


def test_text_is_never_a_file(one, bundle):
    frame = pd.DataFrame({"x": [str(one), "s3://b/k"], "y": ["file:///nope"] * 2})
    for value in (str(one), [str(one)], {"a": (str(one),)}, "s3://b/k", "file:///nope", {"a": [{"b": "s3://b"}]}):
        assert load(dump(text(value), bundle), bundle) == value
        assert load(dump({"in": text(value)}, bundle), bundle) == {"in": value}
    assert load(dump(text(frame), bundle), bundle).equals(frame)
    assert load(dump(text([frame]), bundle), bundle)[0].equals(frame)
    assert bundle.entries == {}


def test_a_path_marked_as_text_is_a_file_all_the_same(one, bundle):
    assert contents(load(dump(text([one, str(one)]), bundle), bundle)) == ["one", str(one)]


@pytest.mark.parametrize("string", ["", "a\0b", "x" * 5000, "\ud800", "line\nfeed", "/" * 4096, "~", "."])
def test_a_string_that_can_name_nothing_is_text(string, bundle):
    for value in (string, [string], {"a": string}):
        assert load(dump(value, bundle), bundle) == value


@pytest.mark.parametrize("value", [Path("/no/such"), luigi.LocalTarget("/no/such"), Path("/dev/null/x")])
def test_a_path_that_does_not_exist_is_named(value, bundle):
    with pytest.raises(PathNotFound, match=r"cannot store value\['a'\]"):
        dump({"a": value}, bundle)


def test_what_is_neither_file_nor_directory_is_refused(tmp_path, bundle):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unserializable, match="neither a file nor a directory"):
        dump([tmp_path / "fifo"], bundle)
    assert load(dump(str(tmp_path / "fifo"), bundle), bundle) == str(tmp_path / "fifo")


def test_a_path_to_a_remote_place_is_refused(bundle):
    with pytest.raises(BadLinkError):
        dump(PurePosixPath("s3://bucket/key"), bundle)


def test_names_of_any_bytes_come_back(tmp_path, bundle):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 %41"))
    path.write_text("x")
    (frame,) = frames = dump(path, bundle)
    assert frame.path == "caf%E9 %2541"
    assert load(frames, bundle).name == path.name


def test_a_thousand_files_are_captured_in_one_batch(tmp_path):
    paths = [tmp_path / f"{n}.txt" for n in range(1000)]
    for path in paths:
        path.touch()
    batches: list[int] = []

    class Counting(MemoryBundle):
        def add_files(self, paths):
            batches.append(len(paths))
            return super().add_files(paths)

    dump([str(path) for path in paths], Counting(tmp_path))
    assert batches == [1000]


class TestColumnsOfFiles:
    @pytest.mark.parametrize(
        "make",
        [
            lambda cells: pd.DataFrame({"x": cells, "n": range(len(cells))}),
            lambda cells: pd.DataFrame({"x": pd.Series(cells, dtype=object)}),
            lambda cells: pd.DataFrame({"x": pd.array(cells, dtype="string")}),
        ],
    )
    def test_a_column_of_files_comes_back_as_paths_in_its_own_dtype(self, make, one, two, bundle):
        frame = make([str(one), None, str(two), str(one)])
        (stored,) = frames = dump(frame, bundle)
        read = load(frames, bundle)
        assert stored.details["files"] == ["x"]
        assert read["x"].dtype == frame["x"].dtype
        assert [contents(cell) for cell in read["x"].dropna()] == ["one", "two", "one"]
        assert list(read["x"].isna()) == [False, True, False, False]

    def test_so_does_one_of_arrow(self, one, bundle):
        read = load(dump(pa.table({"x": [str(one), None]}), bundle), bundle)
        assert contents(read.column("x").to_pylist()) == ["one", None]

    def test_and_a_series(self, one, bundle):
        assert contents(load(dump(pd.Series([str(one)], name="x"), bundle), bundle).to_list()) == ["one"]

    def test_a_column_in_which_one_cell_names_no_file_is_text(self, one, bundle):
        frame = pd.DataFrame({"x": [str(one), "no file"]})
        assert load(dump(frame, bundle), bundle).equals(frame)

    def test_categories_and_index_are_text(self, one, bundle):
        frame = pd.DataFrame({"c": pd.Categorical([str(one)])}, index=[str(one)])
        assert load(dump(frame, bundle), bundle).equals(frame)

    def test_urls_in_a_column_must_all_be_files(self, one, two, bundle):
        frame = pd.DataFrame({"x": [f"file://{one}", str(two)]})
        assert [contents(cell) for cell in load(dump(frame, bundle), bundle)["x"]] == ["one", "two"]
        with pytest.raises(BadLinkError, match=r"column 'x' row 1"):
            dump(pd.DataFrame({"x": [f"file://{one}", "no file"]}), bundle)

    def test_the_content_of_the_files_counts_not_where_they_were(self, one, tmp_path):
        elsewhere = tmp_path / "elsewhere" / one.name
        elsewhere.parent.mkdir()
        elsewhere.write_text("one")
        frames = [pd.DataFrame({"x": [str(path)]}) for path in (one, elsewhere)]
        first, second = (dump(frame, MemoryBundle(tmp_path))[0].logical for frame in frames)
        assert first == second
        one.write_text("other")
        assert dump(frames[0], MemoryBundle(tmp_path))[0].logical != first


def test_an_array_of_strings_is_an_array(one, bundle):
    array = np.array([str(one)])
    assert np.array_equal(load(dump(array, bundle), bundle), array)
