"""
Files of source with their outlines: each is read and parsed once, and the outlines are kept between processes.

``docs/format.md`` states what lies on disk.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from disdat.pipeline import hints, outline
from disdat.pipeline.outline import Outline
from disdat.pipeline.written import PLAIN, Keeping

SETTLED_NS = 2_000_000_000
"""A file changed later than this before it was read may change again without a new time stamp."""

_WRITTEN_FROM = 0.05
"""Such a part of all outlines must be new for them to be written again."""

_Stamp = tuple[int, int, int, int]
_Row = list[Any]  # as written by Kept.put(), which says what stands where


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of a file: by its stamp where that is settled, else by its content."""

    stamp: _Stamp
    is_settled: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read, and the outline of what it held."""

    path: str
    mark: Mark
    outline: Outline


_known: dict[tuple[str, Keeping], Source] = {}


def read(path: str, kept: Kept | None = None, keeping: Keeping = PLAIN) -> Source | None:
    """What a file holds now; None where it cannot be read. Outlines may come from *kept*, which is for *keeping*."""
    try:
        stamp = _stamp(os.stat(path))
    except OSError:
        return None
    known = _known.get((path, keeping))
    if known is None or known.mark.stamp != stamp:
        known = (kept.get(path, stamp) if kept else None) or known
    if known is None or known.mark.stamp != stamp or not known.mark.is_settled:
        known = _read(path, known, keeping)
    if known is not None:
        _known[path, keeping] = known
        if kept:
            kept.put(known)
    return known


def is_changed(path: str, mark: Mark) -> bool:
    """Whether a file is no longer what it was, or cannot be read any more."""
    try:
        if mark.is_settled and _stamp(os.stat(path)) == mark.stamp:
            return False
        return outline.digest(_content(path)) != mark.digest
    except OSError:
        return True


@cache
def kept(directory: Path, root: str, keeping: Keeping) -> Kept:
    """The outlines with *keeping* of the modules below *root*, kept in *directory*; read once in a process."""
    return Kept(directory, root, keeping)


class Kept:
    """Outlines on disk, in a file of their own for each directory of modules."""

    def __init__(self, directory: Path, root: str, keeping: Keeping = PLAIN) -> None:
        of_what = os.fsencode(root) + str(keeping).encode()
        self._path = directory / f"{outline.digest(of_what)}.json"
        self._rows: dict[str, _Row] | None = None
        self._new = 0

    def get(self, path: str, stamp: _Stamp) -> Source | None:
        row = self._all().get(path)
        if row is None or tuple(row[0]) != stamp:
            return None
        return Source(path, Mark(stamp, True, row[1]), outline.from_json(row[2]))

    def put(self, source: Source) -> None:
        mark, row = source.mark, self._all().get(source.path)
        if mark.is_settled and (row is None or tuple(row[0]) != mark.stamp):
            self._all()[source.path] = [list(mark.stamp), mark.digest, source.outline.to_json()]
            self._new += 1

    def save(self) -> None:
        """Write what is new, without the files that are gone; a few that are new wait for more."""
        rows = list(self._all().items())
        # Each class of a project brings some: to write all for each would take a time that grows with the square.
        if self._new > len(rows) * _WRITTEN_FROM:
            hints.save(self._path, {path: row for path, row in rows if os.path.exists(path)})
            self._new = 0

    def _all(self) -> dict[str, _Row]:
        if self._rows is None:
            self._rows = hints.load(self._path) or {}
        return self._rows


def _read(path: str, known: Source | None, keeping: Keeping) -> Source | None:
    try:
        stamp = _stamp(os.stat(path))
        content = _content(path)
    except OSError:
        return None
    is_settled = time.time_ns() - max(stamp[1], stamp[2]) > SETTLED_NS
    mark = Mark(stamp, is_settled, outline.digest(content))
    if known is not None and known.mark.digest == mark.digest:
        return Source(path, mark, known.outline)
    is_text = path.endswith((".py", ".pyw"))
    return Source(path, mark, outline.read(content, keeping) if is_text else outline.opaque(content))


def _content(path: str) -> bytes:
    """What a file holds, with its line ends made one kind."""
    return Path(path).read_bytes().replace(b"\r\n", b"\n")


def _stamp(stat: os.stat_result) -> _Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
