"""
Taking in: the bytes of a value, and the user's files and directories, into one bundle's tree.

A path below the bundle's own directory keeps its place there and is never copied. Any other file gets its
base name, or, where another file has that, as much of its path as tells them apart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from disdat.core.digest import Digest
from disdat.core.tree import INLINE_ENTRIES, Entry, Tree, TreeRef, encode_path, to_nodes
from disdat.durable import storage_errors
from disdat.errors import InvalidInput, PathNotFound
from disdat.store.files import StrPath
from disdat.store.objects import ObjectBatch
from disdat.values.serializer import Blob

if TYPE_CHECKING:  # few bundles have files elsewhere
    from disdat.ops.external import External
    from disdat.ops.remoteoutputs import RemotePlace

MAX_DEPTH = 500
"""A tree may have so many directories one inside another; who reads it goes down one call for each."""

Progress = Callable[[int], None]
"""Called with the bytes that were taken in since the last call."""


class Intake:
    """
    What one bundle takes in, as :class:`disdat.values.serializer.Sink`; not for several threads.

    *own_place* gives the place on the remote where its maker may write, if there is one.
    """

    def __init__(
        self,
        batch: ObjectBatch,
        directory: Path,
        *,
        own_place: Callable[[], RemotePlace | None] = lambda: None,
        progress: Progress | None = None,
    ) -> None:
        self._batch = batch
        self._directory = directory
        self._own_place = own_place
        self._progress = progress
        self.elsewhere: dict[str, Entry] = {}
        """The files whose bytes are on the remote only."""
        self._entries: dict[str, Entry] = {}
        self._tree: Tree | None = None
        self._placed: dict[Path, str] = {}
        self._linked: dict[str, str] = {}
        self._taken: set[str] = set()
        self._above: set[str] = set()

    @property
    def tree(self) -> Tree:
        """All files taken in so far."""
        if self._tree is None:
            self._tree = Tree(self._entries)
        return self._tree

    def blob(self) -> AbstractContextManager[Blob]:
        return self._batch.blob()

    def put(self, data: bytes) -> tuple[Digest, int]:
        return self._batch.put(data), len(data)

    def add_files(self, paths: Sequence[Path]) -> list[str]:
        """Take in files; their places in the tree, in order. The same file given twice has one place."""
        absolute = [Path(os.path.abspath(path)) for path in paths]
        new = [path for path in dict.fromkeys(absolute) if path not in self._placed]
        for path in new:
            _check_file(path)
            self._placed[path] = self._take(self._own(path) or self._free_place(path))
        self._capture([os.fspath(path) for path in new], [self._placed[path] for path in new])
        return [self._placed[path] for path in absolute]

    def add_directory(self, path: Path) -> str:
        """Take in every file below a directory; the directory's place in the tree."""
        absolute = Path(os.path.abspath(path))
        if absolute not in self._placed:
            own = self._own(absolute)
            place = self._take(self._free_place(absolute) if own is None else own)
            self.add_tree(absolute, place)
            self._placed[absolute] = place
        return self._placed[absolute]

    def add_links(self, links: Mapping[str, str]) -> dict[str, str]:
        """
        Take in what URLs name, each given with its place in the value; their places in the tree.

        What lies at the bundle's own place on the remote stays there. Raises what :mod:`disdat.ops.external` does.
        """
        from disdat.ops import external  # few values name what is elsewhere

        new = {url: where for url, where in links.items() if url not in self._linked}
        own = {url: where for url, where in new.items() if self.is_own_url(url)}
        for url, where in own.items():
            self._linked[url] = self._leave_there(url, where)
        for found in external.look({url: where for url, where in new.items() if url not in own}):
            place = self._take(self._free_place(Path(found.name)))
            self._entries[place] = self._adopted(found, place) or external.download(found, self._batch)
            self._linked[found.url] = place
            self._report(found.size_bytes)
        self._tree = None
        return {url: self._linked[url] for url in links}

    def _adopted(self, found: External, place: str) -> Entry | None:
        """The entry of a large file that the remote itself has copied; None where it cannot, or need not."""
        if found.data is not None or (own := self._own_place()) is None or (entry := own.adopt(found, place)) is None:
            return None
        self.elsewhere[place] = entry
        return entry

    def _leave_there(self, url: str, where: str) -> str:
        """Take in the file or directory at an own URL, but for its bytes; its place in the tree."""
        own = self._own_place()
        assert own is not None
        for path, entry in own.read(url, where).items():
            if path in self._entries and path not in self.elsewhere:
                raise InvalidInput(f"{where} and another file are both {path!r} in the bundle", hint="rename one")
            self.elsewhere[self._take(path)] = self._entries[path] = entry
            self._report(entry.size_bytes)
        return own.path_of(url) or ""

    def _report(self, size_bytes: int) -> None:
        if self._progress:
            self._progress(size_bytes)

    def add_tree(self, root: Path, place: str) -> None:
        """Take in every file below *root*, at its relative path below *place* (``""``: the tree's root)."""
        prefix = place + "/" if place else ""
        places, paths = [], []
        for relative, path in files_below(root):
            places.append(prefix + relative)
            paths.append(path)
        self._capture(paths, places)

    def add_at(self, path: Path, place: str) -> None:
        """Take in one file at this place of the tree."""
        _check_file(path)
        self._capture([os.fspath(path)], [place])

    def entry(self, path: str) -> Entry:
        return self._entries[path]

    def is_directory(self, path: str) -> bool:
        return path not in self._entries

    def below(self, path: str) -> Tree:
        return self.tree.below(path)

    def is_own_directory(self, path: Path) -> bool:
        """Whether *path* is a directory the bundle's maker was given to write to."""
        return path.is_dir() and bool(self._own(Path(os.path.abspath(path))))

    def is_own_url(self, url: str) -> bool:
        """Whether *url* lies at the place on the remote where the bundle's maker may write."""
        place = self._own_place()
        return place is not None and place.path_of(url) is not None

    def _own(self, path: Path) -> str | None:
        if not path.is_relative_to(self._directory):
            return None
        relative = path.relative_to(self._directory)
        return "" if relative == Path() else encode_path(os.fsencode(relative))

    def _free_place(self, path: Path) -> str:
        parts = PurePosixPath(path).parts[1:]
        for count in range(1, len(parts) + 1):
            place = encode_path(os.fsencode("/".join(parts[-count:])))
            if self._is_free(place):
                return place
        raise InvalidInput(f"no free name for {path} in the bundle", hint="store it in a directory of its own")

    def _is_free(self, place: str) -> bool:
        return place not in self._taken and place not in self._above and self._taken.isdisjoint(_above(place))

    def _take(self, place: str) -> str:
        self._taken.add(place)
        self._above.update(_above(place))
        return place

    def _capture(self, paths: Sequence[str], places: Sequence[str]) -> None:
        for place in places:
            if place.count("/") > MAX_DEPTH:
                raise _too_deep(place)
        inside = os.path.join(self._directory, "")
        own = {path for path in paths if path.startswith(inside)}
        self._check_inside({os.path.dirname(path) for path in own})
        outside = [path for path in paths if path not in own]
        stored = iter(self._batch.put_files(outside, progress=self._progress))
        adopted = iter(self._batch.adopt_files([Path(path) for path in paths if path in own]))
        for path, place in zip(paths, places, strict=True):
            self._entries[place] = next(adopted if path in own else stored)
        self._tree = None

    def _check_inside(self, directories: Iterable[str]) -> None:
        """Refuse what only seems to be the bundle's own: to adopt it would change files that are somebody's."""
        root = os.path.realpath(self._directory)
        for directory in directories:
            real = Path(os.path.realpath(directory))
            if not real.is_relative_to(root):
                raise InvalidInput(
                    f"{directory} leads out of the bundle's directory through a symbolic link",
                    hint=f"store the files of {real} by their own paths",
                )


