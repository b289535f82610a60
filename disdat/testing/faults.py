"""
Faults on demand: a disk that writes down what is done to it, and one that fails when it is told to.

What a :class:`RecordingDisk` wrote down can be played back: :func:`replay` and :func:`replay_synced` rebuild the
directory as a power cut after any step could leave it, with all that was written or with only what was synced.
A call of :class:`disdat.durable.Disk` is one step.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from disdat.durable import Disk, SqlConnection


@dataclass(frozen=True, slots=True)
class Call:
    """One step. Paths are relative to the recorder's root; what a step has no use for is empty."""

    name: str
    """The method of :class:`~disdat.durable.Disk`; ``found`` for a file somebody else made meanwhile."""
    path: str
    target: str = ""
    offset: int = 0
    size_bytes: int = 0
    mode: int = 0
    data: bytes = b""
    wal: bytes = b""
    """Of a database that is committed: the bytes of its write-ahead log; :attr:`data` are those of the file itself."""

    def __str__(self) -> str:
        return f"{self.name} {self.path}" + (f" -> {self.target}" if self.target else "")


class RecordingDisk(Disk):
    """
    The real disk, each change of which below *root* is noted in :attr:`calls`, in order, with its bytes.

    Several threads may use it. It shares no blocks between files, so that every byte is seen.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[Call] = []
        self._lock = threading.RLock()
        self._known = {path for path in root.rglob("*") if path.is_file()}
        self._paths: weakref.WeakKeyDictionary[Any, Path] = weakref.WeakKeyDictionary()

    def mkdir(self, path: Path) -> None:
        with self._lock:
            if not path.is_dir():
                self._note("mkdir", path)
            super().mkdir(path)

    def create(self, path: Path) -> BinaryIO:
        with self._lock:
            file = super().create(path)
            self._opened(file, path)
            self._note("create", path)
            return file

    def make_file(self, path: str, data: bytes | memoryview, mode: int, mtime_ns: int) -> os.stat_result:
        with self._lock:
            made = super().make_file(path, data, mode, mtime_ns)
            self._known.add(Path(path))
            self._note("create", Path(path))
            self._note("write", Path(path), data=bytes(data))
            self._note("chmod", Path(path), mode=made.st_mode & 0o777)
            return made

    def open_append(self, path: Path) -> BinaryIO:
        with self._lock:
            is_new = not path.exists()
            file = super().open_append(path)
            if is_new:
                self._note("create", path)
            self._opened(file, path)
            return file

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        with self._lock:
            size_bytes = os.fstat(file.fileno()).st_size
            appends = "a" in file.mode
            self._note("write", self._paths[file], offset=size_bytes if appends else file.tell(), data=bytes(data))
            super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        super().sync(file)
        self._note("sync", self._paths[file])

    def sync_path(self, path: Path) -> None:
        super().sync_path(path)
        self._note("sync", path)

    def sync_dir(self, path: Path) -> None:
        super().sync_dir(path)
        self._note("sync_dir", path)

    def sync_file_system(self, path: Path) -> None:
        super().sync_file_system(path)
        self._note("sync_file_system", path)

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        return False

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            self._note("rename", source, target=target)
            super().rename(source, target)
            for file, path in list(self._paths.items()):
                if path == source:
                    self._paths[file] = target
            self._known = {target / p.relative_to(source) if p.is_relative_to(source) else p for p in self._known}

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            super().link(source, target)
            self._note("link", source, target=target)
            self._known.add(target)

    def unlink(self, path: Path) -> None:
        with self._lock:
            super().unlink(path)
            self._note("unlink", path)
            self._known.discard(path)

    def rmdir(self, path: Path) -> None:
        with self._lock:
            super().rmdir(path)
            self._note("rmdir", path)

    def chmod(self, path: Path, mode: int) -> None:
        with self._lock:
            self._note("chmod", path, mode=mode)
            super().chmod(path, mode)

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        with self._lock:
            self._note("set_mtime", path)
            super().set_mtime(path, mtime_ns)

    def set_file_mtime(self, file: BinaryIO, mtime_ns: int) -> None:
        with self._lock:
            self._note("set_mtime", self._paths[file])
            super().set_file_mtime(file, mtime_ns)

    def truncate(self, path: Path, size_bytes: int) -> None:
        with self._lock:
            self._note("truncate", path, size_bytes=size_bytes)
            super().truncate(path, size_bytes)

    def sql_commit(self, connection: SqlConnection) -> None:
        """Commit, and note the database's files as they are then."""
        with self._lock:
            super().sql_commit(connection)
            path = Path(_database(connection))
            wal = Path(f"{path}-wal")
            if path.is_file():
                self._known |= {path, wal}
                log = wal.read_bytes() if wal.is_file() else b""
                self._note("sql_commit", path, data=path.read_bytes(), wal=log)

    def _opened(self, file: BinaryIO, path: Path) -> None:
        self._paths[file] = path
        self._known.add(path)

    def _note(
        self,
        name: str,
        path: Path,
        *,
        target: Path | None = None,
        offset: int = 0,
        size_bytes: int = 0,
        mode: int = 0,
        data: bytes = b"",
        wal: bytes = b"",
    ) -> None:
        if not path.is_relative_to(self.root):
            return
        with self._lock:
            if name not in {"create", "unlink", "sql_commit"} and path.is_file() and path not in self._known:
                self._known.add(path)
                self.calls.append(Call("found", self._relative(path), data=path.read_bytes()))
            where = self._relative(target) if target else ""
            self.calls.append(Call(name, self._relative(path), where, offset, size_bytes, mode, data, wal))

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.root)


