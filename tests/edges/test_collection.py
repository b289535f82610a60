"""What one thing cannot be collected for stops nothing else, and is said."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from disdat.context import Context, Home
from disdat.durable import Disk
from disdat.errors import StorageError
from disdat.ops import bundles, contexts, gc, undo
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from disdat.store.collect import Left
from tests.cli.conftest import Dsdt

NOW = Policy(0, 0)
APPLY, PURGE, BOTH = frozenset({Step.APPLY}), frozenset({Step.PURGE}), frozenset(Step)
UUID = "00000000-0000-4000-8000-000000000000"


class Refusing(Disk):
    """A disk that refuses to change what has one of *parts* in its path, as one with a flag set for that file does."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def rename(self, source: Path, target: Path) -> None:
        self._check(source)
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._check(path)
        super().unlink(path)

    def _check(self, path: Path) -> None:
        if any(part in str(path) for part in self._parts):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def garbage(home: Home) -> Context:
    """A context in which everything was removed: three large objects, a pack, a directory, an unfinished file."""
    context = contexts.create(home, "demo")
    bundles.write_many(context, [(np.arange(20_000) + n, Birth("gone")) for n in range(3)])
    bundles.write_many(context, [(np.arange(200) + n, Birth("gone")) for n in range(3)])
    bundles.remove(context, context.catalog.versions("gone"))
    (context.objects / UUID).mkdir()
    (home.root / "store" / "staging" / "left").write_bytes(b"half")
    return context


def large(home: Home) -> list[str]:
    return sorted(path.name for path in (home.root / "store" / "objects").rglob("*") if path.is_file())


