"""Checksums: what others compute over bytes, by their own algorithms; our names for bytes are digests."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

SHA256 = "sha256"
CRC64NVME = "crc64nvme"


@dataclass(frozen=True, slots=True)
class Checksum:
    """
    What a store computed over all bytes of an object when it took them; equal ones are of equal bytes.

    With :attr:`parts`, it is the checksum of the checksums of so many parts, of what size the store does not say.
    """

    algorithm: str
    value: bytes
    parts: int = 0

    @classmethod
    def parse(cls, algorithm: str, text: str) -> Checksum:
        """Read what S3 writes: base64, and after a ``-`` how many parts there were. ValueError if it is not that."""
        encoded, _, parts = text.partition("-")
        try:
            return cls(algorithm, base64.b64decode(encoded, validate=True), int(parts or 0))
        except binascii.Error as exc:
            raise ValueError(f"not a checksum: {text!r}") from exc

    def __str__(self) -> str:
        return base64.b64encode(self.value).decode() + (f"-{self.parts}" if self.parts else "")


def sha256(pieces: Iterable[bytes | memoryview], *, part_bytes: int | None = None) -> Checksum:
    """The SHA-256 of bytes that come in pieces; of their parts of so many bytes each, if they were sent in parts."""
    if part_bytes is None:
        whole = hashlib.sha256()
        for piece in pieces:
            whole.update(piece)
        return Checksum(SHA256, whole.digest())
    digests = list(_of_parts(pieces, part_bytes))
    return Checksum(SHA256, hashlib.sha256(b"".join(digests)).digest(), len(digests))


def _of_parts(pieces: Iterable[bytes | memoryview], part_bytes: int) -> Iterable[bytes]:
    part, room = hashlib.sha256(), part_bytes
    for piece in pieces:
        rest = memoryview(piece).cast("B")
        while rest:
            part.update(rest[:room])
            room, rest = room - len(rest[:room]), rest[room:]
            if not room:
                yield part.digest()
                part, room = hashlib.sha256(), part_bytes
    if room < part_bytes:
        yield part.digest()
