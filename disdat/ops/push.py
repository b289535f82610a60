"""Pushing: what others are to see of bundles is published on the remote, after all the bytes it needs are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import event
from disdat.core.bundle import NOTHING, Bundle
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.core.places import file_key
from disdat.core.publication import PlainFile, Said
from disdat.errors import InvalidInput
from disdat.ops import fetching, find, needs, runs, unpublished
from disdat.ops.needs import Needs
from disdat.remote import compaction, condemned, resuming, transfer
from disdat.remote.leases import Lease
from disdat.remote.mirror import Mirror
from disdat.remote.transfer import Outgoing

TOGETHER = 2000
"""So many bundles are published at once, all or none."""

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many were sent; by any thread."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push did, or would do: the bundles of which something was sent, and those of which nothing was left to."""

    sent: tuple[Row, ...]
    skipped: tuple[Row, ...]
    objects: int
    bytes_sent: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be sent of some bundles: events, objects, and files in the plain layout."""

    rows: tuple[Row, ...]
    events: tuple[Event, ...]
    outgoing: tuple[Outgoing, ...]
    files: tuple[PlainFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.outgoing)


def selected(
    context: Context,
    name: str | None = None,
    *,
    uuid: str | None = None,
    tags: Mapping[str, str] = NOTHING,
    every_version: bool = False,
) -> list[Row]:
    """
    The committed bundles a push is about: the newest of a name, with *every_version* all of it; all if none is named.

    Raises:
        BundleNotFound: Nothing matches.
        InvalidInput: What matches is not committed.
    """
    if name is None and uuid is None and not tags:
        return find.search(context, Filter(committed=True))
    wanted = Filter(name=name, uuid=uuid, tags=tags, committed=True, limit=None if every_version else 1)
    if found := find.search(context, wanted):
        return found
    row = find.need(context, name, uuid=uuid, tags=tags)
    raise InvalidInput(
        f"{row.name or row.uuid} is not committed, and only committed bundles are pushed",
        hint=f"`dsdt commit {row.name or f'--uuid {row.uuid}'}` commits it",
    )


def plan(context: Context, rows: Sequence[Row]) -> PushResult:
    """What :func:`push` would do, as far as is known here; asks the remote nothing, and changes nothing."""
    started_s = time.monotonic()
    context.remote  # noqa: B018 - it must have one
    sent: list[Row] = []
    objects = size_bytes = 0
    for some in _some(rows):
        work = _work(context, some)
        sent += work.rows
        objects += len(work.outgoing)
        size_bytes += work.size_bytes
    return _result(rows, sent, objects, size_bytes, started_s)


def push(
    context: Context, rows: Sequence[Row], *, progress: Progress | None = None, jobs: int = transfer.JOBS
) -> PushResult:
    """
    Send bundles and what is said of them to the remote; durable there, and seen by all who fetch, on return.

    What a push sends is seen at once, up to 2,000 bundles at a time. Cut off, it has sent less; the next one goes on.
    What was published meanwhile is fetched first.

    Raises:
        NotConfigured: The context has no remote.
        ObjectNotFound, DigestMismatch: Bytes of a bundle are not here, or damaged; it was not published.
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    context.check_is_now()
    started_s = time.monotonic()
    sent: list[Row] = []
    objects = size_bytes = 0
    with context.remote.mirror() as mirror:
        fetching.into(context, mirror)
        for some in _some(rows):
            while (work := _work(context, _still_here(context, some))).events:
                bytes_sent = _publish(context, mirror, work, progress or _tell_nobody, jobs)
                if bytes_sent is not None:
                    sent += work.rows
                    objects += len(work.outgoing)
                    size_bytes += bytes_sent
                    break
                fetching.into(context, mirror)
        if sent and compaction.is_due(mirror):
            compaction.compact(mirror)
    return _result(rows, sent, objects, size_bytes, started_s)


def _result(rows: Sequence[Row], sent: Sequence[Row], objects: int, size_bytes: int, started_s: float) -> PushResult:
    known = {row.uuid for row in sent}
    skipped = tuple(row for row in rows if row.uuid not in known)
    return PushResult(tuple(sent), skipped, objects, size_bytes, time.monotonic() - started_s)


def _some(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))


def _still_here(context: Context, rows: Sequence[Row]) -> list[Row]:
    now = context.catalog.rows([row.uuid for row in rows])
    return [now[row.uuid] for row in rows if row.uuid in now]


