"""``@uses(...)``: what the code of a task depends on and no analysis of its source can see."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TypeVar

from disdat.core import digest
from disdat.errors import InvalidInput
from disdat.pipeline.projects import file_of
from disdat.pipeline.sources import SETTLED_NS

T = TypeVar("T", bound=type)
Used = FunctionType | type | ModuleType | str | Path

_NAME = "_disdat_uses"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Named:
    """What a class says that it uses."""

    definitions: list[tuple[str, str]] = field(default_factory=list)
    """Functions and classes, as module and name."""
    modules: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    """Files and directories, by what they were called."""


def uses(*used: Used) -> Callable[[T], T]:
    """
    Say what a task depends on that its source does not show, so that a change of it makes the task run again.

    A function or a class counts with all that it reaches, a module (or its name) as a whole, and a file or directory
    by its content; a relative path is one in the directory of the class's module::

        @uses("plugins.csv", Path("weights.json"))
        class Train(PipeTask): ...

    Raises:
        InvalidInput: Something of another kind is given.
    """
    for each in used:
        if not isinstance(each, FunctionType | type | ModuleType | str | Path):
            raise InvalidInput(
                f"@uses of {each!r}", hint="name functions, classes, modules (or their names) and Paths of files"
            )

    def mark(cls: T) -> T:
        setattr(cls, _NAME, tuple(_placed(each, cls) for each in used))
        return cls

    return mark


def of_class(cls: type) -> Named:
    """What a class and its bases say that they use."""
    named = Named()
    for each in cls.__mro__:
        for used in vars(each).get(_NAME, ()):
            if isinstance(used, _File):
                named.files[used.called] = used.path
            elif isinstance(used, FunctionType | type):
                named.definitions.append((used.__module__, used.__qualname__.partition(".")[0]))
            else:
                named.modules.append(used.__name__ if isinstance(used, ModuleType) else used)
    return named


def digest_of(path: Path) -> str:
    """
    The digest of a file's content, or of all files in a directory.

    Raises:
        InvalidInput: There is nothing.
    """
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return digest.of_json([[each.relative_to(path).as_posix(), digest_of(each)] for each in files]).hex[:_DIGITS]
    try:
        return _digest_of_file(path)
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}, which a task @uses: {exc.strerror}", hint="correct its path") from exc


def is_changed(path: Path, known: str) -> bool:
    """Whether a file or directory has another digest than *known*, or is gone."""
    try:
        return digest_of(path) != known
    except InvalidInput:
        return True


@dataclass(frozen=True, slots=True)
class _File:
    called: str
    path: Path


_known: dict[Path, tuple[tuple[int, int, int], str]] = {}


def _digest_of_file(path: Path) -> str:
    stat = os.stat(path)
    stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    known = _known.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    with path.open("rb") as file:
        found = digest.of_chunks(iter(lambda: file.read(digest.CHUNK_BYTES), b"")).hex[:_DIGITS]
    if time.time_ns() - max(stamp[1:]) > SETTLED_NS:
        _known[path] = (stamp, found)
    return found


def _placed(used: Used, cls: type) -> Used | _File:
    if not isinstance(used, Path):
        return used
    module = sys.modules.get(cls.__module__)
    file = None if module is None else file_of(module)
    return _File(used.as_posix(), (Path(file).parent if file else Path.cwd()) / used)
