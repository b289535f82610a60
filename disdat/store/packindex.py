"""
The pack index: which pack of a directory holds an object.

The packs themselves are what counts; ``state.db`` holds a copy of their footers, brought up to date from the
directory's listing. An object may be in several packs, where two writers packed it at once or where one copy
was found damaged and the bytes were stored again.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from disdat.core.digest import Digest
from disdat.durable import Disk
from disdat.errors import Corrupt
from disdat.store import packs
from disdat.store.packs import Pack, Packed, PackReader
from disdat.store.statcache import SETTLED_NS, StatCache
from disdat.store.state import Row, State


class PackIndex:
    """The packs of one directory; threads may share it."""

    def __init__(self, directory: Path, *, state: State, disk: Disk) -> None:
        self.directory = directory
        self._state = state
        self._cache = StatCache(state)
        self._disk = disk
        self._lock = threading.Lock()
        _INDEXES.add(self)
        self._listed: tuple[int, int] | None = None
        self._compared = -1
        self.damaged: dict[str, Corrupt] = {}
        """Packs whose index cannot be read, by name, as far as was seen."""

    def forget_parent(self) -> None:
        """In a forked child: wait for no thread of the parent's."""
        self._lock = threading.Lock()

    def path(self, name: str) -> Path:
        """Where the pack of this name is or would be."""
        return self.directory / (name + packs.SUFFIX)

    def find(self, digests: Sequence[Digest]) -> dict[Digest, list[tuple[str, Packed]]]:
        """The packs objects are in, by name, and where in them; by what has been indexed. Others are left out."""
        rows = self._state.query_many(
            "SELECT packed.digest, pack.name, packed.offset, packed.length FROM packed "
            "JOIN pack ON pack.id = packed.pack WHERE packed.digest IN ({})",
            [(digest.raw,) for digest in digests],
        )
        found: dict[Digest, list[tuple[str, Packed]]] = defaultdict(list)
        for raw, name, offset, length in rows:
            digest = Digest.from_raw(raw)
            found[digest].append((name, Packed(digest, offset, length)))
        return dict(found)

    def refresh(self) -> None:
        """Index the packs that are new in the directory, and forget those that are gone; cheap if nothing changed."""
        with self._lock:
            if not self.directory.is_dir():
                return
            mtime_ns, now_ns = self.directory.stat().st_mtime_ns, time.time_ns()
            if self._listed == (mtime_ns, self._state.generation):
                return
            while self._compare() != self._state.generation:
                pass  # the rows were lost meanwhile, as those of a file are where the disk is full
            self._compared = self._state.generation
            settled = mtime_ns + SETTLED_NS <= now_ns
            self._listed = (mtime_ns, self._state.generation) if settled else None

    def refresh_first(self) -> None:
        """Do :meth:`refresh` if it was not done since ``state.db`` was opened: writers note their packs there."""
        if self._compared != self._state.generation:
            self.refresh()

    def forget(self, names: Iterable[str]) -> None:
        """Know nothing of packs that are about to be deleted; whoever finds one that is there indexes it again."""
        gone: list[Row] = [(name,) for name in names]
        self._state.change(
            ("DELETE FROM packed WHERE pack = (SELECT id FROM pack WHERE name = ?)", gone),
            ("DELETE FROM pack WHERE name = ?", gone),
        )

    def names(self) -> list[str]:
        """The names of the packs in the directory, sorted."""
        if not self.directory.is_dir():
            return []
        return sorted(p.name.removesuffix(packs.SUFFIX) for p in self.directory.glob("*" + packs.SUFFIX))

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """Yield each object in the packs once, with its size in bytes, in no order."""
        for raw, length in self._state.query("SELECT digest, max(length) FROM packed GROUP BY digest"):
            yield Digest.from_raw(raw), length

    @staticmethod
    def index_rows(new: Iterable[Pack]) -> tuple[tuple[str, list[Row]], tuple[str, list[Row]]]:
        """The statements that note what packs hold, for one :meth:`State.change`."""
        new = list(new)
        names: list[Row] = [(pack.name,) for pack in new]
        contents: list[Row] = [(*row, pack.name) for pack in new for row in pack.rows()]
        return (
            ("INSERT OR IGNORE INTO pack (name) VALUES (?)", names),
            ("INSERT OR REPLACE INTO packed SELECT ?, id, ?, ? FROM pack WHERE name = ?", contents),
        )

    def is_sound(self, path: Path) -> bool:
        """Whether all bytes of a pack are right; reads it unless it has been read and is unchanged."""
        try:
            stat = path.stat()
            if self._cache.objects([stat])[0] == _name(path):
                return True
            with PackReader(path) as reader:
                reader.verify()
        except (Corrupt, FileNotFoundError):
            return False
        self._cache.remember_objects([(stat, _name(path))])
        return True

    def distrust(self, path: Path) -> None:
        """Forget that a pack was sound: some of it was found to be wrong, though its file may look unchanged."""
        with suppress(FileNotFoundError):
            self._cache.forget_object(path.stat())

    def restore(self, trash: Path, digest: Digest) -> bool:
        """Take a pack that holds an object, if it can be one that has it right, out of *trash*; False if none does."""
        paths = sorted(trash.glob("*" + packs.SUFFIX))
        path = packs.find_right(paths, digest) or next((path for path in paths if _holds(path, digest)), None)
        if path is None:
            return False
        self._disk.mkdir(self.directory)
        with suppress(FileNotFoundError):  # another reader was faster
            self._disk.rename(path, self.directory / path.name)
        for changed in (self.directory, self.directory.parent):
            self._disk.sync_dir(changed)
        self.refresh()
        return True

    def _compare(self) -> int:
        """Make the rows those of the packs that are there; which generation of rows it began with."""
        ids = {name: number for number, name in self._state.query("SELECT id, name FROM pack")}
        generation = self._state.generation
        # After the rows: a pack is indexed once it is in place, so one that is not listed now was removed.
        listed = set(self.names())
        gone: list[Row] = [(ids[name],) for name in ids.keys() - listed]
        self._state.change(("DELETE FROM packed WHERE pack = ?", gone), ("DELETE FROM pack WHERE id = ?", gone))
        self.damaged = {}
        for name in sorted(listed - ids.keys()):
            self._read_footer(name)
        return generation

    def _read_footer(self, name: str) -> None:
        try:
            with PackReader(self.path(name)) as reader:
                self._state.change(*self.index_rows([reader.pack]))
        except FileNotFoundError:
            return  # collected since the directory was listed
        except Corrupt as exc:
            # What the other packs hold can be read; who asks for what this one held is told.
            self.damaged[name] = exc


_INDEXES: weakref.WeakSet[PackIndex] = weakref.WeakSet()


def _forget_parents() -> None:
    for index in list(_INDEXES):
        index.forget_parent()


os.register_at_fork(after_in_child=_forget_parents)


def _holds(path: Path, digest: Digest) -> bool:
    try:
        with PackReader(path) as reader:
            return any(entry.digest == digest for entry in reader.contents)
    except (Corrupt, FileNotFoundError):
        return False  # nothing can be had from it


def _name(path: Path) -> Digest:
    return Digest(f"blake3:{path.name.removesuffix(packs.SUFFIX)}")
