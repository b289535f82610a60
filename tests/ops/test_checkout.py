"""A bundle's files in a user's directory: what he has there stays his, and what we wrote follows the bundle."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from disdat.context import Context, Home
from disdat.core import digest, tree
from disdat.core.tree import Entry
from disdat.durable import Disk
from disdat.errors import (
    BundleNotFound,
    Conflict,
    DigestMismatch,
    InvalidInput,
    PathNotFound,
    PermissionDenied,
    StorageError,
)
from disdat.ops import add, bundles, contexts, maintain
from disdat.ops.bundles import Birth, Captured
from disdat.ops.checkout import CheckedOut, checkout, plan
from disdat.store import carryout, packs
from disdat.store.checkout import Plan, in_order
from disdat.store.written import Begun, Record, RecordFile
from tests.conftest import NOBODY, unprivileged

LARGE = bytes(range(256)) * 400
Files: TypeAlias = "dict[str, bytes]"
V1: Files = {"a.txt": b"one", "d/b.txt": b"two", "d/large.bin": LARGE, "gone/deep/c.txt": b"three", "same": b"same"}
V2: Files = {"a.txt": b"ONE", "d/b.txt": b"two", "d/large.bin": LARGE[::-1], "new/e.txt": b"five", "same": b"same"}


def write(root: Path, files: Files) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read(root: Path) -> Files:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if not path.is_dir()}


def directories(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}


def stats(root: Path) -> dict[Path, tuple[int, ...]]:
    """What is below a directory, but for when it was last read."""
    found = ((path, path.lstat()) for path in root.rglob("*"))
    return {path: (each.st_ino, each.st_mode, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for path, each in found}


def put(context: Context, name: str, files: Files, *, executable: tuple[str, ...] = ()) -> str:
    """A bundle of a directory with these files."""
    source = Path("source")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    write(source, files)
    for path in executable:
        (source / path).chmod(0o755)
    return add.add(context, name, [source]).uuid


@pytest.fixture
def two(context: Context) -> Context:
    """A context in which ``data`` has two versions: V1, and V2, the latest."""
    put(context, "data", V1)
    put(context, "data", V2)
    return context


@pytest.fixture
def out(home: Path) -> Path:
    return Path.cwd() / "out"


def fresh(context: Context) -> Context:
    """The context as another process has it."""
    return Home(context.home.root).context(context.name)


def paths(done: CheckedOut) -> dict[str, tuple[str, ...]]:
    parts = {"written": done.written, "replaced": done.replaced, "deleted": done.deleted, "kept": done.kept}
    return {what: found for what, found in parts.items() if found}


def test_a_checkout_makes_the_directory_and_is_kept_when_done_again(two: Context, out: Path) -> None:
    done = checkout(two, "data", out / "deeper")
    assert read(out / "deeper") == V2
    assert paths(done) == {"written": tuple(sorted(V2))}
    assert done.size_bytes == sum(map(len, V2.values()))
    before = stats(out)
    again = checkout(fresh(two), "data", out / "deeper")
    assert paths(again) == {"kept": tuple(sorted(V2))}
    assert again.size_bytes == 0
    assert stats(out) == before


def test_another_version_changes_only_what_differs(two: Context, out: Path) -> None:
    checkout(two, "data@-1", out)
    kept = {name: (out / name).stat().st_ino for name in ("d/b.txt", "same")}
    done = checkout(fresh(two), "data", out)
    assert paths(done) == {
        "written": ("new/e.txt",),
        "replaced": ("a.txt", "d/large.bin"),
        "deleted": ("gone/deep/c.txt",),
        "kept": ("d/b.txt", "same"),
    }
    assert read(out) == V2
    assert directories(out) == {"d", "new"}, "directories that became empty are gone"
    assert {name: (out / name).stat().st_ino for name in kept} == kept


@pytest.mark.parametrize("settled", [False, True])
def test_what_did_not_change_is_not_read_again(
    two: Context, out: Path, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even right after it was written, when its time could be that of a later write too."""
    checkout(two, "data", out)
    if settled:
        time.sleep(0.1)
    monkeypatch.setattr("disdat.store.found._hash", _never)
    assert not plan(fresh(two), "data", out).replaced
    (out / "same").write_bytes(b"SAME")
    with pytest.raises(AssertionError, match="read"):
        plan(fresh(two), "data", out)


def _never(where: str) -> None:
    raise AssertionError(f"{where} was read")


