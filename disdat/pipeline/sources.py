"""
Files of source with their outlines: each is read and parsed once, and the outlines are kept between processes.

What is kept on disk only saves time: it may be deleted at any time, and of several who write it at once one wins.
``docs/format.md`` states what lies there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from disdat.pipeline import outline
from disdat.pipeline.outline import Outline

SETTLED_NS = 2_000_000_000
"""A file changed later than this before it was read may change again without a new time stamp."""

_Stamp = tuple[int, int, int, int]
_Row = list[Any]  # as written by _row(), which says what stands where


@dataclass(slots=True)
class Source:
    """A file as it was read: what it held, and the outline of that."""

    path: str
    stamp: _Stamp
    is_settled: bool
    digest: str
    outline: Outline


_known: dict[str, Source] = {}


def read(path: str, kept: Kept | None = None) -> Source | None:
    """What a file holds now; None where it cannot be read. Outlines may come from *kept*, and go there."""
    try:
        stamp = _stamp(os.stat(path))
    except OSError:
        return None
    known = _known.get(path)
    if known is None or known.stamp != stamp:
        known = kept.get(path, stamp) if kept else None
    if known is None or not known.is_settled:
        known = _read(path, known or _known.get(path))
    if known is not None:
        _known[path] = known
        if kept:
            kept.put(known)
    return known


def digest_now(path: str) -> str | None:
    """The digest of what a file holds now; None where it cannot be read."""
    found = read(path)
    return None if found is None else found.digest


class Kept:
    """Outlines on disk, in a file of their own for each directory of modules."""

    def __init__(self, directory: Path, root: str) -> None:
        self._path = directory / f"{outline.digest(os.fsencode(root))}.json"
        self._rows = _rows(self._path)
        self._is_new = False

    def get(self, path: str, stamp: _Stamp) -> Source | None:
        row = self._rows.get(path)
        if row is None or tuple(row[0]) != stamp:
            return None
        try:
            return Source(path, stamp, True, row[1], outline.from_json(row[2]))
        except (ValueError, TypeError, LookupError):
            return None

    def put(self, source: Source) -> None:
        row = self._rows.get(source.path)
        if source.is_settled and (row is None or tuple(row[0]) != source.stamp):
            self._rows[source.path] = [list(source.stamp), source.digest, source.outline.to_json()]
            self._is_new = True

    def save(self) -> None:
        """Write what is new, without the files that are gone."""
        if not self._is_new:
            return
        there = {path: row for path, row in self._rows.items() if os.path.exists(path)}
        body = json.dumps({"outline": outline.VERSION, "files": there}, separators=(",", ":")).encode()
        with suppress(OSError):  # who cannot write here reads the sources again the next time
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_name(f".{self._path.name}.{os.getpid()}.{time.monotonic_ns()}")
            new.write_bytes(outline.digest(body).encode() + b"\n" + body)
            os.replace(new, self._path)
            self._is_new = False


def _rows(path: Path) -> dict[str, _Row]:
    """What a file of outlines holds: nothing if it is not there, damaged, or of another version."""
    try:
        told, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if told != outline.digest(body).encode():
        return {}
    written = cast("Mapping[str, Any]", json.loads(body))
    return cast("dict[str, _Row]", written["files"]) if written["outline"] == outline.VERSION else {}


def _read(path: str, known: Source | None) -> Source | None:
    try:
        stamp = _stamp(os.stat(path))
        content = Path(path).read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return None
    is_settled = time.time_ns() - max(stamp[1], stamp[2]) > SETTLED_NS
    digest = outline.digest(content)
    if known is not None and known.digest == digest:
        return Source(path, stamp, is_settled, digest, known.outline)
    is_text = path.endswith((".py", ".pyw"))
    return Source(path, stamp, is_settled, digest, outline.read(content) if is_text else outline.opaque(content))


def _stamp(stat: os.stat_result) -> _Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
