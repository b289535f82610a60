"""
Making bundles, reading them, and changing what a context says of them.

Writing keeps one order: objects, then the manifest, then one record in the context's log, then the catalog. A
crash before the log's record leaves what was there; after it, the bundle is there whole.
"""

from __future__ import annotations

import math
import shutil
import uuid as uuids
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from disdat import __version__, values
from disdat.catalog.catalog import looking_at
from disdat.catalog.indexed import Moment
from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import digest, event, manifest, naming
from disdat.core.bundle import (
    INLINE_MANIFEST_BYTES,
    NOTHING,
    Bundle,
    Dependency,
    Frame,
    Lineage,
    Run,
)
from disdat.core.canonical import Encoded
from disdat.core.tree import Entry, Tree, TreeRef
from disdat.durable import storage_errors
from disdat.errors import AlreadyExists, Conflict, InvalidInput, ObjectNotFound, StorageError
from disdat.ops import runs
from disdat.ops.given import check_name, check_tags, check_text
from disdat.ops.intake import Intake, Progress, store_tree
from disdat.ops.reading import BundleSource
from disdat.store.leases import Lease
from disdat.store.objects import ObjectBatch

if TYPE_CHECKING:  # few bundles have files on the remote
    from disdat.ops.remoteoutputs import RemotePlace

CREATOR = f"disdat {__version__}"
_SHOWN = 3
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Birth:
    """What a bundle is born with besides its value. Empty names get Disdat's defaults from :attr:`lineage`."""

    name: str = ""
    processing_name: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    params: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    metrics: Mapping[str, float] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    run: Run | None = None
    """The run it is made in; None: this process's own."""
    task: str = ""
    committed: bool = False
    """Whether it is from its beginning."""

    def __post_init__(self) -> None:
        """Refuse what a manifest could hold and no catalog could: the bundle would be there, and never be found."""
        check_name("the bundle's name", self.name)
        for text in (self.processing_name, self.owner, *self.params, *self.params.values(), *self.metrics):
            check_text("what a bundle is born with", text)
        for name, number in self.metrics.items():
            if not math.isfinite(number):
                raise InvalidInput(f"the metric {name!r} is {number}", hint="leave it out")


@dataclass(frozen=True, slots=True)
class Captured:
    """A bundle whose bytes are in a batch, and which nobody sees yet."""

    uuid: str
    frames: tuple[Frame, ...]
    tree: Tree | TreeRef
    birth: Birth
    has_chosen_uuid: bool = False
    """Whether somebody chose the uuid, so that others may have it too."""
    elsewhere: Mapping[str, Entry] = field(default_factory=dict)
    """Its files whose bytes lie at its place on the remote, and nowhere else."""


class _NeedsStore(Exception):
    """Who holds a context's lock would have to take the store's, which comes first; few bundles need that."""


