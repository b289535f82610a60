"""
Bundles between contexts that share nothing but a remote, of which one, the lead, publishes for all its helpers.

A helper is told what it needs of bundles: what happened to them, and where their bytes lie. What it makes it sends to
the remote, and tells the lead. Nobody else sees anything before the lead publishes it, and all that is sent is safe
from collection under the lead's lease, which is older.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

from disdat.context import Context
from disdat.core import canonical, event, publication
from disdat.core.bundle import Run
from disdat.core.digest import Digest
from disdat.core.event import Event
from disdat.core.places import Place, context_key, object_key, path_of_key
from disdat.core.publication import PlainFile, Publication, Said
from disdat.core.reserved import TRANSIENT
from disdat.errors import Unavailable
from disdat.ops import bundles, fetching, localizing, presence, push, runs, unpublished
from disdat.remote import compaction, condemned, transfer
from disdat.remote.known import Stored
from disdat.remote.leases import Lease
from disdat.remote.mirror import Mirror, Overdue

_ENTRY = struct.Struct("<32sQQ")  # of the index of a pack, as publications have it
_PACKS, _PACK_END = "packs/", ".pack"


def encode(context: Context, said: Said) -> bytes:
    """What a context says to another one, and to nobody else."""
    writer = publication.writer(context.home.id, context.id)
    made = publication.made(said, time_us=context.home.clock_us(), writer=writer, seq=0)
    return canonical.encode(publication.to_json(made))


def decode(data: bytes) -> Publication:
    """What :func:`encode` wrote; Corrupt where it is not that."""
    return publication.from_json(cast("Mapping[str, Any]", canonical.decode(data)))


def learn(context: Context, told: Publication) -> None:
    """Have bundles in a helper's context that the lead told of, without their bytes; their manifests come at once."""
    context.remote.known.locate([Stored(told, told.time_us)], context.remote_name)
    adds = _adds(told.said.events)
    if set(_uuids(adds)) - set(context.catalog.present(_uuids(adds))):
        localizing.bring_absent(context, dict.fromkeys(_manifests(adds), 0))
        context.catalog.receive(told.said.events, note=fetching.note_of(context, ()))
        presence.note_fetched(context, adds)


def made(context: Context, uuid: str) -> Said:
    """
    Send what a helper made to the remote, and return what the lead is to say of it.

    It is committed, as it is going to be published, unless it is transient.

    Raises what :func:`disdat.ops.push.push` does.
    """
    rows = list(context.catalog.rows([uuid]).values())
    bundles.commit(context, [row for row in rows if TRANSIENT not in row.tags])
    return push.stage(context, rows)


