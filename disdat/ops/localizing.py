"""Localizing: fetching the bytes of bundles that are only on the remote."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from threading import Lock

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.places import Place
from disdat.core.tree import TreeRef
from disdat.errors import Corrupt, DisdatError, InvalidInput, ObjectNotFound
from disdat.ops import carrying, fetching, needs, presence, seen
from disdat.ops.needs import Needs
from disdat.remote import transfer
from disdat.remote.known import Presence

TOGETHER = 200
"""So many bundles are localized at once."""
_LOOKS = 3

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many arrived; by any thread."""


@dataclass(frozen=True, slots=True)
class Localized:
    """What was fetched: objects and their bytes; and the bundles all of whose bytes are here now."""

    bundles: tuple[Row, ...]
    objects: int
    bytes_received: int
    seconds: float


def localize(
    context: Context,
    rows: Sequence[Row],
    paths: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    jobs: int = transfer.JOBS,
) -> Localized:
    """
    Fetch all bytes of bundles that are not here, or those of the files at and below *paths* of one.

    They are verified, and durable on return. What arrived stays if it is cut off.

    Raises:
        PathNotFound: The bundle has no such file or directory.
        NotConfigured: Bytes are not here, and the context has no remote.
        ObjectNotFound: The remote lacks some too.
        DigestMismatch: They are damaged there.
        Unavailable: It does not answer.
    """
    started_s = time.monotonic()
    if paths and len(rows) != 1:
        raise InvalidInput("paths are those of one bundle", hint="name one bundle, or leave the paths out")
    total = transfer.Received()
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        bring_absent(context, dict.fromkeys(context.catalog.manifest_objects(some), 0))
        bundles = context.catalog.bundles([row.uuid for row in some])
        if paths:
            received = _bring_files(context, rows[0], bundles[rows[0].uuid], paths, progress, jobs)
        else:
            received = bring_bundles(context, bundles.values(), progress=progress, jobs=jobs)
        total.objects += received.objects
        total.bytes_received += received.bytes_received
    return Localized(tuple(rows), total.objects, total.bytes_received, time.monotonic() - started_s)


def bring_bundles(
    context: Context, bundles: Collection[Bundle], *, progress: Progress | None = None, jobs: int = transfer.JOBS
) -> transfer.Received:
    """Fetch all that bundles consist of and that is not here; raises what :func:`localize` does."""
    bring_trees(context, bundles)
    wanted: dict[Digest, int] = {}
    for each in bundles:
        wanted |= presence.absent(context, each)
    received = bring(context, wanted, progress=progress, jobs=jobs)
    if context.binding is not None:
        context.remote.known.note_presence(dict.fromkeys((each.uuid for each in bundles), Presence.LOCAL))
    return received


def _bring_files(
    context: Context, row: Row, bundle: Bundle, paths: Sequence[str], progress: Progress | None, jobs: int
) -> transfer.Received:
    bring_trees(context, [bundle])
    files = seen.chosen(row, needs.files(bundle, context.home.store.read), paths)
    sizes = {each.digest: each.size_bytes for each in files.values()}
    here = context.home.store.has_many(sizes)
    wanted = {digest: size_bytes for digest, size_bytes in sizes.items() if digest not in here}
    received = bring(context, wanted, progress=progress, jobs=jobs)
    if context.binding is not None:
        presence.look(context, [row.uuid])
    return received


def bring(
    context: Context,
    wanted: Mapping[Digest, int],
    *,
    progress: Progress | None = None,
    jobs: int = transfer.JOBS,
) -> transfer.Received:
    """Fetch objects, each with its size or 0; raises what :func:`localize` does."""
    total = transfer.Received()
    left: dict[Digest, DisdatError] = dict.fromkeys(wanted, ObjectNotFound("nobody published it"))
    if not wanted:
        return total
    told = Told(progress or carrying.listener("pulled"), sum(wanted.values()))
    tried: set[tuple[Digest, str]] = set()
    for look in range(_LOOKS):
        places = _places(context, {digest: wanted[digest] for digest in left}, tried)
        chosen = transfer.loads(places)
        received = transfer.receive(context.remote.backend, context.home.store, chosen, progress=told, jobs=jobs)
        tried |= {(digest, load.key) for load in chosen for digest, _ in load.wanted if digest in received.left}
        total.objects += received.objects
        total.bytes_received += received.bytes_received
        missed = {digest: exc for digest, exc in left.items() if digest not in places}
        left = missed | received.left
        if not left:
            return total
        if look < _LOOKS - 1:
            fetching.fetch(context.home.context(context.name))  # it may lie elsewhere by now
    raise _lost(context, left)


def _places(
    context: Context, wanted: Mapping[Digest, int], tried: Set[tuple[Digest, str]]
) -> dict[Digest, list[Place]]:
    """Where objects lie that may be right: those places of them that were not *tried*, if there are others."""
    found: dict[Digest, list[Place]] = {}
    for digest, of_one in context.remote.known.places(wanted).items():
        if right := [each for each in of_one if wanted[digest] in (0, each.length)]:
            # What was damaged once may have been so on its way only.
            found[digest] = [each for each in right if (digest, each.key) not in tried] or right
    return found


def bring_absent(context: Context, sizes: Mapping[Digest, int], *, progress: Progress | None = None) -> None:
    """Fetch those of some objects, each with its size or 0, that are not here and a remote may have."""
    if context.binding is not None:
        here = context.home.store.has_many(sizes)
        bring(context, {digest: size for digest, size in sizes.items() if digest not in here}, progress=progress)


def bring_trees(context: Context, bundles: Iterable[Bundle]) -> None:
    """Fetch the nodes of large trees, level by level: what is below one is known once it is here."""
    some = list(bundles)
    while missing := absent_nodes(context, some):
        bring(context, missing)


def absent_nodes(context: Context, bundles: Iterable[Bundle]) -> dict[Digest, int]:
    """The nodes of large trees that are not here, as far as those above them are; with 0, as no size is known."""
    with Needs() as nodes:
        for each in bundles:
            if isinstance(each.tree, TreeRef):
                list(needs.of_bundle(each, nodes, needs.tolerant(context.home.store.read)))
        named = list(nodes.all())
    there = context.home.store.has_many(named)
    return {digest: 0 for digest in named if digest not in there}


def _lost(context: Context, left: Mapping[Digest, DisdatError]) -> DisdatError:
    corrupt = next((exc for exc in left.values() if isinstance(exc, Corrupt)), None)
    if corrupt is not None:
        return corrupt
    digest = next(iter(left))
    return ObjectNotFound(
        f"{len(left)} objects are neither here nor at {context.remote.backend.url}, first {digest}",
        hint="who has their bytes sends them again by `dsdt verify --remote --repair`",
    )


class Told:
    """Tells how much arrived of how much."""

    def __init__(self, progress: Progress | None, total_bytes: int) -> None:
        self._progress = progress
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._lock = Lock()

    def __call__(self, size_bytes: int) -> None:
        with self._lock:
            self._done_bytes += size_bytes
            if self._progress is not None:
                self._progress(min(self._done_bytes, self._total_bytes), self._total_bytes)
