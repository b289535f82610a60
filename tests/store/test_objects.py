"""The object store: what goes in comes out, once per home, verified."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry
from disdat.durable import Disk
from disdat.errors import (
    DigestMismatch,
    InvalidInput,
    ObjectNotFound,
    PathNotFound,
    PermissionDenied,
    StorageError,
)
from disdat.store import additions
from disdat.store.additions import SMALL_BYTES
from disdat.store.objects import ObjectStore
from disdat.testing.faults import RecordingDisk
from tests.conftest import unprivileged

SMALL = b"small"
LARGE = bytes(range(256)) * 512
ABSENT = of_bytes(b"nobody stored this")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    (tmp_path / "home").mkdir()
    return ObjectStore(tmp_path / "home" / "store")


def put(store: ObjectStore, *data: bytes) -> list[Digest]:
    with store.batch() as batch:
        digests = [batch.put(item) for item in data]
        batch.seal()
    return digests


def put_file(store: ObjectStore, path: Path) -> Entry:
    with store.batch() as batch:
        entry = batch.put_file(path)
        batch.seal()
    return entry


def adopt(store: ObjectStore, path: Path) -> Entry:
    with store.batch() as batch:
        entry = batch.adopt_file(path)
        batch.seal()
    return entry


def file(path: Path, data: bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def object_file(store: ObjectStore, digest: Digest) -> Path:
    return store.root / "objects" / "blake3" / digest.hex[:2] / digest.hex


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory in which every user may make files; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="disdat-test-") as directory:
        os.chmod(directory, 0o777)
        yield Path(directory)


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def stored_bytes(store: ObjectStore) -> int:
    return sum(p.stat().st_size for part in ("objects", "packs") for p in files_of(store.root / part))


def damage(path: Path, *, at: int = -1) -> None:
    """Flip a bit, as a failing disk would: the times stay as they are not."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


