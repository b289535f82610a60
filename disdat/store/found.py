"""
What is in a user's directory at the paths that a checkout is about; nothing is read that is known by ``stat``.

Symbolic links are never followed: one in the place of a directory is in the way, as a file would be.
"""

from __future__ import annotations

import enum
import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from disdat.core.digest import Digest
from disdat.core.tree import Entry, decode_path, encode_path, parents
from disdat.durable import storage_errors
from disdat.store import files
from disdat.store.additions import SMALL_BYTES
from disdat.store.loose import is_executable
from disdat.store.statcache import SETTLED_NS
from disdat.store.written import Stamp, Written


class Foreign(enum.Enum):
    """What is found and is no file of a bundle; the value is how people are told."""

    OTHER = "other content"
    LINK = "a symbolic link"
    DIRECTORY = "a directory"
    SPECIAL = "no regular file"
    OBJECT = "the store's own copy, and was changed"


Found: TypeAlias = "Entry | Foreign"


@dataclass(frozen=True, slots=True)
class Sight:
    """What is found, by path: paths where nothing is are left out."""

    found: dict[str, Found] = field(default_factory=dict)
    stats: dict[str, os.stat_result] = field(default_factory=dict)
    """What each of them is."""
    stamps: dict[str, Stamp] = field(default_factory=dict)
    """Of files whose bytes were told, where they can be told by it later."""
    linked: set[str] = field(default_factory=set)
    """Files that are the store's own."""
    directories: set[str] = field(default_factory=set)
    """Directories that are there."""


def place(root: str, path: str) -> str:
    """Where a path of a tree is below *root*."""
    return f"{root}/{path}" if path.isascii() and "%" not in path else f"{root}/{os.fsdecode(decode_path(path))}"


class Looker:
    """
    Looks at the paths of *wanted*, of *known* and of *begun* below *root*, and at what is in the way of them.

    Bytes are told where a file may be one of these three; others only have to be known to be different. *left_over* is
    where an unfinished checkout may have left files and directories, which are removed before anything is written.
    *wrong_objects* tells which of the store's own files are not what they are named by, as where somebody wrote to a
    link.
    """

    def __init__(
        self,
        root: str,
        *,
        wanted: Mapping[str, Entry],
        known: Mapping[str, Written],
        begun: Mapping[str, Entry],
        left_over: Set[str],
        object_path: Callable[[Digest], Path],
        wrong_objects: Callable[[Mapping[Digest, os.stat_result]], Set[Digest]],
    ) -> None:
        self._root = root
        self._wanted, self._known, self._begun = wanted, known, begun
        self._left_over = left_over
        self._object_path = object_path
        self._wrong_objects = wrong_objects
        self._sight = Sight()

    def look(self) -> Sight:
        """What is there now; StorageError where that cannot be told."""
        with storage_errors(f"look into {self._root}"):
            self._look_at_directories()
            there = self._sight.directories
            for path in {**self._wanted, **self._known, **self._begun}:
                if path.rpartition("/")[0] in there and path not in self._sight.stats:
                    self._look_at(path)
            self._look_at_objects()
        return self._sight

    def _look_at_directories(self) -> None:
        if os.path.isdir(self._root):
            self._sight.directories.add("")
        for path in sorted(parents([*self._wanted, *self._known, *self._begun])):
            if path.rpartition("/")[0] in self._sight.directories:
                self._look_at(path)

    def _look_at_objects(self) -> None:
        """Tell which of the store's own files were changed; all at once, as each would be a query."""
        objects: dict[Digest, list[str]] = defaultdict(list)
        for path in self._sight.linked & self._sight.found.keys():
            found = self._sight.found[path]
            if isinstance(found, Entry):
                objects[found.digest].append(path)
        stats = {digest: self._sight.stats[paths[0]] for digest, paths in objects.items()}
        for digest in self._wrong_objects(stats):
            self._sight.found.update(dict.fromkeys(objects[digest], Foreign.OBJECT))

    def _look_at(self, path: str) -> None:
        where = place(self._root, path)
        try:
            seen = os.lstat(where)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISREG(seen.st_mode):
            self._note(path, seen, self._tell(path, where, seen))
        elif not stat.S_ISDIR(seen.st_mode):
            self._note(path, seen, Foreign.LINK if stat.S_ISLNK(seen.st_mode) else Foreign.SPECIAL)
        elif path in self._wanted and self._holds_others(path):
            self._note(path, seen, Foreign.DIRECTORY)
        else:
            self._sight.directories.add(path)

    def _note(self, path: str, seen: os.stat_result, found: Found) -> None:
        self._sight.stats[path] = seen
        self._sight.found[path] = found

    def _tell(self, path: str, where: str, seen: os.stat_result) -> Found:
        written = self._known.get(path)
        if written is not None and written.stamp is not None and written.is_still(seen):
            self._sight.stamps[path] = written.stamp
            return written.entry
        candidates = [entry for entry in self._candidates(path) if entry.size_bytes == seen.st_size]
        if not candidates:
            return Foreign.OTHER
        executable = is_executable(seen)
        for entry in candidates:
            if self._is_object(entry, seen):
                self._sight.linked.add(path)
                return Entry(entry.digest, seen.st_size, executable)
        at_ns = time.time_ns()
        digest = files.steadily(where, lambda: _hash(where))
        if seen.st_mtime_ns + SETTLED_NS <= at_ns:
            self._sight.stamps[path] = Stamp.of(seen)
        return Entry(digest, seen.st_size, executable)

    def _candidates(self, path: str) -> Iterator[Entry]:
        if path in self._known:
            yield self._known[path].entry
        for entries in (self._wanted, self._begun):
            if path in entries:
                yield entries[path]

    def _is_object(self, entry: Entry, seen: os.stat_result) -> bool:
        """Whether a file is the very one that the store has of an entry."""
        if seen.st_nlink == 1 or entry.size_bytes < SMALL_BYTES:
            return False
        try:
            return os.path.samestat(seen, os.stat(self._object_path(entry.digest)))
        except FileNotFoundError:
            return False

    def _holds_others(self, directory: str) -> bool:
        """Whether a directory in the place of a file has anything in it that we did not write."""
        for where, directories, names in os.walk(place(self._root, directory)):
            directories[:] = [name for name in directories if f"{where}/{name}" not in self._left_over]
            links = [name for name in directories if os.path.islink(f"{where}/{name}")]
            if not all(self._is_ours(f"{where}/{name}") for name in names + links):
                return True
        return False

    def _is_ours(self, where: str) -> bool:
        """Whether a file was written by us; what is known to be, and was changed, is told where it is looked at."""
        path = encode_path(os.fsencode(os.path.relpath(where, self._root)))
        if path in self._known or where in self._left_over:
            return True
        seen, begun = os.lstat(where), self._begun.get(path)
        if begun is None or not stat.S_ISREG(seen.st_mode) or self._tell(path, where, seen) != begun:
            return False
        return path not in self._sight.linked or not self._wrong_objects({begun.digest: seen})


def _hash(where: str) -> Digest:
    with files.reading(where) as (file, found):
        return files.hash_file(file, found.st_size)
