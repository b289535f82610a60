"""
Delocalizing: dropping the bytes of bundles here, after proof that the remote has them.

What a bundle is, and the directories of its tree, stay. Bytes that another bundle needs here stay too, of whatever
context, and are dropped with the last bundle that needs them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.digest import Digest
from disdat.core.tree import Entry
from disdat.errors import BundleNotFound, DisdatError, InvalidInput, ObjectNotFound
from disdat.ops import fetching, holding, localizing, needs, presence, seen
from disdat.remote import proof, transfer
from disdat.remote.known import Presence
from disdat.store import drop

Progress = localizing.Progress


@dataclass(frozen=True, slots=True)
class Delocalized:
    """
    What was dropped, or would be: of which bundles, how many objects, and how many bytes that freed.

    Of :attr:`kept` objects the bytes stay, since the bundles of :attr:`kept_for` need them here; and
    :attr:`bytes_left` stay in packs of which most is needed.
    """

    bundles: tuple[Row, ...]
    objects: int
    bytes_freed: int
    seconds: float
    kept: int = 0
    kept_for: tuple[str, ...] = ()
    bytes_left: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """The bundles whose bytes are to go, and the objects that they, or the paths that were named, consist of."""

    rows: tuple[Row, ...]
    files: Mapping[str, Mapping[str, Entry]]
    """The files of each bundle that are to go, by its uuid and their paths."""
    sizes: Mapping[Digest, int]
    is_whole: bool

    @property
    def uuids(self) -> list[str]:
        return [row.uuid for row in self.rows]


def delocalize(
    context: Context,
    rows: Sequence[Row],
    paths: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    jobs: int = transfer.JOBS,
) -> Delocalized:
    """
    Drop the bytes of bundles here, or those of files at and below *paths* of one; each comes back when it is asked for.

    The remote is proved to have each byte first, by its checksums or by reading it back. Then, while nobody writes to
    the store, what no other bundle needs is dropped. It may be killed at any moment, and be done again.

    Raises:
        NotConfigured: The context has no remote.
        BundleNotFound, PathNotFound: Others removed a bundle, or there are no such files; nothing was dropped.
        InvalidInput: A bundle was not pushed; nothing was dropped.
        ObjectNotFound, DigestMismatch: The remote lacks an object, or has it damaged; nothing was dropped.
        Unavailable: It does not answer, or others never stopped writing.
    """
    context.check_is_now()
    started_s = time.monotonic()
    fetching.fetch(context)
    asked = _asked(context, _still_there(context, rows), paths)
    _check_published(context, asked)
    proved: set[Digest] = set()
    while True:
        proved |= _prove(context, _going(context, asked)[0] - proved, asked, progress, jobs)
        found = _drop(context, asked, proved, started_s)
        if found is not None:
            return found


def plan(context: Context, rows: Sequence[Row], paths: Sequence[str] | None = None) -> Delocalized:
    """What :func:`delocalize` would do, as far as is known here; proves nothing, and changes nothing."""
    started_s = time.monotonic()
    context.remote  # noqa: B018 - it must have one
    asked = _asked(context, rows, paths)
    _check_published(context, asked)
    going, kept = _going(context, asked)
    size_bytes = sum(asked.sizes[digest] for digest in going)
    return Delocalized(asked.rows, len(going), size_bytes, time.monotonic() - started_s, len(kept), _named(kept))


def _still_there(context: Context, rows: Sequence[Row]) -> list[Row]:
    now = context.catalog.rows([row.uuid for row in rows])
    for row in rows:
        if row.uuid not in now:
            raise BundleNotFound(
                f"{row.name} {row.uuid[:8]} was removed by others", hint="`dsdt gc` collects its bytes"
            )
    return [now[row.uuid] for row in rows]


def _asked(context: Context, rows: Sequence[Row], paths: Sequence[str] | None) -> _Asked:
    if paths and len(rows) != 1:
        raise InvalidInput("paths are those of one bundle", hint="name one bundle, or leave the paths out")
    bundles = context.catalog.bundles([row.uuid for row in rows])
    localizing.bring_trees(context, bundles.values())
    whole = {uuid: needs.files(each, context.home.store.read) for uuid, each in bundles.items()}
    values = {frame.digest: frame.size_bytes for each in bundles.values() for frame in each.frames if frame.digest}
    files: dict[str, Mapping[str, Entry]] = {**whole}
    staying: set[Digest] = set()
    if paths:
        [row] = rows
        files[row.uuid] = chosen = seen.chosen(row, whole[row.uuid], paths)
        staying = {*values, *(each.digest for path, each in whole[row.uuid].items() if path not in chosen)}
    sizes = values | {each.digest: each.size_bytes for of_one in files.values() for each in of_one.values()}
    going = {digest: size_bytes for digest, size_bytes in sizes.items() if digest not in staying}
    return _Asked(tuple(rows), files, going, not paths)


def _check_published(context: Context, asked: _Asked) -> None:
    missing = holding.unpublished(context, asked.uuids)
    for row in asked.rows:
        if row.uuid in missing:
            raise InvalidInput(
                f"{row.name or '(unnamed)'} {row.uuid[:8]} was not pushed: its bytes are nowhere but here",
                hint=f"`dsdt push {row.name}` sends it",
            )


def _going(context: Context, asked: _Asked) -> tuple[set[Digest], dict[Digest, str]]:
    """What of the bytes is here and needed by no other bundle; and what another one needs, with who does."""
    here = context.home.store.has_many(asked.sizes)
    kept = holding.needed_here(context, here, dropping=frozenset(asked.uuids))
    return here - kept.keys(), kept


def _prove(context: Context, digests: set[Digest], asked: _Asked, progress: Progress | None, jobs: int) -> set[Digest]:
    """*digests*, once the remote is proved to have them."""
    known, backend = context.remote.known, context.remote.backend
    places = known.places(digests)
    for digest in sorted(digests - places.keys()):
        raise ObjectNotFound(
            f"object {digest} is nowhere at {backend.url}; nothing was dropped", hint="`dsdt verify --remote` says more"
        )
    told = localizing.Told(progress, sum(asked.sizes[digest] for digest in digests))
    failed = proof.unproved(backend, context.home.store, places, known.contents, progress=told, jobs=jobs)
    if failed:
        raise _refusal(failed)
    return digests


def _refusal(failed: Mapping[Digest, DisdatError]) -> DisdatError:
    digest = min(failed)
    exc = failed[digest]
    more = f", and {len(failed) - 1:,} more" if len(failed) > 1 else ""
    exc.message = f"{exc.message}{more}; nothing was dropped"
    exc.args = (exc.message,)
    exc.hint = "`dsdt verify --remote` lists what is damaged there, and says how to heal it"
    return exc


def _drop(context: Context, asked: _Asked, proved: set[Digest], started_s: float) -> Delocalized | None:
    """Drop what nobody else needs; None, and nothing was, where that is more than what was proved."""
    home, known = context.home, context.remote.known
    home.ensure()
    collector = home.store.collector(clock_us=home.clock_us)
    with collector.alone():
        going, kept = _going(context, asked)
        if not going <= proved:
            return None
        before = presence.kept(context, asked.uuids)
        begun = {uuid: Presence.PARTIAL for uuid, state in before.items() if state is Presence.LOCAL}
        known.note_presence(begun)  # should we be killed: less is here than was
        freed = sum(seen.remove(context, uuid, files) for uuid, files in asked.files.items())
        dropped = drop.drop(collector, going)
        if asked.is_whole:
            known.note_presence(dict.fromkeys(asked.uuids, Presence.REMOTE))
    if not asked.is_whole:
        presence.look(context, asked.uuids)
    return Delocalized(
        bundles=asked.rows,
        objects=dropped.objects,
        bytes_freed=freed + dropped.bytes_freed,
        seconds=time.monotonic() - started_s,
        kept=len(kept),
        kept_for=_named(kept),
        bytes_left=dropped.bytes_left,
    )


def _named(kept: Mapping[Digest, str]) -> tuple[str, ...]:
    return tuple(sorted(set(kept.values())))
