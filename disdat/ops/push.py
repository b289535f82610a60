"""Pushing: what others are to see of bundles is published on the remote, after all the bytes it needs are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from threading import Lock

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import event
from disdat.core.bundle import NOTHING, Bundle
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.core.places import can_lie_plainly, file_key
from disdat.core.publication import PlainFile, Said
from disdat.core.weak import SMALLEST_BYTES
from disdat.errors import InvalidInput
from disdat.ops import (
    arriving,
    bundles,
    carrying,
    fetching,
    find,
    holding,
    localizing,
    needs,
    pending,
    runs,
    unpublished,
)
from disdat.ops.arriving import Arriving
from disdat.ops.needs import Needs
from disdat.ops.unpublished import News
from disdat.remote import compaction, condemned, plain, resuming, transfer
from disdat.remote.leases import Lease
from disdat.remote.mirror import Mirror, Overdue
from disdat.remote.plain import Copy
from disdat.remote.transfer import Outgoing
from disdat.store.backend import Backend

TOGETHER = 2000
"""So many bundles are published at once, all or none."""
_BRINGING = frozenset({event.ADD, event.RESTORE, event.UNDO})
"""Kinds by which bundles are there for others that were not."""

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
    """
    What is to be sent of some bundles: events, objects, and files in the plain layout.

    Of these, the remote copies those whose bytes it has.
    """

    rows: tuple[Row, ...]
    events: tuple[Event, ...]
    outgoing: tuple[Outgoing, ...]
    copies: tuple[Copy, ...]
    files: tuple[PlainFile, ...]
    needed: frozenset[Digest]
    """All that the bundles need, be it there already."""

    @property
    def size_bytes(self) -> int:
        """How many bytes are sent."""
        return sum(each.size_bytes for each in self.outgoing)

    @property
    def total_bytes(self) -> int:
        """How many bytes are moved, by us or there."""
        return self.size_bytes + sum(each.target.size_bytes for each in self.copies)


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


def with_inputs(context: Context, rows: Sequence[Row]) -> list[Row]:
    """Bundles that are to be pushed, and what they were made from that is here only: it is committed now."""
    left = holding.left_behind(context, [row.uuid for row in rows])
    bundles.commit(context, left)
    return [*reversed(left), *rows]


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
    tell = progress or carrying.listener("pushed") or _tell_nobody
    sent: list[Row] = []
    objects = size_bytes = 0
    with context.remote.mirror() as mirror:
        is_fetched = False
        for some in _some(rows):
            while _news(context, some).events:
                is_fetched = True  # with the lease held: what is planned holds for as long as that does
                if (done := _publish(context, mirror, some, tell, jobs)) is not None:
                    sent += done.work.rows
                    objects += len(done.work.outgoing)
                    size_bytes += done.bytes_sent
                    break
        if not is_fetched:
            fetching.into(context, mirror)
        if sent:
            compaction.keep_up(mirror)
    return _result(rows, sent, objects, size_bytes, started_s)


def stage(context: Context, rows: Sequence[Row], *, jobs: int = transfer.JOBS) -> Said:
    """
    Send all that bundles need, and return what is to be said of them, which publishes nothing.

    Who publishes it holds a lease that was written before, and takes care of what is condemned.

    Raises what :func:`push` does.
    """
    work = _work(context, rows)
    backend = context.remote.backend
    notes = resuming.Notes(context.directory, backend, disk=context.home.disk)
    sent = _send(context, backend, work, notes, lambda _: None, jobs)
    notes.forget()
    return Said(work.events, sent.packs, sent.objects, work.files)


def needed(context: Context, events: Sequence[Event]) -> dict[Digest, int]:
    """The objects that the bundles need which events add, with their sizes, 0 where that is not known."""
    coming = arriving.by(context, events)
    _bring_nodes(context, coming.bundles)
    return _needed(context, coming)


def has_committed(context: Context) -> bool:
    """Whether there is anything that may be pushed."""
    return bool(find.search(context, Filter(committed=True, limit=1)))


def count_unpublished(context: Context) -> int:
    """Of how many committed bundles something is left to publish, as far as is known here."""
    return sum(len(_news(context, some).uuids) for some in _some(pending.look(context).rows))


def sent_so_far(context: Context) -> int:
    """How many objects a push that was cut short has sent; the next one need not."""
    return resuming.count(context.directory)


def push_all(context: Context, *, progress: Progress | None = None, jobs: int = transfer.JOBS) -> PushResult:
    """
    As :func:`push`, of all that is committed; looks only at that to which something happened since all was pushed last.

    Raises what :func:`push` does.
    """
    started_s = time.monotonic()
    found = pending.look(context)
    done = push(context, found.rows, progress=progress, jobs=jobs)
    pending.note_pushed(context, found)
    # What was fetched before may let more be published: an undo of what others did not know till then.
    while (more := pending.look(context)).upto != found.upto:
        found = more
        if any(_news(context, some).events for some in _some(found.rows)):
            done = _both(done, push(context, found.rows, progress=progress, jobs=jobs), started_s)
        pending.note_pushed(context, found)
    return done


def _both(first: PushResult, second: PushResult, started_s: float) -> PushResult:
    rows = {row.uuid: row for row in (*first.sent, *first.skipped, *second.sent, *second.skipped)}
    sent = {row.uuid: row for row in (*first.sent, *second.sent)}
    objects, size_bytes = first.objects + second.objects, first.bytes_sent + second.bytes_sent
    return _result(list(rows.values()), list(sent.values()), objects, size_bytes, started_s)


def _result(rows: Sequence[Row], sent: Sequence[Row], objects: int, size_bytes: int, started_s: float) -> PushResult:
    known = {row.uuid for row in sent}
    skipped = tuple(row for row in rows if row.uuid not in known)
    return PushResult(tuple(sent), skipped, objects, size_bytes, time.monotonic() - started_s)


def _some(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))


def _still_here(context: Context, rows: Sequence[Row]) -> list[Row]:
    now = context.catalog.rows([row.uuid for row in rows])
    return [now[row.uuid] for row in rows if row.uuid in now]


def _news(context: Context, rows: Sequence[Row]) -> News:
    """What others do not know of bundles, as far as is known here."""
    return unpublished.of_bundles(context, [row.uuid for row in rows], context.remote.known.published)


def _work(context: Context, rows: Sequence[Row]) -> _Work:
    news = _news(context, rows)
    coming = arriving.by(context, news.events)
    _bring_nodes(context, coming.bundles)
    needed = _needed(context, coming)
    files = list(_plain_files(context, coming.bundles))
    moved = _moved(context, files)
    return _Work(
        tuple(row for row in rows if row.uuid in news.uuids),
        (*_runs(context, coming.bundles), *news.events),
        (*absent(context, needed, files), *moved.sent),
        moved.copied,
        tuple(files),
        frozenset(needed),
    )


def _bring_nodes(context: Context, bundles: Iterable[Bundle]) -> None:
    """Have the nodes of trees here, without which nobody knows what must be there for a bundle that comes back."""
    some, tried = list(bundles), set[Digest]()
    while missing := localizing.absent_nodes(context, some).keys() - tried:
        tried |= missing
        loads = transfer.loads(context.remote.known.places(missing))
        transfer.receive(context.remote.backend, context.home.store, loads, progress=lambda _: None)


def _runs(context: Context, bundles: Iterable[Bundle]) -> list[Event]:
    """The records of the runs that made bundles, where others do not have them."""
    ids = dict.fromkeys(each.lineage.run.id for each in bundles if each.lineage.run is not None)
    events = context.catalog.run_events(ids)
    published = context.remote.known.published([each.write_key for each in events])
    return [each for each in events if each.write_key not in published]


def _needed(context: Context, coming: Arriving) -> dict[Digest, int]:
    """The objects that bundles need, with their sizes, 0 where that is not known."""
    sizes = dict.fromkeys(coming.manifests, 0)
    with Needs() as nodes:
        for each in coming.bundles:
            sizes |= needs.of_bundle(each, nodes, context.home.store.read)
        sizes |= dict.fromkeys(nodes.all(), 0)
    return sizes


def absent(context: Context, sizes: Mapping[Digest, int], files: Iterable[PlainFile]) -> Iterator[Outgoing]:
    """Yield those of some objects, with their sizes or 0, that the remote lacks, and are not among *files*."""
    store = context.home.store
    for digest in sizes.keys() - context.remote.known.places(sizes).keys() - {each.digest for each in files}:
        size_bytes = sizes[digest] or store.size_bytes(digest)
        if size_bytes >= SMALLEST_BYTES and store.content(digest) != digest:
            raise InvalidInput(
                f"a file of weak identity is not among those of {context.remote_name} at {context.remote.backend.url},"
                " and is read where it was written only",
                hint="`dsdt show` marks it; make a bundle of its bytes that are here, and push that",
            )
        yield Outgoing(None, digest, size_bytes)


def _plain_files(context: Context, bundles: Iterable[Bundle]) -> Iterator[PlainFile]:
    """Yield the files of bundles that are to lie on the remote as people see them."""
    assert context.binding is not None
    if context.binding.layout == "plain":
        for each in bundles:
            for path, entry in needs.files(each, context.home.store.read).items():
                key = file_key(context.binding.name, each.uuid, path)
                if entry.weak is None and can_lie_plainly(context.binding.url, key):  # else it is where it stays
                    yield PlainFile(each.uuid, path, entry.digest, entry.size_bytes)


def _moved(context: Context, files: Sequence[PlainFile]) -> plain.Plan:
    """How plain files get to their places."""
    assert context.binding is not None
    wanted = [
        Outgoing(file_key(context.binding.name, each.uuid, each.path), each.digest, each.size_bytes) for each in files
    ]
    return plain.plan(wanted, context.remote.known.places({each.digest for each in wanted}))


def _counted_on(context: Context, work: _Work) -> set[str]:
    """The keys that must not be deleted: those to be sent, and those that have what the bundles need besides."""
    assert context.binding is not None
    said = Said(objects=[(each.digest, each.size_bytes) for each in work.outgoing], files=work.files)
    keys = {place.key for _, place in said.places(context.binding.name)}
    places = context.remote.known.places(work.needed)
    return keys | {place.key for of_one in places.values() for place in of_one}


def _tell_nobody(_: int, __: int) -> None:
    """Whoever pushes shows nothing."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What was published, and how many bytes were sent for it."""

    work: _Work
    bytes_sent: int


