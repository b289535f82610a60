"""A directory keeps the contract of backends, and is durable and atomic on a disk that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from disdat.errors import InvalidInput, PermissionDenied, StorageError
from disdat.store.backend import Backend, open_backend
from disdat.store.local import LEFT_NS, LOCK, LocalBackend
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


def staged(root: Path, name: str, *, age_ns: int) -> Path:
    """Give a file that a writer left in a remote so long ago."""
    path = root / ".disdat-staging" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    written_ns = path.stat().st_mtime_ns - age_ns
    os.utime(path, ns=(written_ns, written_ns))
    return path


def test_what_killed_writers_left_goes_with_the_first_write_after_two_days(tmp_path: Path) -> None:
    old, young = staged(tmp_path, "old", age_ns=LEFT_NS + 10**9), staged(tmp_path, "young", age_ns=LEFT_NS // 2)
    lock = staged(tmp_path, LOCK, age_ns=2 * LEFT_NS)
    backend = LocalBackend(tmp_path)
    assert list(backend.list()) == []
    assert old.exists(), "who reads removes nothing"
    backend.put("key", b"bytes")
    assert (old.exists(), young.exists(), lock.exists()) == (False, True, True)
    assert backend.get("key") == b"bytes"


def test_what_cannot_be_removed_keeps_nobody_from_writing(tmp_path: Path) -> None:
    old = tmp_path / ".disdat-staging" / "old"
    old.mkdir(parents=True)
    os.utime(old, ns=(0, 0))
    backend = LocalBackend(tmp_path)
    backend.put("key", b"bytes")
    assert backend.get("key") == b"bytes"


def test_who_sleeps_for_days_while_it_writes_is_told_and_nothing_is_half_there(tmp_path: Path) -> None:
    class Sleeps(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            for path in (tmp_path / ".disdat-staging").iterdir():
                os.utime(path, ns=(0, 0))
            LocalBackend(tmp_path).put("other", b"")
            return super().read(size)

    backend = LocalBackend(tmp_path)
    with pytest.raises(StorageError):
        backend.put_file("key", Sleeps(b"bytes"), 5)
    assert [stored.key for stored in backend.list()] == ["other"]
    backend.put("key", b"bytes")
    assert backend.get("key") == b"bytes"


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


def test_an_etag_is_not_given_twice_even_by_a_clock_that_stands_still(tmp_path: Path) -> None:
    """Inodes are used again, and sizes are the same: time must tell versions apart, and rises from swap to swap."""
    backend = LocalBackend(tmp_path)
    backend.put("ref", b"0")
    os.utime(tmp_path / "ref", ns=(2**61, 2**61))  # later than any clock will say
    etags = [backend.head("ref").etag]
    for n in range(20):
        etag = backend.put_if_match("ref", b"%d" % (n % 10), etags[-1])
        assert etag is not None
        etags.append(etag)
    times = [int(etag.rpartition("-")[2], 16) for etag in etags]
    assert times == sorted(set(times))


def test_processes_that_swap_lose_no_turn(tmp_path: Path) -> None:
    LocalBackend(tmp_path).put("count", b"0")
    program = """
        import sys
        from pathlib import Path
        from disdat.store.local import LocalBackend

        backend = LocalBackend(Path(sys.argv[1]))
        done = 0
        while done < 20:
            seen = backend.get_versioned("count")
            done += backend.put_if_match("count", b"%d" % (int(seen.data) + 1), seen.etag) is not None
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path]
    writers = [subprocess.Popen(command) for _ in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert LocalBackend(tmp_path).get("count") == b"60"


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
    assert backend.put_if_match("dir/old", b"newer", backend.head("dir/old").etag)
    acknowledged = len(disk.calls)
    (tmp_path / "scratch").mkdir()
    states = [
        {stored.key: LocalBackend(state).get(stored.key) for stored in LocalBackend(state).list()}
        for _, state in crash_states(initial, disk.calls, tmp_path / "scratch")
    ]
    assert len(states) == 2 * (acknowledged + 1)
    assert all(state["dir/old"] in {b"old", b"new", b"newer"} for state in states)
    assert all(state.get("dir/another/key", b"absent") == b"absent" for state in states)
    assert states[-2:] == [{"dir/old": b"newer", "dir/another/key": b"absent"}] * 2


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
