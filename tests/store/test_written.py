"""The record of what was checked out: it tells our files from the user's, and to lose it loses nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from disdat.core import digest
from disdat.core.tree import Entry, Tree
from disdat.durable import Disk
from disdat.errors import UnknownFormat
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
    record_of(tmp_path, "/d/\udcff").save(Record({"a": Written(A, Stamp(1, 2, 3))}, tree=RUN.digest))
    [path] = tmp_path.glob("*.json")
    assert path.name == digest.of_bytes(b"/d/\xff").hex[:32] + ".json"
    expected = f'{{"directory":"/d/%FF","files":[["a","{A.digest}",1,0,[1,2,3]]],"format":1,"tree":"{RUN.digest}"}}\n'
    assert path.read_text("ascii") == expected


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
