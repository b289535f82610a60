"""Files and directories as values: which values name them, how they are captured and found again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import unquote_to_bytes

from disdat.core.bundle import Frame
from disdat.core.tree import file_logical, tree_logical
from disdat.errors import BadLinkError, Corrupt, PathNotFound, Unserializable
from disdat.values.serializer import Sink, Source

LONGEST_PATH = 4096
"""No system call takes a longer path (Linux's PATH_MAX), so a longer text names nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """An existing file or directory a value names, and the Python shape the value has."""

    path: Path
    form: Literal["path", "str"]
    is_directory: bool


def find(value: object, where: str, sink: Sink) -> Found | None:
    """
    The file or directory *value* names: a Path, a luigi target, a ``file://`` URL, or a str that happens to.

    None for a str that names neither an existing file nor a directory the bundle's maker was given.

    Raises:
        PathNotFound: A Path or target that does not exist.
        BadLinkError: A URL that cannot be captured.
        Unserializable: What the path names is neither file nor directory.
    """
    if isinstance(value, str):
        return find_text(value, where, sink)
    named = value if isinstance(value, PurePath) else Path(_target_path(value))
    if str(named).startswith("s3:/"):
        raise _remote_link(where, str(named))
    return _existing(Path(named), where, "path" if isinstance(value, PurePath) else "str")


def find_text(text: str, where: str, sink: Sink) -> Found | None:
    """The file or own directory that *text* or the URL in it names."""
    if text.startswith("file://"):
        return _existing_link(text, where)
    if text.startswith("s3://"):
        raise _remote_link(where, text)
    return find_existing(text, sink)


def find_existing(text: str, sink: Sink) -> Found | None:
    """The file or own directory that *text*, which is no URL, names as a path."""
    mode = _mode(text)
    if mode is None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return None
    if stat.S_ISDIR(mode) and not sink.is_own_directory(Path(text)):
        return None
    return Found(Path(text), "str", stat.S_ISDIR(mode))


def is_link(text: str) -> bool:
    """Whether *text* is a URL that is captured or refused, whatever stands beside it."""
    return text.startswith(("file://", "s3://"))


def is_target(value: object) -> bool:
    """Whether *value* is a luigi target of one path; luigi itself is not imported to find out."""
    if not any(base.__module__.partition(".")[0] == "luigi" for base in type(value).__mro__):
        return False
    return isinstance(getattr(value, "path", None), str)


def capture(found: Iterable[Found], sink: Sink) -> list[Frame]:
    """Capture all of *found* and return their frames, in order."""
    items = list(found)
    files = iter(sink.add_files([item.path for item in items if not item.is_directory]))
    return [_directory_frame(item, sink) if item.is_directory else _frame(item, next(files), sink) for item in items]


class FileSerializer:
    """Files and directories, kept in the bundle's tree."""

    def dump(self, value: object, where: str, sink: Sink) -> Frame:
        found = find(value, where, sink)
        if found is None:
            raise Unserializable(where, f"{value!r} does not name a file")
        return capture([found], sink)[0]

    def load(self, frame: Frame, source: Source) -> Path | str | list[str]:
        if frame.path is None:
            raise Corrupt(f"frame {frame.name!r} is a {frame.kind} without a path")
        if frame.form == "paths":
            prefix = f"{frame.path}/" if frame.path else ""
            return source.locate([prefix + path for path in source.below(frame.path)])
        if frame.form == "str":
            return source.locate([frame.path])[0] if frame.kind == "file" else source.locate_directory(frame.path)
        return source.file(frame.path) if frame.kind == "file" else source.directory(frame.path)


SERIALIZER = FileSerializer()


def _frame(found: Found, path: str, sink: Sink) -> Frame:
    entry = sink.entry(path)
    logical = file_logical(path, entry)
    return Frame("", "file", logical, form=found.form, path=path, size_bytes=entry.size_bytes)


def _directory_frame(found: Found, sink: Sink) -> Frame:
    path = sink.add_directory(found.path)
    tree = sink.below(path)
    return Frame("", "directory", tree_logical(tree), form=found.form, path=path, size_bytes=tree.size_bytes)


def _target_path(value: object) -> str:
    path = getattr(value, "path", None)
    if not isinstance(path, str):
        raise TypeError(f"{value!r} has no path")
    return path


def _mode(text: str) -> int | None:
    """The mode of what *text* names, or None; most texts are seen to name nothing without a system call."""
    if not text or "\0" in text or len(text) > LONGEST_PATH:
        return None
    try:
        return os.stat(text).st_mode
    except (OSError, ValueError):  # ValueError: surrogates that no file name encodes
        return None


def _existing(path: Path, where: str, form: Literal["path", "str"]) -> Found:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise PathNotFound(f"cannot store {where}: no such file or directory: {path}") from exc
    except (OSError, ValueError) as exc:
        raise Unserializable(where, f"cannot read {path}: {exc}") from exc
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Unserializable(where, f"{path} is neither a file nor a directory")
    return Found(path, form, stat.S_ISDIR(mode))


def _existing_link(url: str, where: str) -> Found:
    # Not urlsplit: a file name may hold '#' and '?', and people rarely quote them.
    host, slash, rest = url.removeprefix("file://").partition("/")
    if host not in {"", "localhost"} or not slash:
        raise BadLinkError(f"cannot store {where}: {url} names another machine", hint="a local one is file:///path")
    raw = slash + rest
    for name in (raw, os.fsdecode(unquote_to_bytes(raw))):
        mode = _mode(name)
        if mode is not None and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return Found(Path(name), "str", stat.S_ISDIR(mode))
    raise BadLinkError(
        f"cannot store {where}: {url} names no file", hint="check the path, or store the text with disdat.text()"
    )


def _remote_link(where: str, url: str) -> BadLinkError:
    return BadLinkError(
        f"cannot store {where}: {url} is not on this machine",
        hint="fetch the file first and store its path, or store the URL as text with disdat.text()",
    )
