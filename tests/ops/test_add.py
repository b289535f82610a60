"""Adding takes in what the user names, whole, or nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.tree import Tree, TreeRef
from disdat.errors import InvalidInput, PathNotFound
from disdat.ops import add, bundles


def fill(directory: Path, names: list[str]) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}", encoding="utf-8")
    return directory


def paths_of(context: Context, bundle: Bundle) -> list[str]:
    value = bundles.value(context, bundle.uuid)
    assert isinstance(value, list)
    root = context.bundle_directory(bundle.uuid)
    for path in value:
        name = Path(path).name
        assert name in Path(path).read_text(encoding="utf-8")
    return [str(Path(path).relative_to(root)) for path in value]


def test_one_file_presents_as_its_path(context: Context) -> None:
    Path("a.txt").write_text("x", encoding="utf-8")
    bundle = add.add(context, "n", ["a.txt"])
    value = bundles.value(context, bundle.uuid)
    assert value == str(context.bundle_directory(bundle.uuid) / "a.txt")


def test_a_directory_presents_as_the_paths_below_it(context: Context) -> None:
    fill(Path("d"), ["b.txt", "sub/a.txt", "sub/deep/c.txt"])
    assert paths_of(context, add.add(context, "n", ["d"])) == ["b.txt", "sub/a.txt", "sub/deep/c.txt"]


def test_several_paths_keep_their_places_below_what_they_share(context: Context) -> None:
    fill(Path(), ["p/x.csv", "q/x.csv", "q/d/y.csv"])
    bundle = add.add(context, "n", ["p/x.csv", "q/x.csv", "q/d"])
    assert paths_of(context, bundle) == ["p/x.csv", "q/d/y.csv", "q/x.csv"]


@pytest.mark.slow
def test_many_paths_cost_a_look_each(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"f{number}") for number in range(8_000)]
    for path in paths:
        Path(path).touch()
    started = time.process_time()
    add._sources(paths)
    assert time.process_time() - started < 2


def test_a_path_given_twice_is_refused(context: Context) -> None:
    fill(Path(), ["x.csv"])
    with pytest.raises(InvalidInput, match="named twice"):
        add.add(context, "n", ["x.csv", "./x.csv"])
    assert context.catalog.latest("n") is None


def test_a_missing_path_adds_nothing_and_is_a_file_not_found_error(context: Context) -> None:
    fill(Path(), ["x.csv"])
    with pytest.raises(PathNotFound, match=r"no such file or directory: gone\.csv") as caught:
        add.add(context, "n", ["x.csv", "gone.csv"])
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, AssertionError)
    assert context.catalog.latest("n") is None


def test_names_of_any_bytes_survive(context: Context) -> None:
    names = [b"caf\xe9", "café".encode(), b"100%", b"new\nline", b"a'b\"c", b"#?;"]
    directory = os.fsencode(Path("d").absolute())
    os.mkdir(directory)
    for name in names:
        Path(os.fsdecode(directory + b"/" + name)).write_bytes(name)
    bundle = add.add(context, "n", ["d"])
    value = bundles.value(context, bundle.uuid)
    assert isinstance(value, list)
    assert {os.path.basename(os.fsencode(path)) for path in value} == set(names)
    assert all(Path(path).read_bytes() == os.path.basename(os.fsencode(path)) for path in value)


def test_links_inside_the_tree_are_followed(context: Context) -> None:
    fill(Path("d"), ["a.txt", "sub/b.txt"])
    Path("d/link").symlink_to("a.txt")
    Path("d/linked").symlink_to("sub")
    bundle = add.add(context, "n", ["d"])
    assert isinstance(bundle.tree, Tree)
    assert list(bundle.tree) == ["a.txt", "link", "linked/b.txt", "sub/b.txt"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [("../outside.txt", "leaves the directory"), ("nowhere", "leads nowhere"), (".", "leads back")],
)
def test_links_that_cannot_be_followed_are_named(context: Context, target: str, reason: str) -> None:
    fill(Path(), ["outside.txt", "d/a.txt"])
    Path("d/link").symlink_to(target)
    with pytest.raises((InvalidInput, PathNotFound), match=f"symbolic link .*d/link {reason}"):
        add.add(context, "n", ["d"])
    assert context.catalog.latest("n") is None


def test_what_is_no_file_is_refused_by_name(context: Context) -> None:
    fill(Path("d"), ["a.txt"])
    os.mkfifo("d/pipe")
    with pytest.raises(InvalidInput, match="d/pipe is not a regular file"):
        add.add(context, "n", ["d"])


def test_a_large_tree_is_stored_as_objects_and_reads_the_same(context: Context) -> None:
    fill(Path("d"), [f"{n % 7}/{n}.txt" for n in range(300)])
    bundle = add.add(context, "n", ["d"])
    assert isinstance(bundle.tree, TreeRef)
    assert bundle.tree.file_count == 300
    assert len(paths_of(context, bundle)) == 300


def test_equal_bytes_are_stored_once(context: Context) -> None:
    Path("big").write_bytes(os.urandom(1 << 20))
    for _ in range(2):
        add.add(context, "n", ["big"])
    objects = [path for path in (context.home.root / "store" / "objects").rglob("*") if path.is_file()]
    assert len(objects) == 1


def test_inline_tables_keep_their_types(context: Context) -> None:
    Path("t.csv").write_text("a;b;c\n1;x;2.5\n2;y;\n", encoding="utf-8")
    frame = bundles.value(context, add.add_inline(context, "n", "t.csv").uuid)
    assert isinstance(frame, pd.DataFrame)
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "str", "float64"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "json", "jsonl"])
def test_every_kind_of_table_is_read(context: Context, suffix: str) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    writers = {
        "csv": lambda p: frame.to_csv(p, index=False),
        "tsv": lambda p: frame.to_csv(p, index=False, sep="\t"),
        "parquet": frame.to_parquet,
        "json": frame.to_json,
        "jsonl": lambda p: frame.to_json(p, orient="records", lines=True),
    }
    writers[suffix](f"t.{suffix}")
    read = bundles.value(context, add.add_inline(context, "n", f"t.{suffix}").uuid)
    pd.testing.assert_frame_equal(read, frame)


def test_cells_that_name_files_beside_the_table_take_them_in(context: Context) -> None:
    fill(Path("t"), ["one.txt", "sub/two.txt"])
    Path("t/t.csv").write_text("file,n\none.txt,1\nsub/two.txt,2\n", encoding="utf-8")
    frame = bundles.value(context, add.add_inline(context, "n", "t/t.csv").uuid)
    assert isinstance(frame, pd.DataFrame)
    assert [Path(path).read_text(encoding="utf-8") for path in frame["file"]] == [
        "content of one.txt",
        "content of sub/two.txt",
    ]


def test_a_column_with_one_cell_that_names_nothing_stays_text(context: Context) -> None:
    fill(Path("t"), ["one.txt"])
    Path("t/t.csv").write_text("file,n\none.txt,1\ngone.txt,2\n", encoding="utf-8")
    frame = bundles.value(context, add.add_inline(context, "n", "t/t.csv").uuid)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["file"]) == ["one.txt", "gone.txt"]


def test_a_column_that_begins_with_text_stays_text_though_a_url_follows(context: Context) -> None:
    Path("t.csv").write_text("n,where\n1,here\n2,s3://bucket/key\n", encoding="utf-8")
    frame = bundles.value(context, add.add_inline(context, "n", "t.csv").uuid)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["where"]) == ["here", "s3://bucket/key"]


@pytest.mark.parametrize(("name", "text"), [("t.txt", "a,b\n"), ("t.json", "{"), ("t.parquet", "no"), ("t.csv", "")])
def test_what_is_no_table_is_refused(context: Context, name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match="table"):
        add.add_inline(context, "n", name)
