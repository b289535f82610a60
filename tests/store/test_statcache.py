"""The stat cache and state.db: what is remembered is believed only while it must be so."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from disdat.core.digest import of_bytes
from disdat.durable import Disk
from disdat.openfiles import MOST
from disdat.store.statcache import SETTLED_NS, Known, StatCache
from disdat.store.state import State

DIGEST = of_bytes(b"content")
LONG_AGO_NS = 10**18


@pytest.fixture
def state(tmp_path: Path) -> State:
    (tmp_path / "store").mkdir()
    return State(tmp_path / "store", disk=Disk())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(b"content")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def chmod(path: Path) -> None:
    path.chmod(0o600)


def touch(path: Path) -> None:
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS + 1))


def rewrite(path: Path) -> None:
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def grow(path: Path) -> None:
    path.write_bytes(b"contents")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(LONG_AGO_NS, LONG_AGO_NS))
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "object_known", "file_known"),
    [
        (lambda path: None, True, True),
        (chmod, True, False),
        (lambda path: os.link(path, path.with_name("link")), True, False),
        (touch, False, False),
        (grow, False, False),
        (replace, False, False),
        (rewrite, True, False),
    ],
    ids=["nothing", "chmod", "link", "touch", "grow", "replace", "rewrite"],
)
def test_a_change_is_noticed(state: State, path: Path, change: object, object_known: bool, file_known: bool) -> None:
    """Objects are read-only, so their change time, which linking changes, does not count."""
    cache = StatCache(state)
    cache.remember_objects([(path.stat(), DIGEST)])
    cache.remember_files([StatCache.file_row(path.stat(), DIGEST, time.time_ns())])
    assert callable(change)
    change(path)
    assert cache.objects([path.stat()]) == [DIGEST if object_known else None]
    (known,) = cache.files([path.stat()])
    assert (known is not None and known.trusted) == file_known


@pytest.mark.parametrize(("age_ns", "trusted"), [(SETTLED_NS, True), (SETTLED_NS - 1, False), (0, False), (-1, False)])
def test_a_file_that_was_new_when_it_was_hashed_is_not_trusted(
    state: State, path: Path, age_ns: int, trusted: bool
) -> None:
    cache = StatCache(state)
    cache.remember_files([StatCache.file_row(path.stat(), DIGEST, LONG_AGO_NS + age_ns)])
    assert cache.files([path.stat()]) == [Known(DIGEST, trusted)]


def test_many_are_asked_for_and_answered_in_order(state: State, tmp_path: Path) -> None:
    cache = StatCache(state)
    paths = [tmp_path / str(number) for number in range(1234)]
    for path in paths:
        path.touch()
    stats = [path.stat() for path in paths]
    digests = [of_bytes(path.name.encode()) for path in paths]
    cache.remember_objects(list(zip(stats, digests, strict=True))[::2])
    assert cache.objects(stats) == [digest if n % 2 == 0 else None for n, digest in enumerate(digests)]
    assert cache.files(stats) == [None] * 1234
    assert cache.objects([]) == []


def test_devices_and_inodes_of_64_bits_are_kept(state: State, path: Path) -> None:
    fields = list(path.stat())
    fields[1], fields[2] = 2**64 - 3, 2**63 + 5
    stat = os.stat_result(fields, {"st_mtime_ns": LONG_AGO_NS, "st_ctime_ns": LONG_AGO_NS})
    StatCache(state).remember_objects([(stat, DIGEST)])
    assert StatCache(state).objects([stat]) == [DIGEST]


def test_nothing_is_made_before_the_store_is(tmp_path: Path, path: Path) -> None:
    state = State(tmp_path / "later", disk=Disk())
    cache = StatCache(state)
    cache.remember_objects([(path.stat(), DIGEST)])
    assert cache.objects([path.stat()]) == [DIGEST]
    assert not (tmp_path / "later").exists()
    (tmp_path / "later").mkdir()
    cache.remember_objects([(path.stat(), DIGEST)])
    assert State(tmp_path / "later", disk=Disk()).query("SELECT count(*) FROM object") == [(1,)]


def test_a_generation_ends_when_rows_may_be_gone(state: State) -> None:
    state.query("SELECT 1")
    first = state.generation
    state.query("SELECT 1")
    assert state.generation == first
    state.close()
    state.path.write_bytes(b"damaged" * 1000)
    state.query("SELECT count(*) FROM object")
    assert state.generation > first


def test_a_database_that_stays_locked_is_done_without(
    state: State, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disdat.store.state.BUSY_TIMEOUT_S", 0.01)
    state.query("SELECT 1")
    state.close()
    with sqlite3.connect(state.path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache = StatCache(state)
        cache.remember_objects([(path.stat(), DIGEST)])
        assert cache.objects([path.stat()]) == [DIGEST]
    other.close()


def test_a_change_that_is_interrupted_leaves_no_transaction_open(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    disk = Disk()
    state = State(tmp_path / "store", disk=disk)
    state.query("SELECT 1")
    with monkeypatch.context() as patch:
        patch.setattr(disk, "sql_commit", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            StatCache(state).remember_objects([(path.stat(), DIGEST)])
    assert StatCache(state).objects([path.stat()]) == [None]
    StatCache(state).remember_objects([(path.stat(), DIGEST)])
    assert StatCache(State(tmp_path / "store", disk=disk)).objects([path.stat()]) == [DIGEST]


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_threads_and_stores_write_at_once(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    states = [State(tmp_path / "store", disk=Disk()) for _ in range(3)]
    paths = [tmp_path / str(number) for number in range(60)]
    for path in paths:
        path.touch()

    def remember(number: int) -> None:
        for path in paths[number::6]:
            StatCache(states[number % 3]).remember_objects([(path.stat(), of_bytes(path.name.encode()))])

    threads = [threading.Thread(target=remember, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = StatCache(State(tmp_path / "store", disk=Disk())).objects([path.stat() for path in paths])
    assert found == [of_bytes(path.name.encode()) for path in paths]


def test_a_process_may_use_more_states_than_it_may_have_files_open(tmp_path: Path) -> None:
    """By many threads, of which each has some open."""
    before = len(os.listdir("/proc/self/fd"))
    states = [State(tmp_path / str(number), disk=Disk()) for number in range(3 * MOST)]
    for each in states:
        each.path.parent.mkdir()

    def use(each: State) -> int:
        each.change(("INSERT INTO pack (name) VALUES (?)", [(str(each.path),)]))
        return len(each.query("SELECT name FROM pack"))

    with ThreadPoolExecutor(4) as pool:
        for round_ in (1, 2):
            assert set(pool.map(use, states)) == {1}
            for each in states:
                each.change(("DELETE FROM pack WHERE ?", [(round_,)]))
    assert len(os.listdir("/proc/self/fd")) - before <= 3 * MOST


def test_a_state_that_a_thread_uses_stays_open(state: State) -> None:
    state.change(("INSERT INTO pack (name) VALUES (?)", [("a",)]))
    open_files = len(os.listdir("/proc/self/fd"))
    with state._lock, ThreadPoolExecutor(1) as pool:
        pool.submit(state.rest).result(timeout=20)
        assert len(os.listdir("/proc/self/fd")) == open_files
    state.rest()
    assert len(os.listdir("/proc/self/fd")) < open_files
    assert state.query("SELECT name FROM pack") == [("a",)]
