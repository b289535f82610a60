"""
What bundles need of the store: their manifests, values, files, and the nodes of large trees.

Nodes that bundles share are read once, and what was found of each object is kept in a temporary database, so
neither time nor memory grows with how often the same bytes are used.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import closing
from typing import Any

from disdat.core import canonical, manifest
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import NODE_FORMAT, Tree, TreeRef, from_nodes, links
from disdat.errors import Corrupt, NotFound, ObjectNotFound
from disdat.scratch import Scratch
from disdat.store.collect import portions
from disdat.store.objects import ObjectStore

Fetch = Callable[[Digest], bytes]
Elsewhere = Callable[[Iterable[Digest]], Set[Digest]]
"""Those of some objects that are on a remote."""

_BATCH = 500
_EMPTY_NODE = canonical.encode({"format": NODE_FORMAT, "entries": []})


class Needs(Scratch):
    """
    Objects by digest: which are to be read, and which were found. A context manager; for one thread.

    Of all objects the *share*, a number up to 1, is to be read, chosen at random.
    """

    def __init__(self, share: float = 1) -> None:
        super().__init__(
            "CREATE TABLE need (digest BLOB PRIMARY KEY, size INTEGER NOT NULL, chosen INTEGER NOT NULL,"
            " found INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
        )
        self._share = share

    def add(self, objects: Iterable[tuple[Digest, int]]) -> None:
        """Note objects, each with its size in bytes, or 0 where that is not known."""
        rows = [(digest.raw, size_bytes, random.random() < self._share) for digest, size_bytes in objects]
        self._database.executemany("INSERT OR IGNORE INTO need (digest, size, chosen) VALUES (?, ?, ?)", rows)

    def add_new(self, digest: Digest) -> bool:
        """Note an object; whether it was not noted before."""
        with closing(self._database.cursor()) as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO need (digest, size, chosen) VALUES (?, 0, ?)",
                (digest.raw, random.random() < self._share),
            )
            return cursor.rowcount > 0

    def forget(self, digests: Iterable[Digest]) -> None:
        """Let objects not be among them."""
        self._database.executemany("DELETE FROM need WHERE digest = ?", [(digest.raw,) for digest in digests])

    def among(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of *digests* that are needed."""
        return self._matching("1", digests)

    def chosen(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of *digests* that are needed and to be read."""
        return self._matching("chosen", digests)

    def among_found(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of *digests* that were found."""
        return self._matching("found", digests)

    def found(self, digests: Iterable[Digest]) -> None:
        """Note that these objects are there and, where they were to be read, right."""
        self._database.executemany("UPDATE need SET found = 1 WHERE digest = ?", [(d.raw,) for d in digests])

    def left(self) -> Iterator[tuple[Digest, bool]]:
        """Yield each object that was not found yet, in order, and whether it is to be read."""
        last = b""
        while rows := self._rows(
            "SELECT digest, chosen FROM need WHERE digest > ? AND NOT found ORDER BY digest LIMIT 500", (last,)
        ):
            for raw, chosen in rows:
                yield Digest.from_raw(raw), bool(chosen)
            last = rows[-1][0]

    def all(self) -> Iterator[Digest]:
        """Yield every object, in order."""
        last = b""
        while rows := self._rows("SELECT digest FROM need WHERE digest > ? ORDER BY digest LIMIT 500", (last,)):
            yield from (Digest.from_raw(raw) for (raw,) in rows)
            last = rows[-1][0]

    @property
    def count(self) -> int:
        """How many objects are to be read."""
        [(count,)] = self._rows("SELECT count(*) FROM need WHERE chosen", ())
        return int(count)

    def size_bytes(self, *, at_least: int = 0) -> int:
        """The bytes of the objects to be read that have *at_least* so many, as far as sizes are known."""
        [(size,)] = self._rows("SELECT ifnull(sum(size), 0) FROM need WHERE chosen AND size >= ?", (at_least,))
        return int(size)

    def _matching(self, what: str, digests: Iterable[Digest]) -> set[Digest]:
        asked = [digest.raw for digest in digests]
        matching: set[Digest] = set()
        for start in range(0, len(asked), _BATCH):
            some = asked[start : start + _BATCH]
            marks = ",".join("?" * len(some))
            rows = self._rows(f"SELECT digest FROM need WHERE {what} AND digest IN ({marks})", some)
            matching.update(Digest.from_raw(raw) for (raw,) in rows)
        return matching

    def _rows(self, sql: str, values: Iterable[bytes | int]) -> list[tuple[Any, ...]]:  # as the columns are
        return self._database.execute(sql, tuple(values)).fetchall()


def of_bundle(bundle: Bundle, nodes: Needs, fetch: Fetch) -> Iterator[tuple[Digest, int]]:
    """
    Yield the objects a bundle needs besides its manifest, each with its size in bytes.

    The nodes of its tree are noted in *nodes* themselves. What lies below one that was there before is left out,
    and what lies below one that *fetch* cannot give is not known.
    """
    yield from _values(bundle)
    if isinstance(bundle.tree, TreeRef):
        tree = from_nodes(bundle.tree.root, lambda digest: fetch(digest) if nodes.add_new(digest) else _EMPTY_NODE)
    else:
        tree = bundle.tree
    for entry in tree.values():
        yield entry.digest, entry.size_bytes


def nowhere(_: Iterable[Digest]) -> set[Digest]:
    """The :data:`Elsewhere` of who has no remote."""
    return set()


def lost(
    store: ObjectStore, bundles: Iterable[tuple[str, Digest, bytes | None]], *, elsewhere: Elsewhere = nowhere
) -> set[str]:
    """
    Those of some bundles some of whose bytes are neither in the store, nor in its trash, nor *elsewhere*.

    Of each is given its uuid, its manifest's digest, and the manifest's bytes where they are no object. Where several
    share what is lost, one of them at least is told. Memory does not grow with how many files they have.
    """
    found: set[str] = set()
    with Needs() as nodes:
        needed = _needed(bundles, nodes, store.read_unlocked, lost=found, elsewhere=elsewhere)
        lacking = store.lacking(((uuid, digest), digest) for uuid, digest in needed)
        for some in portions(lacking, _BATCH):
            there = elsewhere({digest for _, digest in some})
            found.update(uuid for uuid, digest in some if digest not in there)
    return found


def _needed(
    bundles: Iterable[tuple[str, Digest, bytes | None]],
    nodes: Needs,
    fetch: Fetch,
    *,
    lost: set[str],
    elsewhere: Elsewhere,
) -> Iterator[tuple[str, Digest]]:
    """Yield bundles with each object they need; one of which nobody can give what tells that is *lost*."""

    def read(digest: Digest) -> bytes:
        try:
            return fetch(digest)
        except ObjectNotFound:
            if elsewhere([digest]):
                return _EMPTY_NODE  # with all below it, of which nobody here knows
            raise

    for uuid, name, body in bundles:
        try:
            if (data := _manifest(name, fetch, elsewhere) if body is None else body) is None:
                continue
            bundle = manifest.decode(data)
            yield from ((uuid, digest) for digest, _ in _values(bundle))
            if isinstance(bundle.tree, TreeRef):
                yield from ((uuid, digest) for digest in _files(bundle.tree.root, nodes, read))
            else:
                yield from ((uuid, entry.digest) for entry in bundle.tree.values())
        except ObjectNotFound:
            lost.add(uuid)


def _manifest(name: Digest, fetch: Fetch, elsewhere: Elsewhere) -> bytes | None:
    """A manifest that is an object; None where that is not here, and elsewhere with all it needs."""
    try:
        return fetch(name)
    except ObjectNotFound:
        if elsewhere([name]):
            return None
        raise


def _files(root: Digest, nodes: Needs, fetch: Fetch) -> Iterator[Digest]:
    """Yield the files of a stored tree, in no order, but for those below nodes that *nodes* has; the others it gets."""
    left = [root]
    while left:
        digest = left.pop()
        if not nodes.among([digest]):
            below = links(digest, fetch(digest))
            nodes.add([(digest, 0)])
            yield from (file for _, file in below.files)
            left += [node for _, node in below.nodes]


def _values(bundle: Bundle) -> Iterator[tuple[Digest, int]]:
    """Yield what a bundle needs but for its files."""
    for frame in bundle.frames:
        if frame.digest is not None:
            yield frame.digest, frame.size_bytes
    run = bundle.lineage.run
    if run is not None and run.packages is not None:
        yield run.packages, 0


def tolerant(fetch: Fetch) -> Fetch:
    """*fetch* for the nodes of trees, giving one without entries where there is none that can be read."""

    def read(digest: Digest) -> bytes:
        try:
            return fetch(digest)
        except (Corrupt, NotFound):
            return _EMPTY_NODE

    return read


def uses(bundle: Bundle, wanted: Set[Digest], fetch: Fetch) -> Iterator[tuple[Digest, str]]:
    """Yield those of *wanted* that a bundle needs besides its manifest, and for what: a path in it, or ``""``."""
    yield from ((digest, "") for digest, _ in _values(bundle) if digest in wanted)
    nodes: list[Digest] = []

    def read(digest: Digest) -> bytes:
        nodes.append(digest)
        return fetch(digest)

    for path, entry in files(bundle, read).items():
        if entry.digest in wanted:
            yield entry.digest, path
    yield from ((digest, "") for digest in nodes if digest in wanted)


def files(bundle: Bundle, fetch: Fetch) -> Tree:
    """All files of a bundle."""
    return from_nodes(bundle.tree.root, fetch) if isinstance(bundle.tree, TreeRef) else bundle.tree
