"""The log: what was appended is read, a torn tail is cut, damage is named."""

from __future__ import annotations

import json
import struct
import time
from itertools import pairwise
from pathlib import Path

import pytest
from blake3 import blake3

from disdat.catalog.log import START, Appended, Log, Position
from disdat.core import event
from disdat.core.event import Event
from disdat.durable import Disk
from disdat.errors import Corrupt, InvalidInput, StorageError, UnknownFormat
from disdat.testing.faults import FailingDisk

HEADER = 16
FRAME = 24


def events(first: int, count: int = 1) -> list[Event]:
    ids = {i: event.ulid(i, entropy=i) for i in range(first, first + count)}
    return [Event(id_, i, "w", i, "strange", {"uuid": f"u{i}"}, write_id=id_) for i, id_ in ids.items()]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


def make(directory: Path, records: int, *, segment_bytes: int = 10**9) -> list[Appended]:
    """A log of records that hold one, two, three… events."""
    log = Log(directory, disk=Disk(), segment_bytes=segment_bytes)
    made: list[Appended] = []
    end, number = START, 1
    for count in range(1, records + 1):
        made.append(log.append(end, events(number, count)))
        end, number = made[-1].end, number + count
    return made


def read(directory: Path, start: Position = START) -> list[int]:
    """The sequence numbers of the events from *start*."""
    log = Log(directory, disk=Disk())
    return [entry.event.seq for record in log.records(start) for entry in record.entries()]


def recovered(directory: Path, start: Position = START, *, acknowledged: Position = START) -> list[int]:
    log = Log(directory, disk=Disk())
    return [entry.event.seq for record in log.recover(start, acknowledged=acknowledged) for entry in record.entries()]


def segment(directory: Path, number: int = 1) -> Path:
    return directory / f"{number:08d}.log"


def test_an_empty_log_has_no_records_and_no_files(directory: Path) -> None:
    log = Log(directory, disk=Disk())
    assert (read(directory), log.end(), directory.exists()) == ([], START, False)


def test_what_is_appended_is_read_from_anywhere(directory: Path) -> None:
    made = make(directory, 3)
    assert read(directory) == [1, 2, 3, 4, 5, 6]
    assert read(directory, made[0].end) == [2, 3, 4, 5, 6]
    assert read(directory, made[-1].end) == []
    assert Log(directory, disk=Disk()).end() == made[-1].end


def test_an_event_is_read_from_its_place(directory: Path) -> None:
    made = make(directory, 3, segment_bytes=300)
    entries = [entry for each in made for entry in each.entries]
    log = Log(directory, disk=Disk())
    assert [e for record in log.records() for e in record.entries()] == entries
    assert list(log.read(entry.place for entry in reversed(entries))) == [e.event for e in reversed(entries)]


def test_a_segment_that_is_full_is_continued_in_the_next(directory: Path) -> None:
    made = make(directory, 5, segment_bytes=300)
    assert [each.end.segment for each in made] == [1, 1, 2, 3, 4]
    assert sorted(path.name for path in directory.iterdir()) == [f"0000000{i}.log" for i in range(1, 5)]
    assert read(directory) == list(range(1, 16))
    for each, following in pairwise(made):
        assert read(directory, each.end)[0] == following.entries[0].event.seq


def test_a_stranger_reads_the_log_by_its_description_alone(directory: Path) -> None:
    """With struct, json and blake3, as docs/format.md has it."""
    make(directory, 4, segment_bytes=300)
    found = []
    for number, path in enumerate(sorted(directory.glob("????????.log")), start=1):
        data = path.read_bytes()
        assert data[:8] == b"DSDTLOG1"
        assert struct.unpack("<Q", data[8:16]) == (number,)
        offset = 16
        while offset < len(data):
            magic, length, check = struct.unpack_from("<4sI16s", data, offset)
            payload = data[offset + 24 : offset + 24 + length]
            assert magic == b"REC1"
            assert blake3(data[offset + 4 : offset + 8] + payload).digest()[:16] == check
            found += [json.loads(line) for line in payload.split(b"\n")]
            offset += 24 + length
    assert [each["seq"] for each in found] == list(range(1, 11))
    assert found[0] == {
        "id": event.ulid(1, entropy=1),
        "kind": "strange",
        "payload": {"uuid": "u1"},
        "seq": 1,
        "time": 1,
        "writer": "w",
    }


