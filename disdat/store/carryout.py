"""
Carrying out what a checkout decided: a file gets its name once it is whole, and what changed meanwhile is not touched.

Written first, deleted last: a disk that fills up leaves what was there. Nothing is synced, as the store has the bytes.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from disdat.core.digest import CHUNK_BYTES, Digest
from disdat.core.tree import Entry, parents
from disdat.durable import Disk
from disdat.errors import Conflict, Corrupt
from disdat.store.additions import SMALL_BYTES
from disdat.store.checkout import Plan, in_order
from disdat.store.files import Progress
from disdat.store.found import Sight, place
from disdat.store.objects import ObjectStore
from disdat.store.packs import PackReader
from disdat.store.placing import CANNOT_LINK
from disdat.store.sparse import writing_copy
from disdat.store.written import Stamp

AGE_NS = 50_000_000
"""A file that is written is dated so long before: what writes to it later, even within the same tick, dates it anew."""
FEW = 16
"""So many small objects are looked up one by one; of more, whole packs are gone through."""


class Writer:
    """
    Writes and deletes files below *root*, as :class:`Sight` found it; what is unfinished has a name with *mark*.

    For one plan; :attr:`stamps` are what tells the files it wrote. Small files of directories that are new are
    written in a hidden one, which then gets their name: so many files need not be renamed each.
    """

    def __init__(
        self, root: str, *, store: ObjectStore, disk: Disk, sight: Sight, mark: str, progress: Progress
    ) -> None:
        self._root = root
        self._store = store
        self._disk = disk
        self._sight = sight
        self._mark = mark
        self._progress = progress
        self._replaced: Set[str] = frozenset()
        self.stamps: dict[str, Stamp] = {}

    def copy(self, plan: Plan, wanted: Mapping[str, Entry]) -> None:
        """Carry out *plan*, each file being the user's own to write to."""
        with self._making_room(plan, wanted) as targets:
            for path, entry in targets.items():
                self._copy(path, entry)

    def link(self, plan: Plan, wanted: Mapping[str, Entry]) -> None:
        """Carry out *plan*, each large file being another name of the store's own, read-only, where that can be."""
        with self._making_room(plan, wanted) as targets:
            for path, entry in targets.items():
                if not self._link(path, entry):
                    self._copy(path, entry)

    @contextmanager
    def _making_room(self, plan: Plan, wanted: Mapping[str, Entry]) -> Iterator[dict[str, Entry]]:
        """
        Do all but to write large files, which this gives, and for which there is room then.

        What is not wanted is deleted at the end, unless something else is to have its place.
        """
        targets = {path: wanted[path] for path in (*plan.write, *plan.replace)}
        self._replaced = set(plan.replace)
        first, last = in_order(plan, wanted)
        self._delete(first)
        for path in self._sight.directories & targets.keys():
            for directory, _, _ in os.walk(place(self._root, path), topdown=False):
                self._disk.rmdir(Path(directory))
        self._write_small({path: entry for path, entry in targets.items() if entry.size_bytes < SMALL_BYTES})
        large = {path: entry for path, entry in targets.items() if entry.size_bytes >= SMALL_BYTES}
        for directory in sorted(parents(large)):
            self._disk.mkdir(Path(self._place(directory)))
        yield large
        self._delete(last)
        for directory in sorted(parents(plan.delete), reverse=True):
            with suppress(OSError):  # something else is in it, or it is a file by now
                self._disk.rmdir(Path(place(self._root, directory)))

    def _delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._check_unchanged(path)
            self._disk.unlink(Path(place(self._root, path)))

    def _write_small(self, targets: Mapping[str, Entry]) -> None:
        paths: dict[Digest, list[str]] = defaultdict(list)
        for path, entry in targets.items():
            paths[entry.digest].append(path)
        with self._staging(parents(targets)) as staged:
            for digest, data in _small_objects(self._store, paths.keys()):
                for path in paths[digest]:
                    directory, _, name = path.rpartition("/")
                    mode, mtime_ns = 0o777 if targets[path].executable else 0o666, time.time_ns() - AGE_NS
                    if directory in staged:
                        found = self._disk.make_file(place(staged[directory], name), data, mode, mtime_ns)
                    else:
                        with self._putting_in_place(path) as temporary:
                            self._disk.make_file(str(temporary), data, mode, mtime_ns)
                        found = os.lstat(place(self._root, path))
                    self._note(path, found, mtime_ns)
                    self._progress(len(data))

    @contextmanager
    def _staging(self, directories: Set[str]) -> Iterator[Mapping[str, str]]:
        """
        Make the directories that are not there, and give where to fill them until they get their names at the end.

        The root counts as one of them.
        """
        stages: dict[str, Path] = {}
        staged: dict[str, str] = {}
        try:
            for directory in sorted({"", *directories} - self._sight.directories):
                above = directory.rpartition("/")[0]
                if directory and above in staged:
                    staged[directory] = place(staged[above], directory.rpartition("/")[2])
                else:  # beside where it is to be, and so on the same file system
                    beside = self._place(above) if directory else os.path.dirname(self._root)
                    staged[directory] = f"{beside}/{self._mark}/{len(stages)}"
                    stages[directory] = Path(beside, self._mark)
                self._disk.mkdir(Path(staged[directory]))
            yield staged
            for directory in stages:
                self._name(Path(staged[directory]), directory)
            for stage in set(stages.values()):
                self._disk.rmdir(stage)
        except BaseException:
            for stage in set(stages.values()):
                with suppress(OSError):  # what made us stop is what counts
                    remove(stage, disk=self._disk)
            raise

    def _name(self, staged: Path, directory: str) -> None:
        try:
            self._disk.rename(staged, Path(self._place(directory)))
        except OSError as exc:
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise self._changed(directory) from exc
            raise

    def _name_file(self, temporary: Path, path: str) -> None:
        """Give a file its name at a path where nothing was found; what somebody made there meanwhile stays."""
        where = Path(place(self._root, path))
        try:
            self._disk.link(temporary, where)
        except FileExistsError as exc:
            raise self._changed(path) from exc
        except OSError as exc:
            if exc.errno not in CANNOT_LINK:
                raise
            if os.path.lexists(where):
                raise self._changed(path) from exc
            self._disk.rename(temporary, where)
        else:
            self._disk.unlink(temporary)

    def _copy(self, path: str, entry: Entry) -> None:
        """Make a path a copy of an object, or one that shares its blocks, for the user to write to."""
        source, offset, size_bytes = self._store.open_path(entry.digest)
        mtime_ns = time.time_ns() - AGE_NS
        with source.open("rb", buffering=0) as file, self._putting_in_place(path) as temporary:
            with self._disk.create(temporary) as target:
                if offset:  # in a pack, of which it is a part
                    self._disk.write(target, os.pread(file.fileno(), size_bytes, offset))
                    self._progress(size_bytes)
                else:
                    self._copy_bytes(file, target, size_bytes)
                self._disk.set_file_mtime(target, mtime_ns)
            if entry.executable:
                mode = stat.S_IMODE(temporary.stat().st_mode)
                self._disk.chmod(temporary, mode | (mode & 0o444) >> 2)
        self._note(path, os.lstat(place(self._root, path)), mtime_ns)

    def _copy_bytes(self, source: BinaryIO, target: BinaryIO, size_bytes: int) -> None:
        if self._disk.clone(source, target):
            self._progress(size_bytes)
            return
        with writing_copy(source, target, disk=self._disk) as write:
            while piece := source.read(CHUNK_BYTES):
                write(piece)
                self._progress(len(piece))

    def _link(self, path: str, entry: Entry) -> bool:
        """Make a path another name of an object; False where that cannot be had."""
        source, offset, _ = self._store.open_path(entry.digest)
        if offset or stat.S_IMODE(source.stat().st_mode) != entry.mode:  # what is part of a pack is no file
            return False
        try:
            with self._putting_in_place(path) as temporary:
                self._disk.link(source, temporary)
        except OSError as exc:
            if exc.errno not in CANNOT_LINK:
                raise
            return False
        self._progress(entry.size_bytes)
        return True

    def _note(self, path: str, found: os.stat_result, mtime_ns: int) -> None:
        if found.st_mtime_ns == mtime_ns:  # else the file system dates files too coarsely to tell a later write
            self.stamps[path] = Stamp.of(found)

    @contextmanager
    def _putting_in_place(self, path: str) -> Iterator[Path]:
        """Give a name for a file; what is made of it replaces what was found at *path*, and nothing else."""
        where = Path(place(self._root, path))
        temporary = where.with_name(f"{self._mark}-new")
        try:
            yield temporary
            if path in self._replaced:
                self._check_unchanged(path)
                self._disk.rename(temporary, where)
            else:
                self._name_file(temporary, path)
        except BaseException:
            with suppress(OSError):  # what made us stop is what counts
                self._disk.unlink(temporary)
            raise

    def _place(self, directory: str) -> str:
        return place(self._root, directory) if directory else self._root

    def _check_unchanged(self, path: str) -> None:
        """Refuse to touch what is not any more what was seen when it was decided."""
        seen = self._sight.stats[path]
        try:
            now = os.lstat(place(self._root, path))
        except FileNotFoundError as exc:
            raise self._changed(path) from exc
        same = (now.st_ino, now.st_size, now.st_mtime_ns) == (seen.st_ino, seen.st_size, seen.st_mtime_ns)
        # A further name of an inode changes that time too: one that is linked may get some meanwhile.
        if not same or (seen.st_nlink == 1 and now.st_ctime_ns != seen.st_ctime_ns):
            raise self._changed(path)

    def _changed(self, path: str) -> Conflict:
        return Conflict(
            f"{place(self._root, path)} was changed while files were checked out",
            hint="run the command again when nobody else writes there",
        )


