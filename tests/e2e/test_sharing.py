"""One pushes and another pulls: real commands, in two homes, over a directory and over S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import DSDT, ROOT, prepare

pytestmark = pytest.mark.slow
CSV = ROOT / "examples" / "hello_data.csv"


@dataclass(frozen=True)
class Person:
    """Somebody at a machine of their own, who types commands."""

    home: Path
    settings: Mapping[str, str]

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.settings, "DISDAT_HOME": str(self.home)}

    def __call__(self, *args: str, code: int = 0) -> str:
        """What a command prints; its exit code must be *code*."""
        done = self._run(DSDT, *args)
        assert done.returncode == code, f"dsdt {' '.join(args)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def json(self, *args: str) -> Any:  # what JSON holds
        return json.loads(self(*args, "--json"))

    def python(self, code: str) -> str:
        done = self._run(sys.executable, "-c", f"import disdat.api as api\n{code}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def prepare(self, *args: str) -> None:
        """Run a command that a test is not about, in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            prepare(*args)

    def _run(self, program: str | Path, *args: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self._environment
        return subprocess.run(
            [program, *args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
        )


@dataclass(frozen=True)
class Place:
    """Where a remote is, and the variables that lead there."""

    url: str
    settings: Mapping[str, str]


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "directory":
        return Place(f"file://{tmp_path}/shared", {})
    server = request.getfixturevalue("ministack")
    return Place(f"s3://{server.fresh_bucket()}/team", server.environment())


@pytest.fixture
def person(home: Path, tmp_path: Path, place: Place) -> Callable[..., Person]:
    """Makes somebody who works in a context bound to the remote."""

    def made(name: str) -> Person:
        found = Person(tmp_path / name, place.settings)
        found.prepare("context", f"{name}s_context")
        found.prepare("switch", f"{name}s_context")
        found.prepare("remote", "team", place.url)
        return found

    return made


@pytest.fixture
def ann(person: Callable[..., Person]) -> Person:
    return person("ann")


@pytest.fixture
def bob(person: Callable[..., Person]) -> Person:
    return person("bob")


def share(who: Person, name: str, *paths: Path) -> str:
    """Add a bundle, commit it and push it; its uuid."""
    made = who.json("add", name, *map(str, paths))
    who("commit", name)
    who("push", name)
    return str(made["uuid"])


def test_one_pushes_and_the_other_pulls(ann: Person, bob: Person) -> None:
    uuid = share(ann, "awesome_data", CSV)
    assert f"Pulled awesome_data {uuid}" in bob("pull", "awesome_data")
    shown = Path(bob("cat", "awesome_data").rstrip("\n"))
    assert shown.is_relative_to(bob.home)
    assert shown.read_bytes() == CSV.read_bytes()


def test_a_table_comes_with_the_files_it_names(ann: Person, bob: Person) -> None:
    ann("add", "-i", "awesome_data", str(CSV))
    ann("commit", "awesome_data")
    ann("push")
    bob("pull", "awesome_data")
    theirs, ours = ann("cat", "awesome_data").split(), bob("cat", "awesome_data").split()
    assert [word for word in ours if "file://" not in word] == [word for word in theirs if "file://" not in word]
    links = [Path(word.removeprefix("file://")) for word in ours if "file://" in word]
    assert links
    assert all(path.is_relative_to(bob.home) and path.stat().st_size for path in links)


def test_a_directory_keeps_its_tree(ann: Person, bob: Person, tmp_path: Path) -> None:
    share(ann, "images", ROOT / "examples" / "hello_data")
    bob("pull", "-l", "images")
    bob("checkout", "images", str(tmp_path / "mine"))
    ann("checkout", "images", str(tmp_path / "theirs"))

    def files(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert files(tmp_path / "mine") == files(tmp_path / "theirs") != {}


def test_a_name_pulls_its_newest_version(ann: Person, bob: Person, tmp_path: Path) -> None:
    for text in ("old", "new"):
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        share(ann, "awesome_data", tmp_path / "a.txt")
    bob("pull", "awesome_data")
    assert Path(bob("cat", "awesome_data").strip()).read_text(encoding="utf-8") == "new"
    assert Path(bob("cat", "awesome_data@-1").strip()).read_text(encoding="utf-8") == "old"


def test_what_is_not_committed_stays_here(ann: Person, bob: Person) -> None:
    ann("add", "draft", str(CSV))
    assert "is not committed" in ann("push", "draft", code=1)
    ann("push")
    assert "has no bundle 'draft'" in bob("pull", "draft", code=1)


def test_a_clone_has_what_was_pushed(ann: Person, tmp_path: Path, place: Place) -> None:
    uuid = share(ann, "awesome_data", CSV)
    eve = Person(tmp_path / "eve", place.settings)
    eve("clone", place.url)
    assert [each["name"] for each in eve.json("context")] == ["team"]
    assert [each["uuid"] for each in eve.json("--context", "team", "ls", "-v")] == [uuid]
    shown = Path(eve("--context", "team", "cat", "awesome_data").strip())
    assert shown.read_bytes() == CSV.read_bytes()


def test_tags_go_both_ways(ann: Person, bob: Person) -> None:
    share(ann, "awesome_data", CSV)
    bob("pull", "awesome_data")
    bob("tag", "awesome_data", "quality:checked")
    bob("push", "awesome_data")
    ann("pull")
    assert ann.json("show", "awesome_data")["tags"] == {"quality": "checked"}


def test_python_shares_as_the_command_line_does(ann: Person, bob: Person) -> None:
    ann.python("api.Bundle('anns_context', 'scores', {'mean': 0.5}).commit().push()")
    assert bob.python("api.pull('bobs_context', 'scores'); print(api.cat('bobs_context', 'scores'))") == (
        "{'mean': 0.5}\n"
    )


def test_pushing_again_sends_nothing(ann: Person) -> None:
    share(ann, "awesome_data", CSV)
    assert ann("push") == "Nothing to push: the remote has it all.\n"
    again = ann.json("push", "awesome_data")
    assert (again["sent"], len(again["skipped"]), again["bytes_sent"]) == ([], 1, 0)