def test_the_bytes_of_a_segment_are_these(directory: Path) -> None:
    """A frozen example: this must never change."""
    Log(directory, disk=Disk()).append(START, events(1))
    payload = (
        b'{"id":"00000000000000000000000001","kind":"strange","payload":{"uuid":"u1"},"seq":1,"time":1,"writer":"w"}'
    )
    check = bytes.fromhex("b87202ab74e133ea340f9ae280969904")
    assert segment(directory).read_bytes() == (
        b"DSDTLOG1" + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + b"REC1" + bytes([len(payload), 0, 0, 0]) + check + payload
    )


def test_a_log_cut_anywhere_in_its_last_record_is_the_log_without_it(directory: Path) -> None:
    """A reader stops there and changes nothing; a writer cuts the rest off, keeps it for people, and goes on."""
    made = make(directory, 2)
    whole = segment(directory).read_bytes()
    last = made[0].end.offset
    for size in range(last, len(whole)):
        segment(directory).write_bytes(whole[:size])
        assert read(directory) == [1]
        assert segment(directory).stat().st_size == size
        assert recovered(directory) == [1]
        assert segment(directory).read_bytes() == whole[:last]
        kept = directory / f"cut-00000001-{last}"
        assert kept.exists() == (size > last)
        if size > last:
            assert kept.read_bytes() == whole[last:size]
        appended = Log(directory, disk=Disk()).append(made[0].end, events(7))
        assert (read(directory), appended.end.segment) == ([1, 7], 1)


def test_a_log_cut_anywhere_in_its_first_record_is_empty(directory: Path) -> None:
    make(directory, 1)
    whole = segment(directory).read_bytes()
    for size in range(len(whole)):
        segment(directory).write_bytes(whole[:size])
        assert read(directory) == recovered(directory) == []
        log = Log(directory, disk=Disk())
        assert log.end() == START
        log.append(START, events(7))
        assert read(directory) == [7]
        segment(directory).write_bytes(whole)


def test_a_segment_that_a_crash_left_without_a_record_is_begun_again(directory: Path) -> None:
    [first] = make(directory, 1, segment_bytes=100)
    header = b"DSDTLOG1" + struct.pack("<Q", 2)
    for size in range(len(header) + 1):
        segment(directory, 2).write_bytes(header[:size])
        assert Log(directory, disk=Disk()).end() == first.end
        assert recovered(directory) == [1]
        Log(directory, disk=Disk(), segment_bytes=100).append(first.end, events(2))
        assert read(directory) == [1, 2]


@pytest.mark.parametrize("junk", [b"\0" * 100, b"REC1", b"REC1" + b"\xff" * 100, b"{}" * 5000])
def test_junk_at_the_end_is_a_torn_tail(directory: Path, junk: bytes) -> None:
    make(directory, 2)
    with segment(directory).open("ab") as file:
        file.write(junk)
    assert recovered(directory) == [1, 2, 3]
    assert [path.name[:4] for path in directory.iterdir() if not path.name.endswith(".log")] == ["cut-"]


def test_a_flipped_bit_before_the_last_record_is_damage_and_says_where(directory: Path) -> None:
    made = make(directory, 3)
    whole = segment(directory).read_bytes()
    starts = [HEADER, *(each.end.offset for each in made)]
    for position in range(HEADER, starts[2]):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        segment(directory).write_bytes(damaged)
        start = max(each for each in starts if each <= position)
        for reader in (read, recovered):
            with pytest.raises(Corrupt, match=rf"00000001\.log at offset {start}$"):
                reader(directory)
        assert segment(directory).read_bytes() == damaged


def test_a_flipped_bit_in_a_segment_that_is_not_the_last_is_damage(directory: Path) -> None:
    made = make(directory, 3, segment_bytes=300)
    path = segment(directory, made[1].end.segment)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Corrupt, match="at offset"):
        recovered(directory)