class BundleWriter:
    """
    An open bundle: its uuid, and the directory in which its maker may write files.

    The directory is made, and kept from collection by a lease, when it is first asked for. End with
    :meth:`close` or :meth:`abandon`; not for several threads.
    """

    def __init__(self, context: Context, *, uuid: str | None = None) -> None:
        self.context = context
        self.uuid = _new_uuid(context, uuid)
        self.has_chosen_uuid = uuid is not None
        self.path = context.bundle_directory(self.uuid)
        self._lease: Lease | None = None
        self._remote_place: RemotePlace | None = None

    def directory(self) -> Path:
        """The bundle's directory, there from now on."""
        home = self.context.home
        if self._lease is None:
            home.ensure()
            leases = home.root / "store" / "leases"
            lease = Lease(leases, context=self.context.name, uuid=self.uuid, disk=home.disk)
            lease.acquire()
            self._lease = lease
        with storage_errors(f"make {self.path}"):
            home.disk.mkdir(self.path)
        return self.path

    def file(self, name: str) -> Path:
        """The path in the bundle's directory for a file that is still to be written; InvalidInput if it leads out."""
        path = self._inside(name)
        with storage_errors(f"make {path.parent}"):
            self.context.home.disk.mkdir(path.parent)
        return path

    def subdirectory(self, name: str) -> Path:
        """A directory in the bundle's directory, there from now on; InvalidInput if *name* leads out."""
        path = self._inside(name)
        with storage_errors(f"make {path}"):
            self.context.home.disk.mkdir(path)
        return path

    def remote_url(self, name: str) -> str:
        """
        The URL on the remote of a file or directory that is still to be written there.

        What is written there and named in the value becomes part of the bundle, and is not moved.

        Raises:
            NotConfigured: The context has no remote.
            InvalidInput: *name* leads out, or the remote is of a kind whose files values do not name by URLs.
        """
        return self._needed_remote_place().at(name)

    def remote_directory_url(self) -> str:
        """The URL on the remote below which :meth:`remote_url` gives others; raises what that does."""
        return self._needed_remote_place().whole()

    def remote_place(self) -> RemotePlace | None:
        """Where on the remote its files lie as people see them; None without a remote."""
        from disdat.ops import remoteoutputs  # few bundles have files there

        if self._remote_place is None and self.context.binding is not None:
            self._remote_place = remoteoutputs.RemotePlace(self.context, self.uuid)
        return self._remote_place

    def close(self, value: object, birth: Birth, *, progress: Progress | None = None) -> Bundle:
        """
        Store *value* and publish the bundle: durable, complete and visible on return, or not there at all.

        Raises:
            Unserializable: The value cannot be stored; the message names the place in it.
            StorageError: The disk refused.
        """
        try:
            with batch_in(self.context) as batch:
                captured = capture(batch, self, value, birth, progress=progress)
                return publish(self.context, batch, [captured])[0]
        except BaseException:
            with suppress(StorageError):  # what made us stop is what counts
                self.abandon()
            raise
        finally:
            self._release()

    def abandon(self) -> None:
        """
        Forget the bundle and delete its directory; StorageError where that cannot be deleted.

        What its maker may have written on the remote is left to collection there, with a warning that names it.
        """
        if self._remote_place is not None and self._remote_place.given:
            warnings.warn(
                f"what was written below {self._remote_place.url} is no bundle's: `dsdt gc --remote` deletes it later",
                stacklevel=3,
            )
        try:
            with storage_errors(f"delete {self.path}"), suppress(FileNotFoundError):  # it was never asked for
                shutil.rmtree(self.path)
        finally:
            self._release()

    def _needed_remote_place(self) -> RemotePlace:
        self.context.remote  # noqa: B018 - it must have one
        place = self.remote_place()
        assert place is not None
        return place

    def _inside(self, name: str) -> Path:
        relative = PurePosixPath(name)
        if relative.is_absolute() or relative == PurePosixPath() or ".." in relative.parts or "\0" in name:
            raise InvalidInput(
                f"{name!r} is no path inside a bundle's directory", hint="give a relative path without '..'"
            )
        return self.directory() / relative

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.release()
            self._lease = None


def write(context: Context, value: object, birth: Birth) -> Bundle:
    """Make one bundle of *value*; see :meth:`BundleWriter.close`."""
    return BundleWriter(context).close(value, birth)


def write_many(context: Context, items: Iterable[tuple[object, Birth]]) -> list[Bundle]:
    """Make a bundle of each value, all at one commit point: after a crash there are all or none."""
    with batch_in(context) as batch:
        captured = [capture(batch, BundleWriter(context), value, birth) for value, birth in items]
        return publish(context, batch, captured)


def batch_in(context: Context) -> ObjectBatch:
    """What the bytes of new bundles are taken into, once it is sure that the home may be written to."""
    context.home.ensure()
    return context.home.store.batch()


def capture(
    batch: ObjectBatch, writer: BundleWriter, value: object, birth: Birth, *, progress: Progress | None = None
) -> Captured:
    """Take *value*'s bytes into *batch*."""
    intake = Intake(batch, writer.path, own_place=writer.remote_place, progress=progress)
    frames = values.dump(value, intake)
    tree = store_tree(batch, intake.tree)
    return Captured(writer.uuid, frames, tree, birth, writer.has_chosen_uuid, intake.elsewhere)


def publish(context: Context, batch: ObjectBatch, captured: Sequence[Captured]) -> list[Bundle]:
    """
    Make what was captured durable, then visible, in one commit.

    Raises:
        AlreadyExists: Another bundle has, or had, a uuid that was chosen.
    """
    batch.seal()
    with _announced(context, captured):
        return _commit(context, batch, captured)


