"""A server for one run of one contender: S3, with a proxy before it that counts and delays, or a cluster of Dask's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.remote import BUCKET, CONTROL, PROXY, SCHEDULER
from tests.servers import start
from tests.servers.dask import cluster_in
from tests.servers.proxy import Proxy, proxied

STORAGES = {"ministack": start.ministack, "rclone": start.rclone}
WORKERS = 2


@contextmanager
def running(name: str, place: Path) -> Iterator[dict[str, str]]:
    """
    Run a server for the block; gives the variables that lead to it.

    That is one of S3 with an empty bucket and a proxy, or ``dask``, a scheduler with two workers. With no name there is
    none, and there are no variables.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if name == "dask":
        place.mkdir()
        with cluster_in(place, WORKERS) as cluster:
            yield {SCHEDULER: cluster.address}
    elif name:
        with _storage(name, place) as led:
            yield led
    else:
        yield {}


@contextmanager
def _storage(name: str, place: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        server = stack.enter_context(STORAGES[name](place))
        server.bucket(BUCKET)
        proxy = stack.enter_context(proxied(server.endpoint, log=place / "proxy.log"))
        control = stack.enter_context(_controlled(proxy))
        # The home is fresh, so there are no files to keep away from; and DVC wants those that are named to be there.
        led = {name: value for name, value in server.environment().items() if not name.endswith("_FILE")}
        yield led | {PROXY: proxy.endpoint, CONTROL: control}


@contextmanager
def _controlled(proxy: Proxy) -> Iterator[str]:
    """Let who is measured have the proxy begin anew, by GET /latency/<ms>, and ask what it counted, by GET /count."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            order, _, number = self.path.strip("/").partition("/")
            if order == "latency":
                proxy.reset()
                proxy.latency(float(number))
            answer = str(proxy.count()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing of what works."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