def remove(path: Path, *, disk: Disk) -> None:
    """Remove what a checkout left unfinished: a file, or a directory with all that is in it."""
    if not path.is_dir():
        disk.unlink(path)
        return
    for directory, _, names in os.walk(path, topdown=False):
        for name in names:
            disk.unlink(Path(directory, name))
        disk.rmdir(Path(directory))


def left_over(root: str, directories: Iterable[str], mark: str) -> Iterator[Path]:
    """Yield what a checkout marked so, that was killed, may have left unfinished beside *root* or below it."""
    yield Path(os.path.dirname(root), mark)
    for directory in ("", *directories):
        where = place(root, directory) if directory else root
        yield from (Path(where, mark), Path(where, f"{mark}-new"))


def _small_objects(store: ObjectStore, digests: Set[Digest]) -> Iterator[tuple[Digest, bytes | memoryview]]:
    """Yield the verified bytes of small objects, pack by pack, each of which is gone through once."""
    left = {digest.raw: digest for digest in digests}
    done: set[Path] = set()
    while left:
        raw, digest = next(iter(left.items()))
        packs = store.pack_paths(holding=[digest]) if len(left) > FEW else []
        for path in [path for path in packs if path not in done][:1]:
            done.add(path)
            yield from _of_pack(path, left)
        if raw in left:  # what is damaged may be in another pack
            yield left.pop(raw), store.read(digest)


def _of_pack(path: Path, left: dict[bytes, Digest]) -> Iterator[tuple[Digest, memoryview]]:
    """Yield those of the objects that are *left*, and take them out of it, that a pack has right."""
    with suppress(Corrupt, OSError), PackReader(path) as reader:
        for raw, data in reader.right_of(left.keys()):
            yield left.pop(raw), data
