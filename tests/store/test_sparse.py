"""A copy of a sparse file has its bytes and its holes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from disdat.core.digest import of_bytes
from disdat.durable import Disk
from disdat.store.objects import ObjectStore
from disdat.store.sparse import BLOCK_BYTES, has_holes
from disdat.testing.faults import RecordingDisk

MB = 1 << 20


def make(path: Path, size_bytes: int, data: dict[int, bytes]) -> Path:
    """A file of holes, but for *data* at these offsets."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for offset, piece in data.items():
            file.seek(offset)
            file.write(piece)
    return path


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


LAYOUTS = {
    "only a hole": (20 * MB, {}),
    "a hole at the end": (20 * MB + 17, {0: b"begin"}),
    "a hole at the start": (20 * MB, {20 * MB - 3: b"end"}),
    "data between holes": (20 * MB, {5 * MB + 1: b"here", 11 * MB - 2: b"over the edge of a piece"}),
    "zeros and data in one piece": (20 * MB, {7 * MB + BLOCK_BYTES - 1: b"xy"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_added_keeps_its_bytes_and_its_holes(tmp_path: Path, layout: str) -> None:
    size_bytes, data = LAYOUTS[layout]
    path = make(tmp_path / "sparse", size_bytes, data)
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        entry = batch.put_file(path)
        batch.seal()
    kept, _, _ = store.open_path(entry.digest)
    assert kept.read_bytes() == path.read_bytes()
    assert entry.digest == of_bytes(path.read_bytes())
    assert allocated(kept) <= MB < size_bytes


def test_a_copy_that_cannot_be_a_link_keeps_the_holes_too(tmp_path: Path) -> None:
    path = make(tmp_path / "sparse", 20 * MB, {3 * MB: b"data"})
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        plain = batch.put_file(path)
        path.chmod(0o755)
        executable = batch.put_file(path)
        batch.seal()
    assert plain.digest == executable.digest
    for name, entry in (("plain", plain), ("executable", executable)):
        store.materialize(entry, tmp_path / name)
        assert (tmp_path / name).read_bytes() == path.read_bytes()
        assert allocated(tmp_path / name) <= MB
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == entry.mode


def test_zeros_that_take_room_keep_taking_it(tmp_path: Path) -> None:
    """A file that was written whole may have been so to reserve the room."""
    path = tmp_path / "zeros"
    path.write_bytes(bytes(3 * MB))
    os.sync()
    with path.open("rb") as file:
        assert not has_holes(file)
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        entry = batch.put_file(path)
        batch.seal()
    os.sync()
    assert allocated(store.open_path(entry.digest)[0]) >= 3 * MB


def test_only_what_is_not_zero_is_written(tmp_path: Path) -> None:
    path = make(tmp_path / "sparse", 20 * MB, {9 * MB: b"data"})
    disk = RecordingDisk(tmp_path / "store")
    with ObjectStore(tmp_path / "store", disk=disk).batch() as batch:
        batch.put_file(path)
        batch.seal()
    written = sum(len(call.data) for call in disk.calls if call.name == "write" and "staging" in call.path)
    assert 0 < written <= BLOCK_BYTES


def test_the_real_disk_tells_holes(tmp_path: Path) -> None:
    with Disk().create(tmp_path / "new") as file:
        Disk().truncate(tmp_path / "new", 5 * MB)
        assert has_holes(file)