def _publish(context: Context, mirror: Mirror, rows: Sequence[Row], progress: Progress, jobs: int) -> _Done | None:
    """
    Plan what is to be sent of bundles, send it, and publish it; None where the plan did not hold until then.

    What is planned counts on what the remote has. A collection that begins after the lease was written leaves that
    alone as long as it lives. What an earlier one condemned is struck from its list before anything is sent, and what
    is sent, whose names are known only then, before it is published; where one was deleted meanwhile, what is known of
    the remote may not hold any more.
    """
    if _BRINGING.isdisjoint(each.kind for each in _news(context, rows).events):
        return _say(context, mirror, rows)
    with Lease(mirror.backend, writer=mirror.writer, actor=runs.actor(), now_us=mirror.now_us) as lease:
        mirror.heard(lease.stored_us)
        lists = condemned.there(mirror.backend)
        fetching.into(context, mirror)
        work = _work(context, _still_here(context, rows))
        if not work.events:
            return _Done(work, 0)
        notes = resuming.Notes(context.directory, mirror.backend, disk=context.home.disk)
        if lists and not _is_spared(mirror, lists, _counted_on(context, work) | notes.keys):
            return None
        sent = _send(context, mirror.backend, work, notes, _Told(work.total_bytes, progress, lease), jobs)
        said = Said(work.events, sent.packs, sent.objects, work.files)
        if lists and not _is_spared(mirror, lists, {place.key for _, place in said.places(mirror.remote_context)}):
            return None  # what was sent may have been deleted by who did not know that it was sent again
        lease.outlive()
        try:
            mirror.publish(said, actor=runs.actor(), until_us=lease.ends_us)
        except Overdue:
            return None  # we slept
        lease.finish()
        notes.forget()
    return _Done(work, sent.bytes_sent)