def _commit(context: Context, batch: ObjectBatch, captured: Sequence[Captured]) -> list[Bundle]:
    """Put what was captured, and is durable, into the log."""
    made: list[Bundle] = []
    recorded = {run.id: run for run in (each.birth.run or runs.of_process() for each in captured)}
    unrecorded = [run for key, run in recorded.items() if key not in context.recorded_runs]

    home = context.home.known_id or context.home.id  # whoever has a batch has a home

    def drafts(moment: Moment) -> list[event.Draft]:
        made.clear()
        written = [runs.draft(run) for run in unrecorded]
        for each in captured:
            bundle = _bundle(each, home, moment.time_us(len(written)))
            made.append(bundle)
            written.append(_add_draft(batch, bundle))
            if each.birth.committed:
                written.append(_commit_draft([each.uuid]))
        return written

    chosen = [each.uuid for each in captured if each.has_chosen_uuid]
    try:
        context.catalog.commit(drafts, actor=runs.actor(), unused=chosen)
    except _NeedsStore:
        batch.begin()
        context.catalog.commit(drafts, actor=runs.actor(), unused=chosen)
    context.recorded_runs.update(recorded)
    return made


def value(context: Context, uuid: str) -> object:
    """
    The value of a bundle, equal to what was stored and of the same type; files as paths that exist.

    Raises:
        BundleNotFound: There is no such bundle.
        DigestMismatch: Its bytes are damaged.
        ObjectNotFound: Its bytes are lost; of a bundle that was removed since the moment *context* is seen as of, gone.
    """
    bundle = context.catalog.bundle(uuid)
    try:
        return value_of(context, bundle)
    except ObjectNotFound as exc:
        if context.moment_us is None or context.home.context(context.name).catalog.get(uuid) is not None:
            raise
        raise ObjectNotFound(
            f"the bytes of {bundle.name or '(unnamed)'} {uuid[:8]} are gone: it was removed, and they were purged",
            hint="what is recorded of it is still shown by `dsdt show --as-of`",
        ) from exc


def value_of(context: Context, bundle: Bundle) -> object:
    """The value of a bundle whose manifest was read already; see :func:`value`."""
    source = BundleSource(context, bundle)
    source.bring()
    for _ in range(_ATTEMPTS):
        # Of a bundle that was removed, collection may move an object away after it was found and before it is opened.
        with suppress(FileNotFoundError):
            return values.load(bundle.frames, source)
    return values.load(bundle.frames, source)


def directory(context: Context, uuid: str) -> Path:
    """Where the files of a bundle are seen, every one there and verified; not made for a bundle without files."""
    bundle = context.catalog.bundle(uuid)
    return BundleSource(context, bundle).directory("") if bundle.file_count else context.bundle_directory(uuid)


def dependency(argument: str, bundle: Bundle) -> Dependency:
    """The record of *bundle* as an input of another one, with the digests it has now."""
    return Dependency(
        argument=argument,
        uuid=bundle.uuid,
        name=bundle.name,
        processing_name=bundle.processing_name,
        manifest=digest.of_json(manifest.to_json(bundle)),
        logical=bundle.logical,
    )


def remove(context: Context, rows: Sequence[Row], *, force: bool = False) -> None:
    """
    Remove bundles from the context in one event; their bytes stay until they are collected.

    Raises:
        Conflict: One is committed, and not *force*; nothing was removed.
    """
    listed = [row.uuid for row in rows]
    removal = event.Draft(event.REMOVE, {"uuids": listed})

    def check(now: Mapping[str, Row]) -> None:  # one may have been committed since it was looked up
        _refuse_committed([now.get(row.uuid, row) for row in rows])

    if rows and force:
        _change(context, [removal])
    elif rows:
        _refuse_committed(rows)
        context.home.ensure()
        context.catalog.commit([removal], actor=runs.actor(), check=looking_at(listed, check))


def _refuse_committed(rows: Sequence[Row]) -> None:
    committed = [row for row in rows if row.committed]
    if committed:
        names = ", ".join(f"{row.name or '(unnamed)'} {row.uuid[:8]}" for row in committed[:_SHOWN])
        more = ", ..." if len(committed) > _SHOWN else ""
        alone = len(committed) == len(rows)
        raise Conflict(
            f"{len(committed)} of {len(rows)} committed: {names}{more}" + ("" if alone else "; nothing was removed"),
            hint="--force removes them too" if alone else "--uncommitted removes the others, --force all of them",
        )


