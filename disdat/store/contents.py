"""What bytes the objects have that are not named by them: those of weak identity, once they were read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from disdat.core.digest import Digest
from disdat.durable import Disk
from disdat.errors import InvalidInput
from disdat.store.files import Staging


class Contents:
    """
    A file for each such object, below one directory. For many threads and processes.

    It is there before the object gets its name, and stays when that goes: what comes next must have the same bytes.
    """

    def __init__(self, directory: Path, *, disk: Disk) -> None:
        self._directory = directory
        self._disk = disk

    def of(self, name: Digest) -> Digest:
        """The digest of the bytes that an object has: its name, unless another one was noted."""
        return self.noted(name) or name

    def noted(self, name: Digest) -> Digest | None:
        """What was noted; None if nothing was, or it cannot be read any more."""
        try:
            text = (self._directory / name.hex).read_text("ascii", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        with suppress(InvalidInput):
            return Digest.parse(text.removesuffix("\n"))
        return None

    def note(self, name: Digest, content: Digest, staging: Staging) -> None:
        """Note what bytes an object has; durable on return."""
        self._disk.mkdir(self._directory)
        path, file = staging.create()
        with file:
            self._disk.write(file, f"{content}\n".encode())
            self._disk.sync(file)
        staging.publish(path, self._directory / name.hex)
        for changed in (self._directory, self._directory.parent):
            self._disk.sync_dir(changed)