class Lead:
    """
    The lead's side of a run; a context manager, for one thread.

    Raises:
        NotConfigured: The context has no remote.
        PermissionDenied, Unavailable: The remote refuses, or does not answer.
    """

    def __init__(self, context: Context, run: Run) -> None:
        self._context = context
        self._run = run
        self._name = context.remote.binding.name
        self._staged: dict[Digest, Place] = {}
        """Where objects lie that nobody published yet."""
        self._keys: set[str] = set()
        """The keys that helpers were told of, or told of themselves: what they make counts on them."""
        self._run_is_said = False

    def __enter__(self) -> Self:
        with self._context.remote.mirror() as mirror:
            self._lease = Lease(mirror.backend, writer=mirror.writer, actor=runs.actor(), now_us=mirror.now_us)
            self._lease.__enter__()
            mirror.heard(self._lease.stored_us)
            self._lists = condemned.there(mirror.backend)
            fetching.into(self._context, mirror)  # where things lie now that the lease is held holds from now on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, trace)

    def renew(self) -> None:
        """Keep the lease alive; to be called now and then."""
        self._lease.renew()

    def tell(self, uuids: Sequence[str]) -> Said:
        """
        What a helper needs of bundles, and to make others in this run; what is only here is sent first.

        Raises:
            ObjectNotFound, DigestMismatch: Bytes of a bundle are neither here nor there, or damaged.
            PermissionDenied, Unavailable: The remote refused, or does not answer.
        """
        events = unpublished.of_bundles(self._context, uuids, lambda _: frozenset()).events
        sizes = push.needed(self._context, events)
        if self._run.packages is not None:
            sizes.setdefault(self._run.packages, 0)
        self._send(sizes)
        places = self._places(sizes)
        self._keys.update(place.key for place in places.values())
        return _said(events, places, self._name)

    def take(self, told: Sequence[Said]) -> None:
        """
        Publish what helpers made, all of it or nothing, and have it here; of what is transient the bytes, too.

        Raises:
            Unavailable: The remote does not answer, or what was sent there was collected.
        """
        for each in told:
            self._note(each)
        public = [each for each in told if any(one.kind == event.COMMIT for one in each.events)]
        if public:
            self._publish(public)
        for each in told:
            if each not in public:
                self._receive(each.events, ())
                self._bring([Digest.from_raw(raw) for raw, _ in each.places(self._name)])
                presence.look(self._context, _uuids(_adds(each.events)))

    def _note(self, said: Said) -> None:
        for raw, place in said.places(self._name):
            self._staged[Digest.from_raw(raw)] = place
            self._keys.add(place.key)

    def _places(self, digests: Iterable[Digest]) -> dict[Digest, Place]:
        wanted = list(digests)
        known = {digest: places[0] for digest, places in self._context.remote.known.places(wanted).items()}
        return {digest: self._staged[digest] for digest in wanted if digest in self._staged} | known

    def _send(self, sizes: Mapping[Digest, int]) -> None:
        """Send what the remote lacks of some objects, each with its size or 0."""
        unsent = {digest: size_bytes for digest, size_bytes in sizes.items() if digest not in self._staged}
        if outgoing := list(push.absent(self._context, unsent, ())):
            sent = transfer.send(
                self._context.remote.backend,
                self._context.home.store,
                outgoing,
                progress=lambda _: self.renew(),
                is_there=lambda _, __: False,
                noted=lambda _: None,
            )
            self._note(Said(packs=sent.packs, objects=sent.objects))

    def _publish(self, told: Sequence[Said]) -> None:
        with self._context.remote.mirror() as mirror:
            said = _together(told, self._runs_events())
            if self._lists and condemned.spare(mirror.backend, lambda: self._keys).gone:
                raise _collected(mirror)
            self._lease.outlive()
            try:
                mirror.publish(said, actor=runs.actor(), until_us=self._lease.ends_us, receive=self._receive)
            except Overdue as exc:
                raise _collected(mirror) from exc
            self._lease.finish()
            self._run_is_said = True
            compaction.keep_up(mirror)

    def _runs_events(self) -> list[Event]:
        """The record of the run, for those who do not have it."""
        return [] if self._run_is_said else self._context.catalog.run_events([self._run.id])

    def _receive(self, events: Sequence[Event], publications: Sequence[str]) -> None:
        theirs = [each for each in events if each.kind != event.RUN]
        adds = _adds(theirs)
        self._bring(_manifests(adds))
        self._context.catalog.receive(theirs, note=fetching.note_of(self._context, publications))
        presence.note_fetched(self._context, adds)

    def _bring(self, digests: Sequence[Digest]) -> None:
        """Have objects here that were sent."""
        store = self._context.home.store
        absent = set(digests) - store.has_many(digests)
        loads = transfer.loads({digest: [self._staged[digest]] for digest in absent})
        received = transfer.receive(self._context.remote.backend, store, loads, progress=lambda _: None)
        for lost in received.left.values():
            raise lost


def _collected(mirror: Mirror) -> Unavailable:
    return Unavailable(f"what was sent to {mirror.backend.url} was collected before it was published", hint="try again")


def _together(told: Sequence[Said], first: Sequence[Event]) -> Said:
    return Said(
        events=[*first, *(one for each in told for one in each.events)],
        packs={name: index for each in told for name, index in each.packs.items()},
        objects=[one for each in told for one in each.objects],
        files=[one for each in told for one in each.files],
    )


def _said(events: Sequence[Event], places: Mapping[Digest, Place], remote_context: str) -> Said:
    """Events, and where objects lie."""
    packs: dict[str, bytes] = {}
    objects: list[tuple[Digest, int]] = []
    files: list[PlainFile] = []
    below = context_key(remote_context, "files/")
    for digest, place in places.items():
        if place.key == object_key(digest):
            objects.append((digest, place.length))
        elif place.key.startswith(below):
            uuid, _, end = place.key.removeprefix(below).partition("/")
            files.append(PlainFile(uuid, path_of_key(end), digest, place.length, place.weak))
        else:
            name = place.key.removeprefix(_PACKS).removesuffix(_PACK_END)
            packs[name] = packs.get(name, b"") + _ENTRY.pack(digest.raw, place.offset, place.length)
    return Said(events, packs, objects, files)


def _adds(events: Iterable[Event]) -> list[Event]:
    return [each for each in events if each.kind == event.ADD]


def _uuids(adds: Iterable[Event]) -> list[str]:
    return [uuid for each in adds for uuid in each.subjects]


def _manifests(adds: Iterable[Event]) -> list[Digest]:
    """Those manifests that are objects."""
    return [Digest.parse(str(each.payload["manifest"])) for each in adds if "body" not in each.payload]
