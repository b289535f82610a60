"""What reading a bundle's value needs of the store: :class:`disdat.values.serializer.Source` for one bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from disdat import config
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.places import file_key, url_of
from disdat.core.tree import Entry, Tree, TreeRef, check_path, decode_path, from_nodes
from disdat.durable import storage_errors
from disdat.errors import Conflict, Corrupt, InvalidInput, ObjectNotFound
from disdat.remote.known import Presence

_T = TypeVar("_T")


class BundleSource:
    """The bytes and files of one bundle. A file's path is made when it is first asked for, and stays."""

    def __init__(self, context: Context, bundle: Bundle) -> None:
        self._context = context
        self._bundle = bundle
        self._names_checked = False

    @property
    def trusted(self) -> bool:
        """Whether what the bundle pickled may be unpickled: it was made here, or the user trusts its remote."""
        binding = self._context.binding
        if binding is not None and config.load().trusts(binding.url):
            return True
        return self._is_own and not self._context.catalog.came([self._bundle.uuid])

    @property
    def _is_own(self) -> bool:
        """Whether its manifest says so."""
        return self._bundle.home == self._context.home.known_id

    def bring(self) -> None:
        """
        Fetch at once what is not here, for who will read all of it; raises what localizing does.

        On a plain remote files are read where they lie, and nothing is fetched before it is asked for.
        """
        if self._context.binding is None or self._context.binding.layout == "plain":
            return
        noted = self._context.remote.known.presence([self._bundle.uuid])
        if any(state is not Presence.LOCAL for state in noted.values()):
            from disdat.ops import localizing  # most of what is read is here

            localizing.bring_bundles(self._context, [self._bundle])

    @cached_property
    def tree(self) -> Tree:
        """All files of the bundle."""
        tree = self._bundle.tree
        if not isinstance(tree, TreeRef):
            return tree
        return self._brought(
            lambda: from_nodes(tree.root, self._context.home.store.read),
            lambda localizing: localizing.bring_trees(self._context, [self._bundle]),
        )

    def read(self, digest: Digest) -> bytes:
        return self._with([digest], lambda: self._context.home.store.read(digest))

    def open_path(self, digest: Digest) -> tuple[Path, int, int]:
        return self._with([digest], lambda: self._context.home.store.open_path(digest))

    def file(self, path: str) -> Path:
        """The local path of one file, verified."""
        target, entry = self._place(path), self._entry(path)
        self._check_names()
        self._with([entry.digest], lambda: self._context.home.store.materialize(entry, target))
        return target

    def directory(self, path: str) -> Path:
        """The local path of a directory, every file below it there and verified."""
        self._bring_files(self._below(path))
        directory = self._place(path)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def locate(self, paths: Sequence[str]) -> list[str]:
        """
        What files are read by: their local paths, each there and verified.

        On a plain remote nothing is fetched: the URL of a file that lies there under its own name, and not here.
        """
        files = {path: self._entry(path) for path in paths}
        urls = self._urls(self._absent(files))
        self._bring_files({path: entry for path, entry in files.items() if path not in urls})
        return [urls.get(path) or str(self._place(path)) for path in paths]

    def locate_directory(self, path: str) -> str:
        """What a directory is read by, as :meth:`locate`: by its URL, if that has all its files."""
        files = self._below(path)
        if self._absent(files) and len(self._urls(files)) == len(files):
            return self._url(path)
        return str(self.directory(path))

    def below(self, path: str) -> Tree:
        """The files below a directory, their paths relative to it."""
        return self.tree.below(path)

    def _with(self, digests: Sequence[Digest], use: Callable[[], _T]) -> _T:
        """What *use* gives; where an object it needs is not here, all of *digests* are fetched first."""
        return self._brought(use, lambda localizing: localizing.bring_absent(self._context, dict.fromkeys(digests, 0)))

    def _brought(self, use: Callable[[], _T], bring: Callable[[ModuleType], object]) -> _T:
        if self._context.binding is None:
            return use()
        try:
            return use()
        except ObjectNotFound:
            from disdat.ops import localizing, presence  # most of what is read is here

            bring(localizing)
            presence.look(self._context, [self._bundle.uuid])
            return use()

    def _entry(self, path: str) -> Entry:
        if path not in self.tree:
            raise Corrupt(f"bundle {self._bundle.uuid} names a file it does not have: {path!r}")
        return self.tree[path]

    def _below(self, path: str) -> dict[str, Entry]:
        """The files below a directory, by their paths in the tree."""
        if path:
            _check_inside(path)
        prefix = path + "/" if path else ""
        return {prefix + name: entry for name, entry in self.tree.below(path).items()}

    def _bring_files(self, files: Mapping[str, Entry]) -> None:
        """Have files at their local paths, fetched if need be."""
        self._check_names()
        placed = [(entry, self._place(path)) for path, entry in files.items()]
        self._with([entry.digest for entry, _ in placed], lambda: self._context.home.store.materialize_many(placed))

    def _check_names(self) -> None:
        """Conflict where the home cannot have all files of a bundle that was made in another one."""
        if self._names_checked or self._is_own:
            return
        from disdat.store import names  # most of what is read was made here

        directory = self._context.bundle_directory(self._bundle.uuid)
        with storage_errors(f"make {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
        try:
            paths = self.tree.keys()
            names.check(paths, str(directory), alike=names.clashes(paths), trial_in=str(directory))
        except Conflict:
            with suppress(OSError):  # there is something in it
                directory.rmdir()
            raise
        self._names_checked = True

    def _absent(self, files: Mapping[str, Entry]) -> dict[str, Entry]:
        """Those of some files that are not here and may be read by URL."""
        binding = self._context.binding
        if binding is None or binding.layout != "plain":
            return {}
        here = self._context.home.store.has_many({entry.digest for entry in files.values()})
        return {path: entry for path, entry in files.items() if entry.digest not in here}

    def _urls(self, files: Mapping[str, Entry]) -> dict[str, str]:
        """The URLs of those of some files that lie on the remote under their own names."""
        if not files or self._context.binding is None:
            return {}
        keys = {path: file_key(self._context.binding.name, self._bundle.uuid, path) for path in files}
        known = self._context.remote.known.places({entry.digest for entry in files.values()})
        return {
            path: self._url(path)
            for path, entry in files.items()
            if any(place.key == keys[path] for place in known.get(entry.digest, ()))
        }

    def _url(self, path: str) -> str:
        """The URL of what is at a path of the tree."""
        assert self._context.binding is not None
        binding = self._context.binding
        return url_of(binding.url, file_key(binding.name, self._bundle.uuid, path).rstrip("/"))

    def _place(self, path: str) -> Path:
        return self._context.bundle_directory(self._bundle.uuid) / os.fsdecode(decode_path(path))


def _check_inside(path: str) -> None:
    """Corrupt for a path that leads out of the bundle's directory: no tree has one, but a manifest may name one."""
    try:
        check_path(path)
    except InvalidInput as exc:
        raise Corrupt(str(exc)) from exc
