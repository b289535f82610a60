"""
The append-only event log of a context: the truth that the catalog is an index of.

A record holds the events of one change. It is appended and made durable by one fdatasync, so
after a crash it is there whole, or it is a *torn tail*, which was never acknowledged and which the next
writer cuts off. Damage anywhere else is :class:`~disdat.errors.Corrupt`. ``docs/format.md`` has the bytes.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from disdat.core import event
from disdat.core.event import Event
from disdat.durable import Disk, storage_errors
from disdat.errors import Corrupt, InvalidInput, UnknownFormat

SEGMENT_BYTES = 64_000_000
"""A segment of at least this size is continued in the next one."""
FORMAT = 1
MAX_PAYLOAD_BYTES = 2**31 - 1

_MAGIC = b"DSDTLOG"
_SEGMENT = struct.Struct("<8sQ")
_FRAME = struct.Struct("<4sI16s")
_RECORD = b"REC1"
_PIECE_BYTES = 1 << 20
_CANNOT_LINK = frozenset({errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS})
_DAMAGE_HINT = (
    "restore the log from a backup; to go on with what is readable, move catalog.db aside"
    " if only the end of the log is damaged"
)


class Position(NamedTuple):
    """An offset in a numbered segment: where a record begins or ends. Later ones are greater."""

    segment: int
    offset: int


START = Position(1, 0)


class Place(NamedTuple):
    """Where the bytes of one event lie."""

    segment: int
    offset: int
    length: int


class Entry(NamedTuple):
    """An event and its place in the log."""

    event: Event
    place: Place
    own: bool = True
    """Whether its writer numbered it for this log; False where it was fetched."""


class Stamp(NamedTuple):
    """What tells a segment that is as it was from one that was written to, or replaced."""

    device: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """What one append wrote: events that happen together or not at all."""

    start: Position
    payload: bytes

    @property
    def end(self) -> Position:
        return Position(self.start.segment, self.start.offset + _FRAME.size + len(self.payload))

    def entries(self) -> Iterator[Entry]:
        """Its events, in the order they were written."""
        lines = self.payload.split(b"\n")
        return _entries(map(event.decode, lines), _places(self.start, lines))


class Appended(NamedTuple):
    """What an append wrote, and where the log ends after it."""

    entries: list[Entry]
    end: Position


def _entries(events: Iterable[Event], places: Iterable[Place]) -> Iterator[Entry]:
    """Yield the events of one record with their places: those after a fetch were fetched."""
    own = True
    for each, place in zip(events, places, strict=True):
        yield Entry(each, place, own)
        own = own and each.kind != event.FETCH


def _nothing_to_prepare(_: Appended) -> None:
    """Whoever appends does nothing before."""


class Log:
    """
    The log in one directory. Reading needs no lock; :meth:`append` and :meth:`recover` need the context's.

    Memory is bounded by the largest record.
    """

    def __init__(self, directory: Path, *, disk: Disk, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._paths: dict[int, Path] = {}

    def end(self, known: Position = START) -> Position:
        """Where the log ends now, torn tail included. Cheap when *known* is the end or in the last segment."""
        segment, size = known.segment, self._size(known.segment)
        while (following := self._size(segment + 1)) > _SEGMENT.size:
            segment, size = segment + 1, following
        if size > _SEGMENT.size or segment > 1:
            return Position(segment, size)
        return START

    def stamp(self, end: Position) -> Stamp | None:
        """What its last segment is now, where the log ends at *end*; None where it does not."""
        try:
            found = os.stat(self._path(end.segment))
        except FileNotFoundError:
            return None
        if found.st_size != end.offset or self._size(end.segment + 1):
            return None
        return Stamp(found.st_dev, found.st_ino, found.st_mtime_ns)

    def append(
        self, end: Position, events: Sequence[Event], *, prepare: Callable[[Appended], None] = _nothing_to_prepare
    ) -> Appended:
        """
        Write *events* as one record after *end*, which is where the log ends; durable on return.

        *prepare* is given what will be appended before anything is written; if it raises, nothing is.

        Raises:
            StorageError: It could not be written; the log is unchanged.
            InvalidInput: It is too much for one record.
        """
        lines = [event.encode(each) for each in events]
        payload = b"\n".join(lines)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidInput("too much for one change", hint="make it in several parts")
        has_room = _SEGMENT.size < end.offset < self._segment_bytes
        start = end if has_room else Position(end.segment if end == START else end.segment + 1, _SEGMENT.size)
        appended = Appended(list(_entries(events, _places(start, lines))), Record(start, payload).end)
        prepare(appended)
        with storage_errors(f"write the log {self._directory}"):
            if not has_room:
                self._begin_segment(start.segment)
            self._write_record(start, _frame(payload) + payload)
        return appended

    def records(self, start: Position = START, *, acknowledged: Position = START) -> Iterator[Record]:
        """
        Give the records from *start*, up to the end or a torn tail, which cannot be before *acknowledged*.

        Raises:
            Corrupt: A record that is not at the end is damaged; says which segment and offset.
            UnknownFormat: The log was written by a later version.
        """
        with storage_errors(f"read the log {self._directory}"):
            yield from self._walk(start, acknowledged, at_torn_tail=lambda _: None)
        self._check_reaches(acknowledged)

    def recover(self, start: Position = START, *, acknowledged: Position = START) -> Iterator[Record]:
        """As :meth:`records`, for a writer: what it gives is durable, and at the end a torn tail is cut."""
        with storage_errors(f"recover the log {self._directory}"):
            if self.end(start) > start:
                self._make_durable(start)
            yield from self._walk(start, acknowledged, at_torn_tail=self._cut)
        self._check_reaches(acknowledged)

    def continues(self, indexed: Position, *, acknowledged: Position = START) -> bool:
        """
        Whether there is more after *indexed*, where a catalog saw the log end: records, or a torn tail.

        Raises:
            Corrupt: The log ends before that, or before *acknowledged*.
        """
        end = self.end(indexed)
        if end < (least := max(indexed, acknowledged)):
            raise self._shortened(least)
        return end > indexed

    def read(self, places: Iterable[Place]) -> Iterator[Event]:
        """The events at places the log gave, in that order; Corrupt where there is none."""
        return (found for found, _ in self.read_lines(places))

    def read_lines(self, places: Iterable[Place]) -> Iterator[tuple[Event, bytes]]:
        """As :meth:`read`, with the bytes of each."""
        with storage_errors(f"read the log {self._directory}"), ExitStack() as stack:
            files: dict[int, BinaryIO] = {}
            for segment, offset, length in places:
                if segment not in files:
                    files[segment] = stack.enter_context(self._path(segment).open("rb", 0))
                files[segment].seek(offset)
                line = files[segment].read(length)
                try:
                    yield event.decode(line), line
                except Corrupt as exc:
                    raise self.damaged(Position(segment, offset)) from exc

    def fork(self, directory: Path, end: Position) -> None:
        """
        Make *directory* a log of its own that says what this one does up to *end*; durable on return.

        Segments before the last are hard links where that can be, since they never change again.
        """
        with storage_errors(f"copy the log {self._directory}"):
            self._disk.mkdir(directory)
            for segment in range(1, end.segment):
                self._link(segment, directory)
            if end > START:
                self._copy(end.segment, directory, end.offset)
            self._disk.sync_dir(directory)

    def _link(self, segment: int, directory: Path) -> None:
        source = self._path(segment)
        try:
            self._disk.link(source, directory / source.name)
        except OSError as exc:
            if exc.errno not in _CANNOT_LINK:
                raise
            self._copy(segment, directory, source.stat().st_size)

    def _copy(self, segment: int, directory: Path, length: int) -> None:
        """Copy the beginning of a segment, which is durable then."""
        path = self._path(segment)
        with path.open("rb", buffering=0) as source, self._disk.create(directory / path.name) as target:
            while length and (piece := source.read(min(length, _PIECE_BYTES))):
                self._disk.write(target, piece)
                length -= len(piece)
            self._disk.sync(target)

    def _path(self, segment: int) -> Path:
        path = self._paths.get(segment)
        if path is None:
            path = self._paths[segment] = self._directory / f"{segment:08d}.log"
        return path

    def _size(self, segment: int) -> int:
        try:
            return os.stat(self._path(segment)).st_size
        except FileNotFoundError:
            return 0

    def _begin_segment(self, segment: int) -> None:
        path = self._path(segment)
        if segment == 1:
            self._disk.mkdir(self._directory)
            self._disk.sync_dir(self._directory.parent)
        with suppress(FileNotFoundError):  # one that a crash left without a record
            self._disk.unlink(path)
        with self._disk.create(path) as file:
            self._disk.write(file, _SEGMENT.pack(_MAGIC + b"%d" % FORMAT, segment))
            self._disk.sync(file)
        self._disk.sync_dir(self._directory)

    def _write_record(self, start: Position, data: bytes) -> None:
        path = self._path(start.segment)
        with self._disk.open_append(path) as file:
            try:
                self._disk.write(file, data)
                self._disk.sync(file)
            except BaseException:
                # The caller will say that nothing happened. If this fails too, the next writer cuts a torn tail.
                with suppress(OSError):
                    self._disk.truncate(path, start.offset)
                    self._disk.sync(file)
                raise

    def _make_durable(self, start: Position) -> None:
        # A writer that was killed may have left a whole record that was never synced.
        self._disk.sync_dir(self._directory)
        for segment in range(start.segment, self.end(start).segment + 1):
            self._disk.sync_path(self._path(segment))

    def _cut(self, torn: Position) -> None:
        path = self._path(torn.segment)
        kept = self._directory / f"cut-{torn.segment:08d}-{torn.offset}"
        with suppress(FileNotFoundError):  # an earlier cut at this very place
            self._disk.unlink(kept)
        with path.open("rb") as source, self._disk.create(kept) as target:
            source.seek(torn.offset)
            while piece := source.read(_PIECE_BYTES):
                self._disk.write(target, piece)
            self._disk.sync(target)
        self._disk.sync_dir(self._directory)
        self._disk.truncate(path, torn.offset)
        self._disk.sync_path(path)

    def _check_reaches(self, acknowledged: Position) -> None:
        if self.end(acknowledged) < acknowledged:
            raise self._shortened(acknowledged)

    def _walk(
        self, start: Position, acknowledged: Position, *, at_torn_tail: Callable[[Position], None]
    ) -> Iterator[Record]:
        end = self.end(start)
        self._check_no_gap(end)
        if start >= end:
            return
        for number in range(start.segment, end.segment + 1):
            with self._open(number) as file:
                offset = start.offset if start.segment == number and start.offset else _SEGMENT.size
                while payload := _payload_at(file, offset):
                    record = Record(Position(number, offset), payload)
                    yield record
                    offset = record.end.offset
                if offset < _size_of(file):
                    torn = Position(number, offset)
                    if number < end.segment or torn < acknowledged or _valid_record_after(file, offset):
                        raise self.damaged(torn)
                    at_torn_tail(torn)

    def _check_no_gap(self, end: Position) -> None:
        beyond = [path for path in self._directory.glob("*.log") if path.stem > f"{end.segment:08d}"]
        if any(path.stat().st_size > _SEGMENT.size for path in beyond):
            raise self.damaged(Position(end.segment + 1, 0))

    def _open(self, segment: int) -> BinaryIO:
        try:
            file = self._path(segment).open("rb")
        except FileNotFoundError as exc:
            raise self.damaged(Position(segment, 0)) from exc
        try:
            _check_header(file, segment)
        except BaseException:
            file.close()
            raise
        return file

    def damaged(self, at: Position) -> Corrupt:
        """The error for damage found at a position."""
        where = f"{self._path(at.segment)} at offset {at.offset}"
        return Corrupt(f"the log is damaged: {where}", hint=_DAMAGE_HINT)

    def _shortened(self, indexed: Position) -> Corrupt:
        where = f"{self._path(indexed.segment)} was longer: it reached offset {indexed.offset}"
        return Corrupt(f"the log is damaged: {where}", hint=_DAMAGE_HINT)


def _places(start: Position, lines: Sequence[bytes]) -> Iterator[Place]:
    """Where the lines of the record at *start* lie."""
    offset = start.offset + _FRAME.size
    for line in lines:
        yield Place(start.segment, offset, len(line))
        offset += len(line) + 1


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(_RECORD, len(payload), _check(len(payload), payload))


def _check(length: int, payload: bytes) -> bytes:
    return blake3(length.to_bytes(4, "little")).update(payload).digest(16)


def _size_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _check_header(file: BinaryIO, segment: int) -> None:
    header = file.read(_SEGMENT.size)
    magic, number = _SEGMENT.unpack(header) if len(header) == _SEGMENT.size else (b"", 0)
    if magic[:-1] != _MAGIC or number != segment:
        raise Corrupt(f"the log is damaged: {file.name} does not begin as segment {segment}", hint=_DAMAGE_HINT)
    if magic[-1:] != b"%d" % FORMAT:
        raise UnknownFormat(f"the log segment {file.name}", found=magic[-1:].decode("latin-1"), supported=FORMAT)


def _payload_at(file: BinaryIO, offset: int) -> bytes | None:
    """The payload of the record at *offset*; None if there is no whole one."""
    file.seek(offset)
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    magic, length, check = _FRAME.unpack(head)
    if magic != _RECORD or length > _size_of(file) - offset - _FRAME.size:
        return None
    payload = file.read(length)
    return payload if _check(length, payload) == check else None


def _valid_record_after(file: BinaryIO, offset: int) -> bool:
    """Whether a whole record begins anywhere behind *offset*."""
    position = offset + 1
    while True:
        file.seek(position)
        piece = file.read(_PIECE_BYTES)
        found = piece.find(_RECORD)
        while found >= 0:
            if _payload_at(file, position + found) is not None:
                return True
            found = piece.find(_RECORD, found + 1)
        if len(piece) < _PIECE_BYTES:
            return False
        position += len(piece) - len(_RECORD) + 1
