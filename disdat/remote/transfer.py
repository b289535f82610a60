"""
Moving objects between a store and a remote, many at once, in bounded memory.

Small objects travel in packs, large ones by themselves. What arrives gets its name only when its bytes are right, and
stays when others fail: who begins again goes on from there.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, BinaryIO, ParamSpec, Self, TypeAlias, TypeVar, cast

from disdat.core.digest import Digest, of_bytes
from disdat.core.places import Place, object_key, pack_key
from disdat.errors import Corrupt, DigestMismatch
from disdat.remote import vouched
from disdat.store import packs
from disdat.store.additions import SMALL_BYTES
from disdat.store.backend import PIECE_BYTES, PIECES_IN_FLIGHT, Backend, KeyNotFound, Piece
from disdat.store.batch import ObjectBatch
from disdat.store.objects import ObjectStore

PACK_BYTES = 32 << 20
"""A pack is sent when its objects have so many bytes: half of what one may have, as they are held in memory."""
JOBS = 16
"""So many objects or packs travel at once, unless memory allows fewer."""
BUDGET_BYTES = 96 << 20
"""What travels at once takes at most about so much memory."""
TOGETHER_BYTES = 32 << 20
"""So many bytes of objects that lie by themselves are made durable together."""

PATIENCE_S = 1.0
"""So long what is on its way may take to arrive after an interrupt."""

RANGES_BYTES = 8 << 20
"""So many bytes of ranges are asked for together."""

P = ParamSpec("P")
T = TypeVar("T")
Progress: TypeAlias = "Callable[[int], None]"
"""Is told bytes as they travel, by any thread."""
Sized: TypeAlias = "tuple[Digest, int]"
Wanted: TypeAlias = "tuple[Digest, Place]"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An object to send: to lie under *key*, or, with none, by itself or in a pack, as its size says."""

    key: str | None
    digest: Digest
    size_bytes: int


