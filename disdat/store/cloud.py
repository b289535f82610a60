"""A backend in a bucket: S3 and what speaks as it does, and Google's and Azure's, through obstore."""

from __future__ import annotations

import io
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, BinaryIO, TypeVar

from disdat import config
from disdat.config import Settings
from disdat.core.checksum import Checksum
from disdat.errors import DisdatError, InvalidInput, NotFound, Unavailable
from disdat.store import engine
from disdat.store.answers import Action, Answer, told
from disdat.store.backend import (
    LONGEST_SIGNED_S,
    PIECE_BYTES,
    PIECES_IN_FLIGHT,
    KeyNotFound,
    Piece,
    Progress,
    Stored,
    Versioned,
    check_key,
    check_parent,
    check_range,
    coalesced,
    cut,
    part_bytes,
    read_file,
)
from disdat.store.stores import PLACES, Place

T = TypeVar("T")
Page = list[tuple[str, Stored]]

LISTED_AT_ONCE = 1000
RANGES_IN_FLIGHT = 8
READ_BYTES, READS_IN_FLIGHT = PIECE_BYTES // 2, 4
"""How a large object is read: of what is freed here the C library keeps the more, the larger each piece was."""
_LAST_BYTE = (1 << 63) - 1
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0


class CloudBackend:
    """
    Keeps :class:`disdat.store.backend.Backend`'s promises in a bucket, below a prefix.

    What fails for a moment is tried again, for ``remote_timeout_s`` of the settings in all. Credentials are looked for
    by the first call. The store must list keys in the order of their bytes: S3's directory buckets do not.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self._scheme, self._bucket, self._prefix = _parts(url)
        self._settings = settings
        self._here: tuple[int, Place] | None = None

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self._bucket}/{self._prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        return self.get_versioned(key).data

    def get_versioned(self, key: str) -> Versioned:
        path = self._path(key)

        def get(place: Place) -> Versioned:
            found = place.requests.get(path)
            return Versioned(found.bytes().to_bytes(), _etag(found.meta, place))

        return self._do(Action.READ, key, get)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get_ranges(key, [(offset, length)])[0]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        spans = coalesced(ranges)
        path = self._path(key)
        if not spans:
            self.head(key)
            return [b""] * len(ranges)
        if len(spans) == 1:
            return cut(ranges, spans, [self._range(key, path, spans[0].offset, spans[0].length)])
        with ThreadPoolExecutor(min(len(spans), RANGES_IN_FLIGHT)) as pool:
            return cut(ranges, spans, pool.map(lambda span: self._range(key, path, span.offset, span.length), spans))

    def read_pieces(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        check_range(offset, length or 0)
        path = self._path(key)
        if length == 0:
            self.head(key)
            return
        wanted = _LAST_BYTE - offset if length is None else length
        first, size_bytes, etag = self._first_piece(key, path, offset, min(wanted, READ_BYTES))
        if first:
            yield first
        del first  # or it is held until all are read
        end = min(size_bytes, offset + wanted)
        starts = range(offset + READ_BYTES, end, READ_BYTES)
        if starts:
            yield from _in_flight(
                lambda start: self._piece(key, path, start, min(end, start + READ_BYTES), etag), starts
            )

    def put(self, key: str, data: bytes) -> None:
        if len(data) > PIECE_BYTES:
            self.put_file(key, io.BytesIO(data), len(data))
            return
        path = self._path(key)
        self._do(Action.WRITE, key, lambda place: place.requests.put(path, data, use_multipart=False))

    def put_file(self, key: str, file: BinaryIO, size_bytes: int, *, progress: Progress | None = None) -> None:
        path = self._path(key)
        if size_bytes <= PIECE_BYTES:
            data = b"".join(read_file(file, size_bytes, progress))
            self._do(Action.WRITE, key, lambda place: place.transfers.put(path, data, use_multipart=False))
            return
        sending = _Sending(file, size_bytes, progress)
        parts = {"chunk_size": part_bytes(size_bytes), "max_concurrency": PIECES_IN_FLIGHT, "use_multipart": True}
        try:
            self._do(Action.WRITE, key, lambda place: place.transfers.put(path, sending.pieces(), **parts))
        except DisdatError:
            if sending.failed is not None:
                raise sending.failed from None
            raise

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self._path(key)

        def create(place: Place) -> bool:
            try:
                place.requests.put(path, data, mode="create", use_multipart=False)
            except _errors().AlreadyExistsError as exc:
                if Answer.of(exc).is_busy:
                    raise
                return False
            return True

        return self._do(Action.WRITE, key, create)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        path = self._path(key)

        def swap(place: Place) -> str | None:
            mode = {place.version_field: etag}
            try:
                return _etag(place.requests.put(path, data, mode=mode, use_multipart=False), place)
            except _errors().PreconditionError as exc:
                if Answer.of(exc).code == "NoSuchBucket":
                    raise
                return None

        return self._do(Action.WRITE, key, swap)

    def copy(self, source_key: str, target_key: str) -> None:
        source, target = self._path(source_key), self._path(target_key)
        self._do(Action.COPY, source_key, lambda place: place.transfers.copy(source, target))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        whole = self._prefix + prefix
        start = _before(whole)
        if start_after:
            start = max(start, self._prefix + start_after)
        found = self._listed(whole.rpartition("/")[0], start)
        if not self._open().in_order:
            found = iter(sorted(dict(found).items()))
        for path, stored in found:
            if path.startswith(whole):
                yield stored
            elif path > whole:
                return  # of the directory that was asked for, what follows is of other names

    def list_below(self, prefix: str) -> Sequence[str]:
        parent = (self._prefix + check_parent(prefix)).rstrip("/")

        def listed(place: Place) -> set[str]:
            found = place.requests.list_with_delimiter(parent or None)
            paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
            return {path[len(parent) + 1 if parent else 0 :] for path in paths}

        return sorted(self._do(Action.LIST, "", listed) - {""})

    def delete(self, key: str) -> None:
        path = self._path(key)
        with suppress(KeyNotFound):
            self._do(Action.DELETE, key, lambda place: place.requests.delete(path))

    def delete_many(self, keys: Iterable[str]) -> None:
        paths = {key: self._path(key) for key in keys}
        if not paths:
            return
        try:
            self._do(Action.DELETE, next(iter(paths)), lambda place: place.requests.delete(list(paths.values())))
        except KeyNotFound:  # not from S3
            for key in paths:
                self.delete(key)

    def head(self, key: str) -> Stored:
        path = self._path(key)

        def head(place: Place) -> Stored:
            return _stored(key, place.requests.head(path), place)

        return self._do(Action.READ, key, head)

    def checksum(self, key: str) -> Checksum | None:
        path = self._path(key)
        try:
            return self._do(Action.READ, key, lambda place: place.checksum(path))
        except KeyNotFound:
            raise
        except NotFound as exc:
            raise KeyNotFound(key, self.url) from exc

    def signed_url(self, key: str, *, expires_s: int) -> str:
        path = self._path(key)
        if not 0 < expires_s <= LONGEST_SIGNED_S:
            raise InvalidInput(f"a URL cannot be good for {expires_s:,} s", hint="for 1 second to 7 days it can")
        expires = timedelta(seconds=expires_s)
        url: str = self._do(Action.SIGN, key, lambda place: engine.obstore().sign(place.requests, "GET", path, expires))
        return url

    def _path(self, key: str) -> str:
        if self._scheme == "az" and "\\" in key:
            raise InvalidInput(f"not a key: {key!r}", hint="Azure takes \\ for /")
        return check_key(self._prefix + check_key(key))

    def _do(self, action: Action, key: str, act: Callable[[Place], T]) -> T:
        """What *act* gives, which is called again while the answer is cut, or others are writing the same."""
        place = self._open()
        deadline, wait_s = time.monotonic() + self._settings.remote_timeout_s, _FIRST_WAIT_S
        while True:
            try:
                return act(place)
            except DisdatError:
                raise
            except (_errors().BaseError, OSError, ValueError) as exc:
                answer = Answer.of(exc)
                if not answer.may_differ_again or time.monotonic() + wait_s > deadline:
                    raise self._fault(place, answer, action, key) from exc
            time.sleep(wait_s * random.uniform(0.5, 1))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _fault(self, place: Place, answer: Answer, action: Action, key: str) -> DisdatError:
        if answer.is_about_credentials and place.fault is not None:
            return place.fault
        return told(answer, action, key, self.url, bucket=self._bucket)

    def _open(self) -> Place:
        """The place as this process sees it."""
        here, generation = self._here, engine.generation()
        if here is None or here[0] != generation:
            with engine.lock():  # to find credentials takes a while, and many threads begin at once
                here = self._here
                if here is None or here[0] != generation:
                    place = PLACES[self._scheme](self._bucket, self._settings)
                    engine.keep(place)
                    here = self._here = generation, place
        return here[1]

    def _range(self, key: str, path: str, offset: int, length: int) -> bytes:
        end = min(offset + length, _LAST_BYTE)

        def get(place: Place) -> bytes:
            try:
                return bytes(place.transfers.get(path, options={"range": (offset, end)}).bytes())
            except _errors().BaseError as exc:
                answer = Answer.of(exc)
                if answer.is_past_the_end:
                    return b""
                if not answer.is_whole:
                    raise
                whole = place.transfers.get(path)
                if whole.meta["size"] > end:  # no more is held in memory than was asked for
                    raise
                return bytes(whole.bytes())[offset:]

        return self._do(Action.READ, key, get)

    def _first_piece(self, key: str, path: str, offset: int, length: int) -> tuple[Piece, int, str | None]:
        """The first bytes, and of how many in all, of which version."""

        def get(place: Place) -> tuple[Piece, int, str | None]:
            try:
                found = place.transfers.get(path, options={"range": (offset, offset + length)})
                return memoryview(found.bytes()), found.meta["size"], found.meta["e_tag"]
            except _errors().BaseError as exc:
                if Answer.of(exc).is_past_the_end:
                    return b"", 0, None
                raise

        return self._do(Action.READ, key, get)

    def _piece(self, key: str, path: str, start: int, end: int, etag: str | None) -> Piece:
        options: dict[str, object] = {"range": (start, end), "if_match": etag}

        def get(place: Place) -> Piece:
            try:
                return memoryview(place.transfers.get(path, options=options).bytes())
            except _errors().PreconditionError as exc:
                raise Unavailable(f"{key!r} in {self.url} was replaced while it was read", hint="try again") from exc

        return self._do(Action.READ, key, get)

    def _listed(self, parent: str, start: str) -> Iterator[tuple[str, Stored]]:
        """Yield the objects below *parent* whose paths come after *start*, with these; some twice, if in no order."""
        pages: Iterator[Sequence[Any]] | None = None
        after = start

        def next_page(place: Place) -> Page:
            nonlocal pages, after
            if pages is None:
                pages, after = (
                    place.requests.list(parent or None, offset=start or None, chunk_size=LISTED_AT_ONCE),
                    start,
                )
            try:
                found = next(pages, ())
            except _errors().BaseError:
                pages = None  # it ends after an error: what is asked for again begins where it stopped
                raise
            return [(meta["path"], _stored(meta["path"].removeprefix(self._prefix), meta, place)) for meta in found]

        while page := self._do(Action.LIST, "", next_page):
            yield from (each for each in page if each[0] > after)  # not every server knows where to start
            if self._open().in_order:
                start = page[-1][0]


class _Sending:
    """A part of a file, which is read again from its beginning where it must be sent again."""

    def __init__(self, file: BinaryIO, size_bytes: int, progress: Progress | None) -> None:
        self._file, self._start, self._size_bytes = file, file.tell(), size_bytes
        self._progress = progress
        self._told = 0
        self.failed: BaseException | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield its pieces; what was told of them before is taken back."""
        if self._told:
            self._tell(-self._told)
        self._file.seek(self._start)
        try:
            yield from read_file(self._file, self._size_bytes, self._tell)
        except BaseException as exc:
            self.failed = exc  # of what is raised here, obstore passes on the text only
            raise

    def _tell(self, size_bytes: int) -> None:
        self._told += size_bytes
        if self._progress:
            self._progress(size_bytes)


