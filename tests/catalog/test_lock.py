"""The lock of a context: one at a time, among threads and processes, and never for ever."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.catalog.lock import ContextLock
from disdat.errors import ContextNotFound, Unavailable


def in_child(act: Callable[[], None]) -> int:
    """Run *act* in a forked process; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return pid


def count_up(directory: Path, times: int) -> None:
    counter = directory / "counter"
    for _ in range(times):
        with ContextLock(directory).held():
            number = int(counter.read_text())
            time.sleep(0)
            counter.write_text(str(number + 1))


def test_threads_and_processes_take_turns(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    pids = [in_child(lambda: count_up(tmp_path, 100)) for _ in range(3)]
    threads = [threading.Thread(target=count_up, args=(tmp_path, 100)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pid in pids:
        os.waitpid(pid, 0)
    assert (tmp_path / "counter").read_text() == "600"


def test_who_waits_too_long_is_told_so_and_harms_nobody(tmp_path: Path) -> None:
    with (
        ContextLock(tmp_path).held(),
        pytest.raises(Unavailable, match="another process holds the lock"),
        ContextLock(tmp_path, timeout_s=0.05).held(),
    ):
        pytest.fail("the lock was held twice")
    with ContextLock(tmp_path, timeout_s=5).held():
        """What gave up lets go as soon as it gets the lock."""


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def hold() -> None:
        with ContextLock(tmp_path).held():
            ready.touch()
            time.sleep(60)

    pid = in_child(hold)
    while not ready.exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with ContextLock(tmp_path, timeout_s=5).held():
        assert ready.exists()


def test_a_child_does_not_hold_what_its_parent_holds(tmp_path: Path) -> None:
    """A pool's worker, forked while a change is made, must not keep others out when its parent is killed."""
    lock = ContextLock(tmp_path)
    with lock.held():
        worker = in_child(lambda: time.sleep(60))
        # As the kernel does for a parent that is killed: its own files are closed, without unlocking.
        parent = in_child(lambda: None)
        os.waitpid(parent, 0)
    try:
        with ContextLock(tmp_path, timeout_s=5).held():
            assert os.waitpid(worker, os.WNOHANG) == (0, 0)
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_the_lock_of_a_killed_parent_is_free_though_its_child_lives(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def parent() -> None:
        with ContextLock(tmp_path).held():
            child = in_child(lambda: time.sleep(60))
            (tmp_path / "new").write_text(str(child))
            (tmp_path / "new").rename(pids)
            time.sleep(60)

    pid = in_child(parent)
    while not pids.exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    child = int(pids.read_text())
    try:
        with ContextLock(tmp_path, timeout_s=5).held():
            os.kill(child, 0)  # it is alive
    finally:
        os.kill(child, signal.SIGKILL)


def test_who_does_not_wait_has_the_lock_or_not(tmp_path: Path) -> None:
    lock = ContextLock(tmp_path)
    with lock.held(), lock.held_if_free() as held:
        assert not held
    with lock.held_if_free() as held:
        assert held
        with lock.held_if_free() as again:
            assert not again
    with ContextLock(tmp_path, timeout_s=0.1).held():
        """It was given up."""


def test_a_context_that_was_deleted_has_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ContextNotFound), ContextLock(tmp_path / "gone").held():
        pytest.fail("the lock of nothing was held")


def test_a_context_deleted_while_one_waits_is_not_locked(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    outcome: list[str] = []

    def wait() -> None:
        try:
            with ContextLock(context).held():
                outcome.append("held")
        except ContextNotFound:
            outcome.append("gone")

    with ContextLock(context).held():
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.1)
        context.rename(tmp_path / "trash")
    waiter.join()
    assert outcome == ["gone"]
