"""The index of packs: whatever becomes of its rows, what is in the packs is found."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from disdat.core.digest import Digest
from disdat.store.objects import ObjectStore
from disdat.testing.faults import FailingDisk


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def put(store: ObjectStore, data: bytes) -> Digest:
    with store.batch() as batch:
        digest = batch.put(data)
        batch.seal()
    return digest


def test_a_disk_that_is_full_when_a_new_pack_is_indexed_hides_no_older_one(tmp_path: Path) -> None:
    """The rows are in memory from then on, where those of the file are not."""
    store = ObjectStore(tmp_path)
    older = put(store, b"older")
    store.close()
    (tmp_path / "hidden").mkdir()
    newer = put(ObjectStore(tmp_path / "hidden"), b"newer")
    for pack in (tmp_path / "hidden" / "packs").iterdir():
        pack.rename(tmp_path / "packs" / pack.name)
    full = ObjectStore(tmp_path, disk=FailingDisk(1, error=_full))
    assert full.read(newer) == b"newer"
    assert full.read(older) == b"older"
