"""Loose objects: each of 64 KiB or more is a read-only file named by its digest."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from disdat.core.digest import ALGORITHM, Digest
from disdat.durable import Disk
from disdat.errors import DigestMismatch
from disdat.store import files
from disdat.store.contents import Contents
from disdat.store.files import Progress, no_progress
from disdat.store.statcache import StatCache

_NAME = re.compile(r"[0-9a-f]{64}")
_HINT = "add the data again, or restore the file from a backup; `dsdt verify` lists what is affected"


class LooseObjects:
    """The files below one directory; threads may share it."""

    def __init__(self, directory: Path, *, cache: StatCache, contents: Contents, disk: Disk) -> None:
        self.directory = directory / ALGORITHM
        self.contents = contents
        self._place = os.fspath(self.directory)
        self._cache = cache
        self._disk = disk

    def path(self, digest: Digest) -> Path:
        """Where an object is or would be."""
        return Path(_below(self._place, digest))

    @staticmethod
    def path_below(directory: Path, digest: Digest) -> Path:
        """Where an object is or would be in a trash, whose places are as those of the store."""
        return Path(_below(f"{directory}/{ALGORITHM}", digest))

    def find(self, digest: Digest) -> os.stat_result | None:
        """What an object's file is; None if there is none."""
        return _stat(_below(self._place, digest))

    def is_known(self, digest: Digest, found: os.stat_result) -> bool:
        """Whether the file *found* was read and was right, and has not changed since."""
        read = self._cache.objects([found])[0]
        return read == digest or (read is not None and read == self.contents.noted(digest))

    def check(self, digest: Digest, progress: Progress = no_progress) -> None:
        """Read an object; DigestMismatch unless its bytes are right, FileNotFoundError if there is none."""
        path = self.path(digest)
        before, found = files.steadily(path, lambda: _hash(path, progress))
        if found != digest and found != (content := self.contents.of(digest)):
            self._cache.forget_object(before)
            raise DigestMismatch(f"object {digest} in {path}", expected=content, found=found, hint=_HINT)
        self._cache.remember_objects([(before, found)])

    def ensure_right(self, digest: Digest, found: os.stat_result) -> Path:
        """The path of an object, which is read if it is not known to be right."""
        if not self.is_known(digest, found):
            self.check(digest)
        return self.path(digest)

    def is_right(self, digest: Digest, found: os.stat_result) -> bool:
        """Whether the object's bytes are its, which is found out by reading it if it is not known."""
        try:
            self.ensure_right(digest, found)
        except (DigestMismatch, FileNotFoundError):
            return False
        return True

    def restore(self, trash: Path, digest: Digest) -> os.stat_result | None:
        """Take an object out of *trash*, where its place is that in the store; what its file is, None if not there."""
        source = _below(f"{trash}/{ALGORITHM}", digest)
        if _stat(source) is None:
            return None
        target = self.path(digest)
        self._disk.mkdir(target.parent)
        with suppress(FileNotFoundError):  # another reader was faster
            self._disk.rename(Path(source), target)
        # The directories above too: who counts on a name that is there counts on them.
        for changed in (target.parent, self.directory, self.directory.parent, self.directory.parent.parent):
            self._disk.sync_dir(changed)
        return self.find(digest)

    def digests(self) -> Iterator[tuple[Digest, int]]:
        """Yield each object's digest and its size in bytes, in order of the digests; what others left is none."""
        for shard in sorted(filter(Path.is_dir, self.directory.glob("??"))):
            for entry in sorted(os.scandir(shard), key=lambda entry: entry.name):
                if is_name(entry.name):
                    with suppress(FileNotFoundError):  # it was moved to the trash meanwhile
                        yield Digest(f"{ALGORITHM}:{entry.name}"), entry.stat().st_size


def _below(directory: str, digest: Digest) -> str:
    # Not a Path, which takes longer to make than the file system to tell that nothing is there.
    name = digest.hex
    return f"{directory}/{name[:2]}/{name}"


def _stat(where: str) -> os.stat_result | None:
    try:
        return os.stat(where)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_name(name: str) -> bool:
    """Whether a file of this name is an object; a desktop or a file server may leave others."""
    return _NAME.fullmatch(name) is not None


def _hash(path: Path, progress: Progress) -> tuple[os.stat_result, Digest]:
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        return before, files.hash_file(file, before.st_size, progress)


def is_executable(found: os.stat_result) -> bool:
    """Whether the owner may execute the file."""
    return bool(found.st_mode & stat.S_IXUSR)