def _work(context: Context, rows: Sequence[Row]) -> _Work:
    known = context.remote.known
    events = unpublished.of_bundles(context, [row.uuid for row in rows], known.published)
    said = {uuid for each in events for uuid in each.subjects}
    undone = any(each.kind == event.UNDO for each in events)
    added = {uuid for each in events if each.kind == event.ADD for uuid in each.subjects}
    new = [row for row in rows if row.uuid in added]
    bundles = context.catalog.bundles([row.uuid for row in new])
    files = list(_plain_files(context, bundles.values()))
    return _Work(
        tuple(row for row in rows if row.uuid in said or undone),
        (*_runs(context, bundles.values()), *events),
        (*_absent(context, new, bundles.values(), files), *_plain(context, files)),
        tuple(files),
    )


def _runs(context: Context, bundles: Iterable[Bundle]) -> list[Event]:
    """The records of the runs that made bundles, where others do not have them."""
    ids = dict.fromkeys(each.lineage.run.id for each in bundles if each.lineage.run is not None)
    events = context.catalog.run_events(ids)
    published = context.remote.known.published([each.write_key for each in events])
    return [each for each in events if each.write_key not in published]


def _absent(
    context: Context, rows: Sequence[Row], bundles: Iterable[Bundle], files: Iterable[PlainFile]
) -> Iterator[Outgoing]:
    """Yield the objects of bundles that the remote lacks."""
    sizes = dict.fromkeys(context.catalog.manifest_objects(rows), 0)
    with Needs() as nodes:
        for each in bundles:
            sizes |= needs.of_bundle(each, nodes, context.home.store.read)
        sizes |= dict.fromkeys(nodes.all(), 0)
    for digest in sizes.keys() - context.remote.known.places(sizes).keys() - {each.digest for each in files}:
        yield Outgoing(None, digest, sizes[digest] or context.home.store.size_bytes(digest))


def _plain_files(context: Context, bundles: Iterable[Bundle]) -> Iterator[PlainFile]:
    """Yield the files of bundles that are to lie on the remote as people see them."""
    assert context.binding is not None
    if context.binding.layout == "plain":
        for each in bundles:
            for path, entry in needs.files(each, context.home.store.read).items():
                yield PlainFile(each.uuid, path, entry.digest, entry.size_bytes)


def _plain(context: Context, files: Iterable[PlainFile]) -> Iterator[Outgoing]:
    assert context.binding is not None
    for each in files:
        if each.digest is not None:
            yield Outgoing(file_key(context.binding.name, each.uuid, each.path), each.digest, each.size_bytes)


def _counted_on(context: Context, work: _Work) -> set[str]:
    """The keys that must not be deleted: those to be sent, and those that have what the bundles need besides."""
    assert context.binding is not None
    said = Said(objects=[(each.digest, each.size_bytes) for each in work.outgoing], files=work.files)
    keys = {place.key for _, place in said.places(context.binding.name)}
    new = [uuid for each in work.events if each.kind == event.ADD for uuid in each.subjects]
    needed: set[Digest] = set(context.catalog.manifest_objects([row for row in work.rows if row.uuid in new]))
    with Needs() as nodes:
        for bundle in context.catalog.bundles(new).values():
            needed |= {digest for digest, _ in needs.of_bundle(bundle, nodes, context.home.store.read)}
        needed |= set(nodes.all())
    places = context.remote.known.places(needed)
    return keys | {place.key for of_one in places.values() for place in of_one}


def _tell_nobody(_: int, __: int) -> None:
    """Whoever pushes shows nothing."""


def _publish(context: Context, mirror: Mirror, work: _Work, progress: Progress, jobs: int) -> int | None:
    """Send what is to be sent, and publish it; how many bytes went, or None where the plan does not hold any more."""
    total, done, lock = work.size_bytes, 0, Lock()
    with Lease(mirror.backend, writer=mirror.writer, actor=runs.actor(), now_us=mirror.now_us) as lease:

        def told(size_bytes: int) -> None:
            nonlocal done
            with lock:
                done += size_bytes
                progress(min(done, total), total)
                lease.renew()

        if condemned.spare(mirror.backend, lambda: _counted_on(context, work)):
            return None  # what we counted on is gone: it is planned anew
        sent_before = resuming.Notes(context.directory, mirror.backend, disk=context.home.disk)
        sent = transfer.send(
            mirror.backend,
            context.home.store,
            work.outgoing,
            progress=told,
            is_there=sent_before.is_there,
            noted=sent_before.note,
            jobs=jobs,
        )
        said = Said(work.events, sent.packs, sent.objects, work.files)
        mirror.publish(said, actor=runs.actor())
        sent_before.forget()
    return sent.bytes_sent
