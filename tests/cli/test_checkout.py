"""`dsdt checkout`: what it says, and what it says of what cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


@pytest.fixture
def photos(demo: Dsdt) -> Dsdt:
    """A context with two versions of ``photos``."""
    source = Path("source")
    (source / "raw").mkdir(parents=True)
    for name, text in (("index.csv", "one"), ("raw/0", "zero"), ("raw/1", "one")):
        (source / name).write_text(text, encoding="ascii")
    demo("add", "photos", "source")
    (source / "index.csv").write_text("two", encoding="ascii")
    (source / "raw" / "0").unlink()
    demo("add", "photos", "source")
    return demo


def test_a_checkout_says_what_it_did(photos: Dsdt) -> None:
    said = photos("checkout", "photos@-1").lines
    assert [line.partition(" into ")[2] for line in said] == ["photos: 3 written, 10 B"]
    assert photos("checkout", "photos", "photos").out.endswith("1 replaced, 1 deleted, 1 kept, 3 B\n")
    assert photos("checkout", "--quiet", "photos@-1", "photos").out == ""
    assert photos("checkout", "photos", "part", "raw").out.endswith(" into part: 1 written, 3 B\n")


def test_json_has_all_of_it(photos: Dsdt) -> None:
    done = photos.json("checkout", "photos", "out")
    assert done == {
        "uuid": done["uuid"],
        "name": "photos",
        "directory": "out",
        "written": ["index.csv", "raw/1"],
        "replaced": [],
        "deleted": [],
        "kept": [],
        "size_bytes": 6,
        "obstacles": [],
        "clashes": [],
    }
    section = REFERENCE.read_text("utf-8").partition("### `dsdt checkout")[2].partition("### ")[0]
    assert [key for key in done if f'"{key}"' not in section] == []


def test_a_dry_run_says_what_would_be_done_and_does_nothing(photos: Dsdt) -> None:
    first = photos("checkout", "--dry-run", "photos", "out").lines
    assert first[:2] == ["Would write index.csv", "Would write raw/1"]
    assert first[2].startswith("Would check out photos ")
    assert not Path("out").exists()
    photos("checkout", "photos@-1", "out")
    Path("out/index.csv").write_text("mine", encoding="ascii")
    ended = photos.run("checkout", "--dry-run", "photos", "out")
    assert ended.code == 1
    assert ended.lines[:2] == ["Would delete raw/0", "In the way: index.csv was changed"]
    assert ended.err.splitlines()[0] == "dsdt: 1 path in the way in out; nothing would be done"
    forced = photos("checkout", "--dry-run", "--force", "photos", "out").lines
    assert forced[:2] == ["Would replace index.csv", "Would delete raw/0"]
    assert Path("out/raw/0").exists()


def test_what_the_user_changed_is_named_and_lost_only_by_force(photos: Dsdt) -> None:
    photos("checkout", "photos@-1", "out")
    for name in ("index.csv", "raw/0"):
        Path("out", name).write_text("mine", encoding="ascii")
    said = photos.fails("checkout", "photos", "out")
    assert said.endswith("out: index.csv was changed, raw/0 was changed; nothing was done")
    assert Path("out/index.csv").read_text(encoding="ascii") == "mine"
    photos("checkout", "-f", "photos", "out")
    assert sorted(os.listdir("out/raw")) == ["1"]


def test_names_that_clash_elsewhere_are_told(demo: Dsdt) -> None:
    Path("source").mkdir()
    for name in ("readme", "README"):
        Path("source", name).write_text(name, encoding="ascii")
    demo("add", "x", "source")
    ended = demo.run("checkout", "x")
    assert ended.code == 0
    assert ended.err == "the same name where case or accents do not count: README, readme\n"
    shutil.rmtree("x")
    assert demo.run("checkout", "--quiet", "x").err == ""


def _a_file(dsdt: Dsdt) -> tuple[str, ...]:
    Path("file").write_text("mine", encoding="ascii")
    return ("photos", "file")


def _below_a_file(dsdt: Dsdt) -> tuple[str, ...]:
    Path("file").write_text("mine", encoding="ascii")
    return ("photos", "file/out")


def _home(dsdt: Dsdt) -> tuple[str, ...]:
    return ("photos", os.path.join(os.environ["DISDAT_HOME"], "store", "objects"))


def _value(dsdt: Dsdt) -> tuple[str, ...]:
    Path("t.csv").write_text("n\n1\n", encoding="ascii")
    dsdt("add", "-i", "table", "t.csv")
    return ("table",)


WRONG: list[tuple[str, Callable[[Dsdt], tuple[str, ...]], str]] = [
    ("no such bundle", lambda _: ("phots",), "no bundle 'phots'"),
    ("no such version", lambda _: ("photos@-7",), "none is 7 back"),
    ("onto a file", _a_file, "is not a directory"),
    ("below a file", _below_a_file, "is not a directory"),
    ("in the home", _home, "where bundles are kept"),
    ("of a table", _value, "has no files: its value is a table"),
    ("no such path", lambda _: ("photos", "out", "rw"), "has no file or directory 'rw'"),
    ("a path that leads out", lambda _: ("photos", "out", "../x"), "has no file or directory '../x'"),
    ("a name that is too long", lambda _: ("photos", "n" * 300), "File name too long"),
    ("a NUL", lambda _: ("photos", "out", "a\0b"), "has no file or directory"),
    ("a NUL in the directory", lambda _: ("photos", "a\0b"), "'a\\x00b' cannot name a directory"),
]


@pytest.mark.parametrize(("words", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_cannot_be_is_one_line_and_changes_nothing(
    photos: Dsdt, words: Callable[[Dsdt], tuple[str, ...]], said: str
) -> None:
    given = words(photos)
    before = sorted(Path().rglob("*"))
    assert said in photos.fails("checkout", *given)
    assert sorted(Path().rglob("*")) == before


def test_words_that_are_no_command_are_refused(photos: Dsdt) -> None:
    for words in ([""], ["photos", ""], []):
        photos.fails("checkout", *words, code=2)