@given(st.lists(st.binary(max_size=200).map(lambda b: b * 1000), max_size=8))
def test_what_is_put_is_read_back(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    store = ObjectStore(tmp_path_factory.mktemp("home") / "store")
    digests = put(store, *contents)
    assert digests == [of_bytes(item) for item in contents]
    assert [store.read(digest) for digest in digests] == contents
    assert [store.size_bytes(digest) for digest in digests] == [len(item) for item in contents]
    assert sorted(store.iter_digests()) == sorted(set(digests))
    assert store.has_many([*digests, ABSENT]) == set(digests)


def test_a_store_makes_nothing_on_disk_before_the_first_write(store: ObjectStore) -> None:
    assert not store.has(ABSENT)
    with pytest.raises(ObjectNotFound, match=ABSENT):
        store.read(ABSENT)
    with store.batch():
        pass
    assert not store.root.exists()


@pytest.mark.parametrize("data", [b"", SMALL, b"x" * 65535, b"x" * 65536, LARGE])
def test_an_object_can_be_mapped_where_open_path_says(store: ObjectStore, data: bytes) -> None:
    (digest,) = put(store, b"another", data)[1:]
    path, offset, length = store.open_path(digest)
    assert length == len(data)
    assert path.parent.name == ("packs" if len(data) < 65536 else digest.hex[:2])
    if data:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[offset : offset + length] == data


def test_equal_bytes_are_stored_once(store: ObjectStore, tmp_path: Path) -> None:
    put(store, SMALL, LARGE, SMALL)
    before = stored_bytes(store)
    put(store, LARGE, SMALL)
    for name, data in (("a", SMALL), ("b", LARGE)):
        put_file(store, file(tmp_path / name, data))
    with store.batch() as batch:
        for data in (SMALL, LARGE):
            with batch.blob() as blob:
                blob.write(data)
        batch.seal()
    assert stored_bytes(store) == before


def test_another_process_of_the_home_finds_what_the_first_stored(store: ObjectStore) -> None:
    small, large = put(store, SMALL, LARGE)
    again = ObjectStore(store.root)
    before = stored_bytes(store)
    assert put(again, SMALL, LARGE) == [small, large]
    assert stored_bytes(store) == before


def test_what_is_not_sealed_is_gone(store: ObjectStore, tmp_path: Path) -> None:
    with store.batch() as batch:
        digests = [batch.put(SMALL), batch.put(LARGE), batch.put_file(file(tmp_path / "f", LARGE + b"f")).digest]
        with batch.blob() as blob:
            blob.write(LARGE + b"blob")
    assert store.has_many([*digests, blob.digest]) == set()
    assert not files_of(store.root / "staging")
    assert not stored_bytes(store)


def test_a_batch_may_be_sealed_again_after_more_was_taken_in(store: ObjectStore) -> None:
    with store.batch() as batch:
        first = batch.put(SMALL)
        batch.seal()
        assert store.read(first) == SMALL
        second = batch.put(SMALL * 2)
        batch.seal()
    assert store.read(first) + store.read(second) == SMALL * 3


def test_where_files_are_written_is_made_once_for_all_of_them(tmp_path: Path) -> None:
    made: list[Path] = []

    class Making(Disk):
        def mkdir(self, path: Path) -> None:
            made.append(path)
            super().mkdir(path)

    with ObjectStore(tmp_path / "store", disk=Making()).batch() as batch:
        for number in range(5):
            batch.put(bytes([number]) * SMALL_BYTES)
        batch.seal()
    assert made.count(tmp_path / "store" / "staging") == 1


def test_objects_are_read_only(store: ObjectStore, tmp_path: Path) -> None:
    put(store, SMALL, LARGE)
    put_file(store, file(tmp_path / "tool", LARGE + b"tool", 0o755))
    modes = sorted(p.stat().st_mode & 0o777 for part in ("objects", "packs") for p in files_of(store.root / part))
    assert modes == [0o444, 0o444, 0o555]


# The user's files


@pytest.mark.parametrize("data", [b"", SMALL, LARGE, LARGE * 20], ids=["empty", "small", "large", "pieces"])
@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_file_is_taken_in_as_it_is(store: ObjectStore, tmp_path: Path, data: bytes, mode: int) -> None:
    path = file(tmp_path / "f", data, mode)
    before = path.stat()
    entry = put_file(store, path)
    assert entry == Entry(of_bytes(data), len(data), mode == 0o755)
    assert store.read(entry.digest) == data
    assert path.stat()[:7] + path.stat()[8:] == before[:7] + before[8:]


def test_files_come_back_in_order_with_progress(store: ObjectStore, tmp_path: Path) -> None:
    contents = [bytes([n]) * (n * 7001) for n in range(40)]
    paths = [file(tmp_path / str(n), data) for n, data in enumerate(contents)]
    for _ in range(2):
        told: list[int] = []
        with store.batch() as batch:
            entries = batch.put_files(paths, progress=told.append)
            batch.seal()
        assert [store.read(entry.digest) for entry in entries] == contents
        assert sum(told) == sum(map(len, contents))


def test_an_interruption_stops_a_copy_and_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    paths = [file(tmp_path / str(n), bytes([n]) * (8 << 20)) for n in range(3)]
    told: list[int] = []

    def interrupt(size_bytes: int) -> None:
        told.append(size_bytes)
        if len(told) == 3:
            raise KeyboardInterrupt

    with store.batch() as batch, pytest.raises(KeyboardInterrupt):
        batch.put_files(paths, progress=interrupt)
    assert sum(told) < 3 * (8 << 20)
    assert not files_of(store.root / "staging")


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "changed"])
def test_a_file_that_was_hashed_before_is_told_of_as_it_is_read_and_left_when_that_is_interrupted(
    store: ObjectStore, tmp_path: Path, changed: bool
) -> None:
    path = file(tmp_path / "f", b"a" * (8 << 20))
    put_file(store, path)
    path.write_bytes((b"b" if changed else b"a") * (8 << 20))
    told: list[int] = []

    def interrupt(size_bytes: int) -> None:
        told.append(size_bytes)
        if sum(told) >= 4 << 20:
            raise KeyboardInterrupt

    with store.batch() as batch, pytest.raises(KeyboardInterrupt):
        batch.put_files([path], progress=interrupt)
    assert sum(told) == 4 << 20
    with store.batch() as batch:
        told.clear()
        batch.put_files([path], progress=told.append)
        batch.seal()
    assert sum(told) == 8 << 20
    assert not files_of(store.root / "staging")


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_another_writer_stored_just_now_is_made_durable_before_it_is_counted_on(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """It may have given the object its name and not yet synced the directory."""
    put(store, data)
    disk = RecordingDisk(store.root.parent)
    again = ObjectStore(store.root, disk=disk)
    put(again, data)
    synced = {call.path for call in disk.calls if call.name.startswith("sync")}
    (stored,) = (p for part in ("packs", "objects") for p in files_of(store.root / part))
    assert {
        str(path.relative_to(store.root.parent))
        for path in (stored, *stored.parents[:-1])
        if path.is_relative_to(store.root)
    } <= synced
    count = len(disk.calls)
    put(again, data)
    assert len(disk.calls) == count
    monkeypatch.setattr(additions, "YOUNG_NS", 0)
    quiet = RecordingDisk(store.root.parent)
    put(ObjectStore(store.root, disk=quiet), data)
    assert quiet.calls == []


@pytest.mark.slow
def test_ten_thousand_small_files_make_a_few_packs(store: ObjectStore, tmp_path: Path) -> None:
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(10_000):
        (directory / f"{number:05}").write_bytes(number.to_bytes(4, "big") * 2500)
    paths = sorted(directory.iterdir())
    with store.batch() as batch:
        entries = batch.put_files(paths)
        batch.seal()
    packs = files_of(store.root / "packs")
    assert len({entry.digest for entry in entries}) == 10_000
    assert 2 <= len(packs) <= 4
    assert not files_of(store.root / "objects")
    assert all(p.stat().st_size <= 64 << 20 for p in packs)
    assert store.read(entries[777].digest) == paths[777].read_bytes()
    assert len(store.has_many(entry.digest for entry in entries)) == 10_000


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_file_that_is_known_is_not_read_again(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = file(tmp_path / "f", b"x" * size)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    entry = put_file(store, path)
    opened = _count_opens(monkeypatch, path)
    assert put_file(store, path) == entry
    assert put_file(ObjectStore(store.root), path) == entry
    assert opened == []


def test_a_file_changed_within_the_tick_of_the_clock_is_read_again(store: ObjectStore, tmp_path: Path) -> None:
    """Its times can be those it had when it was hashed, so a file that was new then is not known."""
    path = file(tmp_path / "f", LARGE)
    now = path.stat().st_mtime_ns
    put_file(store, path)
    path.write_bytes(LARGE[::-1])
    os.utime(path, ns=(now, now))
    assert put_file(store, path).digest == of_bytes(LARGE[::-1])


def test_a_file_that_was_hashed_before_is_not_copied_to_find_out(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "f", LARGE)
    put_file(store, path)
    monkeypatch.setattr(Disk, "create", _refuse)
    put_file(store, path)


def test_bytes_that_are_gone_from_the_store_are_read_from_a_known_file(store: ObjectStore, tmp_path: Path) -> None:
    path = file(tmp_path / "f", LARGE)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    digest = put_file(store, path).digest
    object_file(store, digest).unlink()
    put_file(store, path)
    assert store.read(digest) == LARGE


class _Restless(Disk):
    """Lets a file be changed each time a piece of it is written to the store."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    def write(self, file: object, data: bytes | memoryview) -> None:
        super().write(file, data)  # type: ignore[arg-type]
        self._change()


def test_a_file_that_keeps_changing_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path / "f", LARGE)

    def append() -> None:
        with path.open("ab") as opened:
            opened.write(b"more")

    store = ObjectStore(tmp_path / "store", disk=_Restless(append))
    with store.batch() as batch, pytest.raises(StorageError, match=f"{path} changed while it was read"):
        batch.put_file(path)
    assert not files_of(store.root / "staging")


def test_a_file_that_changed_once_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    path = file(tmp_path / "f", LARGE)
    left = [LARGE + b"longer"]

    def change() -> None:
        if left:
            path.write_bytes(left.pop())

    entry = put_file(ObjectStore(tmp_path / "store", disk=_Restless(change)), path)
    assert entry == Entry(of_bytes(LARGE + b"longer"), len(LARGE) + 6)


def test_what_is_no_file_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with store.batch() as batch:
        with pytest.raises(PathNotFound, match="no such file"):
            batch.put_file(tmp_path / "absent")
        for path in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
            with pytest.raises(InvalidInput, match="not a regular file"):
                batch.put_file(path)


def test_a_file_that_may_not_be_read_is_refused_by_name(open_path: Path) -> None:
    with unprivileged():
        path = file(open_path / "mine" / "secret", SMALL, 0o000)
        batch = ObjectStore(open_path / "mine" / "store").batch()
        with batch, pytest.raises(PermissionDenied, match=f"may not read {path}"):
            batch.put_file(path)


# Files in their place below the home


def test_a_large_file_in_its_place_becomes_its_object(store: ObjectStore, tmp_path: Path) -> None:
    path = file(tmp_path / "home" / "context" / "f", LARGE)
    entry = adopt(store, path)
    assert path.samefile(object_file(store, entry.digest))
    assert path.stat().st_nlink == 2
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.read(entry.digest) == LARGE


def test_a_small_file_in_its_place_stays_and_is_made_read_only(store: ObjectStore, tmp_path: Path) -> None:
    path = file(tmp_path / "home" / "context" / "f", SMALL, 0o755)
    entry = adopt(store, path)
    assert entry == Entry(of_bytes(SMALL), len(SMALL), executable=True)
    assert path.stat().st_mode & 0o777 == 0o555
    assert path.read_bytes() == SMALL
    assert store.read(entry.digest) == SMALL


def test_equal_files_in_their_places_share_one_inode(store: ObjectStore, tmp_path: Path) -> None:
    paths = [file(tmp_path / "home" / name, LARGE) for name in "abc"]
    with store.batch() as batch:
        entries = [batch.adopt_file(path) for path in paths[:2]]
        batch.seal()
    entries.append(adopt(store, paths[2]))
    assert len(set(entries)) == 1
    assert {path.stat().st_nlink for path in paths} == {4}


def test_files_that_differ_in_mode_keep_an_inode_each(store: ObjectStore, tmp_path: Path) -> None:
    plain, tool = file(tmp_path / "home" / "a", LARGE), file(tmp_path / "home" / "b", LARGE, 0o755)
    assert [adopt(store, plain).executable, adopt(store, tool).executable] == [False, True]
    assert plain.samefile(object_file(store, of_bytes(LARGE)))
    assert not plain.samefile(tool)
    assert tool.stat().st_mode & 0o777 == 0o555


def test_adopting_again_reads_nothing(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path / "home" / "f", LARGE)
    entry = adopt(store, path)
    opened = _count_opens(monkeypatch, path)
    assert adopt(ObjectStore(store.root), path) == entry
    assert opened == []


def test_a_file_with_another_name_is_copied_and_the_other_left_alone(store: ObjectStore, tmp_path: Path) -> None:
    """Whoever has the other name may write to it, which must not change the object."""
    outside = file(tmp_path / "outside", LARGE)
    inside = tmp_path / "home" / "inside"
    os.link(outside, inside)
    entry = adopt(store, inside)
    outside.write_bytes(LARGE[::-1])
    assert store.read(entry.digest) == LARGE == inside.read_bytes()
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_symbolic_link_in_place_stores_what_it_leads_to(store: ObjectStore, tmp_path: Path) -> None:
    outside = file(tmp_path / "outside", LARGE)
    inside = tmp_path / "home" / "inside"
    inside.symlink_to(outside)
    assert store.read(adopt(store, inside).digest) == LARGE
    assert outside.stat().st_mode & 0o777 == 0o644
    assert outside.stat().st_nlink == 1


def test_a_write_through_an_old_handle_is_found_before_the_commit(store: ObjectStore, tmp_path: Path) -> None:
    path = file(tmp_path / "home" / "f", LARGE)
    with path.open("r+b", buffering=0) as handle, store.batch() as batch:
        batch.adopt_file(path)
        handle.write(b"changed")
        with pytest.raises(StorageError, match=f"{path} changed while it was stored"):
            batch.seal()
    assert not store.has(of_bytes(LARGE))


def _is_in_memory(path: Path) -> bool:
    device = path.stat().st_dev
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kinds = {mount[2]: mount[mount.index("-") + 1] for mount in mounts}
    return kinds.get(f"{os.major(device)}:{os.minor(device)}") == "tmpfs"


@pytest.fixture
def disk_path() -> Iterator[Path]:
    """A directory on a disk, where the others may be in memory."""
    with tempfile.TemporaryDirectory(prefix="disdat-test-") as directory:
        if _is_in_memory(Path(directory)):
            pytest.skip("tmpfs writes nothing back, so it never notices a write through a map")
        (Path(directory) / "home").mkdir()
        yield Path(directory)


@pytest.fixture
def disk_store(disk_path: Path) -> ObjectStore:
    return ObjectStore(disk_path / "home" / "store")


@pytest.fixture
def mapped(disk_path: Path) -> Iterator[tuple[Path, mmap.mmap]]:
    """A file in its place that somebody has mapped and written to a moment ago, so that its pages are dirty."""
    path = file(disk_path / "home" / "f", b" " * len(LARGE))
    with path.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as pages:
        pages[: len(LARGE)] = LARGE
        yield path, pages


def test_a_write_through_a_memory_map_is_found_before_the_commit(
    disk_store: ObjectStore, mapped: tuple[Path, mmap.mmap]
) -> None:
    path, pages = mapped
    with disk_store.batch() as batch:
        batch.adopt_file(path)
        pages[:7] = b"changed"
        with pytest.raises(StorageError, match=f"{path} changed while it was stored"):
            batch.seal()
    assert not disk_store.has(of_bytes(LARGE))


def test_a_write_through_a_memory_map_after_the_commit_is_found_when_read(
    disk_store: ObjectStore, mapped: tuple[Path, mmap.mmap]
) -> None:
    path, pages = mapped
    digest = adopt(disk_store, path).digest
    assert digest == of_bytes(LARGE)
    pages[:7] = b"changed"
    with pytest.raises(DigestMismatch, match=digest):
        disk_store.read(digest)


def test_a_write_through_a_memory_map_before_each_hashing_is_refused(
    disk_path: Path, mapped: tuple[Path, mmap.mmap]
) -> None:
    path, pages = mapped

    class Written(Disk):
        """A disk on which somebody writes once the file is synced, before it is hashed."""

        times = 0

        def sync_path(self, path: Path) -> None:
            super().sync_path(path)
            self.times += 1
            pages[:8] = self.times.to_bytes(8, "little")

    disk = Written()
    store = ObjectStore(disk_path / "written", disk=disk)
    with pytest.raises(StorageError, match=f"{path} changed while it was"):
        adopt(store, path)
    assert disk.times
    assert list(store.iter_digests()) == []


def test_writing_through_a_memory_map_all_the_while_leaves_no_wrong_digest(
    disk_store: ObjectStore, mapped: tuple[Path, mmap.mmap]
) -> None:
    path, pages = mapped
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            pages[:8] = number.to_bytes(8, "little")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with suppress(StorageError):  # said where the writer was let run meanwhile
            adopt(disk_store, path)
    finally:
        stop.set()
        writer.join()
    for digest in disk_store.iter_digests():
        with suppress(DigestMismatch):
            assert of_bytes(disk_store.read(digest)) == digest


def test_a_write_through_an_old_handle_after_the_commit_is_found_when_read(store: ObjectStore, tmp_path: Path) -> None:
    """However soon it comes: the times of an adopted file are such that any write changes them."""
    path = file(tmp_path / "home" / "f", LARGE)
    with path.open("r+b", buffering=0) as handle:
        digest = adopt(store, path).digest
        handle.write(b"changed")
    with pytest.raises(DigestMismatch, match=digest):
        store.read(digest)


class _CoarseDisk(Disk):
    """Of a file system that keeps a time only by the *grain_ns*; rounds as it likes."""

    def __init__(self, grain_ns: int, *, up_ns: int = 0) -> None:
        self._grain_ns, self._up_ns = grain_ns, up_ns

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        super().set_mtime(path, (mtime_ns + self._up_ns) // self._grain_ns * self._grain_ns)


@pytest.mark.parametrize("grain_ns", [100, 1_000_000_000])
def test_a_file_is_adopted_where_times_are_coarse_and_later_writes_are_found(tmp_path: Path, grain_ns: int) -> None:
    store = ObjectStore(tmp_path / "home" / "store", disk=_CoarseDisk(grain_ns))
    path = file(tmp_path / "home" / "f", LARGE)
    os.utime(path, (1_000_000_001, 1_000_000_001))  # as such a file system has it
    with path.open("r+b", buffering=0) as handle:
        digest = adopt(store, path).digest
        assert path.samefile(object_file(store, digest))
        assert store.read(digest) == LARGE
        handle.write(b"changed")
    with pytest.raises(DigestMismatch, match=digest):
        store.read(digest)


def test_a_file_whose_time_cannot_be_set_back_is_copied(tmp_path: Path) -> None:
    """To share it, a write within the same tick would go unseen."""
    store = ObjectStore(tmp_path / "home" / "store", disk=_CoarseDisk(1_000_000_000, up_ns=999_999_999))
    path = file(tmp_path / "home" / "f", LARGE)
    os.utime(path, (1_000_000_001, 1_000_000_001))
    with path.open("r+b", buffering=0) as handle:
        digest = adopt(store, path).digest
        handle.write(b"changed")
    assert store.read(digest) == LARGE == path.read_bytes()


def test_a_small_file_that_grows_large_while_it_is_adopted_is_an_object_of_its_own(tmp_path: Path) -> None:
    """What is in a pack is small: readers count on it."""
    large, small = file(tmp_path / "home" / "large", LARGE), file(tmp_path / "home" / "small", bytes(60_000))
    handle = small.open("ab", buffering=0)

    class Growing(Disk):
        def sync_path(self, path: Path) -> None:
            super().sync_path(path)
            if path == large:
                handle.write(bytes(10_000))

    store = ObjectStore(tmp_path / "home" / "store", disk=Growing())
    with handle, store.batch() as batch:
        entries = batch.adopt_files([large, small])
        batch.seal()
    assert [entry.size_bytes for entry in entries] == [len(LARGE), 70_000]
    assert all(
        path.samefile(object_file(store, entry.digest)) for path, entry in zip((large, small), entries, strict=True)
    )
    assert store.pack_paths() == []


@pytest.mark.parametrize("why", [errno.EMLINK, errno.EPERM, errno.EXDEV])
def test_where_no_link_can_be_had_a_copy_is_made(tmp_path: Path, why: int) -> None:
    class NoLinks(Disk):
        def link(self, source: Path, target: Path) -> None:
            raise OSError(why, os.strerror(why), str(source))

    store = ObjectStore(tmp_path / "store", disk=NoLinks())
    path = file(tmp_path / "f", LARGE)
    entry = adopt(store, path)
    assert path.stat().st_nlink == 1
    assert path.read_bytes() == LARGE
    store.materialize(entry, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert not files_of(store.root / "staging")


@pytest.mark.slow
def test_the_link_count_of_a_real_file_system_may_be_exhausted() -> None:
    """EMLINK as the system gives it: ext4 has it at 65,000 links; where it never comes, all are links."""
    with tempfile.TemporaryDirectory(prefix="disdat-test-") as directory:  # on a disk, where the others are in memory
        home = Path(directory)
        store = ObjectStore(home / "store")
        (digest,) = put(store, LARGE)
        (home / "links").mkdir()
        with suppress(OSError):
            for number in range(65_010):
                os.link(object_file(store, digest), home / "links" / str(number))
        store.materialize(Entry(digest, len(LARGE)), home / "f")
        assert (home / "f").read_bytes() == LARGE


# Damage


def test_a_flipped_bit_in_a_large_object_is_found_when_it_is_read(store: ObjectStore) -> None:
    (digest,) = put(store, LARGE)
    damage(object_file(store, digest))
    for read in (store.read, store.open_path, store.verify):
        with pytest.raises(DigestMismatch) as caught:
            read(digest)
        assert digest in str(caught.value)
        assert str(object_file(store, digest)) in str(caught.value)


def test_a_flipped_bit_in_a_small_object_is_found_when_it_is_read(store: ObjectStore) -> None:
    (digest,) = put(store, SMALL)
    (pack,) = files_of(store.root / "packs")
    damage(pack, at=9)
    for read in (store.read, store.open_path, store.verify):
        with pytest.raises(DigestMismatch) as caught:
            read(digest)
        assert digest in str(caught.value)
        assert str(pack) in str(caught.value)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("way", ["put", "put_file", "adopt_file", "blob"])
def test_adding_the_bytes_again_heals_a_damaged_object(
    store: ObjectStore, tmp_path: Path, data: bytes, way: str
) -> None:
    (digest,) = put(store, data)
    (stored,) = [*files_of(store.root / "packs"), *files_of(store.root / "objects")]
    damage(stored, at=9)
    path = file(tmp_path / "home" / "f", data)
    with store.batch() as batch:
        if way == "put":
            batch.put(data)
        elif way == "put_file":
            batch.put_file(path)
        elif way == "adopt_file":
            batch.adopt_file(path)
        else:
            with batch.blob() as blob:
                blob.write(data)
        batch.seal()
    assert store.read(digest) == data
    ObjectStore(store.root).verify(digest)


def test_verify_reads_what_is_believed_to_be_right(store: ObjectStore) -> None:
    """A disk that loses a bit does not change a file's times."""
    (digest,) = put(store, LARGE)
    path = object_file(store, digest)
    before = path.stat()
    damage(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.read(digest) != LARGE
    with pytest.raises(DigestMismatch):
        store.verify(digest)
    assert [error.kind for error in store.damage()] == ["digest-mismatch"]


def test_damage_names_every_file_that_is_not_what_was_written(store: ObjectStore) -> None:
    put(store, LARGE, LARGE * 2, SMALL)
    put(store, SMALL * 2)
    assert list(store.damage()) == []
    first, second = files_of(store.root / "packs")
    damage(first, at=-20)
    second.chmod(0o644)
    os.truncate(second, second.stat().st_size - 1)
    damage(object_file(store, of_bytes(LARGE)))
    messages = [str(error) for error in store.damage()]
    assert len(messages) == 3
    assert all(any(str(path) in text for text in messages) for path in (first, second))


@pytest.mark.parametrize("keep", [0, 7, 20, -1])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_truncated_pack_is_named(store: ObjectStore, keep: int, indexed: bool) -> None:
    digests = put(store, *(SMALL * n for n in range(1, 9)))
    (other,) = put(store, b"in another pack")
    pack = store.open_path(max(digests))[0]
    pack.chmod(0o644)
    os.truncate(pack, keep if keep >= 0 else pack.stat().st_size + keep)
    if not indexed:
        store.close()
        (store.root / "state.db").unlink()
    if keep >= 0 or not indexed:
        with pytest.raises((DigestMismatch, ObjectNotFound), match=str(pack)):
            store.read(max(digests))
    assert store.read(other) == b"in another pack"
    put(store, *(SMALL * n for n in range(1, 9)))
    assert [store.read(digest) for digest in digests] == [SMALL * n for n in range(1, 9)]


# Trash


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_collection_removed_comes_back_from_the_trash(store: ObjectStore, data: bytes) -> None:
    (digest,) = put(store, data)
    trash = store.root / "trash"
    trash.mkdir()
    for part in ("objects", "packs"):
        if (store.root / part).exists():
            (store.root / part).rename(trash / part)
    assert store.read(digest) == data
    assert not files_of(trash)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("way", ["read", "open_path", "verify", "materialize"])
def test_what_is_damaged_in_the_store_comes_back_from_the_trash(
    store: ObjectStore, tmp_path: Path, data: bytes, way: str
) -> None:
    """As where bytes that lay in the trash were added again, and then the disk lost a bit."""
    stored = _stored_and_in_trash(store, tmp_path, data)
    damage(stored, at=9)
    digest, target = of_bytes(data), tmp_path / "home" / "f"
    act = {
        "read": lambda: store.read(digest),
        "open_path": lambda: store.open_path(digest),
        "verify": lambda: store.verify(digest),
        "materialize": lambda: store.materialize(Entry(digest, len(data)), target),
    }
    act[way]()
    assert way != "materialize" or target.read_bytes() == data
    assert ObjectStore(store.root).read(digest) == data
    assert not files_of(store.root / "trash")


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_is_damaged_in_the_trash_too_stays_there(store: ObjectStore, tmp_path: Path, data: bytes) -> None:
    damage(_stored_and_in_trash(store, tmp_path, data), at=9)
    [trashed] = files_of(store.root / "trash")
    damage(trashed, at=9)
    for read in (store.read, store.open_path, store.verify):
        with pytest.raises(DigestMismatch):
            read(of_bytes(data))
    assert files_of(store.root / "trash") == [trashed]


def test_of_packs_in_the_trash_one_comes_back_that_is_right(store: ObjectStore, tmp_path: Path) -> None:
    for right in (0, 1):
        for number, extra in enumerate((b"a", b"b")):
            other = ObjectStore(tmp_path / f"other{right}{number}")
            put(other, SMALL, extra)
            [pack] = other.pack_paths()
            (store.root / "trash" / "packs").mkdir(parents=True, exist_ok=True)
            pack.rename(store.root / "trash" / "packs" / pack.name)
        packs = files_of(store.root / "trash" / "packs")
        wrong = packs[1 - right]
        wrong.chmod(0o644)
        wrong.write_bytes(wrong.read_bytes().replace(SMALL, b"SMALL"))
        assert store.read(of_bytes(SMALL)) == SMALL
        assert files_of(store.root / "trash" / "packs") == [wrong]
        shutil.rmtree(store.root)
        store.close()


def _stored_and_in_trash(store: ObjectStore, tmp_path: Path, data: bytes) -> Path:
    """The file of the store that has an object, which another file of the trash has too."""
    other = ObjectStore(tmp_path / "other")
    put(other, data, b"else")
    put(store, data)
    (store.root / "trash").mkdir()
    for part in ("objects", "packs"):
        if (store.root / part).exists():
            (other.root / part).rename(store.root / "trash" / part)
    [stored] = [*files_of(store.root / "packs"), *files_of(store.root / "objects")]
    return stored


def test_a_large_object_in_the_trash_is_not_stored_anew(store: ObjectStore) -> None:
    (digest,) = put(store, LARGE)
    inode = object_file(store, digest).stat().st_ino
    (store.root / "trash").mkdir()
    (store.root / "objects").rename(store.root / "trash" / "objects")
    put(store, LARGE)
    assert object_file(store, digest).stat().st_ino == inode


# state.db


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 500, "torn", "older"])
def test_state_may_be_lost_or_damaged_at_any_time(store: ObjectStore, content: bytes | str | None) -> None:
    digests = put(store, SMALL, LARGE)
    store.close()
    state = store.root / "state.db"
    if content is None:
        state.unlink()
    elif content == "torn":
        os.truncate(state, state.stat().st_size // 2 + 100)
    elif content == "older":
        with sqlite3.connect(state) as connection:
            connection.execute("DROP TABLE packed")
            connection.execute("PRAGMA user_version=77")
        connection.close()
    else:
        assert isinstance(content, bytes)
        state.write_bytes(content)
    again = ObjectStore(store.root)
    assert [again.read(digest) for digest in digests] == [SMALL, LARGE]
    before = stored_bytes(store)
    put(again, SMALL, LARGE)
    assert stored_bytes(store) == before


def test_state_may_be_deleted_while_others_have_it_open(store: ObjectStore) -> None:
    """What one of them still has in its write-ahead log is never taken for a part of the next file."""
    stores = [store, ObjectStore(store.root), ObjectStore(store.root)]
    digests: list[Digest] = []
    for number in range(30):
        digests += put(stores[number % 3], b"%d" % number, bytes([number]) * 70_000)
        if number % 4 == 0:
            (store.root / "state.db").unlink()
        for each in stores:
            assert each.has_many(digests) == set(digests)
        if number % 7 == 0:
            stores[0] = ObjectStore(store.root)
    for path in store.root.glob("state.db-????????"):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def test_a_home_nobody_may_write_to_can_be_read_and_stays_as_it_is(open_path: Path) -> None:
    home = open_path / "home"
    home.mkdir()
    written = ObjectStore(home / "store")
    digests = put(written, SMALL, LARGE)
    written.close()
    (home / "store" / "state.db").unlink()
    for path in (*home.rglob("*"), home):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    with unprivileged():
        store = ObjectStore(home / "store")
        assert [store.read(digest) for digest in digests] == [SMALL, LARGE]
        assert store.has_many(digests) == set(digests)
        with store.batch() as batch, pytest.raises(PermissionDenied):
            batch.put(b"more")
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
    for path in (home, *home.rglob("*")):
        path.chmod(0o755)


# Placing


@pytest.mark.parametrize("mode", [0o644, 0o755])
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_an_entry_is_placed_with_its_mode(store: ObjectStore, tmp_path: Path, data: bytes, mode: int) -> None:
    entry = put_file(store, file(tmp_path / "f", data, mode))
    target = tmp_path / "home" / "deep" / "down" / "f"
    for _ in range(2):
        store.materialize(entry, target)
        assert target.read_bytes() == data
        assert target.stat().st_mode & 0o777 == entry.mode
    assert [path.name for path in target.parent.iterdir()] == ["f"]


def test_a_large_file_is_placed_as_a_link_where_the_mode_allows_it(store: ObjectStore, tmp_path: Path) -> None:
    (digest,) = put(store, LARGE)
    store.materialize(Entry(digest, len(LARGE)), tmp_path / "home" / "plain")
    store.materialize(Entry(digest, len(LARGE), executable=True), tmp_path / "home" / "tool")
    assert (tmp_path / "home" / "plain").samefile(object_file(store, digest))
    assert not (tmp_path / "home" / "tool").samefile(object_file(store, digest))
    assert (tmp_path / "home" / "tool").read_bytes() == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_what_is_in_place_and_right_is_left_alone(store: ObjectStore, tmp_path: Path, data: bytes, mode: int) -> None:
    put(store, data)
    entry = Entry(of_bytes(data), len(data), mode == 0o755)
    target = tmp_path / "home" / "f"
    store.materialize(entry, target)
    before = target.stat()
    store.materialize(entry, target)
    after = target.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("wrong", [b"", b"short", None], ids=["empty", "short", "same size"])
def test_what_is_in_place_and_wrong_is_replaced(
    store: ObjectStore, tmp_path: Path, data: bytes, wrong: bytes | None
) -> None:
    (digest,) = put(store, data)
    target = file(tmp_path / "home" / "f", data[::-1] if wrong is None else wrong, 0o444)
    store.materialize(Entry(digest, len(data)), target)
    assert target.read_bytes() == data
    target.unlink()
    target.symlink_to(tmp_path / "elsewhere")
    store.materialize(Entry(digest, len(data)), target)
    assert not target.is_symlink()
    assert target.read_bytes() == data


@pytest.mark.slow
def test_many_are_placed_wherever_their_bytes_are(store: ObjectStore, tmp_path: Path) -> None:
    """More than are looked up at once, in several packs, of which one is damaged and one was removed."""
    items = [b"%d" % number * (number + 1) for number in range(1200)] + [LARGE]
    digests: list[Digest] = []
    for start in range(0, len(items), 400):
        digests += put(store, *items[start : start + 400])
    damaged, gone, *_ = files_of(store.root / "packs")
    data = bytearray(damaged.read_bytes())
    for at in range(8, 8 + 200):
        data[at] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    put(ObjectStore(store.root), *items)
    gone.unlink()
    put(ObjectStore(store.root), *items)
    targets = [tmp_path / "home" / "out" / str(number % 7) / str(number) for number in range(len(items))]
    entries = [Entry(digest, len(item)) for digest, item in zip(digests, items, strict=True)]
    store.materialize_many(zip(entries, targets, strict=True))
    assert [target.read_bytes() for target in targets] == items
    assert {target.stat().st_mode & 0o777 for target in targets} == {0o444}


def test_what_is_nowhere_is_named_when_many_are_placed(store: ObjectStore, tmp_path: Path) -> None:
    there = put(store, b"a", b"b", b"c")
    wanted = [(Entry(digest, 1), tmp_path / "home" / digest.hex) for digest in [*there, ABSENT]]
    with pytest.raises(ObjectNotFound, match=ABSENT):
        store.materialize_many(wanted)
    assert [target.exists() for _, target in wanted] == [True, True, True, False]


def test_a_pack_that_may_not_be_read_is_an_error_unless_another_has_the_bytes(open_path: Path) -> None:
    with unprivileged():
        home, target = open_path / "mine", open_path / "mine" / "out" / "f"
        store, elsewhere = ObjectStore(home / "store"), ObjectStore(home / "elsewhere")
        (digest,) = put(store, SMALL)
        entry = Entry(digest, len(SMALL))
        [closed] = store.pack_paths()
        closed.chmod(0)
        for read in (lambda: store.materialize(entry, target), lambda: store.read(digest)):
            with pytest.raises(PermissionDenied, match=closed.name):
                read()
        put(elsewhere, SMALL, b"other")
        [other] = elsewhere.pack_paths()
        other.rename(closed.with_name(other.name))
        store.materialize(entry, target)
        assert target.read_bytes() == store.read(digest) == SMALL


def _count_opens(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[object]:
    opened: list[object] = []
    real = os.open

    def counting(name: str | Path, *rest: int, **more: int) -> int:
        if Path(name) == path:
            opened.append(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(os, "open", counting)
    return opened


def _refuse(*_: object) -> None:
    raise AssertionError("a file was made")
