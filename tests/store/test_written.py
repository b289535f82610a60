"""The record of what was checked out: it tells our files from the user's, and to lose it loses nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from disdat.core import digest
from disdat.core.tree import Entry, Tree
from disdat.durable import Disk
from disdat.errors import UnknownFormat
from disdat.store.locks import FileLock
from disdat.store.written import Begun, Record, RecordFile, Stamp, Written

A = Entry(digest.of_bytes(b"a"), 1)
RUN = Entry(digest.of_bytes(b"run"), 3, executable=True)
FILES = {"a": Written(A, Stamp(1 << 60, 2, 3)), "d/\u00e9%FF": Written(RUN, None)}


def record_of(records: Path, directory: str = "/some/where") -> RecordFile:
    record = RecordFile(records, directory, disk=Disk())
    with record.held():
        pass  # makes the directory
    return record


@pytest.mark.parametrize(
    "record",
    [
        Record(),
        Record(FILES),
        Record(FILES, tree=A.digest),
        Record({}, begun=Begun("0123456789abcdef", Tree({"x": A}))),
        Record(FILES, begun=Begun("0123456789abcdef", A.digest)),
    ],
)
def test_a_record_comes_back(record: Record, tmp_path: Path) -> None:
    record_of(tmp_path).save(record)
    assert record_of(tmp_path).load() == record
    assert record_of(tmp_path, "/some/where/else").load() == Record()


def test_the_bytes_of_a_record_are_these(tmp_path: Path) -> None:
    """Frozen, and where it lies too: another version must find what this one wrote."""
    assert not Path("/d").exists()
    record_of(tmp_path, "/d/\udcff").save(Record({"a": Written(A, Stamp(1, 2, 3))}, tree=RUN.digest))
    [path] = tmp_path.glob("*.json")
    assert path.name == digest.of_bytes(b"/d/\xff").hex[:32] + ".json"
    files = f'"files":[["a","{A.digest}",1,0,[1,2,3]]],"format":1,"tree":"{RUN.digest}"'
    assert path.read_text("ascii") == f'{{"above":[0],"directory":"/d/%FF",{files}}}\n'


GOOD: dict[str, object] = {"format": 1, "directory": "/some/where", "files": [["a", A.digest, 1, 0, None]]}
WRONG: list[dict[str, object]] = [
    {"files": 1},
    {"files": [["a"]]},
    {"files": [["../a", A.digest, 1, 0, None]]},
    {"files": [["a", "x", 1, 0, None]]},
    {"files": [["a", A.digest, "x", 0, None]]},
    {"files": [["a", A.digest, 1, 0, [1]]]},
    {"directory": "/another"},
    {"tree": "x"},
    {"begun": {}},
    {"begun": {"token": "../x", "root": A.digest}},
    {"begun": {"token": "00", "entries": [{"name": "/etc/passwd", "digest": A.digest, "size": 1}]}},
]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b"null", *(json.dumps(GOOD | changed).encode() for changed in WRONG)],
)
def test_what_is_no_record_counts_as_none(content: bytes, tmp_path: Path) -> None:
    record = record_of(tmp_path)
    record.save(Record(FILES))
    [path] = tmp_path.glob("*.json")
    path.write_bytes(content)
    assert record.load() == Record()
    record.save(Record(FILES))
    assert record.load() == Record(FILES)


def test_a_record_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    record = record_of(tmp_path)
    record.save(Record())
    [path] = tmp_path.glob("*.json")
    path.write_text(json.dumps(GOOD | {"format": 2}), "ascii")
    with pytest.raises(UnknownFormat, match="format 2"):
        record.load()


def test_what_a_killed_writer_left_is_overwritten(tmp_path: Path) -> None:
    record = record_of(tmp_path)
    record.save(Record())
    [path] = tmp_path.glob("*.json")
    path.with_suffix(".new").write_bytes(b"half")
    record.save(Record(FILES))
    assert record.load() == Record(FILES)
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".json", ".lock"]


def test_one_checkout_of_a_directory_waits_for_another(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    entered = fork.Event()

    def enter() -> None:
        with record_of(tmp_path).held():
            entered.set()

    with record_of(tmp_path).held():
        other = fork.Process(target=enter)
        other.start()
        assert not entered.wait(0.2)
        with record_of(tmp_path, "/another").held():
            pass
    other.join()
    assert entered.is_set()


def known(records: Path) -> set[str]:
    """The directories of which there are records; no lock is there without one."""
    assert {path.stem for path in records.glob("*.lock")} <= {path.stem for path in records.glob("*.json")}
    return {json.loads(path.read_bytes())["directory"].rpartition("/")[2] for path in records.glob("*.json")}


def check_out(records: Path, *directories: Path) -> None:
    for directory in directories:
        record = RecordFile(records, str(directory), disk=Disk())
        with record.held():
            directory.mkdir(parents=True, exist_ok=True)
            record.save(Record({f"{n}": Written(A, None) for n in range(3000)}))


def test_the_record_of_a_directory_that_was_deleted_is_forgotten(tmp_path: Path) -> None:
    """Alone, or with those above it; and so are locks without a record."""
    records, project = tmp_path / "records", tmp_path / "project"
    check_out(records, project / "a", project / "deep" / "b", tmp_path / "c", tmp_path / "here")
    shutil.rmtree(project)
    (tmp_path / "c").rmdir()
    check_out(records, tmp_path / "here")
    assert known(records) >= {"a", "b", "c", "here"}, "only who checks out for the first time looks for them"
    (records / "00.lock").touch()
    check_out(records, tmp_path / "d")
    assert known(records) == {"here", "d"}


def test_the_record_of_a_directory_is_kept_whose_disk_is_not_there(tmp_path: Path) -> None:
    """As where it is not mounted, and there is another directory, or none, in the place of its root."""
    records, disk = tmp_path / "records", tmp_path / "mnt" / "disk"
    check_out(records, disk / "a", disk / "deep" / "b", tmp_path / "c")
    disk.rename(tmp_path / "elsewhere")
    disk.mkdir()
    (tmp_path / "c").rmdir()
    check_out(records, tmp_path / "d")
    assert known(records) == {"a", "b", "d"}
    disk.rmdir()
    (tmp_path / "elsewhere").rename(disk)
    assert RecordFile(records, str(disk / "a"), disk=Disk()).load() != Record()


def test_a_file_system_that_is_not_mounted_keeps_its_records(tmp_path: Path) -> None:
    """Nothing above the root of one tells anything."""
    memory = Path("/dev/shm")
    if not os.path.ismount(memory) or not os.access(memory, os.W_OK):
        pytest.skip("there is no other file system")
    directory = memory / f"disdat-test-{os.getpid()}"
    check_out(tmp_path, directory)
    [path] = tmp_path.glob("*.json")
    assert json.loads(path.read_bytes())["above"] == []
    directory.rmdir()
    check_out(tmp_path, tmp_path / "d")
    assert known(tmp_path) == {directory.name, "d"}


def test_a_record_that_is_held_or_damaged_is_not_forgotten(tmp_path: Path) -> None:
    records = tmp_path / "records"
    check_out(records, tmp_path / "a", tmp_path / "b")
    [damaged] = [path for path in records.glob("*.json") if str(tmp_path / "b").encode() in path.read_bytes()]
    damaged.write_bytes(damaged.read_bytes()[:100])
    (tmp_path / "a").rmdir()
    (tmp_path / "b").rmdir()
    record = RecordFile(records, str(tmp_path / "a"), disk=Disk())
    with record.held():
        check_out(records, tmp_path / "c")
        assert record.load() != Record()
    assert len(list(records.glob("*.json"))) == 3
    check_out(records, tmp_path / "d")
    assert record.load() == Record()
    assert damaged.exists()


def test_who_waits_for_a_record_that_is_forgotten_holds_the_one_that_counts(tmp_path: Path) -> None:
    records, directory = tmp_path / "records", tmp_path / "a"
    check_out(records, directory)
    directory.rmdir()
    [lock] = records.glob("*.lock")
    first = FileLock(lock, disk=Disk())
    first.acquire_exclusive()
    record, held = RecordFile(records, str(directory), disk=Disk()), threading.Event()

    def wait() -> None:
        with record.held():
            held.set()
            assert FileLock(lock, disk=Disk()).try_exclusive() is False

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        assert not held.wait(0.1)
        lock.unlink()
        first.release()
        waiting.result(timeout=10)
