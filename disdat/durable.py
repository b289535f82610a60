"""
The one seam through which the store, the log and the catalog change a disk.

A :class:`Disk` is passed down from the home, so that a test can record every write in order, fail at the
n-th, or drop what was not synced. Nothing here decides anything: each method is one system call that matters.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, cast

from disdat.errors import DisdatError, PermissionDenied, StorageError

WRITE_BYTES = 64 << 10
"""What one call writes: larger pieces take ext4 of Linux 6.18 five times as long where write-back begins early."""
_FICLONE = 0x40049409
_CANNOT_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})


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
        return cast("BinaryIO", io.FileIO(path, "xb"))  # what open() gives, after asking for more than is needed

    def make_file(self, path: str, data: bytes | memoryview, mode: int, mtime_ns: int) -> os.stat_result:
        """
        Make a file of these bytes, last modified then; what it is. FileExistsError if there is one.

        Of *mode* it has what the umask leaves. For many small files: what takes the fewest calls.
        """
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            written = os.write(fd, data)
            while written < len(data):
                written += os.write(fd, memoryview(data)[written:])
            os.utime(fd, ns=(mtime_ns, mtime_ns))
            return os.fstat(fd)
        finally:
            os.close(fd)

    def open_append(self, path: Path) -> BinaryIO:
        """Open a file for appending, made if absent. Unbuffered: each write is one call."""
        return path.open("ab", buffering=0)

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        """Write all of *data*."""
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest[:WRITE_BYTES]) :]

    def sync(self, file: BinaryIO) -> None:
        """Make a file's bytes and length durable (fdatasync)."""
        os.fdatasync(file.fileno())

    def sync_path(self, path: Path) -> None:
        """Make the bytes of a file that is written already durable."""
        _fsync(path, os.O_RDONLY)

    def sync_dir(self, path: Path) -> None:
        """Make the names in a directory durable."""
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)

    def sync_file_system(self, path: Path) -> None:
        """Make everything durable that was written to the file system *path* is on; waits for strangers' data too."""
        fd = os.open(path, os.O_RDONLY)
        try:
            _syncfs(fd)
        finally:
            os.close(fd)

    def start_write_back(self, file: BinaryIO, offset: int, length: int) -> None:
        """Hint that these bytes of a file will be synced soon, so that the disk may begin; they stay cached."""
        # On pages that are dirty this starts their write-back and drops nothing.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), offset, length, os.POSIX_FADV_DONTNEED)

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        """Make *target*, which is empty, share the blocks of *source*; False where the file system cannot."""
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as exc:
            if exc.errno in _CANNOT_CLONE:
                return False
            raise
        return True

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, atomically replacing what had it."""
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError if it is taken."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def rmdir(self, path: Path) -> None:
        """Remove a directory; OSError if something is in it."""
        path.rmdir()

    def chmod(self, path: Path, mode: int) -> None:
        os.chmod(path, mode)

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        """Set when a file was last modified; its access time stays."""
        os.utime(path, ns=(path.stat().st_atime_ns, mtime_ns))

    def set_file_mtime(self, file: BinaryIO, mtime_ns: int) -> None:
        """Set when an open file was last modified, and last read."""
        os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))

    def truncate(self, path: Path, size_bytes: int) -> None:
        os.truncate(path, size_bytes)

    def sql_commit(self, connection: SqlConnection) -> None:
        """Commit the connection's transaction."""
        connection.commit()


def _syncfs(fd: int) -> None:
    import ctypes  # 5 ms that only those who sync a thousand files at once should wait

    # The standard library has os.sync() only, which waits for every file system of the machine.
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def storage_errors(what: str) -> AbstractContextManager[None]:
    """Turn an OSError inside into StorageError or PermissionDenied with one line on what could not be done."""
    return _Translation(what)


class _Translation:
    """A class, because a small commit enters many, and a generator takes three times as long."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, DisdatError):
            raise _translated(self._what, error) from error


def _translated(what: str, error: OSError) -> StorageError:
    if isinstance(error, PermissionError):
        return PermissionDenied(f"cannot {what}: permission denied: {error.filename or ''}".rstrip(": "))
    hint = "free some space and run the command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    where = f": {error.filename}" if error.filename else ""
    return StorageError(f"cannot {what}: {error.strerror or error}{where}", hint=hint)