def test_a_write_at_once_and_of_the_same_size_is_noticed(two: Context, out: Path) -> None:
    for number in range(20):
        checkout(two, "data", out / str(number))
        for name in ("a.txt", "d/large.bin"):
            with (out / str(number) / name).open("r+b") as file:
                file.write(b"X")
        obstacles = plan(two, "data", out / str(number)).obstacles
        assert [each.path for each in obstacles] == ["a.txt", "d/large.bin"]


def _edit(path: Path) -> None:
    path.write_bytes(b"edited")


def _chmod(path: Path) -> None:
    path.chmod(0o755)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("somewhere")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [_edit, _chmod, _link, _pipe])
@pytest.mark.parametrize("name", ["a.txt", "gone/deep/c.txt", "d/large.bin"])
def test_what_the_user_changed_stops_all_before_anything_is_done(
    two: Context, out: Path, change: Callable[[Path], None], name: str
) -> None:
    checkout(two, "data@-1", out)
    change(out / name)
    before = stats(out)
    with pytest.raises(Conflict, match=name) as caught:
        checkout(two, "data", out)
    assert "--force" in caught.value.hint
    assert stats(out) == before
    assert [each.path for each in plan(two, "data", out).obstacles] == [name]
    checkout(two, "data", out, force=True)
    assert read(out) == V2
    assert not plan(two, "data", out).written


def test_what_was_there_before_is_left_alone_unless_it_is_forced(two: Context, out: Path) -> None:
    write(out, {"a.txt": b"mine", "other.txt": b"mine", "same": b"same"})
    with pytest.raises(Conflict, match=r"a\.txt was there before"):
        checkout(two, "data", out)
    assert read(out) == {"a.txt": b"mine", "other.txt": b"mine", "same": b"same"}
    checkout(two, "data", out, force=True)
    assert read(out) == V2 | {"other.txt": b"mine"}
    checkout(two, "data@-1", out)
    assert read(out) == V1 | {"other.txt": b"mine"}, "what the bundle never had is not looked at"


def test_what_the_user_deleted_is_written_again(two: Context, out: Path) -> None:
    checkout(two, "data", out)
    (out / "a.txt").unlink()
    shutil.rmtree(out / "d")
    assert checkout(two, "data", out).written == ("a.txt", "d/b.txt", "d/large.bin")
    shutil.rmtree(out)
    assert len(checkout(two, "data", out).written) == len(V2)
    assert read(out) == V2


def test_files_and_directories_take_each_others_places(context: Context, out: Path) -> None:
    put(context, "x", {"p": b"file", "q/r/s": b"deep", "q/t": b"t"})
    put(context, "x", {"p/u": b"below", "q": b"file now"})
    for reference in ("x@-1", "x", "x@-1"):
        checkout(context, reference, out)
        assert plan(context, reference, out).kept
    assert read(out) == {"p": b"file", "q/r/s": b"deep", "q/t": b"t"}


def test_a_directory_with_files_of_the_users_is_never_made_a_file(context: Context, out: Path) -> None:
    put(context, "x", {"q/r": b"1"})
    put(context, "x", {"q": b"2"})
    checkout(context, "x@-1", out)
    for mine in ("q/mine", "q/deep/mine"):
        write(out, {mine: b"mine"})
        for force in (False, True):
            with pytest.raises(Conflict, match="q is a directory"):
                checkout(context, "x", out, force=force)
        assert (out / mine).read_bytes() == b"mine"
        (out / mine).unlink()
    (out / "q" / "link").symlink_to(out)
    with pytest.raises(Conflict, match="q is a directory"):
        checkout(context, "x", out, force=True)
    (out / "q" / "link").unlink()
    (out / "q" / "empty").mkdir(exist_ok=True)
    checkout(context, "x", out)
    assert read(out) == {"q": b"2"}


def test_nothing_is_written_or_deleted_through_a_symbolic_link(two: Context, out: Path) -> None:
    elsewhere = Path.cwd() / "elsewhere"
    write(elsewhere, {"b.txt": b"mine", "large.bin": b"mine"})
    checkout(two, "data@-1", out)
    shutil.rmtree(out / "d")
    (out / "d").symlink_to(elsewhere)
    with pytest.raises(Conflict, match="d is a symbolic link"):
        checkout(two, "data", out)
    checkout(two, "data", out, force=True)
    assert read(out) == V2
    assert read(elsewhere) == {"b.txt": b"mine", "large.bin": b"mine"}
    (out / "new" / "e.txt").unlink()
    (out / "new").rmdir()
    (out / "new").symlink_to(elsewhere)
    checkout(two, "data@-1", out)
    assert (out / "new").is_symlink(), "what is not wanted any more, and is not ours, stays"


