"""What one commit adds to a store: bytes, files that are written, and files of the user."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry
from disdat.durable import storage_errors
from disdat.errors import InvalidInput, PathNotFound
from disdat.store import files
from disdat.store.additions import SMALL_BYTES, Additions, Parts, Staged
from disdat.store.blob import Blob
from disdat.store.files import Changed, Progress, StrPath
from disdat.store.loose import is_executable
from disdat.store.placing import CANNOT_LINK, EXECUTABLE, READ_ONLY, place_link
from disdat.store.statcache import Known, StatCache
from disdat.store.state import BATCH, Row

THREADS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Read:
    """A large file of the user that was read, what to remember of it, and its copy, unless the store has the bytes."""

    entry: Entry
    row: Row
    staged: Staged | None


class ObjectBatch:
    """
    A context manager that takes bytes and files in.

    Nothing of it is in the store before :meth:`seal`, and what is not sealed when the block ends is gone.

    Many batches of many processes may run at once; one batch is for one thread. From its first use to its end
    it keeps collection from running, so what it counted on stays: commit inside the block.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._disk = parts.disk
        self._added = Additions(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._added.end()

    @property
    def begun(self) -> bool:
        """Whether it keeps collection from running."""
        return self._added.begun

    def begin(self) -> None:
        """Keep collection from running from now on, though nothing was taken in yet."""
        with self._storing():
            """Whoever stores begins."""

    def put(self, data: bytes) -> Digest:
        """Take in bytes."""
        digest = of_bytes(data)
        self.put_known({digest: data})
        return digest

    def put_known(self, objects: Mapping[Digest, bytes]) -> None:
        """Take in bytes whose digests are known."""
        with self._storing():
            self._added.hold({digest: data for digest, data in objects.items() if len(data) < SMALL_BYTES})
            for digest, data in objects.items():
                if len(data) >= SMALL_BYTES and not self._added.has_large(digest):
                    path, file = self._added.staging.create()
                    with file:
                        self._disk.write(file, data)
                    self._keep_written(path, digest)

    def blob(self, expected: Digest | None = None) -> Blob:
        """A file to write an object to, hashed while it is written; a context manager. See :class:`Blob`."""
        with self._storing():
            return Blob(
                staging=self._added.staging,
                disk=self._disk,
                limit_bytes=SMALL_BYTES,
                keep_bytes=self.put,
                keep_file=self._keep_written,
                expected=expected,
            )

    def weak_blob(self, name: Digest) -> Blob:
        """
        As :meth:`blob`, of a large object of weak identity, which *name* is made of.

        Which bytes come is noted the first time, with the object; from then on they are those that are expected.
        """
        with self._storing():
            return Blob(
                staging=self._added.staging,
                disk=self._disk,
                limit_bytes=0,
                keep_bytes=self.put,
                keep_file=partial(self._keep_weak, name),
                expected=self._parts.loose.contents.noted(name),
            )

    def put_file(self, path: StrPath) -> Entry:
        """
        Take in one file that is the user's and stays as it is; see :meth:`put_files`.

        Raises:
            PathNotFound: It is not there.
            InvalidInput: It is not a regular file.
            StorageError: The disk refused, or the file kept changing while it was read; PermissionDenied where
                it may not be read.
        """
        return self.put_files([path])[0]

    def put_files(self, paths: Sequence[StrPath], progress: Progress | None = None) -> list[Entry]:
        """
        Take in files that are the user's and stay as they are; their entries, in order.

        Each is read once, or not at all where the stat cache knows it and the store has it. *progress* is told
        bytes, by any thread but one call at a time. Raises what :meth:`put_file` does.
        """
        report = _Report(progress)
        entries: list[Entry] = []
        with self._storing(), ThreadPoolExecutor(THREADS) as pool:
            try:
                for start in range(0, len(paths), BATCH):
                    entries += self._put_some(paths[start : start + BATCH], report, pool)
            except BaseException:
                report.stop()
                pool.shutdown(cancel_futures=True)
                raise
        return entries

    def adopt_file(self, path: Path) -> Entry:
        """Take in one file that lies in its place below the home; see :meth:`adopt_files`."""
        return self.adopt_files([path])[0]

    def adopt_files(self, paths: Sequence[Path]) -> list[Entry]:
        """
        Take in files that lie in their places below the home, and make them read-only; their entries, in order.

        A large one becomes one inode with its object where the file system lets it. What cannot be shared, or
        could be changed through another name, is copied. Raises what :meth:`put_file` does.
        """
        with self._storing():
            stats = [_stat(path) for path in paths]
            known = [self._known_adopted(found) for found in stats]
            quieted = self._quiet(
                path
                for path, found, entry in zip(paths, stats, known, strict=True)
                if entry is None and _may_share(path, found)
            )
            return [
                entry or self._adopt(path, found, quieted.get(path))
                for path, found, entry in zip(paths, stats, known, strict=True)
            ]

    def seal(self) -> None:
        """
        Make everything taken in durable and part of the store; may be called again after more was taken in.

        Raises:
            StorageError: The disk refused, or an adopted file was written to meanwhile. Some objects may be in
                the store then, which harms nothing.
        """
        if not self._added.begun:
            return
        with self._storing():
            self._added.seal()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        with storage_errors(f"write to {self._parts.root}"):
            self._added.begin()
            yield

    def _keep_written(self, path: Path, digest: Digest) -> None:
        self._disk.chmod(path, READ_ONLY)
        self._added.keep(digest, Staged(path))

    def _keep_weak(self, name: Digest, path: Path, content: Digest) -> None:
        self._parts.loose.contents.note(name, content, self._added.staging)
        self._keep_written(path, name)

    def _put_some(self, paths: Sequence[StrPath], report: Progress, pool: ThreadPoolExecutor) -> list[Entry]:
        at_ns = time.time_ns()
        stats = [_stat(path) for path in paths]
        notes = self._parts.cache.files(stats)
        entries = self._known(stats, notes, report)
        missing = [n for n in range(len(paths)) if n not in entries]
        large = [n for n in missing if stats[n].st_size >= SMALL_BYTES]
        copies = pool.map(lambda n: self._read_large(paths[n], notes[n], report), large)
        small = [n for n in missing if stats[n].st_size < SMALL_BYTES]
        read = self._put_small([paths[n] for n in small], [stats[n] for n in small], at_ns, report)
        entries |= zip(small, read, strict=True)
        entries |= {n: self._keep(read) for n, read in zip(large, copies, strict=True)}
        return [entries[n] for n in range(len(paths))]

    def _known(
        self, stats: Sequence[os.stat_result], notes: Sequence[Known | None], report: Progress
    ) -> dict[int, Entry]:
        """The files that need not be read, by their number."""
        known = {n: note.digest for n, note in enumerate(notes) if note is not None and note.trusted}
        small = self._added.find_small({d for n, d in known.items() if stats[n].st_size < SMALL_BYTES})
        entries: dict[int, Entry] = {}
        for number, digest in known.items():
            size_bytes = stats[number].st_size
            if digest in small or (size_bytes >= SMALL_BYTES and self._added.has_large(digest)):
                entries[number] = Entry(digest, size_bytes, is_executable(stats[number]))
        report(sum(entry.size_bytes for entry in entries.values()))
        return entries

    def _put_small(
        self, paths: Sequence[StrPath], stats: Sequence[os.stat_result], at_ns: int, report: Progress
    ) -> list[Entry]:
        """Take in files that were seen to be small after *at_ns*."""
        entries: list[Entry] = []
        objects: dict[Digest, bytes] = {}
        for path, seen in zip(paths, stats, strict=True):
            data, found = _read_small(path, seen)
            digest = of_bytes(data)
            objects[digest] = data
            entries.append(Entry(digest, len(data), is_executable(found)))
            self._added.read.append(StatCache.file_row(found, digest, at_ns))
        self._added.hold(objects)
        report(sum(entry.size_bytes for entry in entries))
        return entries

    def _read_large(self, path: StrPath, note: Known | None, report: Progress) -> _Read:
        """Copy and hash a file; one that was hashed before is hashed first, and copied only if it is new."""
        if note is None:
            return files.steadily(path, lambda: self._copy(path, report))
        known = files.steadily(path, lambda: _hash(path, report))
        if self._added.has_large(known.entry.digest):
            return known
        # Its bytes were told while they were hashed; what is left to hear is whether to stop.
        return files.steadily(path, lambda: self._copy(path, lambda _: report(0)))

    def _copy(self, path: StrPath, report: Progress) -> _Read:
        at_ns = time.time_ns()
        staged, target = self._added.staging.create()
        try:
            with target, files.reading(path) as (source, found):
                digest = files.copy_file(source, target, found.st_size, disk=self._disk, progress=report)
            self._disk.chmod(staged, EXECUTABLE if is_executable(found) else READ_ONLY)
        except BaseException:
            self._added.staging.discard(staged)
            raise
        return _Read(_entry(found, digest), StatCache.file_row(found, digest, at_ns), Staged(staged))

    def _keep(self, read: _Read) -> Entry:
        self._added.read.append(read.row)
        if read.staged is not None:
            self._added.keep(read.entry.digest, read.staged)
        return read.entry

    def _adopt_small(self, path: Path, found: os.stat_result) -> Entry:
        # With another name, the mode would change under that one too.
        if found.st_nlink == 1 and found.st_uid == os.geteuid():
            self._disk.chmod(path, EXECUTABLE if is_executable(found) else READ_ONLY)
        seen = path.stat()
        if seen.st_size >= SMALL_BYTES:  # it grew
            raise Changed(path)
        data, found = _read_small(path, seen)
        digest = of_bytes(data)
        self._added.hold({digest: data})
        return _entry(found, digest)

    def _known_adopted(self, found: os.stat_result) -> Entry | None:
        digest = self._parts.cache.objects([found])[0] if found.st_size >= SMALL_BYTES else None
        if digest is None or not self._added.has_large(digest):
            return None
        return Entry(digest, found.st_size, is_executable(found))

    def _adopt(self, path: Path, found: os.stat_result, quieted_ns: int | None) -> Entry:
        try:
            if found.st_size < SMALL_BYTES and not path.is_symlink():
                return self._adopt_small(path, found)
            return self._copy_adopted(path) if quieted_ns is None else self._adopt_large(path, quieted_ns)
        except Changed:
            return files.steadily(path, lambda: self._adopt_changed(path))

    def _adopt_changed(self, path: Path) -> Entry:
        quieted = self._quiet([path]) if _may_share(path, _stat(path)) else {}
        return self._adopt_large(path, quieted[path]) if quieted else self._copy_adopted(path)

    def _quiet(self, paths: Iterable[Path]) -> dict[Path, int]:
        """
        Make files read-only so that any later write is seen in their modification times, which are returned.

        Those whose time cannot be set back are left out.
        """
        times: dict[tuple[int, int], int | None] = {}
        quieted: dict[Path, int] = {}
        for path in paths:
            before = path.stat()
            inode = before.st_dev, before.st_ino
            if inode not in times:  # else another path led to it, through a linked directory
                times[inode] = self._quiet_one(path, before)
            if (time_ns := times[inode]) is not None:
                quieted[path] = time_ns
        # A page that was written to through a memory map takes further writes unseen until it is on the disk. Only
        # then is the next one noticed, and sets the time of the file at once.
        self._added.sync(list(quieted))
        return quieted

    def _quiet_one(self, path: Path, before: os.stat_result) -> int | None:
        self._disk.chmod(path, EXECUTABLE if is_executable(before) else READ_ONLY)
        # One ns back, or the least the file system has: a write gives the time it is made, which is this one at the
        # earliest. Without, a write within the same tick of the clock as the last one would go unseen.
        self._disk.set_mtime(path, before.st_mtime_ns - 1)
        time_ns = path.stat().st_mtime_ns
        return time_ns if time_ns < before.st_mtime_ns else None

    def _adopt_large(self, path: Path, quieted_ns: int) -> Entry:
        with files.reading(path) as (file, found):
            if found.st_mtime_ns != quieted_ns or found.st_size < SMALL_BYTES:
                raise Changed(path)
            entry = _entry(found, files.hash_file(file, found.st_size))
        if self._added.has_large(entry.digest):
            self._share(path, entry)
            return entry
        staged = self._added.staging.new_path()
        try:
            self._disk.link(path, staged)
        except OSError as exc:
            if exc.errno not in CANNOT_LINK:
                raise
            self._added.staging.discard(staged)
            return self.put_file(path)
        self._added.keep(entry.digest, Staged(staged, adopted=(path, found)))
        return entry

    def _copy_adopted(self, path: Path) -> Entry:
        entry = self.put_file(path)
        if entry.size_bytes >= SMALL_BYTES:
            self._share(path, entry)
        return entry

    def _share(self, path: Path, entry: Entry) -> None:
        """Make a path that has an object's bytes the same file as the object, if one mode serves both."""
        source = self._added.large_path(entry.digest)
        if stat.S_IMODE(source.stat().st_mode) == entry.mode:
            place_link(source, path, disk=self._disk)


class _Report:
    """Passes progress on, one call at a time; makes the threads that report stop when it is told to."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or files.no_progress
        self._lock = Lock()
        self._stopped = False

    def __call__(self, size_bytes: int) -> None:
        with self._lock:
            if self._stopped:
                raise CancelledError
            self._progress(size_bytes)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True


def _stat(path: StrPath) -> os.stat_result:
    try:
        found = os.stat(path)
    except FileNotFoundError as exc:
        raise PathNotFound(f"no such file: {path}", hint="check the path") from exc
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{path} is not a regular file", hint="copy its content to a file first")
    return found


def _may_share(path: Path, found: os.stat_result) -> bool:
    """Whether a large file can become one with its object, as far as can be told: nobody else has it."""
    alone = found.st_nlink == 1 and found.st_uid == os.geteuid() and not path.is_symlink()
    return alone and found.st_size >= SMALL_BYTES


def _entry(found: os.stat_result, digest: Digest) -> Entry:
    return Entry(digest, found.st_size, is_executable(found))


def _read_small(path: StrPath, seen: os.stat_result) -> tuple[bytes, os.stat_result]:
    """The bytes of a small file, and what it was: what was *seen*, unless it has changed since."""
    try:
        return files.read_unchanged(path, seen), seen
    except Changed:
        return files.steadily(path, lambda: _read_small_anew(path))


def _read_small_anew(path: StrPath) -> tuple[bytes, os.stat_result]:
    seen = _stat(path)
    if seen.st_size >= SMALL_BYTES:
        raise Changed(path)
    return files.read_unchanged(path, seen), seen


def _hash(path: StrPath, report: Progress) -> _Read:
    at_ns = time.time_ns()
    with files.reading(path) as (file, found):
        digest = files.hash_file(file, found.st_size, report)
    return _Read(_entry(found, digest), StatCache.file_row(found, digest, at_ns), None)
