"""
What was checked out into a directory: a record in the home, by which a later checkout tells our files from the user's.

It is a help, not the truth: without one every file counts as the user's, and nothing is lost. So it is not synced,
and one that is damaged counts as absent. ``docs/format.md`` has its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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
        """Let nobody else check out into the directory meanwhile; waits for who does."""
        lock = FileLock(self._path.with_suffix(".lock"), disk=self._disk)
        with storage_errors(f"write to {self._path.parent}"):
            self._disk.mkdir(self._path.parent)
            lock.acquire_exclusive()
        try:
            yield
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
        data = canonical.encode({"format": FORMAT, "directory": self._directory, **_fields(record)}) + b"\n"
        temporary = self._path.with_suffix(".new")
        with storage_errors(f"write {self._path}"):
            with suppress(FileNotFoundError):  # there is one where we were killed
                os.unlink(temporary)
            with self._disk.create(temporary) as file:
                self._disk.write(file, data)
            self._disk.rename(temporary, self._path)


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