def test_the_directory_itself_may_be_a_symbolic_link(two: Context, out: Path) -> None:
    real = Path.cwd() / "real"
    real.mkdir()
    out.symlink_to(real)
    checkout(two, "data@-1", out)
    assert checkout(two, "data", real).deleted, "it is one directory under both names"
    assert read(real) == V2


def test_paths_limit_it_to_files_and_directories_of_the_bundle(two: Context, out: Path) -> None:
    assert checkout(two, "data@-1", out, ["d/", "./same"]).written == ("d/b.txt", "d/large.bin", "same")
    done = checkout(two, "data", out, ["d"])
    assert paths(done) == {"replaced": ("d/large.bin",), "kept": ("d/b.txt",)}
    assert read(out) == {"d/b.txt": b"two", "d/large.bin": LARGE[::-1], "same": b"same"}
    checkout(two, "data", out, ["."])
    assert read(out) == V2
    checkout(two, "data@-1", out, ["gone"])
    assert read(out) == V2 | {"gone/deep/c.txt": b"three"}
    assert checkout(two, "data", out).deleted == ("gone/deep/c.txt",)


@pytest.mark.parametrize("path", ["d/nothing", "a.txt/x", "../data", "/etc/passwd", "D"])
def test_a_path_that_the_bundle_lacks_is_named(two: Context, out: Path, path: str) -> None:
    with pytest.raises(PathNotFound, match="no file or directory"):
        checkout(two, "data", out, [path])
    assert not out.exists()


def test_a_large_tree_is_checked_out_and_updated(context: Context, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n % 7}/{n}": b"%d" % n for n in range(600)}
    put(context, "many", files)
    put(context, "many", files | {"3/3": b"changed", "8/new": b"new"})
    checkout(context, "many@-1", out)
    assert read(out) == files
    monkeypatch.setattr("disdat.ops.checkout.from_nodes", _never)
    assert len(plan(context, "many@-1", out).kept) == 600, "the record has the tree"
    monkeypatch.setattr("disdat.ops.checkout.from_nodes", tree.from_nodes)
    done = checkout(context, "many", out)
    assert (done.written, done.replaced) == (("8/new",), ("3/3",))
    assert read(out) == files | {"3/3": b"changed", "8/new": b"new"}
    (out / "3" / "3").unlink()
    assert checkout(context, "many", out).written == ("3/3",)


def test_equal_files_are_written_at_each_of_their_places(context: Context, out: Path) -> None:
    files = {f"{n}/x": data for n, data in enumerate([b"same"] * 40 + [LARGE] * 3)}
    put(context, "x", files)
    checkout(context, "x", out)
    assert read(out) == files


