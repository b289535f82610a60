"""What happened is shown and taken back from the command line; what cannot be is refused in one line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from disdat.cli import opening
from tests.cli.conftest import Dsdt, everything_below


def now() -> str:
    """This moment, as ISO 8601, with nothing done in the same one."""
    time.sleep(0.002)
    found = datetime.now(UTC).isoformat(timespec="microseconds")
    time.sleep(0.002)
    return found


def store() -> Path:
    return Path.home().parent / "home" / "store"


def test_the_log_says_who_did_what_and_when(demo: Dsdt, add):
    uuid = add("prices")
    demo("tag", "prices", "stage:raw")
    demo("untag", "prices", "stage")
    demo("commit", "prices")
    demo("rm", "--force", "prices")
    said = [
        re.fullmatch(r"[0-9A-Z]{12,}  \d\d-\d\d-\d\d \d\d:\d\d:\d\d  \S+@\S+  (.*)", line) for line in demo("log").lines
    ]
    assert [each and each[1] for each in said] == [
        f"removed prices {uuid[:8]}",
        f"committed prices {uuid[:8]}",
        f"tagged prices {uuid[:8]} -[stage]",
        f"tagged prices {uuid[:8]} [stage]:[raw]",
        f"added prices {uuid[:8]}",
    ]


def test_the_log_says_what_a_bundle_was_renamed_to_whatever_it_is_named_now(demo: Dsdt, add):
    first, second = (add("prices")[:8] for _ in range(2))
    demo("rename", "--all", "prices", "costs")
    demo("rename", "costs", "now")
    said = [line.split("  ")[-1] for line in demo("log", "-n", "2").lines]
    assert said[0] == f"renamed {second} to now"
    assert said[1] in {f"renamed {second}, {first} to costs", f"renamed {first}, {second} to costs"}


def test_the_log_of_a_name_is_that_of_its_bundles_be_they_removed(demo: Dsdt, add):
    add("prices")
    add("other")
    demo("rm", "prices")
    assert [each["bundles"] for each in demo.json("log", "prices")] == [{"remove": 1}, {"add": 1}]
    assert [each["bundles"] for each in demo.json("log", "--kind", "add")] == [{"add": 1}, {"add": 1}]
    assert len(demo("log", "-n", "2").lines) == 2
    assert demo("log", "--by", "nobody-known").out == ""


def test_a_terminal_shows_twenty_changes_and_says_that_there_are_more(demo: Dsdt, add, monkeypatch: pytest.MonkeyPatch):
    add("prices")
    for number in range(25):
        demo("tag", "prices", f"n:{number}")
    monkeypatch.setattr(opening, "width", lambda: 100)
    ended = demo.run("log")
    assert (ended.code, len(ended.lines)) == (0, 20)
    assert ended.err.startswith("There is more")
    assert demo.run("log", "-n", "22").err == ""
    assert len(demo("log", "-n", "22").lines) == 22
    assert len(demo.json("log")) == 26


def test_undoing_says_what_came_of_it_and_how_to_take_it_back(demo: Dsdt, add):
    uuid = add("prices")
    demo("rm", "prices")
    planned = demo("undo", "--dry-run").lines
    assert planned[0].startswith("Would undo ")
    assert demo("ls").out == ""
    undid, again, back = demo("undo").lines
    assert undid.replace("Undid", "Would undo") == planned[0]
    assert again == f"There again: prices {uuid[:8]}"
    assert demo("ls").out == "prices\n"
    found = re.fullmatch("`dsdt undo ([0-9A-Z]+)` takes that back", back)
    assert found is not None
    assert f"Not there any more: prices {uuid[:8]}" in demo("undo", found[1]).lines
    assert demo("ls").out == ""
    first, second, third, _ = demo("log").lines
    assert f"(undone by {first[:12]})" in second
    assert third.endswith(f"removed prices {uuid[:8]}")


def test_an_undo_as_json_names_what_it_undid(demo: Dsdt, add):
    uuid = add("prices")
    found = demo.json("undo")
    assert found["gone"] == [{"uuid": uuid, "name": "prices"}]
    assert found["back"] == []
    assert found["change"]["mentions"][0]["uuid"] == uuid
    newest = demo.json("log", "-n", "1")[0]
    assert (newest["id"], newest["undoes"]) == (found["id"], [found["change"]["id"]])


@pytest.mark.parametrize("quiet", [False, True])
def test_a_quiet_undo_says_nothing(demo: Dsdt, add, quiet: bool):
    add("prices")
    assert bool(demo("undo", *["--quiet"] * quiet).out) is not quiet


def test_the_past_is_listed_shown_and_printed(demo: Dsdt, add):
    first = add("prices", "-t", "stage:raw", text="old")
    then = now()
    demo("tag", "prices", "stage:clean")
    add("prices", text="new")
    add("later")
    demo("rm", "--all", "prices")
    assert demo("ls").out == "later\n"
    assert demo("ls", "--as-of", then).out == "prices\n"
    assert demo.json("ls", "--as-of", then)[0]["tags"] == {"stage": "raw"}
    shown = demo.json("show", "prices", "--as-of", then)
    assert shown["uuid"] == first
    path = demo("cat", "prices", "--as-of", then).out.strip()
    assert Path(path).read_text() == "old"
    assert first[:8] in demo("lineage", first[:8], "--as-of", then).out
    assert [each["bundles"] for each in demo.json("log", "--as-of", then)] == [{"add": 1}]
    assert demo("ls", "--as-of", "2100-01-01").out == demo("ls").out
    demo.fails("show", "later", "--as-of", then)
    demo.fails("cat", "prices@-1", "--as-of", then)


def test_what_was_purged_is_neither_printed_nor_brought_back(demo: Dsdt, add):
    add("prices", text="x" * 100_000)
    then = now()
    demo("rm", "prices")
    for path in (store() / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in (store().parent / "context").rglob("a.txt"):
        path.unlink()
    assert "are gone: it was removed, and they were purged" in demo.fails("cat", "prices", "--as-of", then)
    assert demo("show", "prices", "--as-of", then).out
    said = demo.fails("undo")
    assert re.fullmatch(r"the change \w+ cannot be undone: bytes of prices [0-9a-f]{8} were purged", said)


BAD = {
    "an undo of nothing": (["undo"], 1, "nothing to undo in the context demo"),
    "a change that is not there": (["undo", "0ZZZ"], 1, "no change '0ZZZ' in the context demo"),
    "an empty change": (["undo", ""], 2, "CHANGE is empty"),
    "a moment before the context": (["ls", "--as-of", "1999-01-01"], 2, "the context demo began "),
    "a log before the context": (["log", "--as-of", "1999-01-01"], 2, "the context demo began "),
    "a bundle before the context": (["cat", "x", "--as-of", "1999-01-01"], 2, "the context demo began "),
    "no date": (["show", "x", "--as-of", "yesterday"], 2, "cannot read the date 'yesterday'"),
    "an empty date": (["lineage", "x", "--as-of", ""], 2, "cannot read the date ''"),
    "a log of no bundle": (["log", "nothing"], 1, "no bundle 'nothing' in the context demo"),
    "a log of no uuid": (["log", "-u", "xyz"], 2, "'xyz' is not a uuid"),
    "a kind there is none of": (["log", "--kind", "deed"], 2, "invalid value for '-k' / '--kind'"),
    "no changes": (["log", "-n", "0"], 2, "invalid value for '-n' / '--number'"),
    "a number that is none": (["log", "-n", "many"], 2, "invalid value for '-n' / '--number'"),
    "a change too many": (["undo", "a", "b"], 2, "got unexpected extra argument"),
    "bytes for a change": (["undo", "\udcff"], 2, "CHANGE is not valid Unicode"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_refused_in_one_line_and_changes_nothing(demo: Dsdt, case: str):
    words, code, said = BAD[case]
    before = everything_below(store().parent)
    assert said in demo.fails(*words, code=code)
    assert everything_below(store().parent) == before


def test_an_ambiguous_change_a_void_one_and_a_committed_bundle_are_refused(demo: Dsdt, add):
    add("prices")
    [added] = demo.json("log")
    demo("commit", "prices")
    assert "is ambiguous: " in demo.fails("undo", added["id"][:4], code=2)
    assert "1 committed would be removed: prices" in demo.fails("undo", added["id"])
    demo("undo", "--force", added["id"].lower())
    assert "was undone already" in demo.fails("undo", added["id"])
