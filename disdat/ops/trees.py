"""Going through trees that are stored as objects, level by level, where many share most of what they consist of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from disdat.core import tree
from disdat.core.digest import Digest
from disdat.errors import ObjectNotFound
from disdat.store.peek import Peek

Fresh = Callable[[Iterable[Digest]], Iterable[Digest]]
"""Those of some nodes below which something is still to be noted."""
Note = Callable[[Iterable[Digest]], None]
"""Told what a node names: the files in it, and the nodes of its directories."""


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
