"""What looking after a home prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt


def flip(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[8] ^= 1
    path.write_bytes(content)


@pytest.fixture
def pack(add: Callable[..., str], home: Path) -> Path:
    """The pack of a context whose one bundle is ``x``."""
    add("x", text="in a pack")
    [path] = (home / "store" / "packs").iterdir()
    return path


def test_what_is_right_is_said_to_be(demo: Dsdt, pack: Path):
    assert demo("verify").lines == ["Verified 1 bundle, 1 object, 0 files, 9 B: all is right."]
    assert demo("verify", "x", "--sample", "50%").lines[0].endswith(": all is right.")
    report = demo.json("verify")
    assert report["sound"] is True
    assert (report["context"], report["bundles"], report["objects"], report["findings"]) == ("demo", 1, 1, [])


def test_damage_is_named_with_its_bundles_and_fails(demo: Dsdt, pack: Path, add: Callable[..., str]):
    uuid = add("other", text="another")
    flip(pack)
    ended = demo.run("verify")
    assert ended.code == 1
    assert ended.err == "dsdt: 1 thing damaged in the context demo\nhint: each says what to do\n"
    wrong, file, of, do, summary = ended.lines
    assert wrong.startswith("object blake3:")
    assert wrong.endswith(" is damaged")
    assert file == f"  file: {pack}"
    assert of.startswith("  of:   x ")
    assert of.endswith(" a.txt")
    assert do == "  do:   add the data again, or restore it from a backup"
    assert summary.endswith(": not all is right.")
    assert demo.run("verify", uuid).code == 0


def test_damage_as_json_says_the_same_and_fails(demo: Dsdt, pack: Path):
    flip(pack)
    ended = demo.run("verify", "--json")
    assert ended.code == 1
    [finding] = json.loads(ended.out)["findings"]
    assert (finding["kind"], finding["path"], finding["harmless"]) == ("object", str(pack), False)
    assert [(use["name"], use["path"]) for use in finding["bundles"]] == [("x", "a.txt")]


@pytest.mark.parametrize("share", ["0", "0%", "101%", "-1", "2", "nan", "x", ""])
def test_a_share_is_more_than_nothing_and_no_more_than_all(demo: Dsdt, share: str):
    assert "is not a share" in demo.fails("verify", "--sample", share, code=2)


def test_an_unknown_bundle_cannot_be_verified(demo: Dsdt):
    assert "no bundle 'nope'" in demo.fails("verify", "nope")


def test_the_catalog_is_made_again(demo: Dsdt, add: Callable[..., str]):
    uuids = [add("x"), add("y")]
    assert demo("reindex").lines == ["Indexed 2 bundles of context demo"]
    assert demo.json("reindex") == {"context": "demo", "bundles": 2}
    assert demo("--quiet", "reindex").out == ""
    assert sorted(each["uuid"] for each in demo.json("ls")) == sorted(uuids)


def test_a_damaged_log_is_named(demo: Dsdt, pack: Path, home: Path):
    [log] = (home / "context" / "demo" / "log").glob("*.log")
    flip(log)
    ended = demo.run("verify")
    assert ended.code == 1
    assert any(str(log) in line for line in ended.lines)
