"""What makes a directory a home: its file ``format``, which says whose events it writes and who may read and write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.durable import storage_errors
from disdat.errors import Corrupt, InvalidInput, UnknownFormat
from disdat.making import UNFINISHED

NAME = "format"
FORMAT = 1
READER_FEATURES: frozenset[str] = frozenset()
WRITER_FEATURES: frozenset[str] = frozenset()
NO_FEATURES: Mapping[str, Json] = {"readers": [], "writers": []}


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of a home's ``format`` file, and the inode number that has."""

    home: str
    inode: int
    writers: frozenset[str]
    fields: Mapping[str, Json]
    """All of it, fields to come included."""
    found_inode: int


def read(root: Path) -> Marker | None:
    """
    The marker of the home at *root*; None where nothing was kept yet.

    Raises:
        Corrupt: It is damaged.
        InvalidInput: *root* is not empty and not a home.
        UnknownFormat: A later version wrote it.
    """
    path = root / NAME
    with storage_errors(f"read {path}"):
        try:
            with path.open("rb") as file:
                return _decode(path, file.read(), os.fstat(file.fileno()).st_ino)
        except (FileNotFoundError, NotADirectoryError):
            _refuse_foreign(root)
            return None


def new(time_us: int, fields: Mapping[str, Json]) -> Callable[[int], bytes]:
    """The content of a ``format`` file with a new id, and *fields*, by its inode number."""
    made = {**fields, "format": FORMAT, "home": event.ulid(time_us)}
    return lambda inode: canonical.encode(made | {"inode": inode}) + b"\n"


def inode(path: str) -> int | None:
    """The inode number of a ``format`` file; None where it cannot be told."""
    try:
        return os.stat(path).st_ino
    except OSError:  # whoever needs the file says what is wrong with it
        return None


def _decode(path: Path, data: bytes, inode: int) -> Marker:
    try:
        fields = cast("dict[str, Any]", canonical.decode(data))
        found = fields["format"]
        if found != FORMAT:
            raise UnknownFormat(str(path), found=found, supported=FORMAT, hint="a newer disdat wrote it: upgrade")
        readers, writers = frozenset(fields["readers"]), frozenset(fields["writers"])
        marker = Marker(fields["home"], fields["inode"], writers, fields, inode)
    except (ValueError, KeyError, TypeError) as exc:
        raise Corrupt(f"{path} is damaged", hint="restore it from a backup of the home") from exc
    if missing := readers - READER_FEATURES:
        raise UnknownFormat(str(path), found=sorted(missing), supported=sorted(READER_FEATURES))
    return marker


def _refuse_foreign(root: Path) -> None:
    """A directory that somebody else filled is never written to."""
    if root.exists() and not root.is_dir():
        raise InvalidInput(f"{root} is not a directory", hint="name another DISDAT_HOME")
    names = [e.name for e in root.iterdir() if not e.name.startswith(UNFINISHED)] if root.exists() else []
    if not names:
        return
    if "fs.json" in names or any(root.glob("context/*/ctxt.json")) or any(root.glob("context/*/objects/*/*_hframe.pb")):
        raise InvalidInput(
            f"{root} is a store of Disdat 0.8-1.x and is left as it is",
            hint="set DISDAT_HOME to a new or empty directory",
        )
    raise InvalidInput(
        f"{root} is not empty and is not a disdat home; it is left as it is",
        hint="set DISDAT_HOME to a new or empty directory",
    )
