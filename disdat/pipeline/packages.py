"""Installed packages by the names they are imported by, from how they lie on the path; nothing is imported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_INFO = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-[^/]*)?\.(?:dist|egg)-info")


def versions(imported: str) -> dict[str, str]:
    """
    The distributions a top-level module comes from, with their versions; several for a name they share.

    Of one that no distribution says is its own the version is empty.
    """
    return dict(_versions(imported, tuple(sys.path)))


@cache
def _versions(imported: str, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    installed = list(_installed(path))
    # Reading what each distribution holds takes longer, and most are named as what they hold.
    own = [each for each in installed if each[0] == _normalised(imported) and _lies_beside(each[2], imported)]
    found = own or [each for each in installed if _holds(each[2], imported)]
    return tuple(dict.fromkeys((name, version) for name, version, _ in found)) or ((imported, ""),)


@cache
def _installed(path: tuple[str, ...]) -> list[tuple[str, str, Path]]:
    """Name, version and metadata of each distribution; of two of one name the first on the path."""
    found: dict[str, tuple[str, str, Path]] = {}
    for directory in path:
        for entry in _entries(directory):
            if info := _INFO.fullmatch(entry):
                name = _normalised(info["name"])
                found.setdefault(name, (name, info["version"], Path(directory, entry)))
    return list(found.values())


def _entries(directory: str) -> Iterator[str]:
    try:
        yield from sorted(os.listdir(directory or "."))
    except OSError:  # not every entry of the path is a directory that is there
        return


def _lies_beside(info: Path, imported: str) -> bool:
    return (info.parent / imported).is_dir() or (info.parent / f"{imported}.py").is_file()


def _holds(info: Path, imported: str) -> bool:
    """Whether a distribution says that it brings the module *imported*."""
    lists = (info / "top_level.txt", info / "RECORD", info / "installed-files.txt")
    named = imported.encode()
    return any(
        line.startswith((named + b"/", named + b".")) or line == named
        for path in lists
        if path.is_file()
        for line in path.read_bytes().splitlines()
    )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
