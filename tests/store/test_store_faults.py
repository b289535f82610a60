"""The store under faults: whatever fails wherever, what was sealed is there and what was not harms nothing."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from disdat.core.digest import Digest, of_bytes
from disdat.durable import Disk
from disdat.errors import DigestMismatch, StorageError
from disdat.store import additions
from disdat.store.objects import ObjectBatch, ObjectStore
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk, crash_states

SMALL = b"small"
LARGE = bytes(range(256)) * 300
OLD = [b"old", b"old" * 30_000]
NEW = [SMALL, SMALL * 2, LARGE, LARGE[::-1], LARGE + b"adopted", LARGE + b"blob", b"in place"]


def make_home(home: Path) -> None:
    home.mkdir()
    store = ObjectStore(home / "store")
    with store.batch() as batch:
        for data in OLD:
            batch.put(data)
        batch.seal()
    store.close()
    (home / "context").mkdir()
    (home / "context" / "large").write_bytes(LARGE + b"adopted")
    (home / "context" / "small").write_bytes(b"in place")


def add_all(batch: ObjectBatch, home: Path, outside: Path) -> list[Digest]:
    """Take in :data:`NEW` in every way there is, and some that is there already."""
    digests = [batch.put(SMALL), batch.put(SMALL * 2), batch.put(OLD[0]), batch.put(OLD[1])]
    digests += [entry.digest for entry in batch.put_files([outside / "a", outside / "b"])]
    digests += [batch.adopt_file(home / "context" / name).digest for name in ("large", "small")]
    with batch.blob() as blob:
        blob.write(LARGE + b"blob")
    return [*digests, blob.digest]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "a").write_bytes(LARGE)
    (directory / "b").write_bytes(LARGE[::-1])
    return directory


def check(home: Path, *, sealed: bool, outside: Path) -> None:
    """What was there is right; what is there under its name is right or can be made so; all of it if *sealed*."""
    store = ObjectStore(home / "store")
    for data in OLD:
        assert store.read(of_bytes(data)) == data
    for digest in store.iter_digests():
        store.verify(digest)
    if sealed:
        assert [store.read(of_bytes(data)) for data in NEW] == NEW
    with store.batch() as batch:
        add_all(batch, home, outside)
        batch.seal()
    assert [store.read(of_bytes(data)) for data in NEW] == NEW
    assert list(store.damage()) == []
    store.close()


@pytest.mark.slow
def test_a_power_cut_after_any_step_of_a_batch_leaves_the_old_store_or_the_new(tmp_path: Path, outside: Path) -> None:
    home, initial = tmp_path / "home", tmp_path / "initial"
    make_home(home)
    shutil.copytree(home, initial)
    disk = RecordingDisk(home)
    store = ObjectStore(home / "store", disk=disk)
    with store.batch() as batch:
        add_all(batch, home, outside)
        batch.seal()
        sealed_at = len(disk.calls)
    (tmp_path / "scratch").mkdir()
    for number, (what, state) in enumerate(crash_states(initial, disk.calls, tmp_path / "scratch")):
        for name, data in (("large", NEW[4]), ("small", NEW[6])):
            _restore(state / "context" / name, data)
        try:
            check(state, sealed=number // 2 >= sealed_at, outside=outside)
        except BaseException as exc:
            raise AssertionError(what) from exc


def _restore(path: Path, data: bytes) -> None:
    """A user's own file, which nobody synced, is written by the user again."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.unlink(missing_ok=True)
        path.write_bytes(data)


