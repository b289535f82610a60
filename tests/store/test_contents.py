"""An object of weak identity has the bytes that it had when they were read first, and no others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry
from disdat.core.weak import Weak
from disdat.errors import DigestMismatch
from disdat.store.blob import Blob
from disdat.store.objects import ObjectStore
from disdat.testing.faults import RecordingDisk, crash_states

DATA = os.urandom(1000) * 100
WEAK = Weak("0123456789abcdef" * 2)
NAME = WEAK.digest(len(DATA))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    (tmp_path / "home").mkdir()
    return ObjectStore(tmp_path / "home" / "store")


def take(store: ObjectStore, data: bytes, name: Digest = NAME) -> Blob:
    """Take in what came under a name."""
    with store.batch() as batch:
        with batch.weak_blob(name) as blob:
            blob.write(data)
        batch.seal()
    return blob


def test_its_bytes_are_there_under_its_name(store: ObjectStore, tmp_path: Path) -> None:
    assert take(store, DATA).expected is None
    assert store.has_many([NAME]) == {NAME} == set(store.iter_digests())
    assert store.content(NAME) == of_bytes(DATA)
    assert store.read(NAME) == DATA
    store.verify(NAME)
    assert list(store.damage()) == []
    for _ in range(2):
        store.materialize(Entry(NAME, len(DATA), weak=WEAK), tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == DATA


def test_other_bytes_under_its_name_are_not_taken_in_later(store: ObjectStore) -> None:
    take(store, DATA)
    store.loose_path(NAME).unlink()
    other = take(store, DATA[::-1])
    assert (other.expected, other.digest) == (of_bytes(DATA), of_bytes(DATA[::-1]))
    assert not store.has(NAME)
    take(store, DATA)
    assert store.read(NAME) == DATA


def test_it_is_not_taken_for_the_object_of_its_bytes(store: ObjectStore, tmp_path: Path) -> None:
    """Nor is a file that is one with it."""
    take(store, DATA)
    os.link(store.loose_path(NAME), tmp_path / "home" / "mine")
    with store.batch() as batch:
        entry = batch.adopt_file(tmp_path / "home" / "mine")
        batch.seal()
    assert entry == Entry(of_bytes(DATA), len(DATA))
    assert store.read(of_bytes(DATA)) == store.read(NAME) == DATA


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_flipped_byte_is_found(store: ObjectStore, forgotten: bool) -> None:
    take(store, DATA)
    path = store.loose_path(NAME)
    path.chmod(0o644)
    path.write_bytes(b"\0" + DATA[1:] if DATA[0] else b"\1" + DATA[1:])
    if forgotten:
        (store.root / "weak" / NAME.hex).unlink()
    for look in (store.read, store.verify):
        with pytest.raises(DigestMismatch):
            look(NAME)
    assert len(list(store.damage())) == 1
    assert take(store, DATA).expected == (None if forgotten else of_bytes(DATA))
    assert store.read(NAME) == DATA


@pytest.mark.parametrize("note", [b"", b"blake3:00\n", b"\xff\xfe", b"../../etc/passwd\n"])
def test_a_note_that_is_none_leaves_it_damaged_until_it_comes_again(store: ObjectStore, note: bytes) -> None:
    take(store, DATA)
    (store.root / "weak" / NAME.hex).write_bytes(note)
    with pytest.raises(DigestMismatch):
        store.verify(NAME)
    take(store, DATA)
    store.verify(NAME)


def test_a_power_cut_while_it_is_taken_in_leaves_it_whole_or_not_there(tmp_path: Path) -> None:
    home, initial = tmp_path / "home", tmp_path / "initial"
    home.mkdir()
    shutil.copytree(home, initial)
    disk = RecordingDisk(home)
    take(ObjectStore(home / "store", disk=disk), DATA)
    (tmp_path / "scratch").mkdir()
    seen = set()
    for what, state in crash_states(initial, disk.calls, tmp_path / "scratch"):
        store = ObjectStore(state / "store")
        here = store.has(NAME), (store.root / "weak" / NAME.hex).exists()
        try:
            if here == (False, True):
                take(store, DATA)
            if any(here):
                assert store.read(NAME) == DATA
        except BaseException as exc:
            raise AssertionError(what) from exc
        store.close()
        seen.add(here)
    assert seen == {(False, False), (False, True), (True, True)}