def _above(place: str) -> set[str]:
    parts = place.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}


def store_tree(batch: ObjectBatch, tree: Tree) -> Tree | TreeRef:
    """The tree as a manifest holds it: itself when small, else stored as objects."""
    if len(tree) <= INLINE_ENTRIES:
        return tree
    ref, nodes = to_nodes(tree)
    batch.put_known(nodes)
    return ref


def files_below(root: Path) -> Iterator[tuple[str, str]]:
    """
    Every regular file below *root*: its encoded relative path, and where it is.

    Symbolic links are followed where they stay below *root*.

    Raises:
        InvalidInput: A link leaves *root* or leads back to a directory above it, or something is no regular file.
        PathNotFound: A link leads nowhere.
        StorageError: A directory cannot be read.
    """
    real = os.path.realpath(root)
    with storage_errors(f"read {root}"):
        yield from _walk(os.fspath(root), real, "", (real,))


def _walk(directory: str, real_root: str, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Of what is below *directory*, whose encoded path is *prefix*, the real directories down to it being *above*."""
    with os.scandir(directory) as entries:
        found = sorted(entries, key=attrgetter("name"))
    for entry in found:
        real = os.path.realpath(entry.path) if entry.is_symlink() else ""
        if real:
            _check_link(entry.path, real, real_root)
        place = prefix + encode_path(os.fsencode(entry.name))
        if entry.is_dir():
            inside = real or os.path.join(above[-1], entry.name)
            if inside in above:
                raise InvalidInput(
                    f"the symbolic link {entry.path} leads back to a directory above it", hint="remove it"
                )
            if len(above) > MAX_DEPTH:
                raise _too_deep(entry.path)
            yield from _walk(entry.path, real_root, place + "/", (*above, inside))
        else:
            if not entry.is_file(follow_symlinks=False):
                _check_file(entry.path)
            yield place, entry.path


def _too_deep(path: str) -> InvalidInput:
    return InvalidInput(
        f"{path[:80]}… lies more than {MAX_DEPTH} directories deep", hint="store an archive of the directory instead"
    )


def _check_link(path: str, real: str, real_root: str) -> None:
    if not os.path.exists(real):
        raise PathNotFound(f"the symbolic link {path} leads nowhere", hint="remove it, or make its target")
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise InvalidInput(
            f"the symbolic link {path} leaves the directory that is added",
            hint=f"add {real} itself, or copy it in its place",
        )


def _check_file(path: StrPath) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as exc:
        raise PathNotFound(f"no such file: {path}", hint="check the path") from exc
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is not a regular file or directory", hint="copy its content to a file first")
