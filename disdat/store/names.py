"""
Names that a file system cannot have, or takes for one: found by trying, before anything of a tree is written there.

What lies on a remote was stored where other names may be.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Protocol

from disdat.core.tree import decode_path, parents
from disdat.durable import storage_errors
from disdat.errors import Conflict

TRIED = 100
"""So many clashes are tried at most: where one is none, the others are none either."""
LONGEST_NAME = 255
_LONGEST_PATH = 4095

# What one system or other refuses, in a path with a / before and behind it: a character each, or bytes that are no
# text; an ending; a name of a device of old.
_ODD = (
    re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]|%(?!25)..'),
    re.compile(r"[. ](?=/)"),
    re.compile(r"/(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?=[./])", re.IGNORECASE),
)


class Trial(Protocol):
    """Where names are tried; paths are as trees have them."""

    def make(self, path: str) -> None:
        """Make an empty file, and the directories above it; OSError where that cannot be."""

    def has(self, path: str) -> bool:
        """Whether there is something."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Paths that cannot be, or not all of them."""

    paths: tuple[str, ...]
    why: str


def clashes(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Paths that are one and the same where case, or how an accent is composed, does not count."""
    alike: dict[str, set[str]] = defaultdict(set)
    for path in (names := set(paths)) | parents(names):
        alike[_folded(path)].add(path)
    files = (tuple(sorted(group)) for group in alike.values() if len(group) > 1 and not group.isdisjoint(names))
    return sorted(files)


def odd(paths: Iterable[str]) -> list[str]:
    """Of the paths with parts that not every file system can have, one for each reason; the part is its last one."""
    listed = list(paths)
    together = f"/{'/'.join(listed)}/"  # of most trees one look at all is enough
    patterns = [pattern for pattern in _ODD if pattern.search(together)]
    found: dict[str, str] = {}
    for path in listed if patterns else ():
        for each in (match for pattern in patterns for match in pattern.finditer(f"/{path}/")):
            end = f"/{path}/".index("/", each.start() + 1)
            found.setdefault(each[0].lower(), path[: end - 1])
    for path in (path for path in listed if len(path) > LONGEST_NAME):
        for part in (*parents([path]), path):
            if len(part.rpartition("/")[2]) > LONGEST_NAME:
                found.setdefault("/", part)
    return list(found.values())


def refused(trial: Trial, groups: Sequence[tuple[str, ...]], names: Sequence[str]) -> Refused | None:
    """The first of some clashes that is one, or of some names that cannot be, where they are tried."""
    for number, group in enumerate(groups[:TRIED]):
        first, *others = group
        try:
            trial.make(f"clash-{number}/{first}")
        except OSError as exc:
            return Refused((first,), _reason(exc))
        for other in others:
            if trial.has(f"clash-{number}/{other}"):
                return Refused((first, other), "are one name there")
    for number, path in enumerate(names):
        try:
            trial.make(f"name-{number}/{path.rpartition('/')[2]}")
        except OSError as exc:
            return Refused((path,), _reason(exc))
    return None


def check(paths: Collection[str], target: str, *, alike: Sequence[tuple[str, ...]], trial_in: str) -> None:
    """
    Refuse to write files at these paths below *target*, where that cannot have all of them; *alike* are their clashes.

    Tried in a directory of that file system, in which nothing stays.

    Raises:
        Conflict: Two are one there, or one cannot be there.
        StorageError: Nothing can be written there at all.
    """
    names = odd(paths)
    found = _too_long(paths, target)
    if found is None and (alike or names):
        with storage_errors(f"write to {trial_in}"), TemporaryDirectory(prefix=".dsdt-", dir=trial_in) as directory:
            found = refused(_Directory(directory), alike, names)
    if found is not None:
        raise conflict(found, target)


def conflict(found: Refused, target: str) -> Conflict:
    """What to say of paths that cannot be below *target*."""
    return Conflict(
        f"{' and '.join(map(repr, found.paths))} {found.why}, in {target}; nothing was done",
        hint="`dsdt checkout REF DIR PATH` writes chosen files, also to a file system that can have all of them",
    )


class _Directory:
    """Tries names in a directory."""

    def __init__(self, root: str) -> None:
        self._root = root

    def make(self, path: str) -> None:
        at = self._at(path)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "xb"):
            """It is there."""

    def has(self, path: str) -> bool:
        return os.path.lexists(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{os.fsdecode(decode_path(path))}"


def _too_long(paths: Iterable[str], target: str) -> Refused | None:
    above = len(os.fsencode(target)) + 1
    for path in paths:
        if above + len(path) > _LONGEST_PATH and above + len(decode_path(path)) > _LONGEST_PATH:
            return Refused((f"{path[:80]}…",), "is too long a path")
    return None


def _reason(exc: OSError) -> str:
    return f"cannot be a name there ({exc.strerror})"


def _folded(path: str) -> str:
    return (
        path.lower() if path.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    )
