"""A lock is had alone in turn, however busy those are who share it, and nobody waits for itself."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disdat.durable import Disk
from disdat.errors import Unavailable
from disdat.store import locks
from disdat.store.locks import TURN_SUFFIX, FileLock

FORK = multiprocessing.get_context("fork")


def lock(path: Path) -> FileLock:
    return FileLock(path, disk=Disk())


def _share(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    while True:
        each = lock(path)
        each.acquire_shared()
        time.sleep(chance.uniform(0.002, 0.01))
        each.release()


@contextmanager
def sharing(path: Path, count: int) -> Iterator[None]:
    """Processes that share the lock again and again."""
    workers = [FORK.Process(target=_share, args=(path, seed)) for seed in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


@pytest.mark.slow
def test_who_wants_it_alone_gets_it_however_many_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with sharing(path, 8):
        time.sleep(0.2)
        for _ in range(5):
            alone = lock(path)
            alone.acquire_exclusive_in_turn(timeout_s=4)
            assert not lock(path).try_exclusive()
            alone.release()
    assert not (tmp_path / f"lock{TURN_SUFFIX}").exists()


def test_who_wants_it_alone_gets_it_though_threads_of_one_process_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    ended = threading.Event()

    def share(wait_s: float) -> None:
        time.sleep(wait_s)
        while not ended.is_set():
            mine = lock(path)
            mine.acquire_shared()
            time.sleep(0.02)
            mine.release()

    threads = [threading.Thread(target=share, args=(number * 0.003,)) for number in range(6)]
    for each in threads:
        each.start()
    try:
        alone = lock(path)
        alone.acquire_exclusive_in_turn(timeout_s=4)
        alone.release()
    finally:
        ended.set()
        for each in threads:
            each.join()


def test_who_shares_it_shares_it_again_though_somebody_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second, alone = lock(path), lock(path), lock(path)
    first.acquire_shared()
    waiter = threading.Thread(target=lambda: alone.acquire_exclusive_in_turn(timeout_s=30))
    waiter.start()
    while not (tmp_path / f"lock{TURN_SUFFIX}").exists():
        time.sleep(0.001)
    second.acquire_shared()
    second.release()
    first.release()
    waiter.join()
    assert alone.held
    alone.release()


def test_others_may_share_it_now_and_then_while_one_that_has_it_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TURN_S", 0.05)
    monkeypatch.setattr(locks, "PAUSE_S", 0.05)
    path = tmp_path / "lock"
    shares = FORK.Process(target=_hold, args=(path,))
    shares.start()
    while not path.exists():
        time.sleep(0.001)
    waiter = threading.Thread(target=_fail_to_take, args=(path,))
    waiter.start()
    begun = time.monotonic()
    while waiter.is_alive():
        each = lock(path)
        each.acquire_shared()
        each.release()
    assert time.monotonic() - begun < 5
    shares.kill()
    shares.join()


def _hold(path: Path) -> None:
    each = lock(path)
    each.acquire_shared()
    time.sleep(60)


def _fail_to_take(path: Path) -> None:
    with pytest.raises(Unavailable, match="have been writing"):
        lock(path).acquire_exclusive_in_turn(timeout_s=0.5)


def test_a_killed_waiter_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock(path)
    held.acquire_shared()
    waiter = FORK.Process(target=lambda: lock(path).acquire_exclusive_in_turn(timeout_s=60))
    waiter.start()
    while not (tmp_path / f"lock{TURN_SUFFIX}").exists():
        time.sleep(0.001)
    assert waiter.pid is not None
    os.kill(waiter.pid, signal.SIGKILL)
    waiter.join()
    held.release()
    each = lock(path)
    each.acquire_shared()
    each.release()
    each.acquire_exclusive_in_turn(timeout_s=1)
    each.release()
    assert not (tmp_path / f"lock{TURN_SUFFIX}").exists()
