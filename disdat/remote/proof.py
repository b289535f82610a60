"""
Proof that a remote has objects, unchanged, before anybody counts on it.

What the remote computed over an object when it took it tells that, where it is what we compute over our own bytes; all
of a pack is proved at once, made again out of its objects. Else the bytes are read back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from disdat.core import checksum
from disdat.core.checksum import Checksum
from disdat.core.digest import Digest, Hasher, of_bytes
from disdat.core.places import Place
from disdat.errors import DigestMismatch, DisdatError, ObjectNotFound
from disdat.remote import transfer
from disdat.remote.transfer import Load
from disdat.store import packs
from disdat.store.backend import PIECE_BYTES, Backend, KeyNotFound, part_bytes, read_file
from disdat.store.objects import ObjectStore

Progress = Callable[[int], None]
"""Is told bytes as they are proved, by any thread."""
Contents = Callable[[str], Sequence[tuple[Digest, int, int]]]
"""Gives what a pack on the remote holds: objects with offset and length."""


def unproved(
    backend: Backend,
    store: ObjectStore,
    places: Mapping[Digest, Sequence[Place]],
    contents: Contents,
    *,
    progress: Progress,
    jobs: int = transfer.JOBS,
) -> dict[Digest, DisdatError]:
    """
    Those of some objects that are not proved to be right in any of their places, and why not.

    Raises:
        StorageError: The remote does not answer, or the disk does not.
    """
    prover = _Prover(backend, store, contents, progress)
    left = {digest: list(of_one) for digest, of_one in places.items()}
    failed: dict[Digest, DisdatError] = {}
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        while loads := transfer.loads({digest: of_one for digest, of_one in left.items() if of_one}):
            found: dict[Digest, DisdatError] = {}
            for of_load in pool.map(prover.prove, loads):
                found |= of_load
            tried = {digest: place for load in loads for digest, place in load.wanted}
            failed = {digest: exc for digest, exc in failed.items() if digest not in tried} | found
            left = {digest: [p for p in left[digest] if p != tried[digest]] for digest in found}
    return failed


_LARGE_AT_ONCE = 2
"""So many large objects are read back at a time: some pieces of each are in memory."""


class _Prover:
    """Looks at one key at a time; several threads may share it."""

    def __init__(self, backend: Backend, store: ObjectStore, contents: Contents, progress: Progress) -> None:
        self._backend = backend
        self._store = store
        self._contents = contents
        self._progress = progress
        self._one_pack = threading.Lock()
        """Held while there is a pack in memory."""
        self._few_large = threading.Semaphore(_LARGE_AT_ONCE)

    def prove(self, load: Load) -> dict[Digest, DisdatError]:
        """Those of a key's objects that are not right there, and why not."""
        try:
            told = self._backend.checksum(load.key)
            if told is not None and self._expected(load, told) == told:
                self._progress(load.size_bytes)
                return {}
            return dict(self._wrong(load))
        except KeyNotFound as exc:
            return dict.fromkeys((digest for digest, _ in load.wanted), exc)

    def _expected(self, load: Load, told: Checksum) -> Checksum | None:
        """The checksum of what should lie under a key; None where it cannot be computed from what is here."""
        if told.algorithm != checksum.SHA256:
            return None
        with suppress(DigestMismatch, ObjectNotFound):  # what is here is not what is to be proved
            digest, place = load.wanted[0]
            return self._of_object(digest, told) if place.is_whole else self._of_pack(load.key, told)
        return None

    def _of_object(self, digest: Digest, told: Checksum) -> Checksum:
        path, offset, size_bytes = self._store.open_path(digest)
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            return checksum.sha256(read_file(file, size_bytes), part_bytes=_parts(told, size_bytes))

    def _of_pack(self, key: str, told: Checksum) -> Checksum | None:
        published = self._contents(key)
        digests = [digest for digest, _, _ in published]
        if len(self._store.has_many(digests)) < len(digests):
            return None
        with self._one_pack:
            pieces: list[bytes] = []
            made = packs.write(dict(self._store.read_each(digests)), pieces.append)
            if [(each.digest, each.offset, each.length) for each in made.contents] != list(published):
                return None  # nothing is where it is said to be, or there is more in it
            return checksum.sha256(pieces, part_bytes=_parts(told, sum(map(len, pieces))))

    def _wrong(self, load: Load) -> Iterator[tuple[Digest, DisdatError]]:
        """Read objects back; yield those that are not right."""
        for digest, found in self._large(load) if load.is_large else self._small(load):
            if found != digest and found != self._store.content(digest):
                yield digest, transfer.damaged(self._backend, load.key, digest, found)

    def _large(self, load: Load) -> Iterator[tuple[Digest, Digest]]:
        for digest, place in load.wanted:
            hasher = Hasher(expected_bytes=place.length)
            with self._few_large:
                for piece in self._backend.read_pieces(load.key, offset=place.offset, length=place.length):
                    hasher.update(piece)
                    self._progress(len(piece))
            yield digest, hasher.digest()

    def _small(self, load: Load) -> Iterator[tuple[Digest, Digest]]:
        for digest, data in transfer.read_small(self._backend, load):
            self._progress(len(data))
            yield digest, of_bytes(data)


def _parts(told: Checksum, size_bytes: int) -> int | None:
    """The size of the parts an object of ours was sent in; None where it was sent as one."""
    return part_bytes(size_bytes) if told.parts and size_bytes > PIECE_BYTES else None