def _is_spared(mirror: Mirror, lists: Set[str], needed: Set[str]) -> bool:
    """Whether what is needed goes with none of these lists, from now on: not if one was deleted meanwhile."""
    spared = condemned.spare(mirror.backend, lambda: needed)
    return not spared.gone and lists <= spared.lists


def _say(context: Context, mirror: Mirror, rows: Sequence[Row]) -> _Done | None:
    """Publish what is said of bundles that others have: it counts on nothing that could be collected."""
    fetching.into(context, mirror)
    work = _work(context, _still_here(context, rows))
    if not _BRINGING.isdisjoint(each.kind for each in work.events):
        return None  # what was fetched makes that of it
    if work.events:
        mirror.publish(Said(work.events), actor=runs.actor())
    return _Done(work, 0)


def _send(
    context: Context, backend: Backend, work: _Work, notes: resuming.Notes, told: Callable[[int], None], jobs: int
) -> transfer.Sent:
    def send(outgoing: Iterable[Outgoing]) -> transfer.Sent:
        return transfer.send(
            backend,
            context.home.store,
            outgoing,
            progress=told,
            is_there=notes.is_there,
            noted=notes.note,
            jobs=jobs,
        )

    sent = send(work.outgoing)
    gone = plain.copy(backend, work.copies, progress=told, is_there=notes.is_there, noted=notes.note, jobs=jobs)
    sent.bytes_sent += send(gone).bytes_sent
    return sent


class _Told:
    """Is told what was sent, by any thread; tells how much of all that is, and keeps the lease alive."""

    def __init__(self, total_bytes: int, progress: Progress, lease: Lease) -> None:
        self._total_bytes = total_bytes
        self._progress = progress
        self._lease = lease
        self._done_bytes = 0
        self._lock = Lock()

    def __call__(self, size_bytes: int) -> None:
        with self._lock:
            self._done_bytes += size_bytes
            self._progress(min(self._done_bytes, self._total_bytes), self._total_bytes)
            self._lease.renew()