def open_url(url: str, settings: Settings | None = None) -> CloudBackend:
    """The backend of ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``."""
    return CloudBackend(url, settings or config.load())


def _parts(url: str) -> tuple[str, str, str]:
    """The scheme, the bucket and the prefix, which is empty or ends with ``/``."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidInput(f"cannot open {url!r}", hint=f"it is like {scheme}://bucket/prefix")
    return scheme, bucket, f"{check_key(prefix)}/" if prefix else ""


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


def _in_flight(fetch: Callable[[int], Piece], starts: Sequence[int]) -> Iterator[Piece]:
    """Yield the pieces that start there, in order, while the next ones are on their way."""
    with ThreadPoolExecutor(min(len(starts), READS_IN_FLIGHT)) as pool:
        coming: deque[Future[Piece]] = deque()
        try:
            for start in starts:
                if len(coming) == READS_IN_FLIGHT:
                    yield coming.popleft().result()
                coming.append(pool.submit(fetch, start))
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _before(prefix: str) -> str:
    """A text that comes before all that begin with *prefix*, with little in between; of a whole directory, nothing."""
    if prefix.endswith("/") or not prefix:
        return ""
    return prefix[:-1]


def _stored(key: str, meta: Any, place: Place) -> Stored:  # obstore's ObjectMeta, of the copy that is loaded
    modified_us = round(meta["last_modified"].timestamp() * 1_000_000)
    return Stored(key, meta["size"], modified_us, _etag(meta, place))


def _etag(meta: Any, place: Place) -> str:
    found: str = meta[place.version_field] or ""
    return f'"{found}"' if found and place.version_field == "e_tag" and '"' not in found else found  # Azure's listings


def _errors() -> Any:  # obstore.exceptions, of the copy that is loaded
    return engine.obstore().exceptions