def test_a_directory_on_another_disk_is_left_and_the_rest_collected(tmp_path: Path, elsewhere: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    (context.objects / UUID).rmdir()
    context.objects.rmdir()
    context.objects.symlink_to(elsewhere)
    (elsewhere / UUID).mkdir()
    done = gc.collect(context.home, NOW, BOTH)
    assert [(left.kind, left.name) for left in done.left] == [("directory", str(context.objects / UUID))]
    assert "cross-device" in done.left[0].why
    assert list(context.home.store.iter_digests()) == []
    assert (elsewhere / UUID).is_dir()


def test_where_the_trash_is_on_another_disk_all_is_left(tmp_path: Path, elsewhere: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    (context.home.root / "store" / "trash").symlink_to(elsewhere)
    before = set(context.home.store.iter_digests())
    done = gc.collect(context.home, NOW, BOTH)
    assert sorted(left.kind for left in done.left) == ["directory", "object", "object", "object", "pack"]
    assert set(context.home.store.iter_digests()) == before


def test_an_object_that_may_not_be_moved_is_left_and_the_rest_collected(tmp_path: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    kept = large(context.home)[1]
    home = Home(tmp_path / "home", disk=Refusing(kept, "staging/left", UUID))
    done = gc.collect(home, NOW, BOTH)
    assert [(left.kind, Path(left.name).name.removeprefix("blake3:")) for left in done.left] == [
        ("file", "left"),
        ("object", kept),
        ("directory", UUID),
    ]
    assert all("Operation not permitted" in left.why for left in done.left)
    assert large(home) == [kept]
    assert gc.collect(context.home, NOW, BOTH).left == ()
    assert gc.plan(context.home, NOW).nothing


def test_a_pack_that_may_not_be_moved_is_left(tmp_path: Path) -> None:
    garbage(Home(tmp_path / "home"))
    [pack] = (tmp_path / "home" / "store" / "packs").iterdir()
    done = gc.collect(Home(tmp_path / "home", disk=Refusing(f"/store/packs/{pack.name}")), NOW, BOTH)
    assert done.left == (Left(pack.stem, f"Operation not permitted at {pack}"),)
    assert large(Home(tmp_path / "home")) == []


def test_what_may_not_be_deleted_stays_in_the_trash_and_the_rest_is_purged(tmp_path: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    kept = large(context.home)[0]
    gc.collect(context.home, NOW, APPLY)
    done = gc.collect(Home(tmp_path / "home", disk=Refusing(kept, UUID)), NOW, PURGE)
    [left] = done.left
    assert (left.kind, Path(left.name).name) == ("file", kept)
    assert done.purged is not None
    assert done.purged.count == 4
    again = gc.collect(context.home, NOW, PURGE)
    assert (again.left, again.purged) == ((), gc.Amount(1, 160_128))
    assert [path for path in (tmp_path / "home" / "store" / "trash").rglob("*") if path.is_file()] == []


def test_a_note_that_may_not_be_deleted_ends_no_purge(tmp_path: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    gc.collect(context.home, NOW, APPLY)
    done = gc.collect(Home(tmp_path / "home", disk=Refusing("trash/gc-")), NOW, PURGE)
    assert {left.kind for left in done.left} == {"file"}
    assert done.purged is not None
    assert done.purged.count == 5


def test_what_cannot_be_taken_back_stays_in_the_trash_and_is_not_purged(tmp_path: Path) -> None:
    context = garbage(Home(tmp_path / "home"))
    kept = large(context.home)[0]
    gc.collect(context.home, NOW, APPLY)
    uuid = bundles.write(context, np.arange(20_000), Birth("x")).uuid  # takes one back
    removed = large(context.home)
    bundles.remove(context, context.catalog.versions("x"))
    gc.collect(context.home, NOW, APPLY)
    undo.undo(context)
    assert context.catalog.rows([uuid])
    assert len(removed) == 1
    done = gc.collect(Home(tmp_path / "home", disk=Refusing(*removed, kept)), NOW, PURGE)
    assert any(left.kind == "object" for left in done.left)
    assert done.taken_back == 0
    again = gc.collect(Home(tmp_path / "home"), NOW, PURGE)
    assert again.taken_back == 1
    assert np.array_equal(np.asarray(bundles.value(Home(tmp_path / "home").context("demo"), uuid)), np.arange(20_000))


def test_the_command_says_what_is_left_and_fails(demo: Dsdt, home: Path, elsewhere: Path) -> None:
    objects = home / "context" / "demo" / "objects"
    objects.rmdir()
    objects.symlink_to(elsewhere)
    (elsewhere / UUID).mkdir()
    ended = demo.run("gc", "--apply")
    assert ended.code == 1
    assert f"Left as it is: directory {objects / UUID}: Invalid cross-device link" in ended.out
    assert ended.err.splitlines()[0].startswith("dsdt: 1 thing could not be moved or deleted, the first for: Invalid")
    assert demo.run("gc", "--apply", "--json").code == 1


@pytest.mark.parametrize("apart", ["store", "context/demo"])
def test_a_context_apart_from_the_store_is_deleted_as_the_hint_says(
    tmp_path: Path, elsewhere: Path, apart: str
) -> None:
    home = Home(tmp_path / "home")
    bundles.write(contexts.create(home, "demo"), np.arange(20_000), Birth("kept"))
    home.store.close()
    if apart == "store":
        os.rename(home.root / "store", tmp_path / "aside")
        subprocess.run(["mv", tmp_path / "aside", elsewhere / "store"], check=True)
        (home.root / "store").symlink_to(elsewhere / "store")
        with pytest.raises(StorageError, match="left as it is") as caught:
            contexts.delete(Home(home.root), "demo")
        command = caught.value.hint.split("`")[1]
        assert shlex.split(command)[0] == "mv"
        subprocess.run(command, shell=True, check=True)
    else:
        subprocess.run(["mv", home.root / apart, elsewhere / "demo"], check=True)
        (home.root / apart).symlink_to(elsewhere / "demo")
        contexts.delete(Home(home.root), "demo")  # the link is moved
    assert Home(home.root).context_names() == []
    plan = gc.plan(Home(home.root), NOW)
    assert (plan.deleted, plan.garbage.count, plan.kept.count) == (1, 0, 1)
