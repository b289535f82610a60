"""Objects arrive whole or not at all, in packs where they are small, whatever else goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.core.digest import Digest, of_bytes
from disdat.core.places import Place, object_key, pack_key
from disdat.core.publication import Said
from disdat.errors import DigestMismatch, ObjectNotFound, Unavailable
from disdat.remote import transfer
from disdat.store.backend import KeyNotFound, Progress
from disdat.store.local import LocalBackend
from disdat.store.objects import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "store")


@pytest.fixture
def other(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "other")


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "remote")


def fill(store: ObjectStore, sizes: list[int], seed: int = 1) -> dict[Digest, bytes]:
    """Put random objects of some sizes into a store."""
    source = random.Random(seed)
    with store.batch() as batch:
        made = {batch.put(data): data for data in (source.randbytes(size) for size in sizes)}
        batch.seal()
    return made


def send(backend: LocalBackend, store: ObjectStore, made: dict[Digest, bytes]) -> transfer.Sent:
    """Send all of them."""
    sized = [transfer.Outgoing(None, digest, len(data)) for digest, data in made.items()]
    return transfer.send(backend, store, sized, progress=ignore, is_there=lambda *_: False, noted=lambda _: None)


def ignore(_: int) -> None:
    """Hear of progress."""


def places(sent: transfer.Sent) -> dict[Digest, list[Place]]:
    """Where they are, as a publication says it."""
    found: dict[Digest, list[Place]] = {}
    for raw, place in Said(packs=sent.packs, objects=sent.objects).places("ctx"):
        found.setdefault(Digest.from_raw(raw), []).append(place)
    return found


def receive(backend: LocalBackend, store: ObjectStore, found: dict[Digest, list[Place]]) -> transfer.Received:
    return transfer.receive(backend, store, transfer.loads(found), progress=ignore)


SIZES = [0, 1, 10, 5000, 65_535, 65_536, 70_000, 3 << 20, *range(100, 400)]


def test_what_is_sent_arrives(backend: LocalBackend, store: ObjectStore, other: ObjectStore) -> None:
    made = fill(store, SIZES)
    sent = send(backend, store, made)
    assert len(sent.packs) == 1
    assert {digest for digest, _ in sent.objects} == {digest for digest, data in made.items() if len(data) >= 65_536}
    received = receive(backend, other, places(sent))
    assert not received.left
    assert received.objects == len(made)
    assert {digest: other.read(digest) for digest in made} == made
    assert sent.bytes_sent >= received.bytes_received == sum(map(len, made.values()))


def test_the_same_objects_make_the_same_packs(backend: LocalBackend, store: ObjectStore, tmp_path: Path) -> None:
    made = fill(store, SIZES)
    again = LocalBackend(tmp_path / "again")
    assert send(backend, store, made) == send(again, store, made)
    assert [each.key for each in backend.list()] == [each.key for each in again.list()]


def test_what_is_there_is_not_sent(backend: LocalBackend, store: ObjectStore) -> None:
    made = fill(store, [10, 20, 100_000])
    noted: list[str] = []
    sized = [transfer.Outgoing(None, digest, len(data)) for digest, data in made.items()]
    there = object_key(next(digest for digest, data in made.items() if len(data) == 100_000))
    sent = transfer.send(
        backend, store, sized, progress=ignore, is_there=lambda key, _: key == there, noted=noted.append
    )
    [name] = sent.packs
    assert noted == [pack_key(name)]
    assert [each.key for each in backend.list()] == noted


def test_little_of_a_pack_is_read_in_ranges(backend: LocalBackend, store: ObjectStore, other: ObjectStore) -> None:
    made = fill(store, [40_000] * 200)
    found = places(send(backend, store, made))
    read: list[int] = []

    class Counting(LocalBackend):
        def get_range(self, key: str, offset: int, length: int) -> bytes:
            read.append(length)
            return super().get_range(key, offset, length)

    some = dict(list(found.items())[::60])
    assert not receive(Counting(backend.root), other, some).left
    assert sum(read) < 6_000_000
    assert {digest: other.read(digest) for digest in some} == {digest: made[digest] for digest in some}
    assert (set(found) - other.has_many(found)) == set(found) - set(some)


def test_of_several_places_one_pack_serves_many(store: ObjectStore) -> None:
    a, b = of_bytes(b"a"), of_bytes(b"b")
    alone, p, q = Place("alone", 0, 1), Place("p", 8, 1, False), Place("q", 8, 1, False)
    assert [each.key for each in transfer.loads({a: [alone, p], b: [q, p]})] == ["p"]
    assert [each.key for each in transfer.loads({a: [alone, p]})] == ["alone"]


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_damaged_object_is_told_and_not_taken(
    backend: LocalBackend, store: ObjectStore, other: ObjectStore, size: int
) -> None:
    made = fill(store, [size] * 3)
    found = places(send(backend, store, made))
    victim = sorted(made)[1]
    key, at = found[victim][0].key, found[victim][0].offset
    data = bytearray(backend.get(key))
    data[at] ^= 1
    backend.put(key, bytes(data))
    received = receive(backend, other, found)
    assert isinstance(received.left.pop(victim), DigestMismatch)
    assert not received.left
    assert set(made) - other.has_many(made) == {victim}


def test_what_is_gone_is_told(backend: LocalBackend, store: ObjectStore, other: ObjectStore) -> None:
    made = fill(store, [10, 20, 100_000])
    sent = send(backend, store, made)
    backend.delete(object_key(sent.objects[0][0]))
    received = receive(backend, other, places(sent))
    assert list(received.left) == [sent.objects[0][0]]
    assert isinstance(received.left[sent.objects[0][0]], KeyNotFound)
    assert received.objects == 2


def test_a_place_that_lies_is_found_out(backend: LocalBackend, other: ObjectStore) -> None:
    backend.put("packs/x.pack", b"0123456789")
    digest = of_bytes(b"45")
    for offset, length in [(4, 1), (0, 2), (4, 100), (1 << 40, 2), (3, 1 << 50)]:
        received = receive(backend, other, {digest: [Place("packs/x.pack", offset, length, is_whole=False)]})
        assert list(received.left) == [digest]
    assert not receive(backend, other, {digest: [Place("packs/x.pack", 4, 2, is_whole=False)]}).left


class Failing(LocalBackend):
    """Refuses what *refuses* says."""

    def __init__(self, root: Path, refuses: Callable[[str], bool]) -> None:
        super().__init__(root)
        self._refuses = refuses

    def put_file(self, key: str, file, size_bytes: int, *, progress: Progress | None = None) -> None:  # type: ignore[no-untyped-def]
        if self._refuses(key):
            raise Unavailable("the store does not answer")
        super().put_file(key, file, size_bytes, progress=progress)


def test_a_failure_ends_all_and_what_was_sent_is_noted(store: ObjectStore, tmp_path: Path) -> None:
    made = fill(store, [100_000] * 40)
    bad = object_key(sorted(made)[20])
    backend = Failing(tmp_path / "remote", lambda key: key == bad)
    noted: list[str] = []
    sized = [transfer.Outgoing(None, digest, len(data)) for digest, data in made.items()]
    with pytest.raises(Unavailable):
        transfer.send(backend, store, sized, progress=ignore, is_there=lambda *_: False, noted=noted.append)
    assert sorted(noted) == [each.key for each in backend.list()]
    assert bad not in noted


def test_an_object_that_is_not_here_is_told(backend: LocalBackend, store: ObjectStore) -> None:
    fill(store, [10])
    for size in (5, 100_000):
        with pytest.raises(ObjectNotFound):
            send(backend, store, {of_bytes(b"absent" * size): b"x" * size})


def test_the_user_ends_it(backend: LocalBackend, store: ObjectStore, other: ObjectStore) -> None:
    made = fill(store, [200_000] * 30)
    found = places(send(backend, store, made))
    heard: list[int] = []

    def enough(size_bytes: int) -> None:
        heard.append(size_bytes)
        if len(heard) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.receive(backend, other, transfer.loads(found), progress=enough, jobs=2)
    assert len(heard) < 30
    left = set(made) - other.has_many(made)
    assert not receive(backend, other, {digest: found[digest] for digest in left}).left
    assert {digest: other.read(digest) for digest in made} == made