def test_what_a_catalog_has_indexed_is_never_a_torn_tail(directory: Path) -> None:
    made = make(directory, 2)
    whole = segment(directory).read_bytes()
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    segment(directory).write_bytes(damaged)
    with pytest.raises(Corrupt, match="at offset"):
        recovered(directory, acknowledged=made[1].end)
    segment(directory).write_bytes(whole[:-1])
    with pytest.raises(Corrupt, match="longer"):
        Log(directory, disk=Disk()).continues(made[1].end)
    segment(directory).write_bytes(whole[: made[0].end.offset])
    with pytest.raises(Corrupt, match="longer"):
        recovered(directory, acknowledged=made[1].end)


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_segment_is_damage(directory: Path, number: int) -> None:
    make(directory, 5, segment_bytes=300)
    segment(directory, number).unlink()
    with pytest.raises(Corrupt, match=f"0000000{number}"):
        read(directory)


def test_a_segment_of_another_format_or_number_is_refused(directory: Path) -> None:
    make(directory, 1)
    whole = segment(directory).read_bytes()
    segment(directory).write_bytes(b"DSDTLOG2" + whole[8:])
    with pytest.raises(UnknownFormat, match="format 2"):
        read(directory)
    for header in (b"DSDTLOG1" + struct.pack("<Q", 2), b"something" + bytes(7)):
        segment(directory).write_bytes(header + whole[HEADER:])
        with pytest.raises(Corrupt, match="does not begin as segment 1"):
            read(directory)


def test_text_that_looks_like_a_record_is_text(directory: Path) -> None:
    log = Log(directory, disk=Disk())
    odd = Event(
        event.ulid(1), 1, "w", 1, "tag", {"uuid": "REC1" * 100, "set": {"REC1\n": "\n\0\u2028é😀"}}, write_id="w1"
    )
    log.append(log.append(START, [odd]).end, events(2))
    first = next(Log(directory, disk=Disk()).records())
    assert [entry.event for entry in first.entries()] == [odd]
    content = segment(directory).read_bytes()
    segment(directory).write_bytes(content[: first.end.offset - 1])
    assert recovered(directory) == []


def test_looking_behind_a_torn_tail_costs_no_more_than_reading_it(directory: Path) -> None:
    """However often it says what a record begins with."""
    make(directory, 1)
    with segment(directory).open("ab") as file:
        file.write(b"REC1" * 50_000)
    started = time.process_time()
    assert recovered(directory) == [1]
    assert time.process_time() - started < 1


def test_an_append_that_fails_leaves_the_log_as_it_was(directory: Path) -> None:
    """Nobody finds later what the caller was told did not happen."""
    made = make(directory, 2)
    before = segment(directory).read_bytes()
    for at in (1, 2):
        with pytest.raises(StorageError, match="write the log"):
            Log(directory, disk=_FailingOnce(at)).append(made[-1].end, events(9))
        assert segment(directory).read_bytes() == before


class _FailingOnce(Disk):
    """Refuses its *at*-th write or sync, having written."""

    def __init__(self, at: int) -> None:
        self._left = at

    def write(self, file, data):  # type: ignore[no-untyped-def]
        super().write(file, data)
        self._fail()

    def sync(self, file):  # type: ignore[no-untyped-def]
        super().sync(file)
        self._fail()

    def _fail(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise OSError(28, "No space left on device")


def test_every_append_cut_short_is_repaired_by_the_next_writer(directory: Path, tmp_path: Path) -> None:
    """At every step of the disk: the first record of a log, one more, and one that begins a segment."""
    for records in (0, 1, 2):
        at = 0
        while True:
            at += 1
            place = tmp_path / f"{records}-{at}"
            made = make(place, records, segment_bytes=300)
            end = made[-1].end if made else START
            disk = FailingDisk(at)
            try:
                Log(place, disk=disk, segment_bytes=300).append(end, events(99))
            except StorageError:
                # Where even taking it back failed, it may be there as after a crash: whole.
                assert recovered(place)[records * (records + 1) // 2 :] in ([], [99])
            else:
                assert read(place)[-1] == 99
            Log(place, disk=Disk(), segment_bytes=300).append(Log(place, disk=Disk()).end(), events(100))
            assert read(place)[-1] == 100
            if not disk.reached:
                break
        assert at > 2


def test_too_much_for_one_record_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disdat.catalog.log.MAX_PAYLOAD_BYTES", 100)
    with pytest.raises(InvalidInput, match="too much"):
        Log(directory, disk=Disk()).append(START, events(1, 10))
    assert not directory.exists()
