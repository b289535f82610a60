"""Packs: what is written is read, by our reader and by one that knows docs/format.md alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from disdat.core.digest import Digest, of_bytes
from disdat.errors import Corrupt, DigestMismatch, UnknownFormat
from disdat.store import packs
from disdat.store.packs import Pack, Packed, PackReader

OBJECTS = {of_bytes(data): data for data in (b"", b"one", b"two" * 1000)}
NAME = "dd3a795c6a5e99457cea845e8a7f696a46a6415bdb7425b1268fe3351b0528f4"


def encode(objects: dict[Digest, bytes]) -> tuple[Pack, bytes]:
    pieces: list[bytes] = []
    pack = packs.write(dict(objects), pieces.append)
    return pack, b"".join(pieces)


def save(directory: Path, objects: dict[Digest, bytes]) -> Path:
    pack, data = encode(objects)
    path = directory / f"{pack.name}.pack"
    path.write_bytes(data)
    return path


def strangers_reader(data: bytes) -> dict[str, bytes]:
    """Read a pack by its description: names are hex digests."""
    assert data[:8] == b"DSDTPAK1"
    assert data[-8:] == b"DSDTPEND"
    assert data[-40:-8] == blake3(data[:-40]).digest()
    index = int.from_bytes(data[-56:-48], "little")
    count = int.from_bytes(data[-48:-40], "little")
    assert index + 48 * count == len(data) - 56
    objects: dict[str, bytes] = {}
    for at in range(index, index + 48 * count, 48):
        offset = int.from_bytes(data[at + 32 : at + 40], "little")
        length = int.from_bytes(data[at + 40 : at + 48], "little")
        objects[data[at : at + 32].hex()] = data[offset : offset + length]
        assert blake3(data[offset : offset + length]).hexdigest() == data[at : at + 32].hex()
    assert list(objects) == sorted(objects)
    return objects


@given(st.lists(st.binary(max_size=300)))
def test_a_stranger_reads_what_was_written_by_the_description_alone(contents: list[bytes]) -> None:
    objects = {of_bytes(data): data for data in contents}
    pack, data = encode(objects)
    assert strangers_reader(data) == {digest.hex: item for digest, item in objects.items()}
    assert pack.name == data[-40:-8].hex()


@given(st.lists(st.binary(max_size=300)))
def test_a_pack_is_read_back_whole_and_by_object(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    objects = {of_bytes(data): data for data in contents}
    path = save(tmp_path_factory.mktemp("packs"), objects)
    with PackReader(path) as reader:
        reader.verify()
        assert {entry.digest: reader.read(entry) for entry in reader.contents} == objects
        assert {entry.digest: packs.read(path, entry) for entry in reader.contents} == objects


def test_equal_objects_make_equal_packs_in_any_order() -> None:
    assert encode(OBJECTS) == encode(dict(reversed(OBJECTS.items())))


def test_the_bytes_of_a_pack_are_pinned() -> None:
    """A change of this digest is a change of the format."""
    pack, data = encode(OBJECTS)
    assert (len(data), pack.name) == (3211, NAME)


def test_a_pack_is_handed_on_in_pieces() -> None:
    objects = {of_bytes(data): data for data in (bytes([n]) * 60_000 for n in range(100))}
    pieces: list[bytes] = []
    packs.write(dict(objects), pieces.append)
    assert all(1 << 20 <= len(piece) < (1 << 20) + 65536 for piece in pieces[:-2])


@pytest.mark.parametrize("keep", [0, 1, 8, 63, 64, 1000, -57, -56, -40, -1])
def test_a_pack_that_was_cut_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path, OBJECTS)
    os.truncate(path, keep if keep >= 0 else path.stat().st_size + keep)
    with pytest.raises(Corrupt, match=str(path)):
        PackReader(path)


@given(st.data())
def test_a_flipped_bit_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = save(tmp_path_factory.mktemp("packs"), OBJECTS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=str(path)), PackReader(path) as reader:
        reader.verify()


@pytest.mark.parametrize("size_bytes", [0, 1, 3000, 40_000])
def test_of_many_objects_those_that_are_right_come_in_few_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    """Those that are wrong are left out, whatever was read with them, and those nobody wants are not read."""
    objects = {of_bytes(data): data for data in (bytes([n]) * (size_bytes + n) for n in range(100))}
    path = save(tmp_path, objects)
    wrong, unwanted = sorted(objects)[10:90:20], sorted(objects)[50:55]
    with PackReader(path) as reader:
        offsets = {entry.digest: entry.offset for entry in reader.contents}
    content = bytearray(path.read_bytes())
    for digest in wrong:
        content[offsets[digest]] ^= 1
    path.write_bytes(content)
    reads: list[int] = []

    def pread(fd: int, length: int, offset: int, of_system: Callable[[int, int, int], bytes] = os.pread) -> bytes:
        reads.append(length)
        return of_system(fd, length, offset)

    with PackReader(path) as reader:
        monkeypatch.setattr(os, "pread", pread)
        wanted = {digest.raw for digest in objects if digest not in unwanted}
        found = {Digest.from_raw(raw): bytes(data) for raw, data in reader.right_of(wanted)}
    assert found == {digest: data for digest, data in objects.items() if digest not in {*wrong, *unwanted}}
    assert sum(reads) == sum(len(data) for digest, data in objects.items() if digest not in unwanted)
    assert len(reads) <= 2 + sum(reads) // packs.RUN_BYTES


def test_a_pack_under_another_name_is_refused_when_it_is_verified(tmp_path: Path) -> None:
    other = save(tmp_path, OBJECTS).rename(tmp_path / f"{'0' * 64}.pack")
    with PackReader(other) as reader, pytest.raises(DigestMismatch, match=str(other)):
        reader.verify()


def test_an_object_whose_bytes_are_others_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, OBJECTS)
    digest = of_bytes(b"not here")
    with pytest.raises(DigestMismatch, match=f"{digest} in pack {path}"):
        packs.read(path, Packed(digest, 8, 3))


def test_a_pack_of_a_later_version_is_not_called_damaged(tmp_path: Path) -> None:
    path = save(tmp_path, OBJECTS)
    path.write_bytes(path.read_bytes().replace(b"DSDTPAK1", b"DSDTPAK2"))
    with pytest.raises(UnknownFormat, match="format 2; this version reads 1"):
        PackReader(path)
