"""
What was checked out into a directory: a record in the home, by which a later checkout tells our files from the user's.

It is a help, not the truth: without one every file counts as the user's, and nothing is lost. So it is not synced,
and one that is damaged counts as absent. ``docs/format.md`` has its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from disdat.core import canonical, digest, tree
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.core.tree import Entry, Tree
from disdat.durable import Disk, storage_errors
from disdat.errors import UnknownFormat
from disdat.store.locks import FileLock

FORMAT = 1
_NAME_DIGITS = 32
_HEAD_BYTES = 64 << 10
"""Before so many bytes of a record comes all but its files; in one of an unfinished checkout mostly."""

WholeTree: TypeAlias = "Tree | Digest"
"""All files of a bundle, or the digest of the root node by which the store has them."""


class Stamp(NamedTuple):
    """What changes, besides its size, when anybody writes to a file."""

    inode: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


class Written(NamedTuple):
    """A file that was written, and what tells that it is that still; None where nothing does."""

    entry: Entry
    stamp: Stamp | None

    def is_still(self, seen: os.stat_result) -> bool:
        """Whether it is known that nobody wrote to the file since."""
        same = self.stamp == (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
        return same and self.entry.size_bytes == seen.st_size


@dataclass(frozen=True, slots=True)
class Begun:
    """A checkout that has not finished: of which tree it may have written files, and what marks its temporary ones."""

    token: str
    tree: WholeTree

    @property
    def mark(self) -> str:
        """What the names of its unfinished files and directories begin with."""
        return f".dsdt-{self.token}"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a directory; :attr:`tree` is the root of the stored tree that the files are, if they are one."""

    files: Mapping[str, Written] = field(default_factory=dict)
    tree: Digest | None = None
    begun: Begun | None = None


