"""What collecting and measuring print, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt


@pytest.fixture
def removed(demo: Dsdt, add: Callable[..., str]) -> str:
    """The uuid of a bundle that was removed; another one stays."""
    add("kept", text="k" * 70_000)
    uuid = add("gone", text="g" * 70_000)
    demo("rm", "gone")
    return uuid


def test_a_plan_says_what_would_go_and_why(demo: Dsdt, removed: str) -> None:
    assert demo("gc").lines == [
        "Needed by 1 context, 1 bundle removed within 30d included: 2 objects, 140.0 kB.",
        "Needed by nobody: 0 objects, 0 B.",
        "To do: nothing.",
    ]
    lines = demo("gc", "--retention", "0").lines
    assert lines[:2] == ["Needed by 1 context: 1 object, 70.0 kB.", "Needed by nobody: 1 object, 70.0 kB."]
    assert lines[2].startswith(f"  1 object, 70.0 kB: last needed by gone {removed} of demo, removed ")
    assert lines[3] == "To do: 1 object, 70.0 kB."


def test_every_object_is_listed_with_its_reason(demo: Dsdt, removed: str) -> None:
    lines = demo("gc", "-v", "--retention", "0").lines
    assert [("kept: needed by kept " in line, "trashed: last needed by gone" in line) for line in lines[:2]] == [
        (True, False),
        (False, True),
    ]
    listed = demo.json("gc", "--list", "--retention", "0")["objects"]
    assert [(one["needed"], one["planned"], one["by"]["name"]) for one in listed] == [
        (True, "kept", "kept"),
        (False, "trashed", "gone"),
    ]


def test_what_is_applied_and_purged_is_said(demo: Dsdt, removed: str, home: Path) -> None:
    assert demo("gc", "--apply", "--retention", "0").lines == ["Moved to the trash: 1 object, 70.0 kB."]
    assert demo("gc", "--retention", "0").lines[-1] == "Trash: 1 thing, 70.0 kB; 0 things, 0 B lay there for 7d."
    assert demo.json("gc", "--retention", "0")["trash"] == {
        "taken_back": {"count": 0, "size_bytes": 0},
        "waits": {"count": 1, "size_bytes": 70_000},
        "purged": {"count": 0, "size_bytes": 0},
    }
    done = demo.json("gc", "--purge", "--retention", "0", "--grace", "0s")
    assert (done["purged"], done["moved"], done["taken_back"]) == ({"count": 1, "size_bytes": 70_000}, False, 0)
    assert demo("gc", "--apply", "--purge").lines == ["To do: nothing.", "Deleted for good: 0 things, 0 B."]
    assert [path for path in (home / "store" / "trash").rglob("*") if path.is_file()] == []


def test_the_settings_hold_unless_an_option_says_otherwise(
    demo: Dsdt, removed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISDAT_GC_RETENTION", "0")
    assert demo.json("gc")["garbage"]["count"] == 1
    assert demo.json("gc", "--retention", "1h")["garbage"]["count"] == 0


def test_why_shows_the_way_and_the_plan(demo: Dsdt, removed: str) -> None:
    kept, gone = (one["digest"] for one in demo.json("gc", "--list", "--retention", "0")["objects"])
    found = demo.json("gc", "--why", kept)
    assert (found["needed"], found["by"]["name"], found["planned"]) == (True, "kept", "kept")
    lines = demo("gc", "--why", gone.removeprefix("blake3:"), "--retention", "0").lines
    assert lines[-1] == "  `dsdt gc --apply` moves it to the trash"
    demo("gc", "--apply", "--retention", "0")
    assert "it is in the trash" in demo("gc", "--why", gone, "--retention", "0").lines[-1]


def test_what_takes_space_is_listed_most_freed_first(demo: Dsdt, removed: str, add: Callable[..., str]) -> None:
    add("kept", text="k" * 70_000)
    assert demo("du").lines == [
        "NAME  VERSIONS  SIZE      UNIQUE   FREES",
        "kept  2         140.0 kB  70.0 kB  70.0 kB",
        (
            "Store: 2 objects, 140.0 kB that bundles need, those of 1 removed within 30d included;"
            " 0 objects, 0 B that nobody needs."
        ),
        "Trash: 0 things, 0 B; 0 things, 0 B may be purged.",
    ]
    entries = demo.json("du", "kept", "--versions")["entries"]
    assert [(entry["versions"], entry["frees_bytes"]) for entry in entries] == [(1, 0), (1, 0)], "they share the bytes"


def test_what_is_unique_and_not_freed_is_explained(demo: Dsdt) -> None:
    source = Path("source")
    source.mkdir()
    for number in range(9):
        (source / str(number)).write_text(str(number) * 100)
    demo("add", "many", str(source))
    assert not any("unique and not freed" in line for line in demo("du").lines)
    (source / "0").unlink()
    demo("add", "fewer", str(source))
    assert demo("du", "many").lines[:3] == [
        "NAME  VERSIONS  SIZE   UNIQUE  FREES",
        "many  1         900 B  100 B   0 B",
        "What is unique and not freed lies in packs of which most is needed, until less than half is.",
    ]
    report = demo.json("du", "many")
    assert (report["unique_bytes"], report["frees_bytes"]) == (100, 0)


@pytest.mark.parametrize(
    ("words", "code", "wrong"),
    [
        (["gc", "--why", "blake3:12"], 1, "not a digest: 'blake3:12'"),
        (["gc", "--why", "0" * 64], 1, "nobody needs it"),
        (["gc", "--why", ""], 2, "--why is empty"),
        (["gc", "--why", "0" * 64, "--apply"], 2, "--why changes nothing"),
        (["gc", "--list", "--purge"], 2, "--list is for a plan"),
        (["gc", "--grace", "soon"], 2, "'soon' is not a time"),
        (["gc", "--retention", "-1"], 2, "'-1' is not a time"),
        (["du", "nothing"], 1, "no bundle named 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_refused(demo: Dsdt, words: list[str], code: int, wrong: str) -> None:
    assert wrong in demo.fails(*words, code=code)
