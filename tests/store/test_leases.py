"""Leases: held while their writer lives, gone when it does not, whatever its children do."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disdat.durable import Disk
from disdat.errors import PermissionDenied
from disdat.store.leases import Lease, held, live
from disdat.store.locks import FileLock
from tests.conftest import unprivileged


def test_a_lease_is_live_while_it_is_held(tmp_path: Path) -> None:
    directory = tmp_path / "leases"
    assert live(directory) == []
    before = time.time_ns() // 1000
    with Lease(directory, context="demo", uuid="u") as lease:
        assert lease.path is not None
        (found,) = live(directory)
        assert (found.id, found.context, found.uuid, found.pid) == (lease.path.name, "demo", "u", os.getpid())
        assert found.host == socket.gethostname()
        assert before <= found.started <= time.time_ns() // 1000
    assert live(directory) == []
    assert list(directory.iterdir()) == []
    assert lease.path is None


def test_the_file_says_to_people_what_the_format_says(tmp_path: Path) -> None:
    with Lease(tmp_path, context="demo", uuid="u") as lease:
        assert lease.path is not None
        fields = json.loads(lease.path.read_bytes())
    assert sorted(fields) == ["context", "host", "pid", "started", "uuid"]


def test_leases_are_independent(tmp_path: Path) -> None:
    with Lease(tmp_path, context="a", uuid="1"):
        with Lease(tmp_path, context="b", uuid="2"):
            assert sorted(found.context for found in live(tmp_path)) == ["a", "b"]
        assert [found.context for found in live(tmp_path)] == ["a"]


def test_releasing_twice_or_without_a_lease_does_nothing(tmp_path: Path) -> None:
    lease = Lease(tmp_path, context="demo", uuid="u")
    lease.release()
    lease.acquire()
    lease.release()
    lease.release()
    assert live(tmp_path) == []


_HOLD = """
import sys, time
from pathlib import Path
from disdat.store.leases import Lease
with Lease(Path(sys.argv[1]), context="demo", uuid="u"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lease_of_a_killed_writer_is_reaped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"held\n"
        assert [found.pid for found in live(tmp_path)] == [writer.pid]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert live(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_writer_left_half_written_is_reaped(tmp_path: Path) -> None:
    (tmp_path / "left").write_bytes(b'{"conte')
    with Lease(tmp_path, context="demo", uuid="u"):
        assert [found.context for found in live(tmp_path)] == ["demo"]
    assert list(tmp_path.iterdir()) == []


def test_a_lease_that_is_being_written_is_live_without_its_text(tmp_path: Path) -> None:
    with Lease(tmp_path, context="demo", uuid="u") as lease:
        assert lease.path is not None
        os.truncate(lease.path, 3)
        assert [(found.id, found.context) for found in live(tmp_path)] == [(lease.path.name, "")]


def _child(lease: Lease) -> None:
    assert lease.path is None
    lease.release()


def test_a_child_neither_holds_nor_ends_its_parents_lease(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with Lease(tmp_path, context="demo", uuid="u") as lease:
        child = context.Process(target=_child, args=(lease,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert len(live(tmp_path)) == 1
        lingering = context.Process(target=time.sleep, args=(60,))
        lingering.start()
    try:
        assert live(tmp_path) == []
    finally:
        lingering.kill()
        lingering.join()


class _Reaping(Disk):
    """Reaps dead leases just when a new one was made and is not locked yet."""

    def __init__(self, times: int) -> None:
        self.times = times

    def open_append(self, path: Path) -> object:  # type: ignore[override]
        file = super().open_append(path)
        if self.times:
            self.times -= 1
            live(path.parent)
        return file


def test_a_lease_taken_for_dead_while_it_is_made_is_made_again(tmp_path: Path) -> None:
    disk = _Reaping(3)
    with Lease(tmp_path, context="demo", uuid="u", disk=disk):
        assert disk.times == 0
        assert [found.context for found in live(tmp_path)] == ["demo"]


def test_a_lease_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with unprivileged(), pytest.raises(PermissionDenied, match="cannot write a lease"):
        Lease(tmp_path / "leases", context="demo", uuid="u").acquire()


def test_what_is_held_is_told_without_a_change(tmp_path: Path) -> None:
    (tmp_path / "dead").write_bytes(b"{}")
    with Lease(tmp_path, context="demo", uuid="u") as lease:
        assert lease.path is not None
        before = sorted(tmp_path.iterdir())
        assert [(found.id, found.uuid) for found in held(tmp_path)] == [(lease.path.name, "u")]
        assert sorted(tmp_path.iterdir()) == before
    assert held(tmp_path) == []
    assert held(tmp_path / "none") == []


class _Again(Disk):
    """When the lock of a task is first opened, its holder ends, and another one makes and holds it before we do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holder: FileLock | None = None

    def open_append(self, path: Path) -> object:  # type: ignore[override]
        file = super().open_append(path)
        if self.holder is None:
            path.unlink()
            self.holder = FileLock(path, disk=Disk())
            self.holder.acquire_exclusive()
        return file


def test_a_turn_that_another_one_took_meanwhile_stays_its(tmp_path: Path) -> None:
    path = tmp_path / "task-0.lock"
    path.touch()
    disk = _Again(path)
    assert live(tmp_path, disk=disk) == []
    assert disk.holder is not None
    assert disk.holder.names_its_file()
    disk.holder.release()
    assert live(tmp_path) == []
    assert not path.exists(), "nobody has it, and it stays for ever"
