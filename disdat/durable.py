"""
The one seam through which the store, the log and the catalog change a disk.

A :class:`Disk` is passed down from the home, so that a test can record every write in order, fail at the
n-th, or drop what was not synced. Nothing here decides anything: each method is one system call that matters.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from disdat.errors import PermissionDenied, StorageError


class SqlConnection(Protocol):
    """What :meth:`Disk.sql_commit` needs of a database connection."""

    def commit(self) -> None: ...


class Disk:
    """The real disk. Methods raise OSError as the system does; :func:`storage_errors` translates at the boundary."""

    def mkdir(self, path: Path) -> None:
        """Make a directory and its parents; one that is there already is fine."""
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path) -> BinaryIO:
        """Open a new file for writing; FileExistsError if there is one. Unbuffered: each write is one call."""
        return path.open("xb", buffering=0)

    def open_append(self, path: Path) -> BinaryIO:
        """Open a file for appending, made if absent. Unbuffered: each write is one call."""
        return path.open("ab", buffering=0)

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        """Write all of *data*."""
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]

    def sync(self, file: BinaryIO) -> None:
        """Make a file's bytes and length durable (fdatasync)."""
        os.fdatasync(file.fileno())

    def sync_path(self, path: Path) -> None:
        """Make the bytes of a file that is written already durable."""
        _fsync(path, os.O_RDONLY)

    def sync_dir(self, path: Path) -> None:
        """Make the names in a directory durable."""
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, atomically replacing what had it."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError if it is taken."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def chmod(self, path: Path, mode: int) -> None:
        path.chmod(mode)

    def truncate(self, path: Path, size_bytes: int) -> None:
        os.truncate(path, size_bytes)

    def sql_commit(self, connection: SqlConnection) -> None:
        """Commit the connection's transaction."""
        connection.commit()


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an OSError inside into StorageError or PermissionDenied with one line on what could not be done."""
    try:
        yield
    except StorageError:
        raise
    except PermissionError as exc:
        raise PermissionDenied(f"cannot {what}: permission denied: {exc.filename or ''}".rstrip(": ")) from exc
    except OSError as exc:
        hint = "free some space and run the command again" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        where = f": {exc.filename}" if exc.filename else ""
        raise StorageError(f"cannot {what}: {exc.strerror or exc}{where}", hint=hint) from exc
