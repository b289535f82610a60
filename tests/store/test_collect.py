"""What is moved to the trash and back is there throughout, and can be read without a lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from disdat.core.digest import Digest, of_bytes
from disdat.errors import DigestMismatch, ObjectNotFound
from disdat.store.collect import Collector
from disdat.store.objects import ObjectStore, _Place
from disdat.testing.faults import RecordingDisk

SMALL, LARGE = [b"small %d" % n for n in range(4)], os.urandom(100_000)
NAMES = [of_bytes(data) for data in SMALL]
LARGE_NAME = of_bytes(LARGE)


def collector(store: ObjectStore) -> Collector:
    return store.collector(clock_us=lambda: 1_800_000_000_000_000)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        for data in (*SMALL, LARGE):
            batch.put(data)
        batch.seal()
    return store


def nobody(_: object) -> set[Digest]:
    return set()


def test_what_is_here_is_listed_in_order_with_its_place(store: ObjectStore) -> None:
    collecting = collector(store)
    found = list(collecting.here())
    assert found == sorted(found)
    [pack] = store.pack_paths()
    assert {(Digest.from_raw(raw), place, size) for raw, place, size in found} == {
        (LARGE_NAME, 0, len(LARGE)),
        *((name, 1, len(data)) for name, data in zip(NAMES, SMALL, strict=True)),
    }
    assert collecting.pack_names() == {1: pack.stem}


def test_what_is_moved_away_while_the_store_is_listed_is_passed_over(store: ObjectStore) -> None:
    shard = store.loose_path(LARGE_NAME).parent
    names = [shard / (shard.name + digit * 62) for digit in "01"]
    for path in names:
        path.write_bytes(b"")
    listed = collector(store).parts.loose.digests()
    next(listed)
    names[1].unlink()
    assert names[1].name not in {digest.hex for digest, _ in listed}


def test_what_was_moved_is_read_from_the_trash_without_moving_it(store: ObjectStore) -> None:
    collecting = collector(store)
    [pack] = store.pack_paths()
    assert collecting.move_packs([pack.stem], nobody) == []
    collecting.move_objects([LARGE_NAME])
    assert list(store.iter_digests()) == []
    for data in (*SMALL, LARGE):
        assert store.read_unlocked(of_bytes(data)) == data
    assert list(store.iter_digests()) == []
    with pytest.raises(ObjectNotFound):
        store.read_unlocked(of_bytes(b"nothing"))
    assert collecting.take_back(collecting.trash.things()) == []
    assert set(store.iter_digests()) == {*NAMES, LARGE_NAME}
    assert ObjectStore(store.root).read(NAMES[2]) == SMALL[2]


def test_damage_is_told_from_absence(store: ObjectStore) -> None:
    path = store.loose_path(LARGE_NAME)
    path.chmod(0o644)
    path.write_bytes(LARGE[:-1] + b"?")
    with pytest.raises(DigestMismatch):
        store.read_unlocked(LARGE_NAME)


@pytest.mark.parametrize("damaged", [0, 1], ids=["older", "newer"])
def test_what_is_damaged_in_one_pack_is_read_from_the_next(store: ObjectStore, tmp_path: Path, damaged: int) -> None:
    other = ObjectStore(tmp_path / "other")
    with other.batch() as batch:
        batch.put(SMALL[0])
        batch.seal()
    [first], [second] = store.pack_paths(), other.pack_paths()
    both = [first, first.with_name(second.name)]
    both[1].write_bytes(second.read_bytes())
    data = both[damaged].read_bytes()
    both[damaged].chmod(0o644)
    both[damaged].write_bytes(data.replace(SMALL[0], b"damaged"))
    again = ObjectStore(store.root)
    collector(again).parts.packed.refresh()
    assert collector(again).peek().read(NAMES[0]) == SMALL[0]
    assert list(collector(again).peek().read_many(NAMES[:1])) == [(NAMES[0], SMALL[0])]
    both[damaged].unlink()
    assert list(collector(again).peek().read_many(NAMES[:1])) == [(NAMES[0], SMALL[0])]
    both[damaged].mkdir()  # which is there, and cannot be read
    assert collector(again).peek().read(NAMES[0]) == SMALL[0]
    assert list(collector(again).peek().read_many(NAMES[:1])) == [(NAMES[0], SMALL[0])]
    both[damaged].rmdir()
    both[1 - damaged].chmod(0o644)
    both[1 - damaged].write_bytes(both[1 - damaged].read_bytes().replace(SMALL[0], b"damaged"))
    with pytest.raises(DigestMismatch):
        collector(again).peek().read(NAMES[0])


def test_many_are_read_at_once_from_each_pack(store: ObjectStore) -> None:
    with store.batch() as batch:
        batch.put(b"in another pack")
        batch.seal()
    other = of_bytes(b"in another pack")
    absent = of_bytes(b"nothing")
    found = dict(collector(store).peek().read_many([*NAMES, other, absent]))
    assert found == {**dict(zip(NAMES, SMALL, strict=True)), other: b"in another pack", absent: None}


def test_what_is_needed_of_a_pack_is_durable_before_the_pack_goes(tmp_path: Path, store: ObjectStore) -> None:
    disk = RecordingDisk(store.root)
    again = ObjectStore(store.root, disk=disk)
    [old] = again.pack_paths()
    kept = set(NAMES[:1])
    assert collector(again).rewrite([old.stem], lambda digests: kept & set(digests)) == []
    [new] = again.pack_paths()
    calls = [(call.name, call.path, call.target) for call in disk.calls]
    placed = next(n for n, (name, _, target) in enumerate(calls) if name == "rename" and target == f"packs/{new.name}")
    gone = next(n for n, (name, path, _) in enumerate(calls) if name == "rename" and path == f"packs/{old.name}")
    named = calls.index(("sync_dir", "packs", ""))
    assert calls.index(("sync", calls[placed][1], "")) < placed < named < gone
    assert set(ObjectStore(store.root).iter_digests()) == {NAMES[0], LARGE_NAME}
    assert again.read(NAMES[3]) == SMALL[3], "it is in the trash"


def test_a_new_name_is_durable_before_the_old_one_is_lost(store: ObjectStore) -> None:
    disk = RecordingDisk(store.root)
    collector(ObjectStore(store.root, disk=disk)).move_objects([LARGE_NAME])
    synced = [call.path for call in disk.calls if call.name == "sync_dir"]
    there = synced.index(f"trash/objects/blake3/{LARGE_NAME.hex[:2]}")
    assert synced[-1] == f"objects/blake3/{LARGE_NAME.hex[:2]}"
    assert {"trash", "trash/objects", "trash/objects/blake3"} <= set(synced[there:-1])
    noted = next(n for n, call in enumerate(disk.calls) if call.target.startswith("trash/gc-"))
    moved = next(n for n, call in enumerate(disk.calls) if call.name == "rename" and call.path.startswith("objects/"))
    assert noted < moved


def test_what_is_moved_away_before_a_reader_opens_it_is_looked_for_again(store: ObjectStore) -> None:
    """As seen from a reader: found, then collected, then opened; for as often as that happens to one."""
    moved: list[Path] = []

    def read(found: _Place) -> bytes:
        path = found.path
        if len(moved) < 3:
            moved.append(path)
            collector(store).move_objects([LARGE_NAME])
        return path.read_bytes()

    assert store._use(LARGE_NAME, read) == LARGE
    assert len(moved) == 3
