"""
A remote in virtual time, and the lines by which clients reach it.

On a line any request can be the last one, get lost on its way there or back, or arrive long after its sender gave up;
before any request the sender may fall asleep, and others do what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, TypeVar

from disdat.core.checksum import Checksum
from disdat.errors import DisdatError, Unavailable
from disdat.store.backend import Backend, Piece, Progress, Stored, Versioned
from disdat.store.memory import MemoryBackend

T = TypeVar("T")

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
START_US = 1_790_000_000 * SECOND_US


class World:
    """The one time there is, and what is on its way."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.store = TimedStore(self)
        self._pending: list[tuple[int, int, Callable[[], object]]] = []
        self._number = 0

    def later(self, after_us: int, arrive: Callable[[], object]) -> None:
        """Let something arrive when so much time has gone by."""
        self._number += 1
        self._pending.append((self.now_us + after_us, self._number, arrive))

    def advance(self, by_us: int) -> None:
        """Let time go by."""
        end_us = self.now_us + by_us
        while due := sorted(each for each in self._pending if each[0] <= end_us):
            at_us, _, arrive = due[0]
            self._pending.remove(due[0])
            self.now_us = max(self.now_us, at_us)
            with suppress(DisdatError):  # whoever asked does not hear of it
                arrive()
        self.now_us = end_us


class TimedStore(MemoryBackend):
    """What the remote keeps; it tells times to the second, as S3 does."""

    def __init__(self, world: World) -> None:
        super().__init__("world")
        self._world = world

    def _new(self, data: bytes) -> tuple[bytes, int, str]:
        self._world.now_us += 1000  # so no two writes are of one moment
        new, _, etag = super()._new(data)
        return new, self._world.now_us // SECOND_US * SECOND_US, etag


class Killed(BaseException):
    """The process is no more."""


Action = Callable[["Line", Callable[[], object]], None]
"""What happens in place of a request, or before it: it raises, or leaves the request to be made."""


class Line:
    """
    A client's way to the remote: a backend. What is to happen at its n-th request from now on is told by :meth:`plan`.

    Only requests that a client makes one after the other count: writing, listing, and looking at one key.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.url = f"world://{name}"
        self.is_dead = False
        self.deletes = False
        """Whether what is asked now is to delete something."""
        self._to: Backend = world.store
        self._script: dict[int, Action] = {}
        self._count = 0

    def plan(self, script: dict[int, Action]) -> None:
        """Begin to count anew; a process that was killed is started again."""
        self._script, self._count, self.is_dead = dict(script), 0, False

    def put(self, key: str, data: bytes) -> None:
        self._ask(lambda: self._to.put(key, data))

    def put_file(self, key: str, file: BinaryIO, size_bytes: int, *, progress: Progress | None = None) -> None:
        data = file.read(size_bytes)
        self._ask(lambda: self._to.put(key, data))
        if progress is not None:
            progress(size_bytes)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._ask(lambda: self._to.put_if_absent(key, data))

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        return self._ask(lambda: self._to.put_if_match(key, data, etag))

    def copy(self, source_key: str, target_key: str) -> None:
        self._ask(lambda: self._to.copy(source_key, target_key))

    def delete(self, key: str) -> None:
        self.deletes = True
        try:
            self._ask(lambda: self._to.delete(key))
        finally:
            self.deletes = False

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self.delete(key)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        return iter(self._ask(lambda: list(self._to.list(prefix, start_after=start_after))))

    def list_below(self, prefix: str) -> Sequence[str]:
        return self._ask(lambda: self._to.list_below(prefix))

    def head(self, key: str) -> Stored:
        return self._ask(lambda: self._to.head(key))

    def get_versioned(self, key: str) -> Versioned:
        return self._ask(lambda: self._to.get_versioned(key))

    def get(self, key: str) -> bytes:
        return self._alive().get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self._alive().get_range(key, offset, length)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        return self._alive().get_ranges(key, ranges)

    def read_pieces(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        return self._alive().read_pieces(key, offset=offset, length=length)

    def checksum(self, key: str) -> Checksum | None:
        return self._alive().checksum(key)

    def signed_url(self, key: str, *, expires_s: int) -> str:
        return self._alive().signed_url(key, expires_s=expires_s)

    def _alive(self) -> Backend:
        if self.is_dead:
            raise Killed
        return self._to

    def _ask(self, request: Callable[[], T]) -> T:
        self._alive()
        self._count += 1
        if (action := self._script.pop(self._count, None)) is not None:
            action(self, request)
            self._alive()
        return request()


def killed_before(line: Line, _: Callable[[], object]) -> None:
    """The process ends, and the request is never made."""
    line.is_dead = True
    raise Killed


def killed_after(line: Line, request: Callable[[], object]) -> None:
    """The request is made, and the process ends."""
    request()
    killed_before(line, request)


def refused(_: Line, __: Callable[[], object]) -> None:
    """The network is gone."""
    raise Unavailable("no network")


def answer_lost(_: Line, request: Callable[[], object]) -> None:
    """The request is made, and nobody hears of it."""
    request()
    raise Unavailable("no answer")


def repeated(_: Line, request: Callable[[], object]) -> None:
    """The answer is lost, and the request is made once more."""
    request()


def delayed(by_us: int) -> Action:
    """The request arrives later, when its sender gave up."""

    def act(line: Line, request: Callable[[], object]) -> None:
        line.world.later(by_us, request)
        raise Unavailable("no answer")

    return act


def asleep(for_us: int) -> Action:
    """The sender sleeps, and then makes the request; see :func:`meanwhile`."""

    def act(line: Line, _: Callable[[], object]) -> None:
        if not line.deletes:
            line.world.advance(for_us)

    return act


def meanwhile(do: Callable[[], None]) -> Action:
    """
    Others do something first.

    But not before something is deleted: who falls asleep for hours between looking at the clock and asking for that
    cannot be helped, as the store cannot be asked to delete only if nobody wrote it anew.
    """

    def act(line: Line, _: Callable[[], object]) -> None:
        if not line.deletes:
            do()

    return act