@dataclass(slots=True)
class Sent:
    """What a remote was sent: the index of each pack by its name, and the objects that lie by themselves."""

    packs: dict[str, bytes] = field(default_factory=dict)
    objects: list[Sized] = field(default_factory=list)
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What is fetched of one key: objects with their places there, in the order of these."""

    key: str
    wanted: tuple[Wanted, ...]

    @property
    def size_bytes(self) -> int:
        return sum(place.length for _, place in self.wanted)

    @property
    def is_large(self) -> bool:
        """Whether one is too large to be held in memory."""
        return any(place.length >= SMALL_BYTES for _, place in self.wanted)


@dataclass(slots=True)
class Received:
    """What a fetch of bytes came to; what is left of it lies elsewhere by now, or was damaged."""

    objects: int = 0
    bytes_received: int = 0
    left: dict[Digest, Corrupt | KeyNotFound] = field(default_factory=dict)


def send(
    backend: Backend,
    store: ObjectStore,
    objects: Iterable[Outgoing],
    *,
    progress: Progress,
    is_there: Callable[[str, int], bool],
    noted: Callable[[str], None],
    jobs: int = JOBS,
) -> Sent:
    """
    Put objects of a store on a remote; durable there on return.

    *is_there* tells of a key and its size whether it need not be sent, and *noted* hears of each key that was.

    Raises:
        ObjectNotFound, DigestMismatch: One is not in the store, or damaged; others were sent.
        StorageError: The remote refused.
    """
    sent = Sent()
    small: list[Sized] = []
    with _Workers(jobs) as workers:

        def put(key: str, size_bytes: int, write: Callable[[Progress], None]) -> None:
            if is_there(key, size_bytes):
                progress(size_bytes)
                return
            write(workers.stoppable(progress))
            noted(key)
            workers.count(size_bytes)

        for each in sorted(objects, key=lambda one: one.digest):
            if each.key is None and each.size_bytes < SMALL_BYTES:
                small.append((each.digest, each.size_bytes))
                continue
            if each.key is None:
                sent.objects.append((each.digest, each.size_bytes))
            key = each.key or object_key(each.digest)
            write = _sending(backend, store, key, each.digest)
            workers.submit(_memory(each.size_bytes), put, key, each.size_bytes, write)
        for pack, file, size_bytes in _packed(store, small):
            sent.packs[pack.name] = pack.index
            write = _sending_file(backend, pack_key(pack.name), file, size_bytes)
            workers.submit(_memory(size_bytes), put, pack_key(pack.name), size_bytes, write)
        workers.finish()
        sent.bytes_sent = workers.counted
    return sent


def loads(places: Mapping[Digest, Sequence[Place]]) -> list[Load]:
    """
    What to fetch of which key to have all objects, a function of values.

    Of several places one is taken from which others are fetched as well, else the first.
    """
    asked: dict[str, int] = defaultdict(int)
    for of_one in places.values():
        for place in of_one:
            asked[place.key] += 1
    chosen: dict[str, list[tuple[Digest, Place]]] = defaultdict(list)
    for digest, of_one in places.items():
        place = max(of_one, key=lambda each: asked[each.key])
        chosen[place.key].append((digest, place))
    return [Load(key, tuple(sorted(found, key=lambda each: each[1].offset))) for key, found in sorted(chosen.items())]


def receive(
    backend: Backend, store: ObjectStore, wanted: Sequence[Load], *, progress: Progress, jobs: int = JOBS
) -> Received:
    """
    Take objects into a store, verified and durable on return; those that were gone or damaged are told.

    Raises:
        StorageError: The remote or the disk refused; what was taken in before stays.
    """
    received = Received()
    with _Workers(jobs) as workers:
        told = workers.stoppable(progress)
        futures = [workers.submit(_held(some), _take, backend, store, some, told) for some in _together(wanted, jobs)]
        workers.finish()
        for future in futures:
            objects, size_bytes, left = future.result()
            received.objects += objects
            received.bytes_received += size_bytes
            received.left |= left
    return received


def _sending(backend: Backend, store: ObjectStore, key: str, digest: Digest) -> Callable[[Progress], None]:
    def write(progress: Progress) -> None:
        path, offset, size_bytes = store.open_path(digest)
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            backend.put_file(key, cast("BinaryIO", file), size_bytes, progress=progress)

    return write


def _sending_file(backend: Backend, key: str, file: BinaryIO, size_bytes: int) -> Callable[[Progress], None]:
    def write(progress: Progress) -> None:
        with file:
            backend.put_file(key, file, size_bytes, progress=progress)

    return write


def _packed(store: ObjectStore, objects: Sequence[Sized]) -> Iterator[tuple[packs.Pack, BinaryIO, int]]:
    """Yield packs of objects, which come in order of their digests, each in a file that has no name."""
    for some in _groups(objects, PACK_BYTES):
        held = dict(store.read_each([digest for digest, _ in some]))
        file = cast("BinaryIO", TemporaryFile(dir=_scratch(store)))  # noqa: SIM115 - who sends it closes it
        pack = packs.write(held, partial(_write, file))
        size_bytes = file.tell()
        file.seek(0)
        yield pack, file, size_bytes


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)


def _groups(objects: Iterable[Sized], at_most_bytes: int) -> Iterator[list[Sized]]:
    """Yield them in groups of about so many bytes."""
    some: list[Sized] = []
    size_bytes = 0
    for each in objects:
        some.append(each)
        size_bytes += each[1]
        if size_bytes >= at_most_bytes:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some


def _scratch(store: ObjectStore) -> Path | None:
    """Where files without a name are made: beside the store, as the usual place may be memory."""
    staging = store.root / "staging"
    return staging if os.access(staging, os.W_OK) else None


def _memory(size_bytes: int) -> int:
    """How much memory an object takes while it travels."""
    return size_bytes if size_bytes <= PIECE_BYTES else PIECE_BYTES * (PIECES_IN_FLIGHT + 1)


def _held(wanted: Sequence[Load]) -> int:
    """How much memory it takes to fetch loads in turn: pieces of one, and small objects until they are written."""
    small = sum(load.size_bytes for load in wanted if not load.is_large)
    return min(max(_memory(load.size_bytes) for load in wanted) + small, BUDGET_BYTES // 2)


def _together(wanted: Sequence[Load], jobs: int) -> Iterator[list[Load]]:
    """Yield what is fetched by one worker and made durable together."""
    share = sum(load.size_bytes for load in wanted) // (2 * jobs)
    at_most = max(1, min(share, TOGETHER_BYTES))
    some: list[Load] = []
    size_bytes = 0
    for load in sorted(wanted, key=lambda each: -each.size_bytes):
        some.append(load)
        size_bytes += load.size_bytes
        if size_bytes >= at_most:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some


_Left: TypeAlias = "dict[Digest, Corrupt | KeyNotFound]"


def _take(backend: Backend, store: ObjectStore, wanted: Sequence[Load], progress: Progress) -> tuple[int, int, _Left]:
    left: _Left = {}
    objects = size_bytes = 0
    with store.batch() as batch:
        try:
            for load in wanted:
                missed = _take_one(backend, batch, load, progress)
                left |= missed
                objects += len(load.wanted) - len(missed)
                size_bytes += load.size_bytes
        finally:
            batch.seal()  # what arrived stays, though something fails or the user has enough
    return objects, size_bytes, left


def _take_one(backend: Backend, batch: ObjectBatch, load: Load, progress: Progress) -> _Left:
    try:
        take = _take_large if load.is_large else _take_small
        return take(backend, batch, load, progress)
    except KeyNotFound as exc:
        return {digest: exc for digest, _ in load.wanted}


def _take_large(backend: Backend, batch: ObjectBatch, load: Load, progress: Progress) -> _Left:
    left: _Left = {}
    for digest, place in load.wanted:
        if place.weak is not None:
            if (wrong := vouched.take(backend, batch, digest, place, progress)) is not None:
                left[digest] = wrong
            continue
        with batch.blob(digest) as blob:
            for piece in backend.read_pieces(load.key, offset=place.offset, length=place.length):
                blob.write(piece)
                progress(len(piece))
        if blob.digest != digest:
            left[digest] = damaged(backend, load.key, digest, blob.digest)
    return left


def _take_small(backend: Backend, batch: ObjectBatch, load: Load, progress: Progress) -> _Left:
    left: _Left = {}
    for digest, data in read_small(backend, load):
        progress(len(data))
        found = of_bytes(data)
        if found == digest:
            batch.put_known({digest: data})
        else:
            left[digest] = damaged(backend, load.key, digest, found)
    return left


def damaged(backend: Backend, key: str, digest: Digest, found: Digest) -> DigestMismatch:
    """What to say of an object whose bytes on a remote are not its."""
    return DigestMismatch(
        f"object {digest} in {backend.url}/{key}",
        expected=digest,
        found=found,
        hint="who has its bytes sends it again by `dsdt verify --remote --repair`",
    )


def read_small(backend: Backend, load: Load) -> Iterator[tuple[Digest, bytes]]:
    """Yield the objects of one key: cut out of all that lies between the first and the last, or range by range."""
    start = load.wanted[0][1].offset
    end = max(place.offset + place.length for _, place in load.wanted)
    if 2 * load.size_bytes >= end - start:
        yield from _cut_out(backend.read_pieces(load.key, offset=start, length=end - start), start, load.wanted)
        return
    sized = [(digest, place.length) for digest, place in load.wanted]
    at = 0
    for some in _groups(sized, RANGES_BYTES):
        of_some = load.wanted[at : at + len(some)]
        ranges = [(place.offset, place.length) for _, place in of_some]
        datas = backend.get_ranges(load.key, ranges)
        yield from ((digest, data) for (digest, _), data in zip(of_some, datas, strict=True))
        at += len(some)


def _cut_out(pieces: Iterable[Piece], start: int, wanted: Sequence[Wanted]) -> Iterator[tuple[Digest, bytes]]:
    """Yield objects, which come in the order of their places, out of bytes that begin at *start*."""
    rest = iter(pieces)
    held = b""
    for digest, place in wanted:
        if start + len(held) < place.offset + place.length:
            parts = [held[place.offset - start :]]
            start += len(held) - len(parts[0])
            reached = start + len(parts[0])
            while reached < place.offset + place.length and (piece := next(rest, None)) is not None:
                parts.append(bytes(piece))
                reached += len(piece)
            held = b"".join(parts)
        at = place.offset - start
        yield digest, held[at : at + place.length]


class _Stopped(Exception):
    """Another part of the work failed, or the user had enough."""


class _Workers:
    """Threads that share a bound of memory; a context manager that ends them all when one fails."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(max(jobs, 1))
        self._free = BUDGET_BYTES
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._futures: list[Future[Any]] = []
        self.counted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._pool.shutdown()
            return
        self._stopped.set()
        if issubclass(kind, KeyboardInterrupt):  # who has enough does not wait for a server that is gone
            wait(self._futures, timeout=PATIENCE_S)
            self._pool.shutdown(wait=False, cancel_futures=True)
        else:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, cost_bytes: int, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a piece of work as soon as there is memory for it; raises what earlier work raised."""
        cost = min(cost_bytes, BUDGET_BYTES)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cost)
            self._free -= cost
        self._raise_failed()

        def run() -> T:
            try:
                if self._stopped.is_set():
                    raise _Stopped
                return work(*args, **kwargs)
            except BaseException:
                self._stopped.set()
                raise
            finally:
                with self._changed:
                    self._free += cost
                    self._changed.notify_all()

        future = self._pool.submit(run)
        self._futures.append(future)
        return future

    def stoppable(self, progress: Progress) -> Progress:
        """*progress*, which also ends the work that tells it once it is to end."""

        def tell(size_bytes: int) -> None:
            if self._stopped.is_set():
                raise _Stopped
            progress(size_bytes)

        return tell

    def count(self, number: int) -> None:
        """Add to what is counted; by any thread."""
        with self._changed:
            self.counted += number

    def finish(self) -> None:
        """Wait for all of it; raises what was raised first."""
        wait(self._futures, return_when=FIRST_EXCEPTION)
        self._raise_failed()

    def _raise_failed(self) -> None:
        failed = [exc for future in self._futures if future.done() and (exc := future.exception()) is not None]
        if failed:
            raise next((exc for exc in failed if not isinstance(exc, _Stopped)), failed[0])
