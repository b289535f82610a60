"""Files and directories as values: which values name them, how they are captured and found again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeAlias
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


@dataclass(frozen=True, slots=True)
class Link:
    """What a URL in a value names elsewhere, to be looked at when it is captured; it is given back as a str."""

    url: str
    where: str


Named: TypeAlias = "Found | Link"


def find(value: object, where: str, sink: Sink) -> Named | None:
    """
    What *value* names: a Path, a luigi target, a ``file://`` or ``s3://`` URL, or a str that happens to.

    None for a str that names neither an existing file nor a directory the bundle's maker was given.

    Raises:
        PathNotFound: A Path or target that does not exist.
        BadLinkError: A URL that cannot be captured.
        Unserializable: What the path names is neither file nor directory.
    """
    if isinstance(value, str):
        return find_text(value, where, sink)
    if not isinstance(value, PurePath):
        target = _target_path(value)
        return Link(target, where) if target.startswith("s3://") else _existing(Path(target), where, "str")
    if str(value).startswith("s3:/"):
        raise BadLinkError(f"cannot store {where}: {value} is no path", hint="give the URL as a str")
    return _existing(Path(value), where, "path")


def find_text(text: str, where: str, sink: Sink) -> Named | None:
    """What *text* names as a path or as a URL."""
    if text.startswith("s3://"):
        return Link(text, where)
    if text.startswith("file://"):
        return Link(text, where) if sink.is_own_url(text) else _existing_link(text, where)
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
    """Whether *text* is a URL whose file is captured, or which is refused, whatever stands beside it."""
    return text.startswith(("file://", "s3://"))


def is_target(value: object) -> bool:
    """Whether *value* is a luigi target of one path; luigi itself is not imported to find out."""
    if not any(base.__module__.partition(".")[0] == "luigi" for base in type(value).__mro__):
        return False
    return isinstance(getattr(value, "path", None), str)


def capture(named: Iterable[Named], sink: Sink) -> list[Frame]:
    """Capture all that is *named* and return the frames, in order."""
    items = list(named)
    files = iter(sink.add_files([item.path for item in items if isinstance(item, Found) and not item.is_directory]))
    linked = capture_links(items, sink)

    def frame(item: Named) -> Frame:
        if isinstance(item, Link):
            return _link_frame(linked[item.url], sink)
        if item.is_directory:
            return _directory_frame(item.form, sink.add_directory(item.path), sink)
        return _frame(item.form, next(files), sink)

    return [frame(item) for item in items]


def capture_links(named: Iterable[Named], sink: Sink) -> dict[str, str]:
    """Capture what URLs name; their places in the tree, by URL."""
    links = {item.url: item.where for item in named if isinstance(item, Link)}
    return sink.add_links(links) if links else {}


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


def _frame(form: str, path: str, sink: Sink) -> Frame:
    entry = sink.entry(path)
    logical = file_logical(path, entry)
    return Frame("", "file", logical, form=form, path=path, size_bytes=entry.size_bytes)


def _directory_frame(form: str, path: str, sink: Sink) -> Frame:
    tree = sink.below(path)
    return Frame("", "directory", tree_logical(tree), form=form, path=path, size_bytes=tree.size_bytes)


def _link_frame(path: str, sink: Sink) -> Frame:
    return _directory_frame("str", path, sink) if sink.is_directory(path) else _frame("str", path, sink)


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
