"""
All contexts of a home, the deleted ones too, to be asked what they need.

Who holds the store's lock alone is :attr:`Asking.settled`: no context is deleted meanwhile. For others one that is,
is asked in the trash, where it goes on counting.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from disdat.catalog.catalog import Catalog
from disdat.catalog.keeping import Keeping, Refolded
from disdat.catalog.log import Log
from disdat.context import Context, Home
from disdat.core.digest import Digest
from disdat.durable import storage_errors
from disdat.errors import ContextNotFound, Corrupt, DisdatError, ObjectNotFound, UnknownFormat
from disdat.making import UNFINISHED
from disdat.remote import known
from disdat.remote.known import Known
from disdat.store.collect import Collector
from disdat.store.peek import Peek
from disdat.store.trash import Trash

T = TypeVar("T")

_Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Asking:
    """How contexts are asked; their catalogs read objects by *peek*, without a lock."""

    home: Home
    peek: Peek
    trash: Trash
    settled: bool = False
    """Whether nobody can delete a context meanwhile."""
    refold: bool = False
    """Whether their logs alone are asked, and not ``catalog.db``."""

    @classmethod
    def of(cls, home: Home, collector: Collector, *, settled: bool = False, refold: bool = False) -> Asking:
        """To ask for one collection, or one look."""
        return cls(home, collector.peek(), collector.trash, settled, refold)


class Purged(Exception):
    """A context that was to be asked was deleted, and purged, since: it needs nothing."""


class Asked:
    """A context, by its directory; one in the trash is called as it is there."""

    def __init__(self, directory: Path, asking: Asking, *, is_deleted: bool) -> None:
        self.name = directory.name
        self.directory = directory
        self.is_deleted = is_deleted
        self.inode = _inode(directory)
        self._asking = asking
        self._open()

    def ask(self, look: Callable[[Keeping], T]) -> T:
        """
        What *look* makes of what the context has to say; where it is deleted meanwhile, *look* is asked again.

        Raises:
            Corrupt, ObjectNotFound: It cannot be read; the message says of which context.
            Purged: It is nowhere any more.
        """
        return self._wherever_it_is(lambda: self._ask(look))

    def present(self, uuids: Sequence[str]) -> set[str]:
        """Those of some bundles that are present. Raises as :meth:`ask`."""
        return self._wherever_it_is(lambda: set(self._catalog.rows(uuids)))

    def on_remote(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of some objects that its remote has, as far as is known here."""
        return set(self._known.places(digests)) if self._known is not None else set()

    def check_elsewhere(self, digest: Digest) -> None:
        """ObjectNotFound unless the remote has an object that is not here."""
        if not self.on_remote([digest]):
            raise ObjectNotFound(f"object {digest} is neither in the store nor in its trash")

    def close(self) -> None:
        """Let go of its files."""
        self._catalog.close()
        if self._known is not None:
            self._known.close()
        if self._refolded is not None:
            self._refolded.close()

    def _open(self) -> None:
        home, fetch = self._asking.home, self._asking.peek.read
        log = Log(self.directory / "log", disk=home.disk)
        self._catalog = Catalog(
            self.directory, writer=lambda: home.id, now_us=home.clock_us, fetch=fetch, disk=home.disk
        )
        self._refolded = Refolded(log, fetch) if self._asking.refold else None
        is_bound = os.path.exists(self.directory / known.NAME)
        self._known = Known(self.directory, disk=home.disk) if is_bound else None

    def _ask(self, look: Callable[[Keeping], T]) -> T:
        try:
            if self._refolded is None:
                return self._catalog.keeping(look)
            return self._refolded.keeping(look, seen=self._catalog.keeping(Keeping.seen))
        except (Corrupt, ObjectNotFound) as exc:
            exc.message = f"the context {self.name!r} cannot be asked what it needs: {exc.message}"
            exc.args = (exc.message,)
            if self.is_deleted and not isinstance(exc, UnknownFormat):
                exc.hint = "`dsdt gc --purge --grace 0` deletes it for good, with all that is in the trash"
            exc.hint = exc.hint or f"`{shlex.join(['dsdt', '--context', self.name, 'verify'])}` says what is wrong"
            raise

    def _wherever_it_is(self, act: Callable[[], T]) -> T:
        while True:
            try:
                found = act()
            except (DisdatError, OSError):
                if self._is_here():
                    raise
            else:
                if self._is_here():
                    return found
            self._follow()

    def _is_here(self) -> bool:
        """Whether it is where it was opened: another one of its name may be there by now."""
        return self._asking.settled or _inode_or_none(self.directory) == self.inode

    def _follow(self) -> None:
        """Ask the context where it is in the trash from now on."""
        for path, _ in self._asking.trash.contexts():
            if _inode_or_none(path) == self.inode:
                self.close()
                self.directory, self.is_deleted = path, True
                self._open()
                return
        raise Purged(self.name)


