"""
The code of a project as an archive: made where tasks are planned, unpacked where they run.

An archive is named by the digest of what it holds, and so is the directory it is unpacked to; the same files give the
same name everywhere. Each directory that modules are imported from lies in it below a number, in the order of the path.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from disdat import marker
from disdat.core import digest
from disdat.durable import storage_errors
from disdat.errors import InvalidInput
from disdat.pipeline import projects
from disdat.pipeline.projects import Project

MOST_BYTES = 16 << 20
"""No archive holds more."""
MOST_FILES = 10_000
KEPT_S = 30 * 86_400.0
"""So long an archive that nobody uses stays unpacked."""
_NEVER = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_OLDEST = (1980, 1, 1, 0, 0, 0)  # what zip can say
_LIST = "files"
"""Beside the directories of an archive that is unpacked: what it holds, as tasks may write there, too."""

_whole: set[Path] = set()
"""Directories that this process has found to be whole."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The Python files of a project, and what it reads: :attr:`name` is the digest of what it holds, in hex."""

    name: str
    data: bytes


def roots(modules: Mapping[str, str]) -> frozenset[str]:
    """The directories that modules of the project, given with their files, are imported from; not what is installed."""
    anywhere = Project("", ())
    return frozenset(
        projects.root_of(path, name)
        for name, path in modules.items()
        if not projects.is_ours(name) and anywhere.place(name.partition(".")[0]) is not None
    )


def pack(directories: Iterable[str], beside: Iterable[Path] = ()) -> Archive:
    """
    An archive of the Python files below directories, without what git ignores, where they are under git.

    Those of the files *beside* that lie below one of them come too, as long as they fit.

    Raises:
        InvalidInput: There are too many of them, or too large ones.
    """
    contents: dict[str, bytes] = {}
    size_bytes = 0
    ranked = sorted(directories, key=_rank)
    for number, root in enumerate(ranked):
        for path in _files(root):
            with storage_errors(f"read {path} below {root}"), suppress(FileNotFoundError):  # git still lists it
                content = contents[f"{number}/{path}"] = Path(root, path).read_bytes()
                size_bytes += len(content)
            if size_bytes > MOST_BYTES or len(contents) > MOST_FILES:
                raise _too_much(root)
    for name, file in _placed(ranked, beside):
        with suppress(OSError):  # it went meanwhile: who reads it tells
            if size_bytes + file.stat().st_size <= MOST_BYTES:
                contents[name] = file.read_bytes()
                size_bytes += len(contents[name])
    return Archive(_name(contents), _zipped(contents))


def unpacked(cache: Path, name: str, data: bytes | None) -> Path | None:
    """
    The directory below *cache* that holds an archive, whole; None where it does not, and *data* is None.

    Several processes may ask at once.
    """
    target = cache / name
    if target in _whole and target.is_dir():
        return target
    with storage_errors(f"unpack code to {cache}"):
        if not _is_whole(target):
            if data is None:
                return None
            _unpack(data, target)
            _remove_old(cache)
        os.utime(target)
    _whole.add(target)
    return target


def importable(directory: Path) -> list[str]:
    """What of an unpacked archive is to be on the path."""
    return [str(directory / number) for number in sorted(set(os.listdir(directory)) - {_LIST}, key=int)]


def _rank(root: str) -> tuple[int, str]:
    """By the place on the path, as of two modules of one name the first one counts."""
    path = [os.path.realpath(each or os.curdir) for each in sys.path]
    return path.index(root) if root in path else len(path), root


def _files(root: str) -> Iterator[str]:
    """Yield the Python files below a directory, by their paths from there: not this package's, nor those of homes."""
    homes: dict[str, bool] = {"": False}
    for path in sorted(_listed_by_git(root) or _walked(root)):
        if not projects.is_ours(path.partition("/")[0]) and not _is_kept(root, os.path.dirname(path), homes):
            yield path


def _is_kept(root: str, directory: str, known: dict[str, bool]) -> bool:
    """Whether a directory is in a home, as far as is not *known*."""
    if directory not in known:
        there = Path(root, directory)
        is_home = (there / marker.NAME).is_file() and (there / "context").is_dir()
        known[directory] = is_home or _is_kept(root, os.path.dirname(directory), known)
    return known[directory]


def _placed(roots: Sequence[str], files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the files that lie below a directory, each with its name in an archive."""
    for file in sorted(files):
        path = Path(os.path.realpath(file.parent), file.name)
        for number, root in enumerate(roots):
            if path.is_relative_to(root):
                yield f"{number}/{path.relative_to(root).as_posix()}", file


def _listed_by_git(root: str) -> list[str]:
    """What git does not ignore; nothing where there is no git, or all is ignored."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return []
    return [os.fsdecode(each) for each in done.stdout.split(b"\0") if each] if done.returncode == 0 else []


def _walked(root: str) -> list[str]:
    found: list[str] = []
    for directory, names, files in os.walk(root):
        if "pyvenv.cfg" in files:
            names[:] = []
            continue
        names[:] = [name for name in names if not name.startswith(".") and name not in _NEVER]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in files if name.endswith(".py")]
        if len(found) > MOST_FILES:
            raise _too_much(root)
    return found


def _too_much(root: str) -> InvalidInput:
    return InvalidInput(
        f"too much code to send: the Python files below {root} are more than {MOST_FILES:,}, or {MOST_BYTES >> 20} MB",
        hint="have git ignore what tasks do not need, or install the project where the workers run",
    )


def _name(contents: Mapping[str, bytes]) -> str:
    return digest.of_json([[path, digest.of_bytes(contents[path])] for path in sorted(contents)]).hex


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(contents):
            archive.writestr(zipfile.ZipInfo(path, _OLDEST), contents[path], zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _is_whole(target: Path) -> bool:
    """Whether all is there as it was packed: an earlier process may have been killed, or the machine."""
    try:
        names = json.loads((target / _LIST).read_bytes())
        return _name({name: (target / name).read_bytes() for name in names}) == target.name
    except (OSError, ValueError, TypeError):
        return False


def _unpack(data: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(new)
        (new / _LIST).write_text(json.dumps(archive.namelist()), "utf-8")
    try:
        os.rename(new, target)
    except OSError:
        if not _is_whole(target):  # else another process was first
            os.rename(target, new.with_suffix(".damaged"))
            os.rename(new, target)
    for left in (new, new.with_suffix(".damaged")):
        shutil.rmtree(left, ignore_errors=True)


def _remove_old(cache: Path) -> None:
    """Remove what was last used long ago."""
    for each in cache.iterdir():
        with suppress(FileNotFoundError):  # another process removes it, too
            if each.stat().st_mtime < time.time() - KEPT_S:
                shutil.rmtree(each, ignore_errors=True)
