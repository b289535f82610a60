"""What a push that was cut short has sent already, so that the next one need not send it again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Lock

from disdat.durable import Disk
from disdat.store.backend import Backend, KeyNotFound

NAME = "push.sent"


def count(directory: Path) -> int:
    """How many keys were sent that are not published yet, as far as is noted beside a context."""
    return len(_read(directory / NAME))


class Notes:
    """
    The keys that were sent and not yet published, one on each line of a file beside the context.

    They are believed only where the remote says that what it has is as long. The file may be lost at any time.
    """

    def __init__(self, directory: Path, backend: Backend, *, disk: Disk) -> None:
        self._path = directory / NAME
        self._backend = backend
        self._disk = disk
        self._lock = Lock()
        self._before = _read(self._path)

    @property
    def keys(self) -> frozenset[str]:
        """What was sent before, as far as was noted."""
        return self._before

    def is_there(self, key: str, size_bytes: int) -> bool:
        """Whether something was sent before, and is still there."""
        if key not in self._before:
            return False
        try:
            return self._backend.head(key).size_bytes == size_bytes
        except KeyNotFound:
            return False

    def note(self, key: str) -> None:
        """Note that something was sent; by any thread."""
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(key + "\n")

    def forget(self) -> None:
        """What was sent is published."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self._path)


def _read(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text("utf-8").splitlines())
    except (FileNotFoundError, UnicodeDecodeError):
        return frozenset()
