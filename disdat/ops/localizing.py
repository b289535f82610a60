"""Localizing: fetching the bytes of bundles that are only on the remote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import TreeRef
from disdat.errors import Corrupt, DisdatError, ObjectNotFound
from disdat.ops import fetching, needs, presence
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
    context: Context, rows: Sequence[Row], *, progress: Progress | None = None, jobs: int = transfer.JOBS
) -> Localized:
    """
    Fetch all bytes of bundles that are not here; verified, and durable on return. What arrived stays if it is cut off.

    Raises:
        NotConfigured: Bytes are not here, and the context has no remote.
        ObjectNotFound: The remote lacks some too.
        DigestMismatch: They are damaged there.
        Unavailable: It does not answer.
    """
    started_s = time.monotonic()
    objects = size_bytes = 0
    for start in range(0, len(rows), TOGETHER):
        uuids = [row.uuid for row in rows[start : start + TOGETHER]]
        manifests = context.catalog.manifest_objects(rows[start : start + TOGETHER])
        bring(context, dict.fromkeys(manifests - context.home.store.has_many(manifests), 0))
        bundles = context.catalog.bundles(uuids).values()
        bring_trees(context, bundles)
        wanted: dict[Digest, int] = {}
        for each in bundles:
            wanted |= presence.absent(context, each)
        received = bring(context, wanted, progress=progress, jobs=jobs)
        objects += received.objects
        size_bytes += received.bytes_received
        if context.binding is not None:
            context.remote.known.note_presence(dict.fromkeys(uuids, Presence.LOCAL))
    return Localized(tuple(rows), objects, size_bytes, time.monotonic() - started_s)


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
    told = _Sum(progress, sum(wanted.values()))
    for look in range(_LOOKS):
        places = {
            digest: right
            for digest, of_one in context.remote.known.places(left).items()
            if (right := [each for each in of_one if wanted[digest] in (0, each.length)])
        }
        received = transfer.receive(
            context.remote.backend, context.home.store, transfer.loads(places), progress=told, jobs=jobs
        )
        total.objects += received.objects
        total.bytes_received += received.bytes_received
        missed = {digest: exc for digest, exc in left.items() if digest not in places}
        left = missed | received.left
        if not left:
            return total
        if look < _LOOKS - 1:
            fetching.fetch(context)  # it may lie elsewhere by now
    raise _lost(context, left)


def bring_absent(context: Context, digests: Iterable[Digest]) -> None:
    """Fetch those of some objects that are not here; raises what :func:`localize` does."""
    wanted = set(digests)
    bring(context, dict.fromkeys(wanted - context.home.store.has_many(wanted), 0))


def bring_trees(context: Context, bundles: Iterable[Bundle]) -> None:
    """Fetch the nodes of large trees, level by level: what is below one is known once it is here."""
    while True:
        missing: dict[Digest, int] = {}
        with Needs() as nodes:
            for each in bundles:
                if isinstance(each.tree, TreeRef):
                    list(needs.of_bundle(each, nodes, needs.tolerant(context.home.store.read)))
            named = list(nodes.all())
        there = context.home.store.has_many(named)
        missing = {digest: 0 for digest in named if digest not in there}
        if not missing:
            return
        bring(context, missing)


def _lost(context: Context, left: Mapping[Digest, DisdatError]) -> DisdatError:
    corrupt = next((exc for exc in left.values() if isinstance(exc, Corrupt)), None)
    if corrupt is not None:
        return corrupt
    digest = next(iter(left))
    return ObjectNotFound(
        f"{len(left)} objects are neither here nor at {context.remote.backend.url}, first {digest}",
        hint="`dsdt push` by who made the bundle sends them again; `dsdt verify --remote` lists what is missing",
    )


class _Sum:
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