class Crash(BaseException):
    """The process was killed, as far as what runs in it can tell: no ``except Exception`` stops it."""


def _io_error() -> BaseException:
    return OSError(errno.EIO, os.strerror(errno.EIO))


class FailingDisk(Disk):
    """
    The real disk up to its *at*-th change, counted from 1; that one and all after it are refused.

    *error* makes what is raised: by default OSError(EIO); give :class:`Crash` for a kill, or a full disk. The
    write that fails leaves half of its bytes. :attr:`reached` says whether it came to that: a test that tries
    every *at* ends with the first it did not reach.
    """

    def __init__(self, at: int, *, error: Callable[[], BaseException] = _io_error) -> None:
        self._at, self._error = at, error
        self._count = 0
        self._lock = threading.Lock()

    @property
    def reached(self) -> bool:
        return self._count >= self._at

    def mkdir(self, path: Path) -> None:
        if not path.is_dir():
            self._step()
        super().mkdir(path)

    def create(self, path: Path) -> BinaryIO:
        self._step()
        return super().create(path)

    def make_file(self, path: str, data: bytes | memoryview, mode: int, mtime_ns: int) -> os.stat_result:
        was_reached = self.reached
        try:
            self._step()
        except BaseException:
            if not was_reached:
                super().make_file(path, data[: len(data) // 2], mode, mtime_ns)
            raise
        return super().make_file(path, data, mode, mtime_ns)

    def open_append(self, path: Path) -> BinaryIO:
        if not path.exists():
            self._step()
        return super().open_append(path)

    def write(self, file: BinaryIO, data: bytes | memoryview) -> None:
        was_reached = self.reached
        try:
            self._step()
        except BaseException:
            if not was_reached:
                super().write(file, memoryview(data)[: len(data) // 2])
            raise
        super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._step()
        super().sync(file)

    def sync_path(self, path: Path) -> None:
        self._step()
        super().sync_path(path)

    def sync_dir(self, path: Path) -> None:
        self._step()
        super().sync_dir(path)

    def sync_file_system(self, path: Path) -> None:
        self._step()
        super().sync_file_system(path)

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        return False

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._step()
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)

    def rmdir(self, path: Path) -> None:
        self._step()
        super().rmdir(path)

    def chmod(self, path: Path, mode: int) -> None:
        self._step()
        super().chmod(path, mode)

    def set_mtime(self, path: Path, mtime_ns: int) -> None:
        self._step()
        super().set_mtime(path, mtime_ns)

    def set_file_mtime(self, file: BinaryIO, mtime_ns: int) -> None:
        self._step()
        super().set_file_mtime(file, mtime_ns)

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._step()
        super().truncate(path, size_bytes)

    def sql_commit(self, connection: SqlConnection) -> None:
        self._step()
        super().sql_commit(connection)

    def _step(self) -> None:
        with self._lock:
            self._count += 1
            if self.reached:
                raise self._error()


def replay(initial: Path, calls: Sequence[Call], target: Path) -> None:
    """Make *target* the directory *initial* as it is after *calls*, all of which have reached the disk."""
    _Model.of(initial, calls).write(target, lambda directory: directory.names, lambda file: file.now)


def replay_synced(initial: Path, calls: Sequence[Call], target: Path) -> None:
    """
    Make *target* the directory *initial* as it is after *calls* and a power cut that takes all it can.

    Bytes that were not synced are gone, and so are names, and removals of names, whose directory was not; a file
    whose name alone was synced is empty. Of a database what it was in the beginning is left.
    """
    _Model.of(initial, calls).write(target, lambda directory: directory.synced, lambda file: file.synced)


def crash_states(initial: Path, calls: Sequence[Call], scratch: Path) -> Iterator[tuple[str, Path]]:
    """
    Yield, for every number of steps and both ways to lose power after them, what that is and the directory left.

    A directory is in *scratch*, where the caller may change it; it is removed before the next is made.
    """
    for count in range(len(calls) + 1):
        last = f"after {count} steps" + (f", the last being {calls[count - 1]}" if count else "")
        for what, rebuild in (("all written", replay), ("only what was synced", replay_synced)):
            target = scratch / "state"
            rebuild(initial, calls[:count], target)
            yield f"{what} {last}", target
            shutil.rmtree(target)


@dataclass(frozen=True, slots=True)
class _Content:
    data: bytes
    mode: int


@dataclass(eq=False, slots=True)
class _File:
    """An inode: what it holds, and what it would after a power cut."""

    now: _Content
    synced: _Content

    def sync(self) -> None:
        self.synced = self.now


@dataclass(eq=False, slots=True)
class _Directory:
    names: dict[str, _File | _Directory] = field(default_factory=dict)
    synced: dict[str, _File | _Directory] = field(default_factory=dict)

    def sync(self) -> None:
        self.synced = dict(self.names)


_Names = Callable[[_Directory], "dict[str, _File | _Directory]"]
_EMPTY = _Content(b"", 0o644)


class _Model:
    """A file system in memory that knows what was synced."""

    def __init__(self) -> None:
        self._root = _Directory()

    @classmethod
    def of(cls, initial: Path, calls: Sequence[Call]) -> _Model:
        model = cls()
        if initial.is_dir():
            model._load(initial)
        model._sync_all(model._root)
        for call in calls:
            getattr(model, f"_do_{call.name}")(call)
        return model

    def write(self, target: Path, names: _Names, content: Callable[[_File], _Content]) -> None:
        """Write it out; files that were one inode are one again."""
        self._write_directory(self._root, target, names, content, {})

    def _write_directory(
        self,
        directory: _Directory,
        target: Path,
        names: _Names,
        content: Callable[[_File], _Content],
        written: dict[_File, Path],
    ) -> None:
        target.mkdir()
        for name, node in names(directory).items():
            path = target / name
            if isinstance(node, _Directory):
                self._write_directory(node, path, names, content, written)
            elif node in written:
                os.link(written[node], path)
            else:
                path.write_bytes(content(node).data)
                path.chmod(content(node).mode)
                written[node] = path

    def _load(self, initial: Path) -> None:
        inodes: dict[tuple[int, int], _File] = {}
        for path in sorted(initial.rglob("*")):
            where = str(path.relative_to(initial))
            if path.is_dir():
                self._make_directory(where)
                continue
            found = path.stat()
            content = _Content(path.read_bytes(), found.st_mode & 0o777)
            file = inodes.setdefault((found.st_dev, found.st_ino), _File(content, content))
            self._parent(where).names[Path(where).name] = file

    def _sync_all(self, directory: _Directory) -> None:
        directory.sync()
        for node in directory.names.values():
            if isinstance(node, _Directory):
                self._sync_all(node)
            else:
                node.sync()

    def _make_directory(self, where: str) -> _Directory:
        directory = self._root
        for part in Path(where).parts:
            child = directory.names.setdefault(part, _Directory())
            assert isinstance(child, _Directory), where
            directory = child
        return directory

    def _parent(self, where: str) -> _Directory:
        return self._make_directory(os.path.dirname(where))

    def _file(self, where: str) -> _File:
        file = self._parent(where).names[Path(where).name]
        assert isinstance(file, _File), where
        return file

    def _do_found(self, call: Call) -> None:
        self._put(call.path, call.data)

    def _do_create(self, call: Call) -> None:
        self._put(call.path, b"")

    def _do_sql_commit(self, call: Call) -> None:
        self._put(call.path, call.data)
        if call.wal:
            self._put(f"{call.path}-wal", call.wal)
        else:
            self._parent(call.path).names.pop(f"{Path(call.path).name}-wal", None)

    def _put(self, where: str, data: bytes) -> None:
        """A new file; where there is one, as of a database, new bytes in it that are not synced."""
        file = self._parent(where).names.setdefault(Path(where).name, _File(_EMPTY, _EMPTY))
        assert isinstance(file, _File), where
        file.now = _Content(data, file.now.mode)

    def _do_mkdir(self, call: Call) -> None:
        self._make_directory(call.path)

    def _do_write(self, call: Call) -> None:
        file = self._file(call.path)
        before = file.now.data.ljust(call.offset, b"\0")
        data = before[: call.offset] + call.data + before[call.offset + len(call.data) :]
        file.now = _Content(data, file.now.mode)

    def _do_sync(self, call: Call) -> None:
        self._file(call.path).sync()

    def _do_sync_dir(self, call: Call) -> None:
        self._make_directory(call.path).sync()

    def _do_sync_file_system(self, call: Call) -> None:
        self._sync_all(self._root)

    def _do_rename(self, call: Call) -> None:
        node = self._parent(call.path).names[Path(call.path).name]
        if self._parent(call.target).names.get(Path(call.target).name) is not node:
            del self._parent(call.path).names[Path(call.path).name]
            self._parent(call.target).names[Path(call.target).name] = node

    def _do_link(self, call: Call) -> None:
        self._parent(call.target).names[Path(call.target).name] = self._file(call.path)

    def _do_unlink(self, call: Call) -> None:
        self._parent(call.path).names.pop(Path(call.path).name, None)

    def _do_rmdir(self, call: Call) -> None:
        self._parent(call.path).names.pop(Path(call.path).name, None)

    def _do_chmod(self, call: Call) -> None:
        file = self._file(call.path)
        file.now = _Content(file.now.data, call.mode)

    def _do_set_mtime(self, call: Call) -> None:
        """Times are not part of the model."""

    def _do_truncate(self, call: Call) -> None:
        file = self._file(call.path)
        file.now = _Content(file.now.data[: call.size_bytes].ljust(call.size_bytes, b"\0"), file.now.mode)


def _database(connection: Any) -> str:  # an SQLAlchemy or a sqlite3 connection, without importing either
    engine = getattr(connection, "engine", None)
    if engine is not None:
        return str(engine.url.database)
    return str(connection.execute("PRAGMA database_list").fetchone()[2])