@contextmanager
def contexts(asking: Asking, *, without: Sequence[Path] = ()) -> Iterator[list[Asked]]:
    """
    Every context, and those in the trash but *without* some; whatever has a log counts, though the rest of it be lost.

    Raises:
        Corrupt: There is a context that cannot be seen, so that nobody knows what it needs.
    """
    found: list[Asked] = []
    try:
        for directory in _directories(asking.home):
            with suppress(FileNotFoundError, ContextNotFound):  # it was deleted just now: see below
                if (directory / "context.json").is_file():
                    Context(asking.home, directory.name).settings  # noqa: B018 - refuses one of a later version
                found.append(Asked(directory, asking, is_deleted=False))
        # Listed last: one that is deleted meanwhile is met in one of its places at least.
        inodes = {each.inode for each in found}
        for path, _ in asking.trash.contexts():
            if path not in without and _inode_or_none(path) not in inodes:
                try:
                    found.append(Asked(path, asking, is_deleted=True))
                except OSError:
                    if _inode_or_none(path) is not None:
                        raise  # else it was purged just now, and needs nothing
        yield found
    finally:
        for each in found:
            each.close()


def ask_all(asked: Sequence[Asked], look: Callable[[Asked, Keeping], T]) -> list[T]:
    """What *look* makes of each context, but those that were purged meanwhile."""
    found: list[T] = []
    for each in asked:
        with suppress(Purged):
            found.append(each.ask(partial(look, each)))
    return found


def _inode(directory: Path) -> _Inode:
    found = directory.stat()
    return found.st_dev, found.st_ino


def _inode_or_none(directory: Path) -> _Inode | None:
    with suppress(OSError):
        return _inode(directory)
    return None


def _directories(home: Home) -> list[Path]:
    """The directories of contexts; one whose name is hidden is still being made, and nobody's yet."""
    root = home.root / "context"
    with storage_errors(f"list the contexts of {home.root}"):
        candidates = sorted(root.iterdir()) if root.is_dir() else []
        return [path for path in candidates if not path.name.startswith(".") and _is_there(path)]


def _is_there(path: Path) -> bool:
    try:
        return _is_context(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise
        return False  # it was deleted just now


def _is_context(path: Path) -> bool:
    """Whether it is one; Corrupt where it may be one that cannot be seen: its disk is not mounted, say."""
    log = path / "log"
    is_seen = path.is_dir() and (log.is_dir() or not log.is_symlink())
    if is_seen and ((path / "context.json").is_file() or any(log.glob("*.log"))):
        return True
    if not path.is_symlink() and (path.is_file() or _is_unfinished(path)):
        return False
    raise Corrupt(
        f"nothing is collected: {path} is no context, or one that cannot be seen",
        hint="mount the disk it is on, or restore it; remove it if there is nothing in it",
    )


def _is_unfinished(directory: Path) -> bool:
    """Whether it is exactly what creating a context leaves that is cut off. An empty one may be a mount point."""
    names = {path.name for path in directory.iterdir() if not path.name.startswith(UNFINISHED)}
    return "log" in names <= {"log", "objects"} and not any(any((directory / name).iterdir()) for name in names)
