"""What reading a bundle's value needs of the store: :class:`disdat.values.serializer.Source` for one bundle."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import Tree, TreeRef, check_path, decode_path, from_nodes
from disdat.errors import Corrupt, InvalidInput


class BundleSource:
    """The bytes and files of one bundle. A file's path is made when it is first asked for, and stays."""

    def __init__(self, context: Context, bundle: Bundle) -> None:
        self._context = context
        self._bundle = bundle

    @property
    def trusted(self) -> bool:
        """Whether the bundle was made in this home, so that what it pickled may be unpickled."""
        return self._bundle.home == self._context.home.known_id

    @cached_property
    def tree(self) -> Tree:
        """All files of the bundle."""
        tree = self._bundle.tree
        return from_nodes(tree.root, self._context.home.store.read) if isinstance(tree, TreeRef) else tree

    def read(self, digest: Digest) -> bytes:
        return self._context.home.store.read(digest)

    def open_path(self, digest: Digest) -> tuple[Path, int, int]:
        return self._context.home.store.open_path(digest)

    def file(self, path: str) -> Path:
        """The local path of one file, verified."""
        if path not in self.tree:
            raise Corrupt(f"bundle {self._bundle.uuid} names a file it does not have: {path!r}")
        target = self._place(path)
        self._context.home.store.materialize(self.tree[path], target)
        return target

    def directory(self, path: str) -> Path:
        """The local path of a directory, every file below it there and verified."""
        if path:
            _check_inside(path)
        prefix = path + "/" if path else ""
        below = self.tree.below(path).items()
        self._context.home.store.materialize_many((entry, self._place(prefix + name)) for name, entry in below)
        directory = self._place(path)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def below(self, path: str) -> Tree:
        """The files below a directory, their paths relative to it."""
        return self.tree.below(path)

    def _place(self, path: str) -> Path:
        return self._context.bundle_directory(self._bundle.uuid) / os.fsdecode(decode_path(path))


def _check_inside(path: str) -> None:
    """Corrupt for a path that leads out of the bundle's directory: no tree has one, but a manifest may name one."""
    try:
        check_path(path)
    except InvalidInput as exc:
        raise Corrupt(str(exc)) from exc
