"""Homes of a later version, of the original Disdat, of somebody else, and copied ones are each treated as designed."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from disdat.cli.main import main
from disdat.context import Home
from tests.faults.scenarios import prepare

pytestmark = pytest.mark.slow

READS = [["ls"], ["cat", "old"], ["show", "old"], ["status"], ["verify"], ["lineage", "old"]]
CHANGES = [
    ["add", "n", __file__],
    ["tag", "old", "a:b"],
    ["commit", "old"],
    ["rm", "--force", "old"],
    ["reindex"],
    ["context", "new"],
    ["switch", "demo"],
    ["context", "-d", "demo", "--yes"],
]


@dataclass(frozen=True)
class Odd:
    """A home, and what is said where it is read and where it is changed; empty where that works."""

    name: str
    make: Callable[[Path], None]
    reading: str
    changing: str


def _marked(**changes: object) -> Callable[[Path], None]:
    def make(home: Path) -> None:
        marker = json.loads((home / "format").read_bytes())
        (home / "format").write_text(json.dumps(marker | changes), encoding="utf-8")

    return make


def _replaced(*paths: str) -> Callable[[Path], None]:
    def make(home: Path) -> None:
        shutil.rmtree(home)
        for path in paths:
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(b"{}")

    return make


def _copied(home: Path) -> None:
    home.rename(home.with_name("original"))
    shutil.copytree(home.with_name("original"), home, symlinks=True)


ODD = [
    Odd("a later format", _marked(format=2), "has format 2", "has format 2"),
    Odd("a feature readers must have", _marked(readers=["magic"]), "magic", "magic"),
    Odd("a feature writers must have", _marked(writers=["magic"]), "", "magic"),
    Odd("the original Disdat's", _replaced("context/demo/ctxt.json"), "Disdat 0.8", "Disdat 0.8"),
    Odd("the original's objects", _replaced("context/demo/objects/u/u_hframe.pb"), "Disdat 0.8", "Disdat 0.8"),
    Odd("somebody's directory", _replaced("thesis.tex"), "is not a disdat home", "is not a disdat home"),
    Odd("a copied one", _copied, "", ""),
]
every_home = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)


def dsdt(*words: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["--context", "demo", *words])
    return code, err.getvalue()


def everything_below(root: Path) -> dict[str, bytes | None]:
    """What is there but for caches."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if not path.name.startswith(("state.db", "catalog", "lock"))
    }


@every_home
def test_an_odd_home_is_read_or_refused_and_left_as_it_is(odd: Odd, home: Path) -> None:
    prepare(home.parent)
    odd.make(home)
    before = everything_below(home)
    for words in READS:
        code, error = dsdt(*words)
        assert (code != 0) == bool(odd.reading), (words, error)
        assert odd.reading in error
    assert {path: data for path, data in everything_below(home).items() if "/objects/" not in path} == {
        path: data for path, data in before.items() if "/objects/" not in path
    }


@every_home
def test_an_odd_home_is_changed_or_refuses_and_stays_as_it_is(odd: Odd, home: Path) -> None:
    prepare(home.parent)
    odd.make(home)
    before = everything_below(home)
    for words in CHANGES:
        code, error = dsdt(*words)
        assert (code != 0) == bool(odd.changing), (words, error)
        assert odd.changing in error
        assert not odd.changing or len(error.splitlines()) <= 2
        if odd.changing:
            assert everything_below(home) == before, words


def test_a_copied_home_and_its_original_go_on_apart(home: Path) -> None:
    prepare(home.parent)
    _copied(home)
    original = home.with_name("original")
    assert dsdt("add", "copys", __file__)[0] == 0
    assert Home(home).id != Home(original).id
    assert Home(home).context("demo").catalog.names() == ["copys", "old"]
    assert Home(original).context("demo").catalog.names() == ["old"]
    for each in (home, original):
        Home(each).context("demo").catalog.check_log()
    assert dsdt("verify")[0] == 0
