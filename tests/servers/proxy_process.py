"""
The proxy itself: ``python -m tests.servers.proxy_process UPSTREAM_PORT``.

It says its port, then answers one line of JSON with another, and ends when its standard input does:
:class:`tests.servers.proxy.Proxy` is who talks to it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import sys
from collections.abc import Callable

from tests.servers.book import Book
from tests.servers.forwarding import READ_AHEAD_BYTES, Connection, Peer

BACKLOG = 256


class Listener:
    """The port of the proxy, closed and opened again."""

    def __init__(self, book: Book, upstream_port: int) -> None:
        self._book = book
        self._upstream_port = upstream_port
        self._connections: set[Connection] = set()
        self._reopening: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._socket = bound(0)
        self.port: int = self._socket.getsockname()[1]

    async def open(self) -> None:
        """Take connections, if we do not yet."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, sock=self._socket, limit=READ_AHEAD_BYTES, backlog=BACKLOG
            )

    def refuse(self, seconds: float) -> None:
        """Close every connection, and refuse new ones for so long from now."""
        if self._server is not None:
            self._server.close()
            self._server = None
            # It does not listen yet, so the kernel refuses; but nobody else gets the port meanwhile.
            self._socket = bound(self.port)
        for connection in self._connections:
            connection.abort()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._book, Peer(reader, writer), self._upstream_port, self.refuse)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)


def bound(port: int) -> socket.socket:
    """Return a socket on *port* (any, if 0), on which there may be connections of another that listened before."""
    # Only of a socket whose protocol is named does asyncio switch delays off: 40 ms for each reply otherwise.
    fresh = socket.socket(proto=socket.IPPROTO_TCP)
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    fresh.bind(("127.0.0.1", port))
    return fresh


async def obey(orders: asyncio.StreamReader, book: Book, listener: Listener) -> None:
    """Carry out what the test says, until it says no more."""

    async def reset() -> None:
        book.clear()
        await listener.open()

    known: dict[str, Callable[..., object]] = {
        "add": book.add,
        "count": book.count,
        "held": book.held,
        "latency": book.latency,
        "refuse": listener.refuse,
        "release": book.release,
        "requests": book.requests,
        "reset": reset,
    }
    while line := await orders.readline():
        order, *given = json.loads(line)
        said = known[order](*given)
        print(json.dumps(await said if inspect.isawaitable(said) else said), flush=True)


async def main(upstream_port: int) -> None:
    book = Book()
    listener = Listener(book, upstream_port)
    await listener.open()
    orders = asyncio.StreamReader(limit=1 << 24)
    protocol = asyncio.StreamReaderProtocol(orders)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print(listener.port, flush=True)
    await obey(orders, book, listener)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
