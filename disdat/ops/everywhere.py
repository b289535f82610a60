"""All contexts of a home, the deleted ones too, to be asked what they need by who holds the store's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from disdat.catalog.catalog import Catalog
from disdat.catalog.keeping import Keeping, Refolded
from disdat.catalog.log import Log
from disdat.context import UNFINISHED, Context, Home
from disdat.durable import storage_errors
from disdat.errors import Corrupt, ObjectNotFound
from disdat.store.peek import Peek

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A context, by its directory; one in the trash is called as it is there.

    With :attr:`refolded` its log alone is asked, and not ``catalog.db``.
    """

    name: str
    directory: Path
    is_deleted: bool
    catalog: Catalog
    refolded: Refolded | None = None

    def ask(self, look: Callable[[Keeping], T]) -> T:
        """
        What *look* makes of what the context has to say.

        Raises:
            Corrupt, ObjectNotFound: It cannot be read; the message says of which context.
        """
        try:
            if self.refolded is None:
                return self.catalog.keeping(look)
            return self.refolded.keeping(look, seen=self.catalog.keeping(Keeping.seen))
        except (Corrupt, ObjectNotFound) as exc:
            exc.message = f"the context {self.name!r} cannot be asked what it needs: {exc.message}"
            exc.args = (exc.message,)
            exc.hint = exc.hint or f"`dsdt --context {self.name} verify` says what is wrong"
            raise

    def close(self) -> None:
        """Let go of its files."""
        self.catalog.close()
        if self.refolded is not None:
            self.refolded.close()


@contextmanager
def contexts(home: Home, deleted: Iterable[Path], peek: Peek, *, refold: bool = False) -> Iterator[list[Asked]]:
    """
    Every context, and those *deleted* in the trash; whatever has a log counts, though the rest of it be lost.

    Their catalogs read objects by *peek*, without a lock. With *refold* it is their logs that are asked.

    Raises:
        Corrupt: There is a context that cannot be seen, so that nobody knows what it needs.
    """
    found: list[Asked] = []
    try:
        for directory in _directories(home):
            if (directory / "context.json").is_file():
                Context(home, directory.name).settings  # noqa: B018 - refuses one of a later version
            found.append(_asked(home, directory, peek, refold=refold, is_deleted=False))
        found += [_asked(home, directory, peek, refold=refold, is_deleted=True) for directory in deleted]
        yield found
    finally:
        for each in found:
            each.close()


def _directories(home: Home) -> list[Path]:
    """The directories of contexts; one whose name is hidden is still being made, and nobody's yet."""
    root = home.root / "context"
    with storage_errors(f"list the contexts of {home.root}"):
        candidates = sorted(root.iterdir()) if root.is_dir() else []
        visible = [path for path in candidates if not path.name.startswith(".")]
        return [path for path in visible if _is_context(path)]


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


def _asked(home: Home, directory: Path, peek: Peek, *, refold: bool, is_deleted: bool) -> Asked:
    catalog = Catalog(directory, writer=lambda: home.id, now_us=home.clock_us, fetch=peek.read, disk=home.disk)
    refolded = Refolded(Log(directory / "log", disk=home.disk), peek.read) if refold else None
    return Asked(directory.name, directory, is_deleted, catalog, refolded)
