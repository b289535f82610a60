"""A user's directory as a checkout is told to treat it: plain dicts of what lies there, and of what is ours of that."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

LINK = "a symbolic link"
DATA = [b"", b"1", b"2", b"x" * 65_536, b"y" * 65_536]
"""What the files of bundles hold; a number stands for it, as people read what fails."""
File: TypeAlias = "tuple[int | bytes, bool]"
"""What a file holds, and whether it may be executed; of the user's own the beginning tells it."""
Files: TypeAlias = "dict[str, File]"
Found: TypeAlias = "dict[str, File | str]"
"""What lies at each path, directories left out."""


@dataclass(frozen=True)
class Claim:
    """What may be known of a directory: what was written there, and what a checkout that was cut off was to write."""

    written: Files = field(default_factory=dict)
    begun: Files = field(default_factory=dict)

    def ours(self, found: Found) -> Files:
        return self.written | {path: file for path, file in self.begun.items() if found.get(path) == file}


@dataclass(frozen=True)
class Expected:
    """What a checkout makes of a directory if nothing stops it, and what is in its way."""

    obstacles: set[str]
    after: Found
    claim: Claim
    noted: Claim
    """What is known while it goes on."""


def expected(claim: Claim, found: Found, whole: Files, scope: str | None, *, force: bool) -> Expected:
    """What a checkout of *whole*, or of what is at and below *scope* in it, is to do."""
    wanted = {path: file for path, file in whole.items() if _within(scope, path)}
    higher = above(wanted)
    all_ours = claim.ours(found)
    ours = {path: file for path, file in all_ours.items() if path in higher or _within(scope, path)}
    full = {path for path in wanted if _holds_others(path, found, claim)}
    obstacles = full | {path for path in wanted if path in found and found[path] not in (wanted[path], ours.get(path))}
    going = {path for path in (ours.keys() | higher) - wanted.keys() if path in found and not full & above([path])}
    obstacles |= {path for path in going if found[path] != ours.get(path)}
    if force:
        obstacles = full
    gone = {path for path in all_ours if _within(scope, path)} | going
    kept = {path: file for path, file in all_ours.items() if path not in gone}
    after: Found = {**{path: what for path, what in found.items() if path not in going}, **wanted}
    return Expected(obstacles, after, Claim(kept | wanted), Claim(all_ours, whole))


def read(root: Path) -> Found:
    """What lies below a directory, but for what a checkout that was cut off left unfinished."""
    found: Found = {}
    for where, directories, names in os.walk(root):
        directories[:] = [name for name in directories if not name.startswith(".dsdt-")]
        links = [name for name in directories if os.path.islink(os.path.join(where, name))]
        for path in (Path(where, name) for name in names + links if not name.startswith(".dsdt-")):
            found[str(path.relative_to(root))] = LINK if path.is_symlink() else _file(path)
    return found


def _file(path: Path) -> File:
    data = path.read_bytes()
    return DATA.index(data) if data in DATA else data[:20], bool(path.stat().st_mode & 0o100)


def _holds_others(path: str, found: Found, claim: Claim) -> bool:
    """Whether a directory in the place of a file holds what was not written there."""
    below = [each for each in found if each.startswith(path + "/")]
    return any(each not in claim.written and found[each] != claim.begun.get(each) for each in below)


def _within(scope: str | None, path: str) -> bool:
    return scope is None or path == scope or path.startswith(scope + "/")


def above(paths: Iterable[str]) -> set[str]:
    """Every directory that one of some paths lies in."""
    return {path[:at] for path in paths for at, each in enumerate(path) if each == "/"}
