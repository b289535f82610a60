"""What stops collection is said with a command that helps: followed, collection goes on."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.core.digest import Digest
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from disdat.store.packs import PackReader
from tests.cli.conftest import Dsdt, Ended


def commands(ended: Ended) -> list[list[str]]:
    """The commands a hint names, without the program."""
    hint = ended.err.splitlines()[-1]
    assert hint.startswith("hint: "), ended
    return [shlex.split(quoted)[1:] for quoted in hint.split("`")[1::2]]


def lost_manifest(home: Path) -> str:
    """A bundle whose manifest is an object that is lost, by its uuid."""
    context = Home(home).context("demo")
    made = bundles.write(context, 1, Birth("large", params={"long": "p" * 40_000}))
    context.catalog.close()
    for path in [*(home / "store" / "packs").iterdir(), *context.directory.glob("catalog*")]:
        path.unlink()
    return made.uuid


@pytest.mark.parametrize("context", ["demo", "my demo"])
def test_a_bundle_that_cannot_be_read_is_removed_by_its_uuid(dsdt: Dsdt, home: Path, context: str) -> None:
    dsdt("context", "demo")
    uuid = lost_manifest(home)
    (home / "context" / "demo").rename(home / "context" / context)
    ended = dsdt.run("gc")
    assert ended.code == 1
    verify, removal = commands(ended)
    assert dsdt.run(*verify).code == 1
    assert removal[-1] == uuid
    dsdt(*removal)
    dsdt("gc", "--apply")
    assert dsdt.run(*removal).code == 1, "it is not there any more"


def test_part_of_a_uuid_removes_nothing_that_cannot_be_read(demo: Dsdt, home: Path) -> None:
    uuid = lost_manifest(home)
    assert "no bundle" in demo.fails("rm", "--uuid", uuid[:8])
    assert "no bundle" in demo.fails("rm", "--uuid", uuid, "--dry-run")
    assert demo.run("gc").code == 1


def test_a_removed_bundle_with_a_damaged_tree_is_left_out_by_the_retention_that_is_named(
    demo: Dsdt, home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for number in range(300):
        path = source / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number:010}")
    demo("add", "tree", str(source))
    damage_nodes(home)
    present = demo.run("gc")
    assert present.code == 1
    [verify] = commands(present)
    assert demo.run(*verify).code == 1
    demo("rm", "tree")
    removed = demo.run("gc")
    assert removed.code == 1
    [collect] = commands(removed)
    assert collect[:2] == ["gc", "--retention"]
    demo(*collect, "--apply")


def test_a_deleted_context_that_cannot_be_read_is_purged_as_the_hint_says(demo: Dsdt, home: Path) -> None:
    lost_manifest(home)
    demo("context", "-d", "-y", "demo")
    ended = demo.run("gc")
    assert ended.code == 1
    [purge] = commands(ended)
    demo(*purge)
    demo("gc")


def test_an_empty_directory_that_stops_collection_is_found_and_mended(demo: Dsdt, home: Path) -> None:
    (home / "context" / "half").mkdir()
    assert "half is no context" in demo.fails("gc")
    found = [each for each in demo.json("doctor")["findings"] if "half is empty" in each["found"]]
    assert [each["remedy"].split(": ")[1] for each in found] == [f"rmdir {home / 'context' / 'half'}"]
    demo("context", "half")
    demo("gc")


def damage_nodes(home: Path) -> None:
    """Change a byte of every node of a tree, and nothing else."""
    for pack in (home / "store" / "packs").iterdir():
        data = bytearray(pack.read_bytes())
        with PackReader(pack) as reader:
            for entry in reader.contents:
                if data[entry.offset : entry.offset + 2] == b'{"':
                    data[entry.offset + 2] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)


def shared_digits(dsdt: Dsdt, add: Callable[..., str]) -> Digest:
    add("one", text="x" * 70_000)
    [one] = dsdt.json("gc", "--list")["objects"]
    return Digest(one["digest"])


def test_the_beginning_of_a_digest_names_it_wherever_it_is(demo: Dsdt, add: Callable[..., str]) -> None:
    digest = shared_digits(demo, add)
    for text in (digest.hex[:8], digest.hex[:9], f"blake3:{digest.hex[:20]}", digest.hex):
        assert demo.json("gc", "--why", text)["digest"] == digest
    demo("rm", "one")
    demo("gc", "--apply", "--retention", "0")
    assert demo.json("gc", "--why", digest.hex[:8], "--retention", "0")["trash"] == "waits"
    assert "not a digest" in demo.fails("gc", "--why", digest.hex[:7])
    assert "not a digest" in demo.fails("gc", "--why", digest.hex + "0")
    other = "0" if digest.hex[8] != "0" else "1"
    assert "nobody needs it" in demo.fails("gc", "--why", digest.hex[:8] + other)


@pytest.mark.parametrize("where", ["store", "trash"])
def test_what_several_digests_begin_with_lists_them(
    demo: Dsdt, home: Path, add: Callable[..., str], where: str
) -> None:
    digest = shared_digits(demo, add)
    place = home / "store" / ("trash/objects" if where == "trash" else "objects") / "blake3" / digest.hex[:2]
    place.mkdir(parents=True, exist_ok=True)
    other = digest.hex[:10] + "".join("f" if each != "f" else "0" for each in digest.hex[10:])
    (place / other).write_bytes(b"")
    wrong = demo.fails("gc", "--why", digest.hex[:8], code=2)
    assert wrong.startswith(f"'{digest.hex[:8]}' is ambiguous: ")
    assert all(f"blake3:{each}" in wrong for each in (digest.hex, other))
    assert demo.json("gc", "--why", digest.hex[:11])["digest"] == digest
