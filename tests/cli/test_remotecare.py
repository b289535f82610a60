"""Removing and sharing for everybody, and looking after a remote, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from disdat import api
from tests.cli.conftest import Dsdt, everything_below
from tests.servers.s3 import S3Server

UUID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def bound(demo: Dsdt, add: Callable[..., str], tmp_path: Path) -> tuple[Dsdt, str]:
    """A context that is bound to a directory, and the uuid of a bundle that was pushed; another one was not."""
    demo("remote", "team", f"file://{tmp_path}/shared")
    uuid = add("data", text="x" * 70_000)
    for line in ("commit data", "push"):
        demo(*line.split())
    add("draft")
    return demo, uuid


def objects(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "shared" / "objects").rglob("*") if path.is_file())


def test_what_is_removed_is_said_and_an_undo_that_is_pushed_takes_it_back(bound: tuple[Dsdt, str]) -> None:
    dsdt, uuid = bound
    assert dsdt("rmr", "data", "--dry-run").lines[0].startswith(f"Would remove: data {uuid} of ")
    assert dsdt("ls", "data").lines == ["data"]
    assert dsdt("rmr", uuid, "--yes").lines[0].startswith(f"Removed for everybody: data {uuid} of ")
    assert "data" not in dsdt("ls").lines
    dsdt("undo")
    assert dsdt("push").lines[0].startswith(f"Pushed data {uuid}")
    dsdt("rmr", "-y", "data")
    dsdt("undo")
    assert dsdt("push", "data").lines[0].startswith(f"Pushed data {uuid}")
    assert dsdt.json("rmr", "data", "-y") == {"removed": True, "bundles": [{"uuid": uuid, "name": "data"}]}


REFUSED = [
    ("rmr", 2, "missing argument 'REF...'"),
    ("rmr data", 2, "cannot ask whether to remove: this is not a terminal"),
    ("rmr UUID8 --yes", 2, "is not a whole uuid"),
    ("rmr data@UUID8 --yes", 2, "is not a whole uuid"),
    (f"rmr {UUID} --yes", 1, f"no bundle with uuid {UUID}"),
    ("rmr dat --yes", 1, "no bundle 'dat'"),
    ("rmr da* --yes", 1, "no bundle 'da*'"),
    ("rmr data dat --yes", 1, "no bundle 'dat'"),
    ("rmr draft --yes", 1, "was never pushed"),
    ("rmr data -t no:such --yes", 1, "has not these tags"),
    ("share", 2, "missing argument 'REF'"),
    ("share data --expires 8d", 1, "cannot be good for 691,200 s"),
    ("share data --expires soon", 2, "'soon' is not a time"),
    ("share data --expires 0", 1, "cannot be good for 0 s"),
    ("share data", 1, "has no URLs that others can read"),
    ("share data draft", 2, "unexpected extra argument"),
    ("gc --remote --purge", 2, "--remote goes with --apply only"),
    ("gc --remote --why 12345678", 2, "--remote goes with --apply only"),
    ("gc --remote --list", 2, "--remote goes with --apply only"),
    ("gc --remote --forget 01J00000000000000000000000", 2, "--forget goes with --apply"),
    ("gc --apply --forget 01J00000000000000000000000", 2, "--forget goes with --remote"),
    ("gc --remote --apply --forget 01J00000000000000000000000", 1, "no home 01J00000000000000000000000 has files"),
    ("verify --repair", 2, "--repair goes with --remote"),
    ("verify --remote draft", 1, "was never pushed"),
    ("verify --remote none", 1, "no bundle 'none'"),
    ("verify --remote --sample 0", 2, "is not a share"),
]


@pytest.mark.parametrize(("line", "code", "told"), REFUSED)
def test_what_cannot_be_done_is_told_and_nothing_changes(
    bound: tuple[Dsdt, str], tmp_path: Path, line: str, code: int, told: str
) -> None:
    dsdt, uuid = bound
    before = everything_below(tmp_path / "shared")
    assert told in dsdt.fails(*line.replace("UUID8", uuid[:8]).split(), code=code)
    assert everything_below(tmp_path / "shared") == before
    assert dsdt("ls", "data").lines == ["data"]


@pytest.mark.parametrize(
    "line", ["rmr data --yes", "share data", "gc --remote", "gc --remote --apply", "verify --remote"]
)
def test_a_context_without_a_remote_says_how_to_get_one(demo: Dsdt, line: str) -> None:
    ended = demo.run(*line.split())
    assert (ended.code, ended.err.splitlines()[0]) == (1, "dsdt: the context demo has no remote")
    assert ended.err.splitlines()[1].startswith("hint: `dsdt remote demo URL` binds it; a URL is like file:///")


def test_a_remote_is_collected_in_two_calls(bound: tuple[Dsdt, str], tmp_path: Path) -> None:
    dsdt, _ = bound
    url = f"file://{tmp_path}/shared"
    lines = dsdt("gc", "--remote").lines
    assert lines[0].startswith(f"Needed by 1 context at {url}: 1 thing, ")
    assert lines[1:] == ["Needed by nobody: 0 things, 0 B."]
    dsdt("rmr", "data", "-y")
    none = ("--retention", "0", "--grace", "0")
    assert dsdt("gc", "--remote", *none).lines[1] == "Needed by nobody: 1 thing, 70.0 kB."
    assert dsdt("gc", "--remote", "--retention", "0").lines[2].startswith("Too young to tell")
    assert dsdt("gc", "--remote", "--apply", *none).lines == [
        "Deleted: 0 things.",
        "Condemned: 1 thing, to be deleted by who collects after 0d.",
    ]
    assert len(objects(tmp_path)) == 1
    assert dsdt("gc", "--remote").lines[2].endswith(": 1 thing, due in 168 h.")
    assert dsdt("gc", "--remote", "--apply", *none).lines[0] == "Deleted: 1 thing."
    assert objects(tmp_path) == []
    assert dsdt.json("gc", "--remote")["garbage"] == {"count": 0, "size_bytes": 0}


def test_for_whom_files_are_kept_is_said_and_who_is_forgotten(
    bound: tuple[Dsdt, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsdt, _ = bound
    with api.Bundle("demo", "late") as bundle:
        url = bundle.get_remote_file("file")
        Path(url.removeprefix("file://")).parent.mkdir(parents=True)
        Path(url.removeprefix("file://")).write_bytes(b"x" * 10)
        bundle.add_data(url)
    none = ("--retention", "0", "--grace", "0")
    [kept] = dsdt.json("gc", "--remote", *none)["unpublished"]
    assert (kept["bundles"], kept["count"], kept["size_bytes"]) == (1, 1, 10)
    said = f"Kept for the home {kept['home']}, which did not push 1 bundle yet, since "
    assert dsdt("gc", "--remote").lines[2].startswith(said)
    monkeypatch.setenv("DISDAT_HOME", f"{tmp_path}/other")
    dsdt("clone", f"file://{tmp_path}/shared", "demo")
    dsdt("switch", "demo")
    lines = dsdt("gc", "--remote", "--apply", "--forget", kept["home"], *none).lines
    assert lines[1:] == [
        "Given up: the files of 1 bundle that nobody is going to push.",
        "Condemned: 1 thing, to be deleted by who collects after 0d.",
    ]
    assert dsdt.json("gc", "--remote", "--apply", *none)["deleted"] == 1


def test_what_is_wrong_on_a_remote_is_found_and_sent_again(bound: tuple[Dsdt, str], tmp_path: Path) -> None:
    dsdt, uuid = bound
    assert dsdt("verify", "--remote").lines == ["Verified 1 bundle, 1 object, none read: all is right."]
    assert dsdt("verify", "--remote", "--sample", "100%").lines[0].startswith("Verified 1 bundle, 1 object, 1 of them")
    [path] = objects(tmp_path)
    data = path.read_bytes()
    path.unlink()
    ended = dsdt.run("verify", "--remote")
    assert (ended.code, ended.err.splitlines()[0]) == (
        1,
        f"dsdt: 1 object damaged or missing at file://{tmp_path}/shared",
    )
    key = path.relative_to(tmp_path / "shared")
    assert ended.lines == [
        f"object blake3:{path.name} is missing: there is no {key}",
        f"  key:  {key}",
        f"  of:   data {uuid} a.txt",
        "  do:   it is here: `dsdt verify --remote --repair` sends it again",
        "Verified 1 bundle, 1 object, none read: not all is right.",
    ]
    assert dsdt("verify", "--remote", "--repair").lines[-1] == "Sent again: 1 object, 70.0 kB."
    assert path.read_bytes() == data
    assert dsdt.json("verify", "--remote", "--sample", "1")["sound"] is True


@pytest.mark.slow
def test_urls_are_printed_that_anybody_can_read(
    demo: Dsdt, add: Callable[..., str], ministack: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ministack.environment().items():
        monkeypatch.setenv(name, value)
    demo("remote", "team", f"s3://{ministack.fresh_bucket()}/team")
    uuid = add("data", text="mine")
    for line in ("commit data", "push"):
        demo(*line.split())
    lines = demo("share", "data", "--expires", "1h").lines
    assert lines[0].startswith(f"data {uuid} of ")
    assert lines[1] == "a.txt  4 B"
    with urlopen(lines[2].strip(), timeout=10) as answer:
        assert answer.read() == b"mine"
    shown = json.loads(demo("share", "--json", "data").out)
    assert set(shown) == {"uuid", "name", "until", "links"}
    assert [set(each) for each in shown["links"]] == [{"name", "size_bytes", "url"}]


def test_a_context_is_deleted_with_what_it_pushed_for_everybody(bound: tuple[Dsdt, str], tmp_path: Path) -> None:
    dsdt, _ = bound
    url = f"file://{tmp_path}/shared"
    assert "cannot ask whether to delete" in dsdt.fails("context", "-d", "-r", "demo", code=2)
    assert dsdt("context", "-d", "-r", "-y", "demo").lines == [
        "Removed 1 bundle of 1 name: data for everybody, and the context demo."
    ]
    assert "demo" not in dsdt.run("context").out
    dsdt("clone", url, "mine")
    assert dsdt.run("--context", "mine", "ls").out == ""
    assert "--remote is for deleting" in dsdt.fails("context", "-r", "other", code=2)
    dsdt("--context", "mine", "remote", "--unbind")
    assert dsdt.fails("context", "-d", "-r", "-y", "mine") == "the context mine has no remote"
