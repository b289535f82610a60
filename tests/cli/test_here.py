"""The command line says what is here, fetches what is not, and drops what the remote has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt


@pytest.fixture
def shared(dsdt: Dsdt, tmp_path: Path) -> Dsdt:
    """Two bundles in a context with a remote, one of them pushed."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "large").write_bytes(b"large" * 20_000)
    (tmp_path / "d" / "small").write_text("small")
    (tmp_path / "other").write_text("other")
    for line in (
        ["context", "demo"],
        ["switch", "demo"],
        ["remote", "team", f"file://{tmp_path}/remote"],
        ["add", "mine", str(tmp_path / "other")],
        ["add", "data", str(tmp_path / "d")],
        ["commit", "data"],
        ["push", "data"],
    ):
        assert dsdt.run(*line).code == 0
    return dsdt


def presence(dsdt: Dsdt) -> dict[str, str]:
    return {each["name"]: each["presence"] for each in json.loads(dsdt.run("ls", "-v", "--json").out)}


def test_bytes_go_and_come(shared: Dsdt, tmp_path: Path) -> None:
    shared.run("add", "twin", str(tmp_path / "d" / "small"))
    gone = shared.run("delocalize", "data")
    assert gone.lines[0].startswith("Dropped 1 object, 100.0 kB of data ")
    assert gone.lines[1].startswith("Kept 1 object that other bundles need here: twin ")
    assert presence(shared) == {"data": "partial", "mine": "local", "twin": "local"}
    assert shared.run("localize", "data").lines[0].startswith("Fetched 100.0 kB of data ")
    assert presence(shared)["data"] == "local"
    assert shared.run("localize", "data").lines[0].startswith("All bytes are here of data ")


def test_files_go_and_come_by_their_paths(shared: Dsdt) -> None:
    assert json.loads(shared.run("delocalize", "data", "large", "--json").out)["objects"] == 1
    assert presence(shared)["data"] == "partial"
    assert json.loads(shared.run("localize", "data", "large", "--json").out)["bytes_received"] == 100_000
    assert presence(shared)["data"] == "local"


def test_a_dry_run_says_what_would_go(shared: Dsdt) -> None:
    assert shared.run("delocalize", "data", "--dry-run").lines[0].startswith("Would drop 2 objects, 100.0 kB of data ")
    assert presence(shared)["data"] == "local"


def test_a_push_drops_what_it_sent(shared: Dsdt) -> None:
    assert shared.run("push", "-d", "data").lines[-1].startswith("Dropped ")
    assert json.loads(shared.run("push", "-d", "data", "--json").out)["delocalized"]["objects"] == 0


def test_listings_say_what_is_here(shared: Dsdt) -> None:
    shared.run("delocalize", "data", "large")
    header, data, mine = (line.split("\t") for line in shared.run("ls", "-v").lines)
    assert [header[6], data[6].strip(), mine[6].strip()] == ["PRESENCE", "partial", "local"]
    assert header[7] == "TAGS"
    assert shared.run("ls").lines == ["data", "mine"]
    assert "presence:" in shared.run("show", "data").out
    assert "presence:" not in shared.run("show", "mine").out
    assert "1 in part" in shared.run("status").out


def test_what_is_on_the_remote_can_be_listed(shared: Dsdt) -> None:
    assert shared.run("ls", "--remote").lines == ["data"]
    assert shared.run("ls", "--remote", "-l").lines == ["data"]
    shared.run("context", "alone")
    ended = shared.run("--context", "alone", "ls", "--remote")
    assert (ended.code, "no remote" in ended.err) == (1, True)


def test_without_a_remote_nothing_more_is_listed(dsdt: Dsdt, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    for line in (["context", "demo"], ["switch", "demo"], ["add", "f", str(tmp_path / "f")]):
        assert dsdt.run(*line).code == 0
    assert "PRESENCE" not in dsdt.run("ls", "-v").out
    assert presence(dsdt) == {"f": "local"}


def test_what_is_read_comes_by_itself(shared: Dsdt, tmp_path: Path) -> None:
    shared.run("delocalize", "data")
    assert presence(shared)["data"] == "remote"
    assert "presence:         remote" in shared.run("show", "data").out
    assert "2 objects more on the remote only" in shared.run("verify").out
    assert [Path(line).read_bytes()[:5] for line in shared.run("cat", "data").lines] == [b"large", b"small"]
    assert presence(shared)["data"] == "local"


def test_a_remote_that_does_not_answer_is_one_line(shared: Dsdt, tmp_path: Path) -> None:
    shared.run("delocalize", "data")
    shutil.move(tmp_path / "remote", tmp_path / "away")
    for line in (["cat", "data"], ["localize", "data"], ["checkout", "data", str(tmp_path / "out")]):
        ended = shared.run(*line)
        assert ended.code == 1
        assert str(tmp_path / "remote") in ended.err.splitlines()[0]
        assert len(ended.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["delocalize", "mine"], "was not pushed"),
        (["delocalize", "nothing"], "no bundle"),
        (["delocalize", "data", "absent"], "no file or directory"),
        (["localize", "data", "../up"], "no file or directory"),
        (["localize", "nothing"], "no bundle"),
        (["delocalize", "--all", "data", "small", "--jobs", "0"], "less than 1"),
    ],
)
def test_bad_input_is_told_in_a_line(shared: Dsdt, line: list[str], said: str) -> None:
    ended = shared.run(*line)
    assert ended.code != 0
    assert said in ended.err.splitlines()[0]
    assert presence(shared) == {"data": "local", "mine": "local"}
