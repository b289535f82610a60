"""Commands that show what is there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from disdat import ops
from disdat.context import Home
from disdat.core.bundle import CodeRef, Lineage
from disdat.core.digest import of_bytes
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt


def store(home: Path, value: object, name: str = "data", **birth: object) -> str:
    """Make a bundle of a Python value; its uuid."""
    return ops.bundles.write(Home(home).context("demo"), value, Birth(name, **birth)).uuid


def names(demo: Dsdt, *args: str) -> list[str]:
    return [row["name"] for row in demo.json("ls", *args)]


def test_a_listing_has_each_name_once_newest_first(demo: Dsdt, add):
    for name in ("a", "b", "a"):
        add(name)
    assert demo("ls").out == "a\nb\n"


def test_the_long_form_has_disdats_columns(demo: Dsdt, add):
    uuid = add("my.data", "-t", "k:v")
    header, row = demo("ls", "-v").lines
    pads = [20, 20, 8, 18, 8, 40]
    titles = ["NAME", "PROC_NAME", "OWNER", "DATE", "COMMITTED", "UUID"]
    assert header == "\t".join([*(t.ljust(n) for t, n in zip(titles, pads, strict=True)), "TAGS"])
    cells = row.split("\t")
    assert [len(cell) for cell in cells[2:6]] == pads[2:]
    assert cells[0] == "my.data".ljust(20)
    assert cells[1].startswith("add_")
    assert re.fullmatch(r"\d\d-\d\d-\d\d \d\d:\d\d:\d\d +", cells[3])
    assert cells[4:] == ["False   ", uuid.ljust(40), "[k]:[v]"]
    assert demo("ls", "-v", "-p").lines == [header, row]


def test_as_of_some_time_ago(demo: Dsdt, add):
    add("data")
    assert names(demo, "--as-of", "0s") == ["data"]
    assert names(demo, "--after", "1h") == ["data"]
    assert names(demo, "--before", "1h") == []
    assert "was not there before" in demo.fails("ls", "--as-of", "52w", code=2)
    assert "nor a date" in demo.fails("show", "data@99d", code=2)


def test_the_long_form_may_show_tags_and_parameters(demo: Dsdt, add):
    add("data", "-t", "k:v", "-t", "version:0.7.1")
    _, row, params = demo("ls", "-v", "-p", "-a").lines
    assert row.endswith("\t[k]:[v] [version]:[0.7.1]")
    assert params == "\t ARGS: [path]:[a.txt]"


def test_at_a_terminal_a_long_cell_pushes_no_column_aside(demo: Dsdt, add, monkeypatch: pytest.MonkeyPatch):
    add("short")
    add("a.name.of.more.than.twenty.characters")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    lines = demo("ls", "-v").lines
    assert len({tuple(map(len, line.split("\t")[:6])) for line in lines}) == 1
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["my.data"], ["my.data"]),
        (["my.*"], ["my.data"]),
        (["my?data"], ["my_data", "my.data"]),
        (["/^my.data$/"], ["my_data", "my.data"]),
        (["/DATA/"], []),
        (["[*]"], ["*"]),
        (["*"], ["*"]),
        (["*data"], ["my_data", "my.data"]),
    ],
)
def test_a_pattern_is_a_name_then_a_regular_expression_or_a_glob(demo: Dsdt, add, args, expected):
    for name in ("my.data", "my_data", "*"):
        add(name)
    assert names(demo, *args) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["b", "a", "a"]),
        (["-c"], ["a"]),
        (["--uncommitted"], ["b", "a"]),
        (["-c", "--uncommitted"], ["b", "a", "a"]),
        (["-l"], ["b", "a"]),
        (["-l", "-c"], ["a"]),
        (["-t", "k:1"], ["b", "a"]),
        (["-t", "k:1", "-t", "m:2"], ["b"]),
        (["-t", "k:2"], []),
        (["-r"], ["b"]),
        (["-i"], ["a", "a"]),
        (["-i", "-r"], ["b", "a", "a"]),
        (["-A", "2020-01-01"], ["b", "a", "a"]),
        (["-B", "01-01-2020"], []),
        (["-B", "2020-01-01T00:00"], []),
    ],
)
def test_filters_leave_what_passes_all_of_them(demo: Dsdt, add, home: Path, args, expected):
    """The latest of each name is taken from what passes all else: of *a*, it is the older that is committed."""
    add("a", "-t", "k:1")
    demo("commit", "a")
    add("a")
    store(home, 1, "b", tags={"k": "1", "m": "2", "root_task": "True"})
    assert names(demo, *args) == expected


def test_a_date_may_be_given_as_the_listing_shows_it(demo: Dsdt, add):
    uuid = add("data")
    shown = demo("ls", "-v").lines[1].split("\t")[3].strip()
    assert names(demo, "-A", shown) == names(demo, "-B", shown) == ["data"]
    assert demo.json("show", f"data@{shown}")["uuid"] == uuid


def test_a_listing_by_uuid_takes_its_first_digits(demo: Dsdt, add):
    uuid = add("a")
    add("b")
    assert names(demo, "-u", uuid[:13]) == names(demo, "-u", uuid) == ["a"]


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb", r"a\nb"), ("\x1b[31mred", r"\x1b[31mred"), ("\u202etxt", r"\u202etxt")]
)
def test_a_bundle_is_one_line_whatever_its_name(demo: Dsdt, add, name, shown):
    add(name)
    assert demo("ls").out == f"{shown}\n"
    assert len(demo("ls", "-v").lines) == 2
    assert names(demo, name) == [name]


def test_one_file_is_printed_as_its_path(demo: Dsdt, add):
    add("data", text="content")
    path = demo("cat", "data").out.removesuffix("\n")
    assert Path(path).read_text("utf-8") == "content"


def test_a_directory_is_printed_as_the_paths_of_its_files_a_line_each(demo: Dsdt):
    Path("tree/sub").mkdir(parents=True)
    for name in ("tree/a", "tree/sub/b"):
        Path(name).write_text(name, "utf-8")
    demo("add", "data", "tree")
    assert [Path(line).read_text("utf-8") for line in demo("cat", "data").lines] == ["tree/a", "tree/sub/b"]


def test_a_list_of_files_made_in_python_is_printed_as_python_does(demo: Dsdt, home: Path):
    Path("a.txt").touch()
    store(home, ["a.txt"])
    [path] = ast.literal_eval(demo("cat", "data").out)
    assert Path(path).is_file()


def test_a_table_is_printed_with_its_files_as_urls(demo: Dsdt):
    Path("a.txt").write_text("a", "utf-8")
    Path("t.csv").write_text("file,n\na.txt,1\n", "utf-8")
    demo("add", "-i", "data", "t.csv")
    header, row = demo("cat", "data").lines
    assert header.split() == ["file", "n"]
    assert Path(row.split()[1].removeprefix("file://")).read_text("utf-8") == "a"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        ("two\nlines", "two\nlines"),
        ([1, "a", None], "[1, 'a', None]"),
        ({"a": (1,)}, "{'a': (1,)}"),
        (b"\xff", r"b'\xff'"),
    ],
)
def test_any_value_is_printed_as_python_does(demo: Dsdt, home: Path, value, printed):
    store(home, value)
    assert demo("cat", "data").out == f"{printed}\n"


def test_with_nothing_named_the_newest_of_any_name_is_printed(demo: Dsdt, home: Path):
    store(home, "old", "a")
    store(home, "new", "b")
    assert demo("cat").out == "new\n"


@pytest.mark.parametrize("how", ["name", "version", "full", "prefix", "uuid", "tag"])
def test_a_value_is_printed_by_whatever_names_its_bundle(demo: Dsdt, home: Path, how):
    uuid = store(home, "old", tags={"k": "v"})
    latest = store(home, "new")
    args = {
        "name": ["data@-1"],
        "version": [f"data@{uuid[:6]}"],
        "full": [uuid],
        "prefix": [uuid[:8]],
        "uuid": ["-u", uuid],
        "tag": ["data", "-t", "k:v"],
    }[how]
    assert demo("cat", *args).out == "old\n"
    assert demo("cat", latest).out == "new\n"


@pytest.mark.parametrize(
    ("value", "csv"),
    [
        ({"a": [1, 2], "b": ["x", "y"]}, "a,b\n1,x\n2,y\n"),
        ({"a": 1, "b": "x"}, "a,b\n1,x\n"),
        ([1, 2], "value\n1\n2\n"),
        ([{"a": 1}, {"a": 2}], "a\n1\n2\n"),
        (7, "value\n7\n"),
    ],
)
def test_what_can_be_a_table_is_written_as_csv(demo: Dsdt, home: Path, value, csv):
    store(home, value)
    assert demo("cat", "data", "-f", "out.csv").out == ""
    assert Path("out.csv").read_text("utf-8") == csv


def test_what_cannot_be_a_table_is_not_written(demo: Dsdt, home: Path):
    store(home, {"a": {"b": 1}})
    assert "is no table" in demo.fails("cat", "data", "-f", "out.csv")
    assert not Path("out.csv").exists()


def test_show_tells_everything_that_is_recorded(demo: Dsdt, add, home: Path):
    upstream = add("upstream", "-t", "k:v")
    bundle = ops.bundles.dependency("argument", Home(home).context("demo").catalog.bundle(upstream))
    lineage = Lineage(inputs=(bundle,), code=CodeRef("mod.fn", commit="c0ffee"), started_us=1, stopped_us=2_000_001)
    store(home, [1.5], lineage=lineage, metrics={"score": 0.5})
    shown = demo("show", "data").out
    for line in ("code:             mod.fn", "code version:     c0ffee", "metrics:          [score]:[0.5]"):
        assert line in shown
    assert re.search(rf"inputs:\n  argument  upstream  {upstream}\n", shown)
    assert re.search(r"\nvalue:\n  value  literal .*\[1\.5\]\n", shown)
    assert re.search(r"\nrun:\n  id:", shown)
    assert "files:\n  a.txt  4 B\n" in demo("show", "upstream").out


def test_show_leaves_out_a_literal_that_takes_many_characters(demo: Dsdt, home: Path):
    store(home, "x" * 200, "long")
    store(home, "a\n\x1b", "odd")
    assert "xxx" not in demo("show", "long").out
    assert "'a\\n\\x1b'" in demo("show", "odd").out


def test_show_lists_the_columns_of_tables(demo: Dsdt, home: Path):
    Path("a.txt").touch()
    Path("t.csv").write_text("file,n\na.txt,1.5\n", "utf-8")
    demo("add", "-i", "data", "t.csv")
    assert re.search(r"\n  value  table  .*1×2.*\n    file  \S+ +files\n    n     float64\n", demo("show", "data").out)
    [frame] = demo.json("show", "data")["frames"]
    assert frame["columns"][1] == {"name": "n", "type": "float64", "files": False}


def test_show_has_the_first_rows_of_a_table_on_a_line_each(demo: Dsdt, home: Path):
    import pandas as pd  # a second that other tests of this module need not wait

    table = pd.DataFrame({"n": range(100), "text": ["two\nlines"] * 100})
    ops.bundles.write(Home(home).context("demo"), table, Birth("table"))
    lines = [line.split() for line in demo("show", "table").lines]
    begin = lines.index(["first", "rows:"])
    assert lines[begin + 1 : begin + 4] == [["n", "text"], ["0", "two\\nlines"], ["1", "two\\nlines"]]
    assert lines[begin + 6][0] == "4"


def test_show_as_json_has_what_the_listing_has_and_more(demo: Dsdt, add):
    uuid = add("data", "-t", "k:v")
    shown = demo.json("show", "data")
    assert shown.items() >= demo.json("ls")[0].items()
    assert [file["path"] for file in shown["tree"]] == ["a.txt"]
    assert shown["frames"][0]["kind"] == "file"
    assert shown["code"]["method"] == "add"
    assert shown["run"]["argv"]
    assert shown["directory"].endswith(uuid)


def made_from(home: Path, name: str, **inputs: str) -> str:
    catalog = Home(home).context("demo").catalog
    found = tuple(ops.bundles.dependency(argument, catalog.bundle(uuid)) for argument, uuid in inputs.items())
    code = CodeRef(f"mod.{name}", repo="git@host.example:team/code.git", commit="c0ffee", branch="main")
    return store(home, name, name, lineage=Lineage(inputs=found, code=code, started_us=0, stopped_us=1_500_000))


def test_lineage_is_indented_by_how_far_back_a_bundle_is(demo: Dsdt, home: Path):
    raw = made_from(home, "raw")
    clean = made_from(home, "clean", rows=raw)
    made_from(home, "model", data=clean, also=raw)
    shown = demo("lineage", "--format", "blocks", "model").out
    assert re.findall(r"^(\t*)------ Lineage @ depth (\d) -----$", shown, re.MULTILINE) == [
        ("", "0"),
        ("\t", "1"),
        ("\t", "1"),
    ]
    assert f"\tuuid: {clean}\n" in shown
    assert shown.count(raw) == 1
    assert "\tgit commit URL: https://host.example/team/code/commit/c0ffee\n" in shown
    assert re.search(r"^\tStart .* Stop .* Duration 1\.50 s$", shown, re.MULTILINE)


def test_what_is_known_of_code_outside_git_is_its_source(demo: Dsdt, home: Path):
    source = of_bytes(b"source")
    store(home, 1, lineage=Lineage(code=CodeRef("mod.fn", digest=source)))
    assert f"code digest:      {source}\n" in demo("show", "data").out
    shown = demo("lineage", "--format", "blocks", "data").out
    assert f"code digest: {source}\n" in shown
    assert "Start" not in shown
    assert shown.endswith("\n")
    assert demo.json("lineage", "data")[0]["code"]["digest"] == source


def test_lineage_says_that_code_had_changes_its_commit_does_not_have(demo: Dsdt, home: Path):
    store(home, 1, lineage=Lineage(code=CodeRef("mod.fn", commit="c0ffee", dirty=True)))
    assert "code hash: c0ffee with changes\n" in demo("lineage", "--format", "blocks", "data").out


def test_lineage_goes_back_as_far_as_it_is_asked(demo: Dsdt, home: Path):
    raw = made_from(home, "raw")
    made_from(home, "model", data=made_from(home, "clean", rows=raw))
    assert [step["name"] for step in demo.json("lineage", "model")] == ["model", "clean", "raw"]
    assert [step["name"] for step in demo.json("lineage", "model", "-d", "1")] == ["model", "clean"]
    assert [step["argument"] for step in demo.json("lineage", "model")] == ["", "data", "rows"]


def test_lineage_says_what_is_not_here_any_more(demo: Dsdt, home: Path):
    raw = made_from(home, "raw")
    made_from(home, "model", data=raw)
    demo("rm", "raw")
    assert f"\tNo lineage found for UUID {raw}\n" in demo("lineage", "--format", "blocks", "model").out
    assert demo.json("lineage", "model")[1]["name"] is None


def test_json_of_nothing_is_an_empty_list(demo: Dsdt):
    assert json.loads(demo("ls", "--json").out) == []
