"""What renaming, copying, moving and forking print, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt, everything_below

Add = Callable[..., str]


def test_a_bundle_is_renamed(demo: Dsdt, add: Add):
    uuid = add("a b")
    assert demo("rename", "--dry-run", "a b", "c").lines[0].startswith(f"Would rename a b {uuid} of ")
    assert demo("ls").lines == ["a b"]
    assert demo("rename", "a b", "c").lines[0].endswith(" to c")
    assert demo("ls").lines == ["c"]
    assert demo("rename", "c", "c").lines == ["Already named c."]
    [found] = demo.json("rename", uuid[:8], "d")
    assert (found["uuid"], found["name"]) == (uuid, "d")


def test_every_version_of_a_name_is_taken_with_all(demo: Dsdt, add: Add):
    for text in "123":
        add("a", text=text)
    assert len(demo("rename", "--all", "a", "b").lines) == 3
    assert len(demo("copy", "--all", "b", "--to", "new", "--create").lines) == 3
    assert len(demo("move", "--all", "b", "--to", "new").lines) == 3
    assert demo("ls").lines == []


def test_copies_and_moves_say_what_was_done_and_what_was_there(demo: Dsdt, add: Add):
    uuids = [add(name) for name in ("a", "b")]
    demo("context", "other")
    assert demo("copy", "a", "--to", "other").lines[0].startswith(f"Copied a {uuids[0]} of ")
    shown = demo("copy", "a", "b", "--to", "other", "--dry-run").lines
    assert [line.split()[0] for line in shown] == ["Already", "Would"]
    report = demo.json("copy", "a", "b", "--to", "other")
    assert [[each["name"] for each in report[part]] for part in ("new", "there")] == [["b"], ["a"]]
    assert (report["from"], report["to"]) == ("demo", "other")
    assert demo("move", "a", "--to", "other").lines[0].endswith(" to other, where it was already")
    assert demo("ls").lines == ["b"]
    assert demo("--quiet", "move", "b", "--to", "other").out == ""
    assert demo("ls").lines == []


def test_a_context_is_forked(demo: Dsdt, add: Add):
    add("a")
    assert demo("fork", "new").lines == ["Forked context demo as new: 1 bundle"]
    assert demo.json("fork", "new", "newer") == {"context": "newer", "forked": "new", "bundles": 1}
    assert demo("--context", "newer", "ls").lines == ["a"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rename nothing b", "no bundle 'nothing' in the context demo"),
        ("rename a b@-1", "the new name may not end as that of an earlier version does: 'b@-1'"),
        ("rename --all nothing b", "no bundle named 'nothing' in the context demo"),
        ("rename a@-7 b", "a has 1 versions, none is 7 back"),
        ("copy a --to nowhere", "no context named 'nowhere'"),
        ("copy a --to nowhere --dry-run", "no context named 'nowhere'"),
        ("copy a --to demo", "they are in the context demo already"),
        ("copy a --to demo --dry-run", "they are in the context demo already"),
        ("copy nothing --to other --create", "no bundle 'nothing' in the context demo"),
        ("copy a nothing --to third", "no bundle 'nothing' in the context demo"),
        ("move a --to demo", "they are in the context demo already"),
        ("move a --to ..", "'..' cannot name a context"),
        ("fork demo demo", "the context 'demo' already exists"),
        ("fork nowhere new", "no context named 'nowhere'"),
        ("fork ..", "'..' cannot name a context"),
        ("fork a/b", "'a/b' cannot name a context"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(demo: Dsdt, add: Add, home: Path, line: str, said: str):
    add("a")
    before = everything_below(home)
    code = 2 if "cannot name" in said or "may not end" in said else 1
    assert demo.fails(*line.split(), code=code).startswith(said)
    assert everything_below(home) == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rename a", "missing argument 'NEW'"),
        ("rename a |", "NEW is empty"),
        ("copy a", "missing option '--to'"),
        ("copy --to other", "missing argument 'REF...'"),
        ("fork", "missing argument 'NEW'"),
        ("fork a b c", "unexpected extra argument"),
    ],
)
def test_words_that_make_no_command_are_refused(demo: Dsdt, line: str, said: str):
    assert said in demo.fails(*(word.replace("|", "") for word in line.split()), code=2)