class RecordFile:
    """The record of one directory, by its real path; for one checkout at a time, which :meth:`held` sees to."""

    def __init__(self, records: Path, directory: str, *, disk: Disk) -> None:
        self._directory = tree.encode_path(os.fsencode(directory))
        name = digest.of_bytes(os.fsencode(directory)).hex[:_NAME_DIGITS]
        self._path = records / f"{name}.json"
        self._disk = disk

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Let nobody else check out into the directory meanwhile; waits for who does.

        Where this is the first one there, records of directories that were deleted are forgotten at the end.
        """
        lock = FileLock(self._path.with_suffix(".lock"), disk=self._disk)
        with storage_errors(f"write to {self._path.parent}"):
            self._disk.mkdir(self._path.parent)
            is_first = not self._path.exists()
            lock.acquire_exclusive()
            while not lock.names_its_file():  # who forgot the record before removed it
                lock.release()
                lock.acquire_exclusive()
        try:
            yield
            if is_first:
                forget_deleted(self._path.parent, disk=self._disk)
        finally:
            lock.release()

    def load(self) -> Record:
        """
        What is known; nothing where there is no record, or one that is damaged.

        Raises:
            UnknownFormat: A later version wrote it.
        """
        with storage_errors(f"read {self._path}"):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return Record()
        fields: Any = None  # whatever lies there
        with suppress(ValueError):
            fields = canonical.decode(data)
        if isinstance(fields, dict) and fields.get("format", FORMAT) != FORMAT:
            raise UnknownFormat(str(self._path), found=fields["format"], supported=FORMAT)
        with suppress(KeyError, TypeError, ValueError):
            if fields["directory"] == self._directory:
                return _record(fields)
        return Record()

    def save(self, record: Record) -> None:
        """Replace the record in one step; only while it is held."""
        whereabouts: dict[str, Json] = {"directory": self._directory, "above": _inodes_above(self._directory)}
        data = canonical.encode({"format": FORMAT, **whereabouts, **_fields(record)}) + b"\n"
        temporary = self._path.with_suffix(".new")
        with storage_errors(f"write {self._path}"):
            with suppress(FileNotFoundError):  # there is one where we were killed
                os.unlink(temporary)
            with self._disk.create(temporary) as file:
                self._disk.write(file, data)
            self._disk.rename(temporary, self._path)


def forget_deleted(records: Path, *, disk: Disk) -> None:
    """
    Remove the records of directories that were deleted, but for those that are held.

    One whose disk is not there, or another one in its place, is kept: that the directories above it that are left are
    those that were there is told by their inodes.
    """
    with suppress(OSError):  # what is not forgotten now is the next time
        for name in {path.stem for path in records.iterdir()}:
            path = records / f"{name}.json"
            lock = FileLock(path.with_suffix(".lock"), disk=disk)
            if _is_of_nothing(path) and lock.try_exclusive():
                if _is_of_nothing(path):
                    for each in (path, path.with_suffix(".new"), path.with_suffix(".lock")):
                        if each.exists():
                            disk.unlink(each)
                lock.release()


def _is_of_nothing(path: Path) -> bool:
    """Whether there is no record, or one of a directory that was deleted; of one that is damaged nobody can tell."""
    try:
        with path.open("rb") as file:
            head, found, _ = file.read(_HEAD_BYTES).partition(b',"files":[')
            fields: Any = canonical.decode(head + b"}" if found else path.read_bytes())
        directory, above = os.fsdecode(tree.decode_path(fields["directory"])), list(fields["above"])
    except FileNotFoundError:
        return True
    except (KeyError, TypeError, ValueError):
        return False
    return _was_deleted(directory, above)


def _was_deleted(directory: str, above: Sequence[int]) -> bool:
    if os.path.lexists(directory):
        return False
    for inode, each in zip(above, Path(directory).parents, strict=False):
        with suppress(FileNotFoundError, NotADirectoryError):
            return os.stat(each).st_ino == inode
    return False


def _inodes_above(encoded: str) -> list[Json]:
    """
    The inodes of the directories above one, the nearest first, as far as they are of its file system; 0 of one to come.

    Not that of the file system's root, which is the same in many.
    """
    directory = Path(os.fsdecode(tree.decode_path(encoded)))
    device: int | None = None
    found: list[Json] = []
    for each in (directory, *directory.parents):
        inode = 0
        if each.exists():
            seen = each.stat()
            device, inode = device or seen.st_dev, seen.st_ino
            if seen.st_dev != device or os.path.ismount(each):
                break
        if each != directory:
            found.append(inode)
    return found


def _fields(record: Record) -> dict[str, Json]:
    files: list[Json] = [
        [path, entry.digest, entry.size_bytes, int(entry.executable), stamp]
        for path in sorted(record.files)
        for entry, stamp in [record.files[path]]
    ]
    fields: dict[str, Json] = {"files": files}
    if record.tree is not None:
        fields["tree"] = record.tree
    if record.begun is not None:
        fields["begun"] = {"token": record.begun.token, **_tree_fields(record.begun.tree)}
    return fields


def _tree_fields(whole: WholeTree) -> dict[str, Json]:
    return {"root": whole} if isinstance(whole, Digest) else {"entries": tree.to_json(whole)}


def _record(fields: Mapping[str, Any]) -> Record:  # as JSON has them
    files = {
        path: Written(
            Entry(Digest.parse(name), int(size_bytes), bool(executable)), None if stamp is None else Stamp(*stamp)
        )
        for path, name, size_bytes, executable, stamp in fields["files"]
    }
    for path in files:
        tree.check_path(path)
    root, begun = fields.get("tree"), fields.get("begun")
    return Record(files, root if root is None else Digest.parse(root), begun if begun is None else _begun(begun))


def _begun(fields: Mapping[str, Any]) -> Begun:  # as JSON has them
    whole = Digest.parse(fields["root"]) if "root" in fields else tree.from_json(fields["entries"])
    token = str(fields["token"])
    bytes.fromhex(token)  # else it could be a path
    return Begun(token, whole)
