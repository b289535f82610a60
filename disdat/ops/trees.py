"""Going through trees that are stored as objects, level by level, where many share most of what they consist of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from disdat.core import tree
from disdat.core.digest import Digest
from disdat.errors import ObjectNotFound

Fresh = Callable[[Iterable[Digest]], Iterable[Digest]]
"""Those of some nodes below which something is still to be noted."""
Note = Callable[[Iterable[Digest]], None]
"""Told what a node names: the files in it, and the nodes of its directories."""


class Peek(Protocol):
    """Reads objects, wherever they are."""

    def read(self, digest: Digest) -> bytes:
        """The bytes of an object, verified; ObjectNotFound where there is none, Corrupt where it is damaged."""

    def read_many(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes | None]]:
        """Yield objects with their bytes, in no order; None for those that :meth:`read` must look for."""


def walk(peek: Peek, root: Digest, *, fresh: Fresh, note: Note, lost: Callable[[Digest], None] | None = None) -> None:
    """
    Tell *note* all a tree consists of but its root, except what lies below nodes that are not *fresh*.

    Raises:
        ObjectNotFound: A node is nowhere, unless *lost* is told that.
        Corrupt: One is damaged.
    """
    level = list(fresh([root]))
    while level:
        below: list[Digest] = []
        for digest, found in peek.read_many(level):
            try:
                data = peek.read(digest) if found is None else found
            except ObjectNotFound:
                if lost is None:
                    raise
                lost(digest)
                continue
            links = tree.links(digest, data)
            note(child for _, child in (*links.files, *links.nodes))
            below += fresh(child for _, child in links.nodes)
        level = below
