"""A pack is checked in one pass, and only what is asked about counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from disdat.core.digest import Digest, of_bytes
from disdat.store import checking, packs
from disdat.store.files import no_progress
from disdat.store.packs import PackReader

OBJECTS = {of_bytes(data): data for data in (b"", b"one", b"two" * 100, bytes(5000))}
ONE = of_bytes(b"one")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    written: list[bytes] = []
    made = packs.write(dict(OBJECTS), written.append)
    path = tmp_path / f"{made.name}.pack"
    path.write_bytes(b"".join(written))
    return path


def every(digests: Iterable[Digest]) -> set[Digest]:
    return set(digests)


def only_one(digests: Iterable[Digest]) -> set[Digest]:
    return {ONE} & set(digests)


def flip(pack: Path, digest: Digest) -> None:
    with PackReader(pack) as reader:
        [at] = [entry.offset for entry in reader.contents if entry.digest == digest]
    content = bytearray(pack.read_bytes())
    content[at] ^= 1
    pack.write_bytes(content)


def test_all_objects_of_a_whole_pack_are_right_and_read_once(pack: Path) -> None:
    read: list[int] = []
    check = checking.check_all(pack, every, read.append)
    assert (set(check.right), check.wrong, check.damage) == (OBJECTS.keys(), (), None)
    assert sum(read) == sum(map(len, OBJECTS.values()))


def test_a_flipped_object_is_wrong_the_others_right_and_the_pack_damaged(pack: Path) -> None:
    flip(pack, ONE)
    check = checking.check_all(pack, every, no_progress)
    assert (set(check.right), check.wrong) == (OBJECTS.keys() - {ONE}, (ONE,))
    assert "pack" in str(check.damage)


def test_what_nobody_asks_about_is_not_read(pack: Path) -> None:
    flip(pack, of_bytes(bytes(5000)))
    read: list[int] = []
    check = checking.check_some(pack, every, only_one, read.append)
    assert (set(check.right), check.wrong, check.damage, read) == (OBJECTS.keys(), (), None, [3])
    nothing = checking.check_all(pack, lambda _: set(), read.append)
    assert (nothing.right, nothing.wrong, nothing.damage, read) == ((), (), None, [3])


def test_a_chosen_object_that_is_flipped_is_wrong(pack: Path) -> None:
    flip(pack, ONE)
    check = checking.check_some(pack, every, only_one, no_progress)
    assert (set(check.right), check.wrong) == (OBJECTS.keys() - {ONE}, (ONE,))


@pytest.mark.parametrize("left", [0, 7, 60, -1])
def test_a_pack_without_its_end_is_damaged_as_such(pack: Path, left: int) -> None:
    pack.write_bytes(pack.read_bytes()[:left])
    for check in (checking.check_all(pack, every, no_progress), checking.check_some(pack, every, every, no_progress)):
        assert (check.right, check.wrong) == ((), ())
        assert check.damage is not None
