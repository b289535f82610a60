"""Commands that make bundles and change what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt


def test_adding_says_which_bundle_was_made(demo: Dsdt):
    Path("a.csv").write_text("a\n1\n", "utf-8")
    for option in ([], ["-i"]):
        said = demo("add", "data", "a.csv", *option).out
        newest = demo.json("ls")[0]["uuid"]
        assert re.fullmatch(rf"Added data {newest} of [-\d]+ [:\d]+\n", said)


def test_adding_may_give_the_new_bundle_as_json(demo: Dsdt, add):
    uuid = add("data", "-t", "city:Rome")
    [listed] = demo.json("ls")
    assert listed["uuid"] == uuid
    assert listed["tags"] == {"city": "Rome"}
    assert listed["params"] == {"path": "a.txt"}


def test_options_may_stand_anywhere(demo: Dsdt):
    Path("a.txt").write_text("a", "utf-8")
    demo("add", "data", "-t", "k:v", "a.txt", "--context", "demo")
    assert demo.json("ls", "-t", "k:v")[0]["name"] == "data"


def test_a_tags_value_may_hold_colons_and_be_empty(demo: Dsdt, add):
    add("data", "-t", "at:10:30", "-t", "none:")
    assert demo.json("ls")[0]["tags"] == {"at": "10:30", "none": ""}


def test_a_table_is_added_inline(demo: Dsdt):
    Path("t.csv").write_text("n,s\n1,x\n", "utf-8")
    demo("add", "-i", "table", "t.csv")
    assert demo("cat", "table").out == "   n  s\n0  1  x\n"


def test_the_latest_version_is_committed(demo: Dsdt, add):
    old, new = add("data"), add("data")
    assert re.fullmatch(rf"Committed data {new} of [-\d]+ [:\d]+\n", demo("commit", "data").out)
    assert demo("commit", "data").out.startswith("Already committed data")
    assert [(row["uuid"], row["committed"]) for row in demo.json("ls")] == [(new, True), (old, False)]


@pytest.mark.parametrize("how", ["uuid", "prefix", "tag", "version"])
def test_a_bundle_is_committed_by_whatever_names_it(demo: Dsdt, add, how):
    old = add("data", "-t", "k:v")
    add("data")
    named = {"uuid": ["-u", old], "prefix": ["-u", old[:8]], "tag": ["-t", "k:v"], "version": ["data@-1"]}[how]
    demo("commit", *named)
    assert [row["uuid"] for row in demo.json("ls", "-c")] == [old]


def test_tags_are_set_and_removed_on_the_version_named(demo: Dsdt, add):
    old = add("data", "-t", "a:1")
    add("data")
    demo("tag", "data@-1", "a:2", "b:x:y")
    assert demo.json("ls", "-u", old)[0]["tags"] == {"a": "2", "b": "x:y"}
    demo("untag", old[:8], "a", "b")
    assert demo.json("ls", "-u", old)[0]["tags"] == {}


def test_removing_takes_the_latest_and_says_which(demo: Dsdt, add):
    old, new = add("data"), add("data")
    assert demo("rm", "data").out.startswith(f"Removed data {new} of ")
    assert [row["uuid"] for row in demo.json("ls")] == [old]


@pytest.mark.parametrize(("option", "left"), [("--all", []), ("--old", [2])])
def test_removing_takes_all_or_the_old_versions(demo: Dsdt, add, option, left):
    uuids = [add("data"), add("data"), add("data")]
    assert len(demo("rm", option, "data").lines) == 3 - len(left)
    assert [row["uuid"] for row in demo.json("ls")] == [uuids[n] for n in left]


def test_where_nothing_is_old_nothing_is_removed(demo: Dsdt, add):
    add("data")
    assert demo("rm", "--old", "data").out == "No bundles to remove.\n"


def test_removing_takes_only_what_has_the_tag(demo: Dsdt, add):
    add("data", "-t", "k:v")
    kept = add("data")
    demo("rm", "--all", "data", "-t", "k:v")
    assert [row["uuid"] for row in demo.json("ls")] == [kept]


def test_a_dry_run_removes_nothing(demo: Dsdt, add):
    uuid = add("data")
    assert demo("rm", "--dry-run", "data").out.startswith(f"Would remove data {uuid}")
    assert len(demo.json("ls")) == 1


def test_committed_bundles_are_removed_by_force_only(demo: Dsdt, add):
    add("data")
    demo("commit", "data")
    assert "committed" in demo.fails("rm", "data")
    assert len(demo.json("ls")) == 1
    demo("rm", "--force", "data")
    assert demo.json("ls") == []


def test_where_one_is_committed_none_is_removed_and_it_says_so(demo: Dsdt, add):
    uuids = [add("data"), add("data"), add("data")]
    demo("commit", "data@-1")
    told = demo.run("rm", "--old", "data").err
    assert told.splitlines() == [
        f"dsdt: 1 of 2 committed: data {uuids[1][:8]}; nothing was removed",
        "hint: --uncommitted removes the others, --force all of them",
    ]
    assert len(demo.json("ls")) == 3
    assert demo("rm", "--old", "--uncommitted", "data").out.startswith(f"Removed data {uuids[0]} of ")
    assert [row["uuid"] for row in demo.json("ls")] == [uuids[2], uuids[1]]
    assert demo("rm", "--old", "--uncommitted", "data").out == "No bundles to remove.\n"


def test_a_name_that_begins_a_uuid_removes_no_other_bundle(demo: Dsdt, add):
    """``dsdt rm face`` where nothing is named so leaves the bundle face1234… alone."""
    uuid = add("data")
    demo.fails("rm", uuid[:8])
    assert len(demo.json("ls")) == 1


@pytest.mark.parametrize("name", ["*", "data.*", "d_ta", "%", "name", "x' OR '1'='1", '"; DROP TABLE bundles; --'])
def test_names_are_never_interpreted(demo: Dsdt, add, name):
    add("data")
    uuid = add(name)
    assert [row["uuid"] for row in demo.json("ls", "--", name)] == [uuid]
    demo("rm", "--all", "--", name)
    assert demo("ls").out == "data\n"


def test_quiet_confirms_nothing(demo: Dsdt, add):
    add("data")
    for args in (
        ["add", "data", "a.txt"],
        ["commit", "data"],
        ["tag", "data", "k:v"],
        ["untag", "data", "k"],
        ["rm", "-f", "data"],
    ):
        assert demo(*args, "--quiet").out == ""
