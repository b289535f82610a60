"""A context that may not be written can be read, and nothing is left in it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disdat.catalog.log import Log
from disdat.catalog.queries import counts
from disdat.catalog.readonly import Snapshot
from disdat.durable import Disk
from disdat.errors import Corrupt, PermissionDenied, Unavailable
from tests.catalog.contexts import Store, add, add_now, bundle, open_catalog
from tests.conftest import missing

STATES = ("up to date", "with a journal", "behind", "missing", "damaged", "never made")
NOBODY = 65534


def make(directory: Path, state: str) -> Path:
    """A context of three bundles whose catalog is in this state; the place it is in."""
    catalog = open_catalog(directory)
    add(catalog, bundle("a"), bundle("b"))
    catalog.close()
    old = (directory / "catalog.db").read_bytes()
    add_now(catalog, "b")
    if state == "with a journal":
        assert catalog.counts().bundles == 3  # who asks has it indexed
        target = shutil.copytree(directory, directory.with_name("copy"), symlinks=True)
        [journal] = target.glob("*-wal")
        assert journal.stat().st_size > 0
        (target / f"{journal.name.removesuffix('wal')}shm").unlink()
        return target
    catalog.close()
    file = (directory / "catalog.db").resolve()
    if state == "behind":
        file.write_bytes(old)
    elif state == "missing":
        file.unlink()
    elif state == "damaged":
        file.write_bytes(old[:4096] + b"\xff" * (len(old) - 4096))
    elif state == "never made":
        for path in directory.glob("catalog*"):
            path.unlink()
    return directory


@contextmanager
def _readable_directory() -> Iterator[Path]:
    """A directory that everybody may enter, as pytest's may not be."""
    with tempfile.TemporaryDirectory(prefix="disdat-test-") as base:
        os.chmod(base, 0o755)
        yield Path(base)


def snapshot(directory: Path) -> Snapshot:
    return Snapshot(directory, log=Log(directory / "log", disk=Disk()), fetch=Store().fetch)


def listing(directory: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in directory.rglob("*"))


@pytest.mark.parametrize("state", STATES)
def test_a_snapshot_has_seen_the_whole_log_and_leaves_nothing(tmp_path: Path, state: str) -> None:
    directory = make(tmp_path / "context", state)
    before = listing(directory)
    found = snapshot(directory)
    for _ in range(2):
        assert found.read(counts).bundles == 3
    found.close()
    assert found.read(counts).names == 2
    assert listing(directory) == before


@pytest.mark.parametrize("state", STATES)
def test_another_user_reads_a_context_and_may_not_change_it(state: str) -> None:
    """The real thing: a process that has no right to write there."""
    if os.getuid() != 0:
        missing("root, to become another user")
    with _readable_directory() as base:
        directory = make(base / "context", state)
        before = listing(directory)
        assert as_nobody(lambda: _read_and_try_to_write(directory)) == "3 ['a', 'b'] refused"
        assert listing(directory) == before


def _read_and_try_to_write(directory: Path) -> str:
    catalog = open_catalog(directory)
    found = f"{catalog.counts().bundles} {catalog.names()}"
    try:
        add_now(catalog)
    except PermissionDenied:
        return f"{found} refused"
    return f"{found} written"


def as_nobody(act: Callable[[], str]) -> str:
    """What *act* gives in a process of a user who owns nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, act().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        result = pipe.read()
    os.waitpid(pid, 0)
    return result


def test_a_snapshot_follows_what_the_owner_writes(tmp_path: Path) -> None:
    directory = tmp_path / "context"
    owner = open_catalog(directory)
    found = snapshot(directory)
    for number in range(1, 30):
        add_now(owner)
        if number % 7 == 0:
            owner.close()
        if number % 11 == 0:
            owner.reindex()
        assert found.read(counts).bundles == number


def test_a_snapshot_is_right_while_the_owner_writes(tmp_path: Path) -> None:
    """What it gives was true at some moment; a catalog that changes under it is not believed."""
    directory = tmp_path / "context"
    owner = open_catalog(directory)
    add_now(owner)
    done = threading.Event()

    def write() -> None:
        for _ in range(150):
            add_now(owner)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [1]
    while not done.is_set():
        try:
            seen.append(snapshot(directory).read(counts).bundles)
        except Unavailable:
            continue
    writer.join()
    assert seen == sorted(seen)
    assert snapshot(directory).read(counts).bundles == 151


def test_a_snapshot_reports_a_log_that_is_shorter_than_it_was(tmp_path: Path) -> None:
    directory = make(tmp_path / "context", "up to date")
    segment = directory / "log" / "00000001.log"
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="longer"):
        snapshot(directory).read(counts)


def test_a_torn_tail_is_left_to_who_may_write(tmp_path: Path) -> None:
    directory = make(tmp_path / "context", "missing")
    segment = directory / "log" / "00000001.log"
    segment.write_bytes(segment.read_bytes()[:-1])
    before = listing(directory)
    assert snapshot(directory).read(counts).bundles == 2
    assert listing(directory) == before
