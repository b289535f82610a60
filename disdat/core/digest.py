"""Digests: the names of bytes (:class:`Digest`) and of logical content (:class:`LogicalDigest`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from blake3 import blake3

from disdat.core import canonical
from disdat.errors import InvalidInput

ALGORITHM = "blake3"
HEX_DIGITS = 64
CHUNK_BYTES = 1 << 20
"""Bytes are read and hashed in pieces of this size."""
THREADED_FROM_BYTES = 8 << 20
"""Content of at least this size is hashed on several threads; below, starting them takes longer than it saves."""
_THREADS = 4

_DIGEST = re.compile(r"blake3:[0-9a-f]{64}")
_LOGICAL = re.compile(r"([a-z]+[0-9]+):(blake3:[0-9a-f]{64})")


class Digest(str):
    """The name of immutable bytes, ``blake3:<64 hex digits>``; a str, so it compares, sorts and encodes as one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read a digest; InvalidInput if *text* is none."""
        if not _DIGEST.fullmatch(text):
            raise InvalidInput(f"not a digest: {text!r}", hint="a digest is blake3: and 64 hex digits")
        return cls(text)

    @classmethod
    def from_raw(cls, raw: bytes) -> Digest:
        """The digest whose 32 bytes are *raw*."""
        return cls(f"{ALGORITHM}:{raw.hex()}")

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self[-HEX_DIGITS:]

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self[-HEX_DIGITS:])


class LogicalDigest(str):
    """The name of a value's content whatever bytes store it, ``<rule><n>:blake3:<hex>``; the rule is part of it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> LogicalDigest:
        """Read a logical digest; InvalidInput if *text* is none."""
        if not _LOGICAL.fullmatch(text):
            raise InvalidInput(f"not a logical digest: {text!r}")
        return cls(text)

    @property
    def rule(self) -> str:
        return self.partition(":")[0]

    @property
    def digest(self) -> Digest:
        return Digest(self.partition(":")[2])


def threads_for(expected_bytes: int) -> int:
    """How many threads are to hash so many bytes."""
    # Never blake3.AUTO: it has one set of threads for the process, and a forked child would wait for its parent's.
    return _THREADS if expected_bytes >= THREADED_FROM_BYTES else 1


class Hasher:
    """Hashes a stream piece by piece. Not thread-safe; big pieces are hashed on several threads."""

    __slots__ = ("_hash", "size_bytes")

    def __init__(self, *, expected_bytes: int = 0) -> None:
        self._hash = blake3(max_threads=threads_for(expected_bytes))
        self.size_bytes = 0

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        view = memoryview(piece).cast("B")
        self._hash.update(view)
        self.size_bytes += len(view)

    def digest(self) -> Digest:
        return Digest.from_raw(self._hash.digest())


def of_bytes(data: bytes | bytearray | memoryview) -> Digest:
    """The digest of *data*."""
    return Digest.from_raw(blake3(data).digest())


def raw_of_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """The 32 bytes of the digest of *data*: all that is needed where many are compared."""
    return blake3(data).digest()


def of_chunks(chunks: Iterable[bytes], *, expected_bytes: int = 0) -> Digest:
    """The digest of the concatenation of *chunks*."""
    hasher = Hasher(expected_bytes=expected_bytes)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digest()


def of_json(value: canonical.Json) -> Digest:
    """The digest of the canonical JSON of *value*."""
    return of_bytes(canonical.encode(value))


def logical(rule: str, raw: bytes) -> LogicalDigest:
    """The logical digest by *rule* (such as ``literal1``) of the 32 bytes *raw*."""
    return LogicalDigest(f"{rule}:{Digest.from_raw(raw)}")