def commit(context: Context, rows: Sequence[Row]) -> None:
    """Mark bundles as eligible for pushing; those that are marked already stay so."""
    fresh = [row.uuid for row in rows if not row.committed]
    if fresh:
        _change(context, [_commit_draft(fresh)])


def tag(context: Context, row: Row, *, set_to: Mapping[str, str] = NOTHING, unset: Iterable[str] = ()) -> None:
    """
    Change the tags of a bundle that is made already.

    Raises:
        InvalidInput: A key is reserved or empty, or a tag to unset is not there; nothing was changed.
    """
    removed = tuple(unset)
    check_tags(set_to)
    check_tags(dict.fromkeys(removed, ""))
    if missing := [key for key in removed if key not in row.tags]:
        raise InvalidInput(f"no tag {missing[0]!r} on {row.name} {row.uuid[:8]}", hint="`dsdt ls -vp` shows the tags")
    if set_to or removed:
        _change(context, [event.tagged(row.uuid, set_to=set_to, unset=removed)])


def reaffirm(context: Context, uuid_list: Sequence[str], *, run_id: str = "") -> None:
    """Record that these bundles were found right again: each is the latest of its name from now on."""
    if uuid_list:
        _change(context, [event.Draft(event.REAFFIRM, {"uuids": list(uuid_list), "run": run_id})])


def _change(context: Context, drafts: Sequence[event.Draft]) -> None:
    context.home.ensure()
    context.catalog.commit(drafts, actor=runs.actor())


def _new_uuid(context: Context, wanted: str | None) -> str:
    if wanted is None:
        return str(uuids.uuid4())
    try:
        text = str(uuids.UUID(wanted))
    except ValueError as exc:
        raise InvalidInput(f"not a uuid: {wanted!r}", hint="leave it out to get a new one") from exc
    if context.catalog.known([text]) or context.bundle_directory(text).exists():
        raise AlreadyExists(f"there is or was a bundle {text}", hint="leave the uuid out to get a new one")
    return text


def _announced(context: Context, captured: Iterable[Captured]) -> AbstractContextManager[None]:
    """Make known where the files lie that are on the remote only, before a bundle counts on them."""
    elsewhere = {each.uuid: each.elsewhere for each in captured if each.elsewhere}
    if not elsewhere:
        return nullcontext()
    from disdat.ops import remoteoutputs  # few bundles have files there

    return remoteoutputs.announced(context, elsewhere)


def _bundle(captured: Captured, home: str, created_us: int) -> Bundle:
    birth = captured.birth
    lineage = birth.lineage
    method = lineage.code.method if lineage.code else ""
    upstream = {each.argument: each.processing_name for each in lineage.inputs}
    run = birth.run or runs.of_process()
    return Bundle(
        uuid=captured.uuid,
        name=birth.name or naming.default_name(method),
        processing_name=birth.processing_name or naming.bundle_processing_name(method, birth.params, upstream),
        owner=birth.owner or run.user,
        created_us=created_us,
        creator=CREATOR,
        home=home,
        frames=captured.frames,
        tree=captured.tree,
        tags=birth.tags,
        params=birth.params,
        metrics=birth.metrics,
        parents=birth.parents,
        lineage=replace(lineage, run=runs.reference(run, birth.task)),
    )


def _commit_draft(uuid_list: Sequence[str]) -> event.Draft:
    return event.Draft(event.COMMIT, {"uuids": list(uuid_list)})


def _add_draft(batch: ObjectBatch, bundle: Bundle) -> event.Draft:
    """
    The event that adds *bundle*; a manifest too large for it becomes an object, durable before the event.

    Raises:
        _NeedsStore: It is such a one, and nothing was taken into *batch* before.
    """
    body = Encoded(manifest.to_json(bundle))
    if len(body.encoded) <= INLINE_MANIFEST_BYTES:
        return event.added(bundle.uuid, digest.of_bytes(body.encoded), body)
    if not batch.begun:
        raise _NeedsStore
    name = batch.put(body.encoded)
    batch.seal()
    return event.added(bundle.uuid, name, None)
