"""Settings and contexts: what starting commands print, and what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disdat import ops
from disdat.context import Home
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt


def test_init_writes_a_settings_file_and_nothing_else(dsdt: Dsdt, home: Path):
    file = Path.home() / ".config" / "disdat" / "disdat.cfg"
    assert dsdt("init").out == f"Wrote {file}\n"
    assert "; home = ~/.disdat" in file.read_text("utf-8")
    assert not home.exists()


def test_init_leaves_a_settings_file_as_it_is(dsdt: Dsdt):
    dsdt("init")
    file = Path.home() / ".config" / "disdat" / "disdat.cfg"
    file.write_text("[run]\nworkers = 3\n", "utf-8")
    assert dsdt.fails("init") == f"Disdat already initialized in {file.parent}."
    assert file.read_text("utf-8") == "[run]\nworkers = 3\n"


def test_no_command_needs_init_first(dsdt: Dsdt):
    dsdt("context", "demo")
    assert not (Path.home() / ".config").exists()


def test_a_context_is_created_and_not_switched_to(dsdt: Dsdt, home: Path):
    created = dsdt("context", "mycontext").out
    objects = home / "context" / "mycontext" / "objects"
    assert created == f"Disdat created data context mycontext/mycontext at object dir {objects}.\n"
    assert dsdt("context").out == "\tmycontext\t[no remote]\n"


def test_the_current_context_is_marked(demo: Dsdt):
    demo("context", "other")
    assert demo("context").out == "*\tdemo\t[no remote]\n\tother\t[no remote]\n"


def test_a_context_may_go_by_another_name_on_a_remote(dsdt: Dsdt):
    assert "data context theirs/mine at" in dsdt("context", "theirs/mine").out
    [listed] = dsdt.json("context")
    assert (listed["name"], listed["remote_name"], listed["remote"]) == ("mine", "theirs", None)


def test_contexts_are_listed_as_json(demo: Dsdt, home: Path):
    [listed] = demo.json("context")
    directory = str(home / "context" / "demo")
    assert listed == {
        "name": "demo",
        "current": True,
        "remote": None,
        "remote_name": "demo",
        "directory": directory,
    }


def test_where_there_is_no_context_it_says_where_it_looked(dsdt: Dsdt, home: Path):
    ended = dsdt.run("context")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"no contexts at {home}; `dsdt context NAME` makes one\n"
    assert dsdt.json("context") == []
    assert not home.exists()


def test_a_home_that_is_not_there_is_named(dsdt: Dsdt, home: Path):
    """It may have been moved, or DISDAT_HOME may be wrong: that must not look like an empty one."""
    assert dsdt.fails("ls") == f"not in a data context: nothing is kept at {home} yet"
    assert "DISDAT_HOME names another place" in dsdt.run("ls").err
    ended = dsdt.run("switch", "demo")
    assert ended.err.startswith("dsdt: no context named 'demo'\n")
    assert f"nothing is kept at {home} yet" in ended.err
    assert "DISDAT_HOME names another place" in ended.err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["switch", "dmeo"], "did you mean 'demo'? `dsdt context dmeo` creates it"),
        (["ls", "--context", "DEMO"], "did you mean 'demo'? `dsdt context DEMO` creates it"),
        (["switch", "other"], "`dsdt context other` creates it"),
        (["context", "-d", "dmeo", "-y"], "did you mean 'demo'?"),
        (["context", "-d", "other"], "`dsdt context` lists those there are"),
    ],
)
def test_a_mistyped_context_leads_to_the_one_that_was_meant(demo: Dsdt, args, hint):
    assert demo.run(*args).err.splitlines()[1] == f"hint: {hint}"


def test_switching_says_where_one_is(demo: Dsdt):
    demo("context", "other")
    assert demo("switch", "other").out == "Switched to context other\n"
    assert demo("switch", "other").out == "Already within context other\n"


@pytest.mark.parametrize("sure", ["--yes", "-y", "--force", "-f"])
def test_a_context_is_deleted_when_the_user_is_sure(demo: Dsdt, sure):
    assert demo("context", "-d", "demo", sure).out == "Disdat deleted data context demo.\n"
    assert demo.run("context").out == ""
    assert "not in a data context" in demo.fails("ls")


def test_without_a_terminal_nothing_is_asked_and_nothing_deleted(demo: Dsdt):
    assert "not a terminal" in demo.fails("context", "-d", "demo", code=2)
    assert demo("context").out.startswith("*\tdemo")


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_command_works_in_the_context_it_is_told(demo: Dsdt, add, place):
    add("here")
    demo("context", "other")
    told = ("--context", "other")
    assert demo(*((*told, "ls") if place == "before" else ("ls", *told))).out == ""
    assert demo("ls").out == "here\n"


def test_a_context_may_be_told_by_its_name_on_a_remote_too(demo: Dsdt):
    demo("context", "theirs/mine")
    assert demo.json("status", "--context", "theirs/mine")["context"] == "mine"
    assert "no context named 'others/mine'" in demo.fails("status", "--context", "others/mine")


def test_of_two_contexts_told_the_one_after_the_command_counts(demo: Dsdt, add):
    add("here")
    demo("context", "other")
    assert demo("--context", "other", "ls", "--context", "demo").out == "here\n"


def test_status_counts_what_is_there(demo: Dsdt, add, home: Path):
    add("a")
    add("a", text="more text")
    add("b")
    demo("commit", "b")
    assert demo.json("status") == {
        "context": "demo",
        "home": str(home),
        "remote": None,
        "remote_name": None,
        "bundles": 3,
        "names": 2,
        "files": 3,
        "size_bytes": 4 + 9 + 4,
        "remote_only": 0,
        "partial": 0,
        "unpublished": 0,
        "committed": 1,
        "uncommitted": 2,
        "uncommitted_names": ["a"],
    }
    shown = demo("status").out
    assert f"home:         {home}\n" in shown
    assert "uncommitted:  2 of 1 name: a\n" in shown


def test_status_counts_bundles_and_names_apart(demo: Dsdt, home: Path):
    context = Home(home).context("demo")
    for name in ("", "", "b\nc"):
        ops.bundles.write(context, 1, Birth(name))
    assert "uncommitted:  3 of 2 names: (unnamed), b\\nc\n" in demo("status").out
    assert demo.json("status")["uncommitted_names"] == ["", "b\nc"]


def test_config_shows_each_setting_and_where_it_comes_from(demo: Dsdt, home: Path, monkeypatch):
    monkeypatch.setenv("DISDAT_WORKERS", "7")
    shown = demo.json("config", "--profile", "team")
    assert shown["home"] == {"value": str(home), "from": "DISDAT_HOME"}
    assert shown["workers"] == {"value": 7, "from": "DISDAT_WORKERS"}
    assert shown["context"] == {"value": "demo", "from": "`dsdt switch`"}
    assert shown["profile"] == {"value": "team", "from": "--profile"}
    assert shown["rerun"] == {"value": "content", "from": "default"}
    assert demo.json("config", "--context", "x")["context"] == {"value": "x", "from": "--context"}


def test_config_says_whether_the_settings_file_is_there(dsdt: Dsdt):
    assert "`dsdt init` writes it" in dsdt("config").out
    dsdt("init")
    assert "is there" in dsdt("config").out


@pytest.mark.parametrize("args", [("switch", "demo"), ("context", "new"), ("context", "-d", "demo", "-y")])
def test_quiet_confirms_nothing(demo: Dsdt, args):
    assert demo("--quiet", *args).out == ""


def test_json_is_ascii_whatever_names_are(demo: Dsdt, add):
    add("größe")
    printed = demo("ls", "--json").out
    assert printed.isascii()
    assert json.loads(printed)[0]["name"] == "größe"
