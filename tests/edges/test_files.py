"""What is no plain file is refused by name, and a file that changes is taken whole or not at all."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context
from disdat.core.digest import of_bytes
from disdat.errors import InvalidInput, PathNotFound, StorageError
from disdat.ops import add, bundles
from tests.conftest import missing

MB = 1 << 20


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the address of a socket is at most some hundred bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(before)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        missing("the right to make device files")


def make_link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


SPECIAL = [make_fifo, make_socket, make_device]


@pytest.mark.parametrize("make", [*SPECIAL, make_link_to_device])
def test_what_is_no_file_is_refused_before_it_is_opened(context: Context, make: Callable[[Path], None]) -> None:
    """To open a fifo would wait for a writer; to read /dev/zero would never end."""
    make(Path("special").absolute())
    with pytest.raises(InvalidInput, match="special is not a regular file"):
        add.add(context, "n", ["special"])
    assert context.catalog.latest("n") is None


@pytest.mark.parametrize("make", SPECIAL)
def test_what_is_no_file_is_refused_deep_inside_a_tree(context: Context, make: Callable[[Path], None]) -> None:
    Path("d/sub").mkdir(parents=True)
    Path("d/a.txt").write_text("a", "utf-8")
    make(Path("d/sub/special").absolute())
    with pytest.raises(InvalidInput, match="d/sub/special is not a regular file"):
        add.add(context, "n", ["d"])
    assert context.catalog.latest("n") is None
    assert [path for path in context.objects.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("special", ["fifo", "/dev/zero"])
def test_a_link_to_what_is_no_file_is_refused_inside_a_tree(context: Context, special: str) -> None:
    Path("d").mkdir()
    os.mkfifo("d/fifo")
    Path("d/a-link").symlink_to(special)
    with pytest.raises(InvalidInput, match="d/a-link"):
        add.add(context, "n", ["d"])


def test_a_link_to_a_directory_above_is_named_however_long_the_way(context: Context) -> None:
    Path("d/one/two").mkdir(parents=True)
    Path("d/elsewhere").symlink_to("one")
    Path("d/one/two/back").symlink_to("../../elsewhere")
    with pytest.raises(InvalidInput, match="back leads back to a directory above it"):
        add.add(context, "n", ["d"])


def test_links_that_only_lead_to_each_other_lead_nowhere(context: Context) -> None:
    Path("d").mkdir()
    Path("d/one").symlink_to("two")
    Path("d/two").symlink_to("one")
    with pytest.raises(PathNotFound, match="d/one leads nowhere"):
        add.add(context, "n", ["d"])


def test_a_link_out_of_the_tree_through_a_directory_inside_is_refused(context: Context) -> None:
    Path("d/sub").mkdir(parents=True)
    Path("secret").write_text("secret", "utf-8")
    Path("d/sub/out").symlink_to("../../secret")
    Path("d/chain").symlink_to("sub/out")
    with pytest.raises(InvalidInput, match="d/chain leaves the directory"):
        add.add(context, "n", ["d"])


def test_the_tree_itself_may_be_named_by_a_link(context: Context) -> None:
    Path("real").mkdir()
    Path("real/a.txt").write_text("a", "utf-8")
    Path("link").symlink_to("real")
    made = add.add(context, "n", ["link"])
    assert [Path(path).name for path in bundles.value(context, made.uuid)] == ["a.txt"]  # type: ignore[attr-defined]


def test_a_file_that_changes_once_while_it_is_read_is_read_again(context: Context) -> None:
    path = Path("growing")
    path.write_bytes(os.urandom(4 * MB))
    changed = threading.Event()

    def change(_: int) -> None:
        if not changed.is_set():
            changed.set()
            with path.open("ab") as file:
                file.write(b"and more")

    made = add.add(context, "n", ["growing"], progress=change)
    assert changed.is_set()
    assert Path(str(bundles.value(context, made.uuid))).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("grow", [b"more", b""], ids=["written to", "touched"])
def test_a_file_that_keeps_changing_is_not_added(context: Context, grow: bytes) -> None:
    path = Path("busy")
    path.write_bytes(os.urandom(4 * MB))

    def change(_: int) -> None:
        with path.open("ab") as file:
            file.write(grow)
        os.utime(path)

    with pytest.raises(StorageError, match="busy changed while it was read"):
        add.add(context, "n", ["busy"], progress=change)
    assert context.catalog.latest("n") is None
    assert not any((context.home.root / "store" / "staging").rglob("*"))


def test_what_is_added_is_one_state_of_a_file_that_is_written_all_the_time(context: Context) -> None:
    """Each state is one byte over and over; a torn one would be of two."""
    path, stop = Path("busy"), threading.Event()
    path.write_bytes(b"a" * MB)

    def keep_writing() -> None:
        while not stop.is_set():
            for letter in b"abc":
                with path.open("r+b") as file:
                    file.write(bytes([letter]) * MB)
                stop.wait(0.01)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    added = []
    try:
        for _ in range(10):
            try:
                made = add.add(context, "n", ["busy"])
            except StorageError:
                continue
            added.append(Path(str(bundles.value(context, made.uuid))).read_bytes())
    finally:
        stop.set()
        writer.join()
    whole = {of_bytes(bytes([letter]) * MB) for letter in b"abc"}
    assert {of_bytes(data) for data in added} <= whole


def test_a_file_that_is_replaced_while_its_tree_is_added_is_whole(context: Context) -> None:
    Path("d").mkdir()
    for name in ("a", "b"):
        Path("d", name).write_bytes(name.encode() * 2 * MB)

    def replace(_: int) -> None:
        Path("new").write_bytes(b"c" * 2 * MB)
        os.replace("new", "d/b")

    try:
        made = add.add(context, "n", ["d"], progress=replace)
    except (StorageError, PathNotFound):
        assert context.catalog.latest("n") is None
        return
    contents = [Path(path).read_bytes() for path in bundles.value(context, made.uuid)]  # type: ignore[attr-defined]
    assert {content[:1] * 2 * MB == content for content in contents} == {True}