def test_objects_are_durable_before_they_have_a_name_and_named_before_seal_returns(
    tmp_path: Path, outside: Path
) -> None:
    home = tmp_path / "home"
    make_home(home)
    disk = RecordingDisk(home)
    with ObjectStore(home / "store", disk=disk).batch() as batch:
        add_all(batch, home, outside)
        batch.seal()
        calls = list(disk.calls)
    renames = [n for n, call in enumerate(calls) if call.name == "rename"]
    syncs = {call.path: n for n, call in enumerate(calls) if call.name == "sync"}
    directories = {call.path: n for n, call in enumerate(calls) if call.name == "sync_dir"}
    assert len(renames) == 5  # a pack and four large objects
    for number in renames:
        rename = calls[number]
        assert syncs[rename.path] < number < directories[os.path.dirname(rename.target)]
        parent = os.path.dirname(rename.target)
        while parent not in {"", "store"}:
            assert directories[parent] <= directories[os.path.dirname(parent)]
            parent = os.path.dirname(parent)
    names = [call.path for call in calls if call.name == "sync_dir"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("then", ["hold", "keep", "seal"])
def test_a_batch_whose_pack_could_not_be_written_never_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Whoever goes on after the first error would commit what names objects that are nowhere."""
    monkeypatch.setattr(additions, "PACK_BYTES", 10)

    class FullOnce(Disk):
        left = 1

        def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
            if FullOnce.left:
                FullOnce.left -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
            super().write(file, data)

    store = ObjectStore(tmp_path / "store", disk=FullOnce())
    with store.batch() as batch:
        lost = batch.put(b"more than ten bytes")  # a thread begins to write a pack of it
        with pytest.raises(StorageError, match="No space left"):
            batch.seal()
        again = {"hold": lambda: batch.put(b"small"), "keep": lambda: batch.put(LARGE), "seal": batch.seal}
        with pytest.raises(StorageError, match="No space left"):
            again[then]()
    assert not store.has(lost)


@pytest.mark.slow
@pytest.mark.parametrize("error", [None, Crash, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_a_batch_that_fails_at_any_step_leaves_a_store_that_works(
    tmp_path: Path, outside: Path, error: Callable[[], BaseException] | None
) -> None:
    for at in range(1, 1000):
        home = tmp_path / str(at)
        make_home(home)
        disk = FailingDisk(at, error=error) if error else FailingDisk(at)
        sealed = False
        try:
            with ObjectStore(home / "store", disk=disk).batch() as batch:
                add_all(batch, home, outside)
                batch.seal()
                sealed = True
        except (StorageError, Crash):
            assert disk.reached
        for name, data in (("large", NEW[4]), ("small", NEW[6])):
            _restore(home / "context" / name, data)
        check(home, sealed=sealed, outside=outside)
        if not disk.reached:
            assert sealed
            assert at > 20
            return
        shutil.rmtree(home)
    raise AssertionError("the end was not reached")


@pytest.mark.slow
def test_more_than_a_thousand_large_files_are_synced_at_once(tmp_path: Path) -> None:
    disk = RecordingDisk(tmp_path)
    with ObjectStore(tmp_path / "store", disk=disk).batch() as batch:
        for number in range(1001):
            batch.put(number.to_bytes(2, "big") * 32768)
        batch.seal()
    names = [call.name for call in disk.calls if call.name.startswith("sync") and call.name != "sync_dir"]
    assert names == ["sync_file_system"]


def test_names_in_many_directories_are_synced_before_those_of_the_directories_above(tmp_path: Path) -> None:
    disk = RecordingDisk(tmp_path)
    with ObjectStore(tmp_path / "store", disk=disk).batch() as batch:
        digests = [batch.put(LARGE + bytes([n])) for n in range(60)]
        batch.seal()
    synced = [call.path for call in disk.calls if call.name == "sync_dir"]
    shards = {f"store/objects/blake3/{digest.hex[:2]}" for digest in digests}
    assert set(synced[: len(shards)]) == shards
    assert synced[len(shards) :] == ["store/objects/blake3", "store/objects", "store", "."]


def test_packs_that_are_written_meanwhile_are_all_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "PACK_BYTES", 2000)
    items = [bytes([n]) * 700 for n in range(100)]
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        digests = [batch.put(item) for item in items * 2][:100]
        batch.seal()
    assert [store.read(digest) for digest in digests] == items
    assert len(list((tmp_path / "store" / "packs").iterdir())) == 34
    assert list(store.damage()) == []


def _put_hundred(store: ObjectStore) -> None:
    with store.batch() as batch:
        for n in range(100):
            batch.put(bytes([n]) * 700)
        batch.seal()


@pytest.mark.parametrize("at", [1, 4, 6, 9, 13, 22, 40])
def test_a_disk_that_fails_while_packs_are_written_meanwhile_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(additions, "PACK_BYTES", 2000)
    store = ObjectStore(tmp_path / "store", disk=FailingDisk(at))
    with pytest.raises(StorageError):
        _put_hundred(store)
    assert list(ObjectStore(tmp_path / "store").iter_digests()) == []


# Several processes


def _run(target: Callable[..., None], *arguments: object, count: int) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=target, args=(*arguments, number)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count


def _put_all(root: Path, number: int) -> None:
    store = ObjectStore(root)
    order = random.Random(number)
    for _ in range(5):
        items = [bytes([n]) * (n * 3000) for n in range(1, 60)]
        order.shuffle(items)
        with store.batch() as batch:
            digests = [batch.put(item) for item in items]
            batch.seal()
            assert [store.read(digest) for digest in digests] == items


@pytest.mark.slow
def test_processes_that_add_the_same_bytes_at_once_store_large_ones_once(tmp_path: Path) -> None:
    root = tmp_path / "store"
    _run(_put_all, root, count=6)
    store = ObjectStore(root)
    large = [p for p in (root / "objects").rglob("*") if p.is_file()]
    assert len(large) == len([n for n in range(1, 60) if n * 3000 >= 65536])
    assert {p.stat().st_nlink for p in large} == {1}
    assert len(list(store.iter_digests())) == 59
    assert list(store.damage()) == []
    assert list((root / "staging").iterdir()) == []


def _put_tree(root: Path, tree: Path, number: int) -> None:
    with ObjectStore(root).batch() as batch:
        batch.put_files(sorted(tree.iterdir()))
        batch.seal()


def test_processes_that_add_the_same_tree_at_once_store_it_once(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / str(number)).write_bytes(number.to_bytes(2, "big") * 1000)
    _run(_put_tree, tmp_path / "store", tree, count=4)
    (pack,) = (tmp_path / "store" / "packs").iterdir()
    assert 600_000 < pack.stat().st_size < 620_000


def _use_after_fork(store: ObjectStore, number: int) -> None:
    assert store.read(of_bytes(SMALL)) == SMALL
    with store.batch() as batch:
        digest = batch.put(b"child %d" % number)
        batch.seal()
    assert store.read(digest) == b"child %d" % number


def test_a_store_may_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        batch.put(SMALL)
        batch.seal()
    _run(_use_after_fork, store, count=4)
    _use_after_fork(store, 99)
    assert len(list(store.iter_digests())) == 6


def _look(store: ObjectStore, number: int) -> None:
    assert not store.has(of_bytes(b"never put %d" % number))


def test_a_child_does_not_wait_for_what_a_thread_of_its_parent_holds(tmp_path: Path) -> None:
    """A thread that reads the packs while another one forks is not in the child, and cannot let go there."""
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        batch.put(SMALL)
        batch.seal()
    with store._packed._lock:  # as another thread has it that is reading the packs
        child = multiprocessing.get_context("fork").Process(target=_look, args=(store, 1))
        child.start()
        child.join(10)
        child.kill()
        child.join()
    assert child.exitcode == 0


class _RefusingDirectories(RecordingDisk):
    """Refuses to make names durable until it is told to."""

    refuses = True

    def sync_dir(self, path: Path) -> None:
        if self.refuses:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync_dir(path)


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_what_could_not_be_made_durable_is_made_so_by_who_adds_it_again(tmp_path: Path, data: bytes) -> None:
    """In the same process too: that it has its name says nothing of whether a power cut would take it."""
    disk = _RefusingDirectories(tmp_path)
    store = ObjectStore(tmp_path / "store", disk=disk)
    with store.batch() as batch:
        batch.put(data)
        with pytest.raises(StorageError):
            batch.seal()
    disk.refuses = False
    disk.calls.clear()
    with store.batch() as batch:
        digest = batch.put(data)
        batch.seal()
    assert store.has(digest)
    [placed] = [path for path in (tmp_path / "store").rglob("*") if path.suffix == ".pack" or path.name == digest.hex]
    above = {os.path.relpath(directory, tmp_path) for directory in placed.parents if directory.is_relative_to(tmp_path)}
    assert above <= {call.path for call in disk.calls if call.name == "sync_dir"}


class _WritingMeanwhile(Disk):
    """Writes through an old handle while the names of objects are made durable."""

    def __init__(self, path: Path) -> None:
        self.handle = path.open("r+b", buffering=0)

    def sync_dir(self, path: Path) -> None:
        self.handle.write(b"changed")
        super().sync_dir(path)


def test_a_write_through_an_old_handle_during_the_commit_is_found_when_read(tmp_path: Path) -> None:
    """Its bytes are known by what the file was when it was hashed, not by what it is when the commit ends."""
    path = tmp_path / "home" / "f"
    path.parent.mkdir()
    path.write_bytes(LARGE)
    disk = _WritingMeanwhile(path)
    store = ObjectStore(tmp_path / "home" / "store", disk=disk)
    with disk.handle, store.batch() as batch:
        digest = batch.adopt_file(path).digest
        batch.seal()
    with pytest.raises(DigestMismatch):
        store.read(digest)


def test_a_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        batch.put(SMALL)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        forked.start()
        with (tmp_path / "store" / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        with (tmp_path / "store" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()
        forked.kill()
        forked.join()


_FOREVER = """
import sys
from pathlib import Path
from disdat.store.objects import ObjectStore
root = Path(sys.argv[1])
store = ObjectStore(root / "store")
number = 0
while True:
    with store.batch() as batch:
        digests = [batch.put(b"%d" % number), batch.put(b"%9d" % number * 9000)]
        path = root / f"file{number}"
        path.write_bytes(b"%8d" % number * 9000)
        digests.append(batch.adopt_file(path).digest)
        batch.seal()
        print(*digests, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_all_it_sealed(tmp_path: Path) -> None:
    order = random.Random(7)
    acknowledged: list[str] = []
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", _FOREVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert process.stdout is not None
        acknowledged += process.stdout.readline().split()
        time.sleep(order.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        acknowledged += [word for line in process.stdout if line.endswith("\n") for word in line.split()]
        process.wait()
        shutil.rmtree(tmp_path / "files", ignore_errors=True)
        for path in tmp_path.glob("file*"):
            path.unlink()
    store = ObjectStore(tmp_path / "store")
    assert len(acknowledged) >= 36
    for digest in acknowledged:
        store.verify(Digest(digest))
    assert list(store.damage()) == []


class _Watching(Disk):
    """Notes the largest number of bytes written at once."""

    def __init__(self) -> None:
        self.largest = 0

    def write(self, file: object, data: bytes | memoryview) -> None:
        self.largest = max(self.largest, len(data))
        super().write(file, data)  # type: ignore[arg-type]


def test_a_file_is_copied_in_pieces_of_a_mebibyte(tmp_path: Path) -> None:
    disk = _Watching()
    (tmp_path / "f").write_bytes(bytes(5 << 20))
    with ObjectStore(tmp_path / "store", disk=disk).batch() as batch:
        batch.put_file(tmp_path / "f")
        batch.seal()
    assert disk.largest == 1 << 20
