"""A directory keeps the contract of backends, and is durable and atomic on a disk that fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat.errors import InvalidInput, PermissionDenied, StorageError
from disdat.store.backend import Backend, open_backend
from disdat.store.local import LocalBackend
from disdat.testing.backend_contract import BackendContract
from disdat.testing.faults import FailingDisk, RecordingDisk, crash_states
from tests.conftest import unprivileged


class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(tmp_path / "remote")


@pytest.mark.parametrize("name", ["plain", "with space", "ä%41#?"])
def test_a_backend_is_opened_by_its_url(tmp_path: Path, name: str) -> None:
    backend = LocalBackend(tmp_path / name)
    backend.put("key", b"bytes")
    again = open_backend(backend.url)
    assert again.url == backend.url
    assert again.get("key") == b"bytes"


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "remote")
    assert list(backend.list()) == []
    backend.delete("key")
    assert not (tmp_path / "remote").exists()


def test_files_that_are_being_written_are_no_keys(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.put("key", b"")
    (tmp_path / ".disdat-staging" / "left").write_bytes(b"")
    assert [stored.key for stored in backend.list()] == ["key"]
    with pytest.raises(InvalidInput):
        backend.get(".disdat-staging/left")


def test_a_key_below_another_is_refused(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.put("a", b"")
    with pytest.raises(StorageError):
        backend.put("a/b", b"")
    backend.put("c/d", b"")
    with pytest.raises(StorageError):
        backend.put("c", b"")


def test_a_directory_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    with unprivileged(), pytest.raises(PermissionDenied, match="cannot write key in file://"):
        LocalBackend(tmp_path / "none" / "remote").put("key", b"")


@pytest.fixture
def initial(tmp_path: Path) -> Iterator[Path]:
    LocalBackend(tmp_path / "initial").put("dir/old", b"old")
    yield tmp_path / "initial"
    assert LocalBackend(tmp_path / "initial").get("dir/old") == b"old"


def test_a_power_cut_after_any_step_leaves_the_old_bytes_or_the_new(tmp_path: Path, initial: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(initial, root)
    disk = RecordingDisk(root)
    backend = LocalBackend(root, disk=disk)
    backend.put("dir/old", b"new")
    assert backend.put_if_absent("dir/another/key", b"absent")
    acknowledged = len(disk.calls)
    (tmp_path / "scratch").mkdir()
    states = [
        {stored.key: LocalBackend(state).get(stored.key) for stored in LocalBackend(state).list()}
        for _, state in crash_states(initial, disk.calls, tmp_path / "scratch")
    ]
    assert len(states) == 2 * (acknowledged + 1)
    assert all(state["dir/old"] in {b"old", b"new"} for state in states)
    assert all(state.get("dir/another/key", b"absent") == b"absent" for state in states)
    assert states[-2:] == [{"dir/old": b"new", "dir/another/key": b"absent"}] * 2


def test_a_put_that_fails_at_any_step_leaves_the_old_bytes_or_the_new(tmp_path: Path, initial: Path) -> None:
    for at in range(1, 100):
        root = tmp_path / str(at)
        shutil.copytree(initial, root)
        disk = FailingDisk(at)
        backend = LocalBackend(root, disk=disk)
        try:
            backend.put("dir/old", b"new")
        except StorageError:
            assert disk.reached
        assert LocalBackend(root).get("dir/old") in {b"old", b"new"}
        assert os.listdir(root / "dir") == ["old"]
        if not disk.reached:
            assert LocalBackend(root).get("dir/old") == b"new"
            assert at > 5
            return
    raise AssertionError("the end was not reached")
