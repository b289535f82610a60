"""
The files that code reads, as :mod:`disdat.pipeline.reading` found them in it: where they lie, and what they hold.

What is there counts by its content. What is not may be made by the task; what is a directory is only told of.
"""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from disdat.errors import InvalidInput
from disdat.pipeline import reading, uses
from disdat.pipeline.closure import Read


@dataclass(frozen=True, slots=True)
class File:
    """A file that code reads: what it is called, where it is, its digest, and the module that reads it."""

    called: str
    path: Path
    digest: str
    module: str
    is_imported: bool
    """Whether it is read while the module is imported, so that what is loaded may be older."""
    counts: bool
    """Whether what is read of it counts; else it only has to be there."""


Where = Callable[[str], tuple[str, str] | None]
"""The file of a module, or a package's directory with a slash at its end: as it is called and where it is."""

_met: dict[tuple[Path, str], tuple[object, str]] = {}
"""The digest of each file when it was first seen beside a module that is loaded, by path and module."""


def find(reads: Iterable[Read], where: Where) -> tuple[list[File], list[str]]:
    """The files that are there, and the directories, of which is not known what is read."""
    files, directories = [], []
    # Path.is_file() raises of what may not be looked for, and of a text that is too long for a name.
    for each in sorted(reads):
        for called, path in _located(each, where):
            if os.path.isfile(path):
                with suppress(InvalidInput):  # what may not be read here the code does not read either
                    told = uses.digest_of(path) if each.counts else ""
                    file = File(called, path, told, each.module, each.is_imported, each.counts)
                    if each.counts:
                        _meet(file)
                    files.append(file)
            elif each.counts and os.path.isdir(path) and each.path.rpartition(":")[2].strip("./"):
                directories.append(f"{called}/, a directory")
    return files, directories


def differing(files: Iterable[File]) -> tuple[str, ...]:
    """The modules that were imported when a file that they read then held something else."""
    counting = (each for each in files if each.counts and each.is_imported)
    return tuple(dict.fromkeys(each.module for each in counting if _meet(each) != each.digest))


def _located(read: Read, where: Where) -> Iterator[tuple[str, Path]]:
    anchor, _, path = read.path.partition(":")
    if anchor == ".":
        yield path, Path.cwd() / path
    elif found := where(anchor or read.module):
        called, place = found
        if path != reading.OWN:
            called, place = (posixpath.join(posixpath.dirname(each), path) for each in found)
        yield posixpath.normpath(called), Path(place)


def _meet(file: File) -> str:
    """The digest that a file had when the module was met as it is loaded; a reload starts anew."""
    module = sys.modules.get(file.module)
    token = getattr(module, "__spec__", None) or module
    key = (file.path, file.module)
    if key not in _met or _met[key][0] is not token:
        _met[key] = (token, file.digest)
    return _met[key][1]
