"""Blobs: files to write objects to, as the libraries that write tables and arrays want them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core.digest import of_bytes
from disdat.store.objects import ObjectBatch, ObjectStore


@given(st.lists(st.tuples(st.binary(max_size=50), st.integers(1, 40_000)), max_size=12))
def test_the_bytes_written_are_the_object(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bytes, int]]
) -> None:
    store = ObjectStore(tmp_path_factory.mktemp("home") / "store")
    pieces = [piece * count for piece, count in parts]
    with store.batch() as batch:
        with batch.blob() as blob:
            for piece in pieces:
                assert blob.write(piece) == len(piece)
            assert blob.tell() == sum(map(len, pieces))
        batch.seal()
    assert (blob.digest, blob.size_bytes) == (of_bytes(b"".join(pieces)), sum(map(len, pieces)))
    assert store.read(blob.digest) == b"".join(pieces)


@pytest.mark.parametrize("rows", [1, 300_000])
def test_pyarrow_writes_a_table(tmp_path: Path, rows: int) -> None:
    store = ObjectStore(tmp_path / "store")
    table = pa.table({"x": np.random.default_rng(1).random(rows)})
    with store.batch() as batch:
        with batch.blob() as blob:
            pq.write_table(table, blob)
        batch.seal()
    path, offset, length = store.open_path(blob.digest)
    assert pq.read_table(pa.BufferReader(path.read_bytes()[offset : offset + length])).equals(table)


@pytest.mark.parametrize("rows", [1, 300_000])
def test_numpy_writes_an_array(tmp_path: Path, rows: int) -> None:
    store = ObjectStore(tmp_path / "store")
    array = np.random.default_rng(1).random((rows, 2))
    with store.batch() as batch:
        with batch.blob() as blob:
            np.lib.format.write_array(blob, array)
        batch.seal()
    path, offset, length = store.open_path(blob.digest)
    with path.open("rb") as file:
        file.seek(offset)
        assert np.array_equal(np.lib.format.read_array(file), array)
        assert file.tell() == offset + length


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_exception_in_the_block_keeps_nothing(tmp_path: Path, size: int) -> None:
    store = ObjectStore(tmp_path / "store")
    with store.batch() as batch:
        with pytest.raises(KeyError):
            _write_and_fail(batch, size)
        batch.seal()
    assert list(store.iter_digests()) == []
    assert not [p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.parent.name == "staging"]


def _write_and_fail(batch: ObjectBatch, size: int) -> None:
    with batch.blob() as blob:
        blob.write(b"x" * size)
        raise KeyError


def test_a_blob_has_no_digest_before_it_is_closed_and_takes_nothing_after(tmp_path: Path) -> None:
    with ObjectStore(tmp_path / "store").batch() as batch, batch.blob() as blob:
        with pytest.raises(ValueError, match="no digest before"):
            _ = blob.digest
        blob.close()
        assert blob.closed
        assert blob.digest == of_bytes(b"")
        with pytest.raises(ValueError, match="closed"):
            blob.write(b"late")


def test_what_is_written_in_large_pieces_is_not_copied(tmp_path: Path) -> None:
    piece = b"x" * 1_000_000  # what a remote gives of most files
    with ObjectStore(tmp_path / "store").batch() as batch, batch.blob() as first, batch.blob() as blob:
        first.write(piece)  # what is made on first use does not count
        tracemalloc.start()
        blob.write(piece)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < len(piece) // 4
