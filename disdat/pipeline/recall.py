"""
Closures that an earlier process found, and whether that still holds.

A closure follows from what was asked, the files that were read, which modules there are in the directories that were
looked through, and what is installed. To look at these takes a fraction of what following all names does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from disdat.core.canonical import Json
from disdat.pipeline import hints, projects, sources
from disdat.pipeline.closure import Closure, Definition, Read
from disdat.pipeline.sources import Mark


@dataclass(frozen=True, slots=True)
class Found:
    """A closure, and what it followed from."""

    closure: Closure
    files: Mapping[str, tuple[str, Mark]]
    """The files that were read, with the state they had, by module."""
    listings: Mapping[str, str]
    """What :func:`projects.listing` said of each directory."""


def load(path: Path, asked: Json) -> Found | None:
    """What was found for *asked*, if it still holds."""
    written = hints.load(path)
    if written is None or written["asked"] != asked or written["installed"] != _installed():
        return None
    found = _from_json(written)
    return found if _holds(found) else None


def save(path: Path, asked: Json, found: Found) -> None:
    """Keep what was found, unless a file of it is so new that it may change unnoticed."""
    if all(mark.is_settled for _, mark in found.files.values()):
        hints.save(path, {"asked": asked, "installed": _installed(), **_to_json(found)})


def _holds(found: Found) -> bool:
    for name, (path, mark) in found.files.items():
        module = sys.modules.get(name)
        if (module is not None and projects.file_of(module) != path) or sources.is_changed(path, mark):
            return False
    return all(projects.listing(directory) == said for directory, said in found.listings.items())


def _installed() -> list[Json]:
    """The directories of installed packages, which change when a package comes, goes or changes its version."""
    return [
        [each, os.stat(each).st_mtime_ns] for each in sys.path if projects.is_installed(each) and os.path.isdir(each)
    ]


def _to_json(found: Found) -> dict[str, object]:
    closure = found.closure
    return {
        "definitions": closure.definitions,
        "packages": sorted(closure.packages),
        "modules": {name: sorted(names) for name, names in closure.modules.items()},
        "reads": sorted(closure.reads),
        "blind": closure.blind,
        "files": {name: [path, mark.stamp, mark.digest] for name, (path, mark) in found.files.items()},
        "listings": dict(found.listings),
    }


def _from_json(written: Mapping[str, Any]) -> Found:
    closure = Closure(
        {name: Definition(*each) for name, each in written["definitions"].items()},
        set(written["packages"]),
        {name: set(names) for name, names in written["modules"].items()},
        {Read(*each) for each in written["reads"]},
        written["blind"],
    )
    files = {
        name: (path, Mark(cast("Any", tuple(stamp)), True, digest))
        for name, (path, stamp, digest) in written["files"].items()
    }
    return Found(closure, files, written["listings"])
