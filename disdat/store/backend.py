"""
Backends: bytes by key, wherever they are kept.

A key is text of one or more parts joined by ``/``. Every backend keeps the contract of
:class:`disdat.testing.backend_contract.BackendContract`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from disdat.errors import InvalidInput, NotFound
from disdat.registry import Lazy

_OPENERS = {
    "file": Lazy("disdat.store.local:open_url"),
    "memory": Lazy("disdat.store.memory:open_url"),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept under a key."""

    key: str
    size_bytes: int
    modified_us: int
    """When it was written by the backend's clock, µs since the epoch, UTC."""


class Backend(Protocol):
    """
    Bytes by key, for many threads and processes at once.

    A write is seen whole or not at all, and is durable when the call returns. A key is not both an object and the
    beginning of another up to a ``/``. All methods raise InvalidInput for what is no key, and StorageError
    where the backend refuses, Unavailable if trying again may help.
    """

    @property
    def url(self) -> str:
        """What :func:`open_backend` opens it by."""

    def get(self, key: str) -> bytes:
        """The bytes; KeyNotFound if there are none."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """The *length* bytes from *offset* on, fewer where they end before; KeyNotFound if there are none."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes, in place of what was there."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep bytes unless there are some; whether these were kept. Of many who try at once, one is told True."""

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """Yield what is kept under keys that begin with *prefix* and come after *start_after*, by their UTF-8 bytes."""

    def delete(self, key: str) -> None:
        """Forget the bytes; that there are none is fine."""

    def head(self, key: str) -> Stored:
        """What is kept under a key; KeyNotFound if nothing is."""


class KeyNotFound(NotFound):
    """A backend keeps nothing under this key."""

    kind = "key-not-found"

    def __init__(self, key: str, url: str) -> None:
        super().__init__(f"{url} has no {key!r}", hint="check the URL, and that the remote was pushed to")
        self.key = key


def open_backend(url: str) -> Backend:
    """
    The backend of a URL: ``file:///directory`` or ``memory://name``.

    Raises:
        InvalidInput: The URL is none of these.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _OPENERS:
        raise InvalidInput(f"cannot open {url!r}", hint=f"URLs begin with {', '.join(f'{s}://' for s in _OPENERS)}")
    opener = _OPENERS[scheme].load()
    assert callable(opener)
    backend: Backend = opener(url)
    return backend


def check_key(key: str) -> str:
    """The key itself; InvalidInput if it is none."""
    if "\0" in key or not {"", ".", ".."}.isdisjoint(key.split("/")) or len(key.encode("utf-8")) > 1024:
        raise InvalidInput(f"not a key: {key!r}", hint="a key has parts joined by /, and at most 1,024 bytes")
    return key