def test_small_objects_are_read_wherever_they_are(context: Context, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the packs of several commits, one of them damaged where another pack has the bytes right."""
    files = {f"{n:03}": b"%d" % n for n in range(100)}
    for part in range(0, 100, 10):
        put(context, "part", dict(list(files.items())[: part + 10]))
    packs = context.home.store.pack_paths()
    damaged = packs[0].read_bytes()
    put(context, "whole", files)
    for few in (0, 1000):
        monkeypatch.setattr(carryout, "FEW", few)
        checkout(fresh(context), "whole", out / str(few))
        assert read(out / str(few)) == files
    packs[0].chmod(0o644)
    packs[0].write_bytes(bytes(len(damaged)))
    monkeypatch.setattr(carryout, "FEW", 0)
    other = contexts.create(context.home, "other")
    put(other, "whole", files)
    checkout(fresh(other), "whole", out / "again")
    assert read(out / "again") == files


def test_a_pack_with_damaged_objects_in_it_is_gone_through_once(
    context: Context, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a large tree would take as many times longer as it has files."""
    files = {f"{n:03}": b"%03d" % n for n in range(100)}
    put(context, "whole", files)
    [path] = context.home.store.pack_paths()
    data = bytearray(path.read_bytes())
    for number in range(10, 100, 30):
        data[8 + 3 * number] ^= 1  # of the object that lies there
    path.chmod(0o644)
    path.write_bytes(data)
    put(contexts.create(context.home, "other"), "whole", files)
    opened: list[Path] = []

    class Noted(packs.PackReader):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(carryout, "FEW", 0)
    monkeypatch.setattr(carryout, "PackReader", Noted)
    checkout(fresh(context), "whole", out)
    assert read(out) == files
    assert path in opened
    assert len(opened) == len(set(opened))


def test_the_files_are_the_users_own_and_keep_whether_they_can_be_executed(context: Context, out: Path) -> None:
    put(context, "x", {"run": b"#!", "big-run": LARGE, "plain": b"", "big": LARGE[1:]}, executable=("run", "big-run"))
    before = os.umask(0o027)
    try:
        checkout(context, "x", out)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    assert modes == {"run": 0o750, "big-run": 0o750, "plain": 0o640, "big": 0o640}
    assert {path.stat().st_nlink for path in out.iterdir()} == {1}
    (out / "big").write_bytes(b"mine")
    assert bundles.directory(context, context.catalog.versions("x")[0].uuid).joinpath("big").read_bytes() == LARGE[1:]
    assert maintain.verify(context).findings == ()


def test_large_files_can_be_links_and_become_copies_again(context: Context, out: Path) -> None:
    put(context, "x", {"big": LARGE, "run": LARGE[::-1], "small": b"1"}, executable=("run",))
    checkout(context, "x", out, link=True)
    links = {path.name: (path.stat().st_nlink > 1, stat.S_IMODE(path.stat().st_mode)) for path in out.iterdir()}
    assert links["big"] == (True, 0o444)
    assert links["run"] == (True, 0o555)
    assert links["small"][0] is False
    assert paths(checkout(fresh(context), "x", out, link=True)) == {"kept": ("big", "run", "small")}
    assert checkout(fresh(context), "x", out).replaced == ("big", "run")
    assert {path.stat().st_nlink for path in out.iterdir()} == {1}
    assert checkout(context, "x", out, link=True).replaced == ("big", "run")
    put(context, "x", {"big": LARGE[2:]})
    assert checkout(context, "x", out, link=True).deleted == ("run", "small")
    assert read(out) == {"big": LARGE[2:]}
    assert maintain.verify(context).findings == ()


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("to", ["x", "x@-1"], ids=["the same", "another"])
def test_a_link_that_was_written_to_is_in_the_way_and_the_damage_is_told(
    context: Context, out: Path, to: str, link: bool
) -> None:
    """As it is the store's own file, its bytes are gone there too, until they are added again."""
    put(context, "x", {"big": LARGE[1:], "two": LARGE})
    put(context, "x", {"big": LARGE, "same": b"1", "two": LARGE})
    checkout(context, "x", out, link=True)
    before = stats(out)
    checkout(fresh(context), "x", out, link=True)
    (out / "big").chmod(0o644)
    with (out / "big").open("r+b") as file:
        file.write(b"mine")
    changed = stats(out)
    assert changed.keys() == before.keys()
    with pytest.raises(Conflict, match="big is the store's own copy, and was changed") as caught:
        checkout(fresh(context), to, out, link=link)
    assert "add the data again" in caught.value.hint
    assert stats(out) == changed
    assert {each.path for each in plan(context, to, out).obstacles} == {"big", "two"}
    with pytest.raises(DigestMismatch):
        fresh(context).home.store.read(digest.of_bytes(LARGE))
    with pytest.raises(DigestMismatch):
        checkout(context, "x", out, link=link, force=True)
    for name in ("big", "two"):
        (out / name).rename(out / f"my-{name}")
    put(context, "again", {"big": LARGE})
    assert checkout(fresh(context), to, out, link=link).obstacles == ()
    assert (out / "my-big").read_bytes() == b"mine" + LARGE[4:]
    assert (out / "two").read_bytes() == LARGE
    assert maintain.verify(context).findings == ()


def test_a_link_that_was_written_to_in_the_place_of_a_file_is_not_deleted(context: Context, out: Path) -> None:
    """Not even where nobody knows of it but an unfinished checkout."""
    put(context, "x", {"d": b"1"})
    put(context, "x", {"d/big": LARGE})
    checkout(context, "x", out, link=True)
    _as_if_killed(context, out)
    assert plan(fresh(context), "x@-1", out).obstacles == ()
    (out / "d/big").chmod(0o644)
    with (out / "d/big").open("r+b") as file:
        file.write(b"mine")
    with pytest.raises(Conflict, match="d is a directory"):
        checkout(fresh(context), "x@-1", out, force=True)
    assert (out / "d/big").read_bytes() == b"mine" + LARGE[4:]


def test_what_a_killed_checkout_left_stays_where_nobody_can_tell_of_which_tree_it_was(
    context: Context, out: Path
) -> None:
    put(context, "x", {"d": b"1"})
    record = RecordFile(context.home.root / "checkouts", os.path.realpath(out), disk=Disk())
    context.home.ensure()
    with record.held():
        record.save(Record(begun=Begun("00" * 8, digest.of_bytes(b"collected since"))))
    left = {f"d/.dsdt-{'00' * 8}-new": b"2"}
    write(out, left)
    with pytest.raises(Conflict, match="d is a directory"):
        checkout(fresh(context), "x", out)
    assert read(out) == left


def _as_if_killed(context: Context, out: Path) -> None:
    """Let the record of a directory be as it was before the last step of its first checkout."""
    record = RecordFile(context.home.root / "checkouts", os.path.realpath(out), disk=Disk())
    entries = {path: written.entry for path, written in record.load().files.items()}
    record.save(Record(begun=Begun("00" * 8, tree.Tree(entries))))


@pytest.mark.parametrize("link", [False, True])
def test_a_large_object_that_lies_in_a_pack_is_a_file_of_its_bytes_alone(
    context: Context, out: Path, link: bool
) -> None:
    put(context, "x", {"large": LARGE, "run": LARGE[1:]}, executable=("run",))
    store = context.home.store.root
    objects = {digest.of_bytes(data): data for data in (LARGE, LARGE[1:], b"other")}
    with (store / "new").open("wb") as file:
        pack = packs.write(objects, partial(Disk().write, file))
    (store / "packs").mkdir(exist_ok=True)
    (store / "new").rename(store / "packs" / (pack.name + packs.SUFFIX))
    for path in (store / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    checkout(fresh(context), "x", out, link=link)
    assert read(out) == {"large": LARGE, "run": LARGE[1:]}
    assert os.access(out / "run", os.X_OK)
    assert (out / "large").stat().st_nlink == 1


def test_one_file_and_values_that_hold_files_are_checked_out(context: Context, out: Path) -> None:
    write(Path.cwd(), {"one.csv": b"a,b\n1,2\n", "pic.png": b"png"})
    add.add(context, "one", ["one.csv"])
    checkout(context, "one", out)
    assert read(out) == {"one.csv": b"a,b\n1,2\n"}
    bundles.write(context, {"n": 1, "pic": str(Path.cwd() / "pic.png")}, Birth("nested"))
    checkout(context, "nested", out)
    assert read(out) == {"pic.png": b"png"}


@pytest.mark.parametrize("value", [1, {"a": [1, 2]}, None])
def test_a_bundle_without_files_says_how_to_see_it(context: Context, out: Path, value: object) -> None:
    bundles.write(context, value, Birth("value"))
    with pytest.raises(InvalidInput, match="has no files: its value is a literal") as caught:
        checkout(context, "value", out)
    assert caught.value.hint == "`dsdt cat value` prints it"
    assert not out.exists()


def test_a_bundle_of_an_empty_directory_is_an_empty_directory(context: Context, out: Path) -> None:
    put(context, "empty", {})
    assert paths(checkout(context, "empty", out)) == {}
    assert out.is_dir()
    put(context, "empty", {"now": b"1"})
    checkout(context, "empty", out)
    checkout(context, "empty@-1", out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("data", "data"),
        ("team/data", "data"),
        ("team/data/", "data"),
        ("a b.c", "a b.c"),
        ("../..", None),
        ("-rf", "rf"),
        (".ssh", "ssh"),
        ("~", None),
        ("/", None),
        ("line\nbreak", "line_break"),
        ("c:\\x", "c:_x"),
        ("\u202ename", "name"),
        ("x" * 300, "x" * 200),
        ("\u00e9" * 300, "\u00e9" * 100),
    ],
)
def test_without_a_directory_it_is_named_as_the_bundle(context: Context, name: str, directory: str | None) -> None:
    uuid = put(context, name, {"f": b"1"})
    expected = directory or f"bundle-{uuid[:8]}"
    assert checkout(context, uuid).directory == Path(expected)
    assert read(Path.cwd() / expected) == {"f": b"1"}


def test_names_of_any_bytes_come_back(context: Context, out: Path) -> None:
    names = [b"100%", b"\xff\xfe", b"new\nline", "\u65e5\u672c/\u00e9".encode(), b"%41", b"d%/x", b".dsdt-mine", b"-f"]
    source = os.fsencode(Path.cwd() / "source")
    for name in names:
        path = os.path.join(source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    add.add(context, "odd", [Path.cwd() / "source"])
    checkout(context, "odd", out)
    for name in names:
        with open(os.path.join(os.fsencode(out), name), "rb") as file:
            assert file.read() == name
    assert len(checkout(context, "odd", out).kept) == len(names)
    assert checkout(context, "odd", out / "part", [os.fsdecode(names[1]), "d%"]).written == ("%FF%FE", "d%25/x")


def test_names_that_clash_elsewhere_are_told(context: Context, out: Path) -> None:
    put(context, "x", {"readme": b"1", "README": b"2", "caf\u00e9": b"3", "cafe\u0301": b"4"})
    done = checkout(context, "x", out)
    assert done.clashes == (("README", "readme"), ("cafe\u0301", "caf\u00e9"))
    assert len(read(out)) == 4


def test_the_home_is_no_place_to_check_out_to(two: Context, home: Path) -> None:
    for inside in (home, home / "store", home / "context" / "demo" / "objects" / "new"):
        with pytest.raises(InvalidInput, match="where bundles are kept"):
            checkout(two, "data", inside)
    Path("link").symlink_to(home / "store")
    with pytest.raises(InvalidInput, match="where bundles are kept"):
        checkout(two, "data", "link/x")
    put(two, "evil", {f"{home.name}/format": b"x", "fine": b"1"})
    with pytest.raises(InvalidInput, match="where bundles are kept"):
        checkout(two, "evil", home.parent)
    assert checkout(two, "evil", home.parent, ["fine"]).written == ("fine",)
    assert maintain.verify(two).findings == ()


def test_a_file_is_no_place_to_check_out_to(two: Context) -> None:
    write(Path.cwd(), {"file": b"1"})
    for target in ("file", "file/below"):
        with pytest.raises(InvalidInput, match="is not a directory"):
            checkout(two, "data", target)
    assert read(Path.cwd())["file"] == b"1"


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode
    path.chmod(0o555)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.fixture
def open_work(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Path]:
    """A current directory that any user may enter; what pytest makes is closed to others."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        monkeypatch.chdir(directory)
        yield Path(directory)


def give_away(*roots: Path) -> None:
    """Give everything below to the user that root is in :func:`unprivileged`."""
    for root in roots if os.geteuid() == 0 else ():
        for each in [root, *root.rglob("*")]:
            os.chown(each, NOBODY, NOBODY, follow_symlinks=False)


def test_a_directory_without_permission_is_refused_before_anything_is_done(open_work: Path) -> None:
    out = open_work / "out"
    two = contexts.create(Home(open_work / "home"), "demo")
    put(two, "data", V1)
    put(two, "data", V2)
    checkout(two, "data@-1", out)
    two.home.store.close()
    give_away(open_work)
    before = read(out)
    for shut in (out, out / "d"):
        with read_only(shut), unprivileged(), pytest.raises(PermissionDenied, match=f"may not write to {shut}"):
            checkout(fresh(two), "data", out)
        assert read(out) == before
    with read_only(out), unprivileged():
        assert checkout(fresh(two), "data", out, ["d"]).replaced == ("d/large.bin",), "nothing else need be writable"
    closed = open_work / "closed"
    closed.mkdir()
    give_away(closed)
    with read_only(closed), unprivileged(), pytest.raises(PermissionDenied, match=f"may not write to {closed}"):
        checkout(fresh(two), "data", closed / "x" / "y")
    with unprivileged():
        checkout(fresh(two), "data", out)
    assert read(out) == V2


def test_a_home_that_may_not_be_written_to_is_read_all_the_same(open_work: Path) -> None:
    """But nothing is remembered there, so that all files count as the user's."""
    home, out = open_work / "home", open_work / "mine" / "out"
    context = contexts.create(Home(home), "demo")
    put(context, "data", V1)
    put(context, "data", V2)
    context.home.store.close()
    out.parent.mkdir()
    give_away(out.parent)
    before = sorted(home.rglob("*"))
    with unprivileged():
        shared = fresh(context)
        assert len(checkout(shared, "data@-1", out).written) == len(V1)
        assert len(checkout(shared, "data@-1", out).kept) == len(V1)
        with pytest.raises(Conflict):
            checkout(shared, "data", out)
        checkout(shared, "data", out, force=True)
    assert {path: data for path, data in read(out).items() if path in V2} == V2
    if os.geteuid() == 0:
        assert sorted(home.rglob("*")) == before


def test_a_name_the_file_system_refuses_is_a_clear_error(context: Context, out: Path) -> None:
    put(context, "x", {"f": b"1"})
    with pytest.raises(StorageError, match="too long"):
        checkout(context, "x", out / ("n" * 300))


def test_what_somebody_writes_meanwhile_is_not_touched(
    two: Context, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(two, "data@-1", out)
    for name in ("a.txt", "d/large.bin", "gone/deep/c.txt", "new/e.txt"):
        write(out, V1)
        shutil.rmtree(out / "new", ignore_errors=True)
        checkout(two, "data@-1", out, force=True)
        with monkeypatch.context() as patch:
            patch.setattr(carryout, "in_order", _writing_first(out / name))
            with pytest.raises(Conflict, match="was changed while"):
                checkout(two, "data", out)
        assert (out / name).read_bytes() == b"meanwhile"
        assert not list(out.rglob(".dsdt*"))
        (out / name).unlink()


def _writing_first(path: Path) -> Callable[..., object]:
    """What carrying out begins with, after somebody wrote to *path*."""

    def begin(decided: Plan, wanted: Mapping[str, Entry]) -> object:
        write(path.parent, {path.name: b"meanwhile"})
        return in_order(decided, wanted)

    return begin


def test_a_plan_changes_nothing_anywhere(two: Context, out: Path, home: Path) -> None:
    checkout(two, "data@-1", out)
    (out / "a.txt").write_bytes(b"edited")
    roots = (home, Path.cwd())
    before = {
        path: path.lstat().st_mtime_ns for root in roots for path in root.rglob("*") if "state.db" not in str(path)
    }
    told = plan(two, "data", out)
    assert (told.written, told.replaced, told.deleted) == (("new/e.txt",), ("d/large.bin",), ("gone/deep/c.txt",))
    assert plan(two, "data", out, force=True).replaced == ("a.txt", "d/large.bin")
    after = {
        path: path.lstat().st_mtime_ns for root in roots for path in root.rglob("*") if "state.db" not in str(path)
    }
    assert after == before


def test_progress_is_told_and_ends_at_all(two: Context, out: Path) -> None:
    told: list[tuple[int, int]] = []
    checkout(two, "data", out, progress=lambda done, total: told.append((done, total)))
    total = sum(map(len, V2.values()))
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_memory_of_others_is_freed_while_files_are_written(two: Context, out: Path) -> None:
    """It can take long, so Python's collector of cycles is not held back then."""
    told: list[bool] = []
    checkout(two, "data", out, progress=lambda _, __: told.append(gc.isenabled()))
    assert told
    assert all(told)
    assert gc.isenabled()


def test_what_is_not_there_is_named(two: Context, out: Path) -> None:
    with pytest.raises(BundleNotFound):
        checkout(two, "nothing", out)


def test_a_record_that_is_lost_makes_all_files_the_users(two: Context, out: Path, home: Path) -> None:
    checkout(two, "data@-1", out)
    shutil.rmtree(home / "checkouts")
    assert checkout(two, "data@-1", out).kept == tuple(sorted(V1)), "they are right"
    shutil.rmtree(home / "checkouts")
    with pytest.raises(Conflict):
        checkout(two, "data", out)
    assert read(out) == V1


def test_what_cannot_all_be_there_is_told_and_nothing_is_written(context: Context, out: Path) -> None:
    """As of a bundle that was made elsewhere, where names may be longer."""
    put(context, "x", {"a.txt": b"1", "d/" + "n" * 255: b"2"})
    one = Entry(digest.of_bytes(b"1"), 1)
    files = tree.Tree({"a.txt": one, "d/" + "m" * 256: one})
    with bundles.batch_in(context) as batch:
        bundles.publish(context, batch, [Captured(str(uuid4()), (), files, Birth(name="x"))])
    with pytest.raises(Conflict, match="cannot be a name there"):
        checkout(context, "x", out)
    assert not out.exists()
    assert list(out.parent.glob(".dsdt*")) == []
    assert checkout(context, "x", out, ["a.txt"]).written == ("a.txt",)
