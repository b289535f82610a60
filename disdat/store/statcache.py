"""
The stat cache: digests of files that have not changed since they were hashed, by what ``stat`` says of them.

Objects of the store are known by device, inode, size and modification time; not by change time, because
linking a checkout to one changes it. Files of the user are known by change time too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from disdat.core.digest import Digest
from disdat.store.state import Row, State

SETTLED_NS = 2_000_000_000
"""A user's file is known only if it was this old when hashed: a change in the same tick leaves its times alone."""

_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Known:
    """What a user's file was when it was last hashed."""

    digest: Digest
    trusted: bool
    """Whether it is that still; if not, it is worth hashing before it is copied."""


class StatCache:
    """Rows of a store's ``state.db``; threads may share one."""

    def __init__(self, state: State) -> None:
        self._state = state

    def objects(self, stats: Sequence[os.stat_result]) -> list[Digest | None]:
        """The digests objects of the store were found to have; None where one has not been read, or changed since."""
        found = self._find("SELECT dev, inode, size, mtime_ns, digest FROM object", stats)
        return [
            Digest.from_raw(row[4]) if (row := found.get(_key(stat))) and row[2:4] == _content(stat) else None
            for stat in stats
        ]

    def files(self, stats: Sequence[os.stat_result]) -> list[Known | None]:
        """What files of the user were when last hashed; None where one never was."""
        found = self._find("SELECT dev, inode, size, mtime_ns, ctime_ns, hashed_ns, digest FROM file", stats)
        if not found:  # as when a thousand files are new
            return [None] * len(stats)
        return [_known(row, stat) if (row := found.get(_key(stat))) else None for stat in stats]

    @staticmethod
    def object_rows(objects: Iterable[tuple[os.stat_result, Digest]]) -> tuple[str, list[Row]]:
        """The statement that remembers objects, for :meth:`State.change`. Their bytes must be durable."""
        rows: list[Row] = [(*_key(stat), *_content(stat), digest.raw) for stat, digest in objects]
        return "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)", rows

    @staticmethod
    def file_row(stat: os.stat_result, digest: Digest, at_ns: int) -> Row:
        """What is remembered of a user's file that had this digest when hashing began, in ns since the epoch."""
        return (*_key(stat), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, at_ns, digest.raw)

    @staticmethod
    def file_rows(rows: Iterable[Row]) -> tuple[str, Iterable[Row]]:
        """The statement that remembers files of the user, each as :meth:`file_row` has it."""
        return "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", rows

    def remember_objects(self, objects: Iterable[tuple[os.stat_result, Digest]]) -> None:
        """Remember what objects were found to be."""
        self._state.change(self.object_rows(objects))

    def remember_files(self, rows: Iterable[Row]) -> None:
        """Remember what files of the user were found to be, each as :meth:`file_row` has it."""
        self._state.change(self.file_rows(rows))

    def forget_object(self, found: os.stat_result) -> None:
        """Remember nothing of an object's file: it was found to be wrong, though it may look unchanged."""
        self._state.change(("DELETE FROM object WHERE dev = ? AND inode = ?", [_key(found)]))

    def _find(self, select: str, stats: Sequence[os.stat_result]) -> dict[tuple[int, int], tuple[Any, ...]]:
        inodes: dict[int, list[Row]] = defaultdict(list)
        for dev, inode in map(_key, stats):
            inodes[dev].append((inode,))
        rows: list[tuple[Any, ...]] = []
        for dev in sorted(inodes):
            rows += self._state.query_many(f"{select} WHERE dev = {dev} AND inode IN ({{}})", inodes[dev])
        return {row[:2]: row for row in rows}


def _known(row: tuple[Any, ...], stat: os.stat_result) -> Known:
    unchanged = row[2:5] == (*_content(stat), stat.st_ctime_ns)
    return Known(Digest.from_raw(row[6]), unchanged and stat.st_mtime_ns + SETTLED_NS <= row[5])


def _key(stat: os.stat_result) -> tuple[int, int]:
    dev, inode = stat.st_dev, stat.st_ino
    if dev < _SIGN and inode < _SIGN:
        return dev, inode
    return _signed(dev), _signed(inode)


def _content(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _signed(number: int) -> int:
    """Map a number of 64 bits to the range SQLite's integers have; some file systems use the top bit."""
    return number - (_SIGN << 1) if number >= _SIGN else number
