"""Turns: of all processes of a home that are to do the same, one does it and the others wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from disdat.context import Home
from disdat.core.digest import Digest
from disdat.durable import storage_errors
from disdat.errors import InvalidInput
from disdat.store.locks import FileLock

_MINE: ContextVar[frozenset[Digest]] = ContextVar("disdat_turns", default=frozenset())


@contextmanager
def turn(home: Home, key: Digest, what: str) -> Iterator[None]:
    """
    Wait until nobody else of this home works on the task key *key*, and keep others waiting in the block.

    A dead owner's turn is over. *what* names the work for people.

    Raises:
        InvalidInput: The block is inside one for the same key, and would wait for itself.
    """
    if key in _MINE.get():
        raise InvalidInput(f"{what} applies itself", hint="a task cannot be part of its own work")
    lock = _take(home, key)
    token = _MINE.set(_MINE.get() | {key})
    try:
        yield
    finally:
        _MINE.reset(token)
        with storage_errors(f"end the turn {lock.path}"):
            try:
                home.disk.unlink(lock.path)
            finally:
                lock.release()


def mine() -> frozenset[Digest]:
    """The keys whose turns this code is in."""
    return _MINE.get()


def inherit(keys: Iterable[str]) -> None:
    """Take these for the turns this code is in: the process that has them waits for what is done here."""
    _MINE.set(frozenset(map(Digest, keys)))


def _take(home: Home, key: Digest) -> FileLock:
    directory = home.root / "store" / "leases"
    with storage_errors(f"take a turn in {directory}"):
        while True:
            lock = FileLock(directory / f"task-{key.hex}.lock", disk=home.disk)
            try:
                lock.acquire_exclusive()
            except FileNotFoundError:
                home.disk.mkdir(directory)
                continue
            if lock.names_its_file():
                return lock
            lock.release()  # whoever had the turn before has removed the file that was waited for
