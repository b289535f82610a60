"""What reading a bundle's value needs of the store: :class:`disdat.values.serializer.Source` for one bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import Tree, TreeRef, check_path, decode_path, from_nodes
from disdat.errors import Corrupt, InvalidInput, ObjectNotFound

_T = TypeVar("_T")


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
        if path not in self.tree:
            raise Corrupt(f"bundle {self._bundle.uuid} names a file it does not have: {path!r}")
        target, entry = self._place(path), self.tree[path]
        self._with([entry.digest], lambda: self._context.home.store.materialize(entry, target))
        return target

    def directory(self, path: str) -> Path:
        """The local path of a directory, every file below it there and verified."""
        if path:
            _check_inside(path)
        prefix = path + "/" if path else ""
        below = self.tree.below(path)
        placed = [(entry, self._place(prefix + name)) for name, entry in below.items()]
        self._with([entry.digest for entry, _ in placed], lambda: self._context.home.store.materialize_many(placed))
        directory = self._place(path)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def below(self, path: str) -> Tree:
        """The files below a directory, their paths relative to it."""
        return self.tree.below(path)

    def _with(self, digests: Sequence[Digest], use: Callable[[], _T]) -> _T:
        """What *use* gives; where an object it needs is not here, all of *digests* are fetched first."""
        return self._brought(use, lambda localizing: localizing.bring_absent(self._context, digests))

    def _brought(self, use: Callable[[], _T], bring: Callable[[ModuleType], object]) -> _T:
        if self._context.binding is None:
            return use()
        try:
            return use()
        except ObjectNotFound:
            from disdat.ops import localizing  # most of what is read is here

            bring(localizing)
            return use()

    def _place(self, path: str) -> Path:
        return self._context.bundle_directory(self._bundle.uuid) / os.fsdecode(decode_path(path))


def _check_inside(path: str) -> None:
    """Corrupt for a path that leads out of the bundle's directory: no tree has one, but a manifest may name one."""
    try:
        check_path(path)
    except InvalidInput as exc:
        raise Corrupt(str(exc)) from exc
