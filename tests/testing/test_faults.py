"""The disks that record and fail: what they note is what happened, and what they rebuild is what a disk may hold."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.durable import Disk
from disdat.testing.faults import (
    Crash,
    FailingDisk,
    RecordingDisk,
    crash_states,
    replay,
    replay_synced,
)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def write(disk: Disk, path: Path, data: bytes) -> None:
    with disk.create(path) as file:
        disk.write(file, data)
        disk.sync(file)


def everything(disk: Disk, root: Path) -> None:
    """Do one of each."""
    disk.mkdir(root / "a" / "b")
    write(disk, root / "a" / "one", b"one")
    with disk.open_append(root / "old") as file:
        disk.write(file, b" and more")
        disk.sync(file)
    disk.link(root / "a" / "one", root / "a" / "two")
    disk.chmod(root / "a" / "two", 0o444)
    disk.set_mtime(root / "a" / "two", 10**18)
    disk.rename(root / "a" / "two", root / "a" / "b" / "three")
    disk.truncate(root / "old", 7)
    disk.unlink(root / "gone")
    disk.mkdir(root / "empty")
    disk.rmdir(root / "empty")
    with disk.create(root / "dated") as file:
        disk.set_file_mtime(file, 10**18)
        disk.sync(file)
    disk.make_file(str(root / "made"), b"made", 0o777, 10**18)
    disk.sync_path(root / "made")
    disk.sync_path(root / "old")
    for directory in (root / "a" / "b", root / "a", root):
        disk.sync_dir(directory)
    disk.sync_file_system(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_bytes(b"old")
    (root / "gone").write_bytes(b"gone")
    return root


@pytest.fixture
def initial(tmp_path: Path, root: Path) -> Path:
    shutil.copytree(root, tmp_path / "initial")
    return tmp_path / "initial"


def test_all_calls_replayed_give_the_directory_that_was_written(root: Path, initial: Path, tmp_path: Path) -> None:
    disk = RecordingDisk(root)
    everything(disk, root)
    for number, rebuild in enumerate((replay, replay_synced)):
        rebuild(initial, disk.calls, tmp_path / str(number))
        assert contents(tmp_path / str(number)) == contents(root)
        assert (tmp_path / str(number) / "a" / "one").samefile(tmp_path / str(number) / "a" / "b" / "three")
        assert (tmp_path / str(number) / "a" / "one").stat().st_mode & 0o777 == 0o444


def test_calls_are_noted_in_order_with_relative_paths(root: Path) -> None:
    disk = RecordingDisk(root)
    everything(disk, root)
    assert [str(call) for call in disk.calls] == [
        "mkdir a/b",
        "create a/one",
        "write a/one",
        "sync a/one",
        "write old",
        "sync old",
        "link a/one -> a/two",
        "chmod a/two",
        "set_mtime a/two",
        "rename a/two -> a/b/three",
        "truncate old",
        "unlink gone",
        "mkdir empty",
        "rmdir empty",
        "create dated",
        "set_mtime dated",
        "sync dated",
        "create made",
        "write made",
        "chmod made",
        "sync made",
        "sync old",
        "sync_dir a/b",
        "sync_dir a",
        "sync_dir .",
        "sync_file_system .",
    ]


def test_what_lies_outside_the_root_is_not_noted(root: Path) -> None:
    disk = RecordingDisk(root)
    write(disk, root.parent / "outside", b"")
    disk.sync_dir(root.parent)
    assert disk.calls == []


def _unsynced_bytes(disk: Disk, root: Path) -> None:
    with disk.create(root / "new") as file:
        disk.write(file, b"bytes")
    disk.sync_dir(root)


def _unsynced_name(disk: Disk, root: Path) -> None:
    write(disk, root / "new", b"bytes")


def _unsynced_removal(disk: Disk, root: Path) -> None:
    disk.unlink(root / "gone")


def _unsynced_rename(disk: Disk, root: Path) -> None:
    disk.mkdir(root / "to")
    disk.sync_dir(root)
    disk.rename(root / "gone", root / "to" / "there")
    disk.sync_dir(root / "to")


def _unsynced_parent(disk: Disk, root: Path) -> None:
    disk.mkdir(root / "in" / "deep")
    write(disk, root / "in" / "deep" / "new", b"bytes")
    disk.sync_dir(root / "in" / "deep")


def _unsynced_tail(disk: Disk, root: Path) -> None:
    with disk.open_append(root / "old") as file:
        disk.write(file, b" and")
        disk.sync(file)
        disk.write(file, b" more")


def _unsynced_cut(disk: Disk, root: Path) -> None:
    disk.truncate(root / "old", 1)


def _replaced_before_synced(disk: Disk, root: Path) -> None:
    with disk.create(root / "new") as file:
        disk.write(file, b"bytes")
    disk.rename(root / "new", root / "old")
    disk.sync_dir(root)


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (_unsynced_bytes, {"gone": b"gone", "new": b"", "old": b"old"}),
        (_unsynced_name, {"gone": b"gone", "old": b"old"}),
        (_unsynced_removal, {"gone": b"gone", "old": b"old"}),
        (_unsynced_rename, {"gone": b"gone", "old": b"old", "to/there": b"gone"}),
        (_unsynced_parent, {"gone": b"gone", "old": b"old"}),
        (_unsynced_tail, {"gone": b"gone", "old": b"old and"}),
        (_unsynced_cut, {"gone": b"gone", "old": b"old"}),
        (_replaced_before_synced, {"gone": b"gone", "old": b""}),
    ],
)
def test_a_power_cut_takes_what_was_not_synced(
    root: Path, initial: Path, tmp_path: Path, act: Callable[[Disk, Path], None], left: dict[str, bytes]
) -> None:
    disk = RecordingDisk(root)
    act(disk, root)
    replay_synced(initial, disk.calls, tmp_path / "cut")
    assert contents(tmp_path / "cut") == left
    replay(initial, disk.calls, tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(root)


def test_a_file_somebody_else_made_is_known_from_when_it_is_first_used(
    root: Path, initial: Path, tmp_path: Path
) -> None:
    disk = RecordingDisk(root)
    (root / "users").write_bytes(b"written by the user")
    disk.link(root / "users", root / "linked")
    assert [str(call) for call in disk.calls] == ["found users", "link users -> linked"]
    replay(initial, disk.calls, tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(root)


def test_a_file_written_on_after_its_rename_is_the_same_file(root: Path, initial: Path, tmp_path: Path) -> None:
    disk = RecordingDisk(root)
    with disk.create(root / "new") as file:
        disk.write(file, b"one")
        disk.rename(root / "new", root / "renamed")
        disk.write(file, b" two")
    replay(initial, disk.calls, tmp_path / "whole")
    assert contents(tmp_path / "whole")["renamed"] == b"one two"


def test_a_database_is_rebuilt_as_it_was_at_a_commit(root: Path, initial: Path, tmp_path: Path) -> None:
    disk = RecordingDisk(root)
    connection = sqlite3.connect(root / "some.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE number (value INTEGER)")
    for value in (1, 2, 3):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO number VALUES (?)", (value,))
        disk.sql_commit(connection)
    connection.close()
    for count in (1, 2, 3):
        replay(initial, disk.calls[:count], tmp_path / str(count))
        with sqlite3.connect(tmp_path / str(count) / "some.db") as rebuilt:
            assert rebuilt.execute("SELECT max(value) FROM number").fetchone() == (count,)
        rebuilt.close()
    replay_synced(initial, disk.calls, tmp_path / "cut")
    assert not (tmp_path / "cut" / "some.db").exists()


def test_crash_states_go_through_every_step_both_ways(root: Path, initial: Path, tmp_path: Path) -> None:
    disk = RecordingDisk(root)
    everything(disk, root)
    (tmp_path / "scratch").mkdir()
    seen = [(what, contents(state)) for what, state in crash_states(initial, disk.calls, tmp_path / "scratch")]
    assert len(seen) == len({what for what, _ in seen}) == 2 * (len(disk.calls) + 1)
    assert seen[0][1] == seen[1][1] == contents(initial)
    assert seen[-1][1] == seen[-2][1] == contents(root)
    assert not list((tmp_path / "scratch").iterdir())


def test_a_failing_disk_does_all_before_its_step_and_nothing_after(tmp_path: Path) -> None:
    """The recorder sees as many steps as the failing disk counts, so every one of them can be made to fail."""
    at = 0
    while True:
        at += 1
        root = tmp_path / str(at)
        root.mkdir()
        (root / "old").write_bytes(b"old")
        (root / "gone").write_bytes(b"gone")
        disk = FailingDisk(at)
        if at == 25:
            everything(disk, root)
            assert not disk.reached
            break
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            everything(disk, root)
        assert disk.reached
        before = contents(root)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            disk.create(root / "after")
        assert contents(root) == before


def test_the_write_that_fails_is_torn(tmp_path: Path) -> None:
    disk = FailingDisk(2, error=Crash)
    with disk.create(tmp_path / "f") as file:
        for _ in range(2):
            with pytest.raises(Crash):
                disk.write(file, b"12345678")
    assert (tmp_path / "f").read_bytes() == b"1234"
    disk = FailingDisk(1, error=Crash)
    for _ in range(2):
        with pytest.raises(Crash):
            disk.make_file(str(tmp_path / "g"), b"12345678", 0o666, 10**18)
    assert (tmp_path / "g").read_bytes() == b"1234"


def test_a_crash_passes_handlers_of_errors() -> None:
    assert not issubclass(Crash, Exception)
