"""HTTP/1.1 as a proxy needs it: heads kept byte for byte, and bodies as streams of pieces."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, Literal, NamedTuple

PIECE_BYTES = 1 << 18

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)

Extent = int | Literal["chunked", "until closed"]
"""How far a body goes; a number is its length in bytes."""


class Cut(ConnectionError):
    """This connection ends here."""


class Piece(NamedTuple):
    """Some bytes as they travel; *content* is false of a head and of what frames chunks."""

    raw: bytes
    content: bool = True


@dataclass(frozen=True, slots=True)
class RequestHead:
    raw: bytes
    method: str
    target: str
    body: Extent
    expects: bool
    """The client sends the body only when it is told to continue."""
    closes: bool


@dataclass(frozen=True, slots=True)
class ReplyHead:
    raw: bytes
    status: int
    body: Extent
    closes: bool


def request_head(raw: bytes) -> RequestHead:
    method, target, version = raw[: raw.index(b"\r\n")].decode("latin-1").split(" ")
    closes = version == "HTTP/1.0" or bool(CLOSES.search(raw))
    return RequestHead(raw, method, target, extent(raw, without=0), bool(EXPECTS.search(raw)), closes)


def reply_head(raw: bytes, *, method: str) -> ReplyHead:
    """Read the head of the reply to a request of this *method*."""
    version, status = raw[: raw.index(b"\r\n")].decode("latin-1").split(" ")[:2]
    bodiless = method == "HEAD" or status[0] == "1" or status in {"204", "304"}
    body = 0 if bodiless else extent(raw, without="until closed")
    closes = version == "HTTP/1.0" or body == "until closed" or bool(CLOSES.search(raw))
    return ReplyHead(raw, int(status), body, closes)


def extent(head: bytes, *, without: Extent) -> Extent:
    """Return how far the body after *head* goes; *without* if it does not say."""
    if CHUNKED.search(head):
        return "chunked"
    length = LENGTH.search(head)
    return int(length[1]) if length else without


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """
    Return the next head, to its empty line.

    Raises:
        asyncio.IncompleteReadError: The other side closed first.
    """
    return await reader.readuntil(b"\r\n\r\n")


async def message(reader: asyncio.StreamReader, head: bytes, body: Extent) -> AsyncIterator[Piece]:
    """Yield *head*, then the body as it comes in."""
    yield Piece(head, content=False)
    if body == "chunked":
        async for piece in chunked(reader):
            yield piece
    elif body == "until closed":
        while some := await reader.read(PIECE_BYTES):
            yield Piece(some)
    else:
        async for piece in counted(reader, body):
            yield piece


async def counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[Piece]:
    """Yield the next *length* bytes."""
    while length:
        some = await reader.read(min(length, PIECE_BYTES))
        if not some:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(some)
        yield Piece(some)


async def chunked(reader: asyncio.StreamReader) -> AsyncIterator[Piece]:
    """Yield chunks and what frames them, to the end of the trailer."""
    size = 1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield Piece(line, content=False)
        if size:
            async for piece in counted(reader, size):
                yield piece
            yield Piece(await reader.readexactly(2), content=False)
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        yield Piece(line, content=False)


async def replayed(head: bytes, spool: IO[bytes]) -> AsyncIterator[Piece]:
    """Yield a message whose body was put aside in *spool*."""
    yield Piece(head, content=False)
    spool.seek(0)
    while some := spool.read(PIECE_BYTES):
        yield Piece(some)


async def cut(pieces: AsyncIterator[Piece], after: int) -> AsyncIterator[Piece]:
    """
    Yield the head and *after* bytes of the body, but never its last byte; then raise :class:`Cut`.

    Of a message without a body, half of the first line: many a reader takes a head that ends early for a whole one.
    """
    head = held = await anext(pieces)
    async for piece in pieces:
        yield held
        if len(piece.raw) > after:
            yield piece._replace(raw=piece.raw[:after])
            raise Cut
        after -= len(piece.raw)
        held = piece
    size = len(held.raw) - 1 if held is not head else head.raw.index(b"\r\n") // 2
    yield held._replace(raw=held.raw[:size])
    raise Cut


async def flipped(pieces: AsyncIterator[Piece], at: int) -> AsyncIterator[Piece]:
    """Yield a message with one bit of byte *at* of its content changed."""
    async for piece in pieces:
        if piece.content and 0 <= at < len(piece.raw):
            yield piece._replace(raw=b"%b%c%b" % (piece.raw[:at], piece.raw[at] ^ 1, piece.raw[at + 1 :]))
        else:
            yield piece
        at -= len(piece.raw) if piece.content else 0


async def silenced(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Yield a message without its bytes: it is heard to the end, and not passed on."""
    async for piece in pieces:
        yield piece._replace(raw=b"")


async def lost(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Yield a message without its bytes; then raise :class:`Cut`."""
    async for piece in silenced(pieces):
        yield piece
    raise Cut
