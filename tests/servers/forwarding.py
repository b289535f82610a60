"""One connection of a client through the proxy: its requests go on one by one, unhurt or as a rule wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from tests.servers import faults
from tests.servers.book import Book
from tests.servers.faults import Fault, Request
from tests.servers.wire import (
    Cut,
    Piece,
    RequestHead,
    cut,
    flipped,
    lost,
    message,
    read_head,
    replayed,
    reply_head,
    request_head,
    silenced,
)

READ_AHEAD_BYTES = 1 << 18
SMALL_BYTES = 1 << 16
IN_MEMORY_BYTES = 1 << 20
CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}
WHO = "The proxy says so."
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Pieces = AsyncIterator[Piece]
Spool = SpooledTemporaryFile[bytes]
Shape = Callable[[Pieces], Pieces]
"""What a fault makes of a message."""


def unhurt(pieces: Pieces) -> Pieces:
    return pieces


class Peer(NamedTuple):
    """One side of the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()


class Connection:
    """A client's connection, and the one to the server that its requests share."""

    def __init__(self, book: Book, client: Peer, upstream_port: int, refuse: Callable[[float], None]) -> None:
        self._book = book
        self._client = client
        self._upstream_port = upstream_port
        self._upstream: Peer | None = None
        self._refuse = refuse
        self._last = False

    async def serve(self) -> None:
        """Pass on requests until either side closes, or a fault does."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not self._last:
                head = request_head(await read_head(self._client.reader))
                self._last = head.closes
                request, fault = self._book.arrived(head)
                if self._book.latency_s:
                    await asyncio.sleep(self._book.latency_s)
                await self._treat(head, request, fault)
        for peer in self._peers():
            peer.writer.close()

    def abort(self) -> None:
        """End both sides at once; what was not sent yet is lost."""
        for peer in self._peers():
            peer.writer.transport.abort()

    def _peers(self) -> list[Peer]:
        return [self._client, self._upstream] if self._upstream else [self._client]

    async def _treat(self, head: RequestHead, request: Request, fault: Fault | None) -> None:
        match fault:
            case faults.Answer():
                await self._answer(head, request, fault)
            case faults.Refuse():
                self._refuse(fault.seconds)
                raise Cut
            case faults.HoldRequest():
                await self._forward_later(head, request)
            case faults.Duplicate():
                await self._forward_twice(head, request)
            case faults.Delay():
                await asyncio.sleep(fault.milliseconds / 1000)
                await self._forward(head, request)
            case _:
                sent, reply = self._shapes(fault, request)
                await self._forward(head, request, sent=sent, reply=reply)

    def _shapes(self, fault: Fault | None, request: Request) -> tuple[Shape, Shape]:
        """Return what *fault* makes of the request and of the reply."""
        match fault:
            case faults.LoseReply():
                return unhurt, lost
            case faults.HoldReply():
                return unhurt, lambda pieces: self._held(pieces, request)
            case faults.CutRequest(after):
                return lambda pieces: cut(pieces, after), unhurt
            case faults.CutReply(after):
                return unhurt, lambda pieces: cut(pieces, after)
            case faults.FlipRequest(at):
                return lambda pieces: flipped(pieces, at), unhurt
            case faults.FlipReply(at):
                return unhurt, lambda pieces: flipped(pieces, at)
            case _:
                return unhurt, unhurt

    async def _answer(self, head: RequestHead, request: Request, fault: faults.Answer) -> None:
        """Answer as S3 would; the body is read first, unless the client waits for us to ask for it."""
        if head.expects:
            self._last = True
        else:
            async for _ in self._received(head, request):
                continue
        code = fault.code or CODES.get(fault.status, "Unknown")
        body = b"" if head.method == "HEAD" else f"<Error><Code>{code}</Code><Message>{WHO}</Message></Error>".encode()
        request.status = fault.status
        first = f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\n"
        rest = f"Content-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        end = "Connection: close\r\n\r\n" if self._last else "\r\n"
        for piece in (Piece((first + rest + end).encode(), content=False), Piece(body)):
            self._book.replied(request, piece)
            await self._client.send(piece.raw)

    async def _forward(
        self, head: RequestHead, request: Request, *, sent: Shape = unhurt, reply: Shape = unhurt
    ) -> None:
        """Pass on one request and its reply, at the same time: a server may refuse a body before it has all of it."""
        upstream = await self._reach()
        pieces = sent(self._received(head, request))
        if isinstance(head.body, int) and head.body <= SMALL_BYTES and not head.expects:
            await send(pieces, upstream)
            await self._relay(head, request, upstream, reply)
            return
        sending = asyncio.create_task(send(pieces, upstream))
        try:
            await self._relay(head, request, upstream, reply)
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _forward_later(self, head: RequestHead, request: Request) -> None:
        with SpooledTemporaryFile(IN_MEMORY_BYTES) as body:
            head = await self._put_aside(head, request, body)
            await self._book.hold(request)
            await self._forward_again(head, request, body, unhurt)

    async def _forward_twice(self, head: RequestHead, request: Request) -> None:
        with SpooledTemporaryFile(IN_MEMORY_BYTES) as body:
            head = await self._put_aside(head, request, body)
            await self._forward_again(head, request, body, silenced)
            await self._forward_again(head, request, body, unhurt)

    async def _forward_again(self, head: RequestHead, request: Request, body: Spool, reply: Shape) -> None:
        upstream = await self._reach()
        await send(replayed(head.raw, body), upstream)
        await self._relay(head, request, upstream, reply)

    async def _put_aside(self, head: RequestHead, request: Request, body: Spool) -> RequestHead:
        """Read the request to its end, its body into *body*; return its head, of a client that waits no more."""
        if head.expects:
            await self._client.send(CONTINUE)
        pieces = self._received(head, request)
        await anext(pieces)
        async for piece in pieces:
            body.write(piece.raw)
        return replace(head, expects=False)

    async def _relay(self, head: RequestHead, request: Request, upstream: Peer, shape: Shape) -> None:
        """Pass on the reply; a word to continue goes to a client that waits for it, and to no other."""
        answer = reply_head(await read_head(upstream.reader), method=head.method)
        while answer.status < 200:
            if head.expects:
                await self._client.send(answer.raw)
            answer = reply_head(await read_head(upstream.reader), method=head.method)
        request.status = answer.status
        async for piece in shape(message(upstream.reader, answer.raw, answer.body)):
            self._book.replied(request, piece)
            await self._client.send(piece.raw)
        if answer.closes:
            self._last = True
            upstream.writer.close()

    async def _received(self, head: RequestHead, request: Request) -> Pieces:
        """Yield the request as it comes in, and note how much did."""
        async for piece in message(self._client.reader, head.raw, head.body):
            request.request_bytes += len(piece.raw) if piece.content else 0
            yield piece

    async def _held(self, pieces: Pieces, request: Request) -> Pieces:
        await self._book.hold(request)
        async for piece in pieces:
            yield piece

    async def _reach(self) -> Peer:
        """Return the connection to the server: a new one, if it has closed the last."""
        known = self._upstream
        if known and not known.reader.at_eof() and not known.writer.is_closing():
            return known
        if known:
            known.writer.close()
        reached = await asyncio.open_connection("127.0.0.1", self._upstream_port, limit=READ_AHEAD_BYTES)
        self._upstream = Peer(*reached)
        return self._upstream


async def send(pieces: Pieces, peer: Peer) -> None:
    """Give all pieces to *peer*; where they end early, close it, so that who waits for its reply learns of it."""
    try:
        async for piece in pieces:
            await peer.send(piece.raw)
    except (ConnectionError, asyncio.IncompleteReadError):
        peer.writer.close()
        raise
