"""Contexts through the API: made, listed, switched, deleted, and found under the names people give."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from disdat import api, config
from disdat.context import Home
from disdat.errors import BadName, ContextNotFound, DisdatError, InvalidInput, NotConfigured


def test_a_context_is_made_once(home):
    assert api.context("demo") == 0
    assert api.context("demo") == 1
    assert api.ls_contexts() == ["demo"]


def test_making_a_context_does_not_switch_to_it(home):
    api.context("demo")
    assert api.current_context() is None
    api.switch("demo")
    assert api.current_context() == "demo"


def test_the_variable_wins_over_what_was_switched_to(home, monkeypatch):
    for name in ("one", "two"):
        api.context(name)
    api.switch("one")
    monkeypatch.setenv("DISDAT_CONTEXT", "two")
    assert api.current_context() == "two"


def test_two_contexts_are_independent(home):
    for name in ("one", "two"):
        api.context(name)
    api.Bundle("one", "data", 1)
    assert api.get("two", "data") is None
    assert api.cat("one", "data") == 1


def test_a_deleted_context_is_gone_with_its_bundles(ctx):
    api.Bundle(ctx, "data", 1)
    api.switch(ctx)
    api.delete_context(ctx)
    assert api.ls_contexts() == []
    assert api.current_context() is None
    api.context(ctx)
    assert api.search(ctx) == []


def test_deleting_a_context_that_is_not_there_is_fine(home):
    api.delete_context("nobody")
    assert not home.exists()


def test_deleting_on_a_remote_needs_one_and_deletes_nothing_without(ctx):
    with pytest.raises(NotConfigured):
        api.delete_context(ctx, remote=True, force=True)
    assert api.ls_contexts() == [ctx]


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "a/b/c", "/", "x\ny", "a\\b"])
def test_what_cannot_name_a_context_makes_and_deletes_none(ctx, name):
    with pytest.raises(BadName):
        api.context(name)
    with pytest.raises((BadName, ContextNotFound)):
        api.get(name, "data")
    if "/" not in name:
        with pytest.raises(BadName):
            api.delete_context(name)
    assert api.ls_contexts() == [ctx]


def test_a_context_goes_by_its_remote_name_too_and_by_no_other(home):
    api.context("prod/main")
    api.Bundle("main", "data", 1)
    assert api.ls_contexts() == ["main"]
    assert api.cat("prod/main", "data") == 1
    with pytest.raises(ContextNotFound):
        api.cat("dev/main", "data")
    api.delete_context("dev/main")
    assert api.ls_contexts() == ["main"]


CALLS = {
    "Bundle": api.Bundle,
    "Bundle with data": lambda ctx: api.Bundle(ctx, "data", 1),
    "search": api.search,
    "get": lambda ctx: api.get(ctx, "data"),
    "rm": lambda ctx: api.rm(ctx, "data"),
    "add": lambda ctx: api.add(ctx, "data", __file__),
    "cat": lambda ctx: api.cat(ctx, "data"),
    "commit": lambda ctx: api.commit(ctx, "data"),
    "tag": lambda ctx: api.tag(ctx, "data", {"a": "b"}),
    "untag": lambda ctx: api.untag(ctx, "data", "a"),
    "lineage": lambda ctx: api.lineage(ctx, "0" * 36),
    "status": api.status,
    "switch": api.switch,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_an_unknown_context_is_an_error_that_says_how_to_make_it(home, call):
    with pytest.raises(ContextNotFound) as caught:
        call("nobody")
    assert isinstance(caught.value, DisdatError)
    assert isinstance(caught.value, LookupError)
    assert "dsdt context nobody" in caught.value.hint
    assert not home.exists()


def test_a_context_may_be_given_as_itself(ctx, home):
    here = Home(home).context(ctx)
    api.Bundle(here, "data", 1)
    assert api.cat(here, "data") == api.cat(ctx, "data") == 1
    api.delete_context(ctx)
    with pytest.raises(ContextNotFound):
        api.cat(here, "data")


@pytest.mark.parametrize("given", [None, 7, b"ctx", ["ctx"]])
def test_what_is_neither_a_name_nor_a_context_is_a_type_error(ctx, given):
    with pytest.raises(TypeError):
        api.get(given, "data")


def test_the_home_is_the_one_the_settings_name_at_each_call(tmp_path, ctx, monkeypatch):
    api.Bundle(ctx, "data", 1)
    monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "other"))
    assert api.ls_contexts() == []
    api.context("else")
    monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "home"))
    assert api.ls_contexts() == [ctx]
    assert api.cat(ctx, "data") == 1


def test_a_home_is_opened_once_for_many_calls(ctx):
    assert api.selection.home() is api.selection.home()


def test_a_home_that_was_deleted_and_made_anew_is_not_taken_for_the_one_that_was(ctx, home):
    api.Bundle(ctx, "data", 1)
    subprocess.run(["rm", "-r", str(home)], check=True)
    assert api.ls_contexts() == []
    api.context(ctx)
    assert api.get(ctx, "data") is None
    assert api.Bundle(ctx, "data", 2).data == 2


@pytest.mark.slow
def test_a_context_another_process_deleted_is_gone_and_made_anew_is_another(ctx, elsewhere):
    bundle = api.Bundle(ctx, "data", 1)
    elsewhere("api.delete_context('ctx')")
    with pytest.raises(ContextNotFound):
        api.get(ctx, "data")
    elsewhere("api.context('ctx'); api.Bundle('ctx', 'data', 2)")
    assert api.cat(ctx, "data") == 2
    assert api.get(ctx, None, uuid=bundle.uuid) is None


def test_nothing_is_written_by_asking(home):
    assert api.ls_contexts() == []
    assert api.current_context() is None
    assert not home.exists()


def test_a_directory_of_somebody_elses_is_left_alone(home):
    home.mkdir()
    (home / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput):
        api.context("demo")
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]


def test_init_makes_settings_and_home_and_leaves_them_when_repeated(home):
    api.init()
    settings = Path.home() / ".config" / "disdat" / "disdat.cfg"
    settings.write_text("# mine\n")
    identity = (home / "format").read_bytes()
    api.init()
    assert settings.read_text() == "# mine\n"
    assert (home / "format").read_bytes() == identity


def test_an_aws_profile_holds_for_this_process_and_its_children(home, monkeypatch, elsewhere):
    monkeypatch.setenv("AWS_PROFILE", "before")
    monkeypatch.setenv("DISDAT_PROFILE", "before")
    api.set_aws_profile("work")
    assert config.load().profile == "work"
    assert elsewhere("import os; print(os.environ['AWS_PROFILE'])") == "work\n"


def test_the_status_counts_what_is_there(ctx):
    for number in range(3):
        api.Bundle(ctx, f"data{number % 2}", number)
    api.commit(ctx, "data0")
    found = api.status(ctx)
    assert (found.bundles, found.names, found.committed, found.uncommitted) == (3, 2, 1, 2)
