"""Each fault does what it says, no more, and the proxy tells what happened."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.faults import (
    Answer,
    CutReply,
    CutRequest,
    Delay,
    Duplicate,
    FlipReply,
    FlipRequest,
    HoldReply,
    HoldRequest,
    LoseReply,
    Refuse,
    Rule,
)
from tests.servers.proxy import Proxy, proxied

BODY = b"0123456789"
LARGE = 3_000_001
CLOSED = (http.client.RemoteDisconnected, ConnectionError)


class Server(ThreadingHTTPServer):
    """Keeps what is put, and tells what it was asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Host header."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def puts(self) -> int:
        return sum(method == "PUT" for method, _, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_request(self, *_: object) -> None:
        """Say nothing."""

    def _note(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Host"]))

    def _reply(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_PUT(self) -> None:
        if self.headers["Transfer-Encoding"] == "chunked":
            body = b"".join(self._chunks())
        else:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                return  # cut: as good as never sent
        self._note()
        self.server.kept[self.path] = body
        self._reply(200)

    def do_GET(self) -> None:
        self._note()
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n")
        elif self.path in self.server.kept:
            self._reply(200, self.server.kept[self.path])
        else:
            self._reply(404, b"none")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self._note()
        self._reply(204 if self.server.kept.pop(self.path, None) is not None else 404)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server() as one:
        threading.Thread(target=one.serve_forever, args=(0.01,)).start()
        yield one
        one.shutdown()


@pytest.fixture(scope="module")
def standing(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    log = tmp_path_factory.mktemp("proxy") / "log"
    with proxied(running.endpoint, log=log) as one:
        yield one
    assert log.read_text(encoding="utf-8") == ""


@pytest.fixture
def server(running: Server) -> Server:
    """A server that was asked nothing yet, and holds BODY at ``/k``."""
    running.asked.clear()
    running.kept.clear()
    running.kept["/k"] = BODY
    return running


@pytest.fixture
def proxy(standing: Proxy, server: Server) -> Proxy:
    """A proxy before ``server``, without rules yet."""
    standing.reset()
    return standing


class Client(http.client.HTTPConnection):
    """One connection, kept open from request to request."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(urlsplit(proxy.endpoint).netloc, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self.request(method, path, body)
        with self.getresponse() as reply:
            return reply.status, reply.read()

    def get(self, path: str = "/k") -> bytes:
        return self.ask("GET", path)[1]


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    connection = Client(proxy)
    yield connection
    connection.close()


# Without faults


def test_requests_go_on_as_the_client_made_them(client: Client, server: Server, proxy: Proxy):
    assert client.ask("PUT", "/new%20key?x=1", b"content") == (200, b"")
    assert client.ask("HEAD", "/k") == (200, b"")
    assert client.get() == BODY
    assert client.get("/chunked") == BODY
    assert client.ask("DELETE", "/k") == (204, b"")
    host = urlsplit(proxy.endpoint).netloc
    assert server.kept == {"/new%20key?x=1": b"content"}
    assert server.asked == [
        ("PUT", "/new%20key?x=1", host),
        ("HEAD", "/k", host),
        ("GET", "/k", host),
        ("GET", "/chunked", host),
        ("DELETE", "/k", host),
    ]


def test_every_request_is_noted_in_order_of_arrival(client: Client, proxy: Proxy):
    client.ask("PUT", "/new?x=1", b"content")
    client.get("/chunked")
    client.get("/none")
    noted = [(r.number, r.method, r.target, r.request_bytes, r.reply_bytes, r.status) for r in proxy.requests()]
    assert noted == [
        (1, "PUT", "/new?x=1", 7, 0, 200),
        (2, "GET", "/chunked", 0, 10, 200),
        (3, "GET", "/none", 0, 4, 404),
    ]
    first, second, _ = proxy.requests()
    assert 0 < first.began_s < first.began_s + first.took_s < second.began_s
    assert proxy.count() == 3
    proxy.reset()
    assert (proxy.count(), proxy.requests()) == (0, [])


def test_large_bodies_pass_unchanged_both_ways(client: Client, server: Server):
    content = random.Random(1).randbytes(LARGE)
    client.ask("PUT", "/large", content)
    assert server.kept["/large"] == content
    assert client.get("/large") == content


def test_a_chunked_body_passes_as_it_is(client: Client, server: Server, proxy: Proxy):
    client.request(
        "PUT", "/new", iter([b"0123", b"456789"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    client.getresponse().read()
    assert server.kept["/new"] == BODY
    assert proxy.requests()[0].request_bytes == len(BODY)


def expectant(proxy: Proxy, body: bytes) -> bytes:
    """Put *body* as a client that waits to be told to continue; return all it hears."""
    with socket.create_connection(("127.0.0.1", urlsplit(proxy.endpoint).port or 0), timeout=20) as connection:
        head = f"PUT /new HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        heard = connection.recv(1000)
        if heard.startswith(b"HTTP/1.1 100"):
            connection.sendall(body)
            heard += connection.recv(1000)
        return heard


def test_a_client_that_waits_to_continue_is_told_by_the_server(server: Server, proxy: Proxy):
    assert expectant(proxy, BODY).count(b"HTTP/1.1") == 2
    assert server.kept["/new"] == BODY


@pytest.mark.parametrize("fault", [Duplicate(), Delay(1)])
def test_a_client_that_waits_to_continue_is_told_whatever_befalls_it(server: Server, proxy: Proxy, fault: Duplicate):
    proxy.add(Rule(fault))
    assert expectant(proxy, BODY).count(b"HTTP/1.1") == 2
    assert server.kept["/new"] == BODY


def test_a_client_that_waits_to_continue_is_answered_without_its_body(server: Server, proxy: Proxy):
    proxy.add(Rule(Answer(503)))
    assert expectant(proxy, BODY).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert server.asked == []


def test_sixty_four_connections_are_served_at_once(server: Server, proxy: Proxy):
    proxy.latency(300)
    meeting = threading.Barrier(64)

    def visit(number: int) -> bytes:
        one = Client(proxy)
        meeting.wait()
        one.ask("PUT", f"/{number}", b"%d" % number)
        found = one.get(f"/{number}")
        one.close()
        return found

    began = time.monotonic()
    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(visit, range(64))) == [b"%d" % number for number in range(64)]
    assert time.monotonic() - began < 64 * 0.3
    assert proxy.count() == 128


# Faults


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "SlowDown"), (409, "ConditionalRequestConflict"), (403, "AccessDenied")],
)
def test_an_answer_is_s3s_and_the_server_hears_nothing(
    client: Client, server: Server, proxy: Proxy, status: int, code: str
):
    proxy.add(Rule(Answer(status)))
    said, body = client.ask("PUT", "/new", b"x" * LARGE)
    assert (said, f"<Code>{code}</Code>".encode() in body) == (status, True)
    assert client.ask("HEAD", "/k") == (status, b"")
    assert server.asked == []
    assert [(r.status, r.fault) for r in proxy.requests()] == [(status, "Answer")] * 2


def test_an_answer_may_be_given_another_code(client: Client, proxy: Proxy):
    proxy.add(Rule(Answer(400, code="ExpiredToken")))
    assert b"<Code>ExpiredToken</Code>" in client.get()


def test_of_a_lost_reply_the_server_did_what_was_asked(client: Client, server: Server, proxy: Proxy):
    proxy.fail_nth(1, LoseReply())
    with pytest.raises(CLOSED):
        client.ask("PUT", "/new", BODY)
    assert server.kept["/new"] == BODY
    assert [(r.status, r.took_s, r.fault) for r in proxy.requests()] == [(200, 0, "LoseReply")]
    assert client.get("/new") == BODY


def test_a_delay_is_waited_before_the_server_hears(client: Client, proxy: Proxy):
    proxy.fail_nth(2, Delay(200))
    for _ in range(3):
        client.get()
    slow = [request.took_s >= 0.2 for request in proxy.requests()]
    assert slow == [False, True, False]


def test_latency_is_for_every_request(client: Client, proxy: Proxy):
    proxy.latency(50)
    for _ in range(3):
        client.get()
    assert all(request.took_s >= 0.05 for request in proxy.requests())


@pytest.mark.parametrize("after", [0, 4, 9, 10, 1000])
def test_a_cut_request_never_reaches_the_server_whole(client: Client, server: Server, proxy: Proxy, after: int):
    proxy.fail_nth(1, CutRequest(after))
    with pytest.raises(CLOSED):
        client.ask("PUT", "/new", BODY)
    assert client.get() == BODY
    assert [method for method, _, _ in server.asked] == ["GET"]


def test_a_request_without_a_body_is_cut_too(client: Client, server: Server, proxy: Proxy):
    proxy.fail_nth(1, CutRequest())
    with pytest.raises(CLOSED):
        client.ask("DELETE", "/k")
    assert client.get() == BODY
    assert [method for method, _, _ in server.asked] == ["GET"]


@pytest.mark.parametrize(("after", "heard"), [(0, 0), (4, 4), (9, 9), (10, 9), (1000, 9)])
def test_of_a_cut_reply_the_client_hears_so_much(client: Client, proxy: Proxy, after: int, heard: int):
    proxy.fail_nth(1, CutReply(after))
    client.request("GET", "/k")
    reply = client.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        reply.read()
    assert cut.value.partial == BODY[:heard]
    assert [(r.status, r.reply_bytes) for r in proxy.requests()] == [(200, heard)]


def test_of_a_cut_reply_without_a_body_the_client_cannot_tell_what_it_was(client: Client, server: Server, proxy: Proxy):
    proxy.fail_nth(1, CutReply())
    with pytest.raises(http.client.BadStatusLine, match="HTTP/1"):
        client.ask("PUT", "/new", BODY)
    assert server.kept["/new"] == BODY


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_duplicate_reaches_the_server_twice(client: Client, server: Server, proxy: Proxy, size: int):
    content = random.Random(1).randbytes(size)
    proxy.fail_nth(1, Duplicate())
    assert client.ask("PUT", "/new", content) == (200, b"")
    assert (server.puts(), server.kept["/new"]) == (2, content)
    assert proxy.count() == 1


def test_of_a_duplicate_the_client_hears_the_second_reply(client: Client, server: Server, proxy: Proxy):
    proxy.fail_nth(1, Duplicate())
    assert client.ask("DELETE", "/k") == (404, b"")
    assert "/k" not in server.kept


@pytest.mark.parametrize("path", ["/k", "/chunked"])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_a_flip_changes_one_bit_of_a_reply(client: Client, proxy: Proxy, path: str, at: int):
    proxy.fail_nth(1, FlipReply(at))
    changed = client.get(path)
    assert [(i, a ^ b) for i, (a, b) in enumerate(zip(changed, BODY, strict=True)) if a != b] == [(at, 1)]
    assert client.get(path) == BODY


def test_a_flip_behind_the_end_changes_nothing(client: Client, proxy: Proxy):
    proxy.fail_nth(1, FlipReply(10))
    assert client.get() == BODY


def test_a_flip_changes_one_bit_of_a_large_request(client: Client, server: Server, proxy: Proxy):
    content = bytes(LARGE)
    proxy.fail_nth(1, FlipRequest(LARGE - 1))
    client.ask("PUT", "/new", content)
    assert server.kept["/new"] == content[:-1] + b"\1"


def test_a_server_that_refuses_closes_all_and_is_back_in_time(client: Client, proxy: Proxy):
    other = Client(proxy)
    assert other.get() == BODY
    proxy.fail_nth(1, Refuse(0.5))
    began = time.monotonic()
    with pytest.raises(CLOSED):
        client.get()
    with pytest.raises(CLOSED):
        other.get()
    with pytest.raises(ConnectionRefusedError):
        Client(proxy).get()
    assert proxy.count() == 2
    until_served(proxy)
    assert time.monotonic() - began >= 0.5


def test_a_reset_takes_connections_again(proxy: Proxy):
    proxy.refuse(600)
    with pytest.raises(ConnectionRefusedError):
        Client(proxy).get()
    proxy.reset()
    assert Client(proxy).get() == BODY


def until_served(proxy: Proxy) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        one = Client(proxy)
        try:
            assert one.get() == BODY
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
        finally:
            one.close()
    pytest.fail("it is not back after 20 s")


def test_a_held_request_arrives_when_it_is_released_even_without_its_client(server: Server, proxy: Proxy):
    proxy.add(Rule(HoldRequest(), method="PUT"))
    gone = Client(proxy)
    gone.request("PUT", "/new", BODY)
    assert proxy.until_held() == [1]
    gone.close()
    assert Client(proxy).ask("GET", "/new")[0] == 404
    proxy.release()
    deadline = time.monotonic() + 20
    while "/new" not in server.kept and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.kept["/new"] == BODY
    assert proxy.held() == []


def test_a_held_request_is_dropped_by_a_reset(client: Client, server: Server, proxy: Proxy):
    proxy.add(Rule(HoldRequest()))
    client.request("PUT", "/new", BODY)
    proxy.until_held()
    proxy.reset()
    with pytest.raises(CLOSED):
        client.getresponse()
    assert server.puts() == 0


def test_of_a_held_reply_the_server_did_what_was_asked(client: Client, server: Server, proxy: Proxy):
    proxy.add(Rule(HoldReply()))
    client.request("PUT", "/new", BODY)
    proxy.until_held()
    assert server.kept["/new"] == BODY
    proxy.release()
    assert client.getresponse().status == 200


def test_waiting_for_a_request_that_does_not_come_ends(proxy: Proxy):
    with pytest.raises(TimeoutError, match="0 of 2 requests are held"):
        proxy.until_held(2, timeout_s=0.05)


# Rules


def statuses(client: Client, *asked: tuple[str, str]) -> list[int]:
    return [client.ask(method, path, b"" if method == "PUT" else None)[0] for method, path in asked]


def test_a_rule_is_for_a_method_and_a_path(client: Client, proxy: Proxy):
    proxy.add(Rule(Answer(503), method="GET", path=r"^/refs/.*\?v=1$"))
    asked = [("GET", "/refs/a?v=1"), ("GET", "/refs/a"), ("HEAD", "/refs/a?v=1"), ("GET", "/x/refs/a?v=1")]
    assert statuses(client, *asked) == [503, 404, 404, 404]


def test_a_rule_is_for_the_nth_of_the_requests_it_is_about(client: Client, proxy: Proxy):
    proxy.add(Rule(Answer(503), method="GET", nth=2))
    asked = [("GET", "/k"), ("HEAD", "/k"), ("GET", "/k"), ("GET", "/k")]
    assert statuses(client, *asked) == [200, 200, 503, 200]


def test_a_rule_stops_after_so_many_times(client: Client, proxy: Proxy):
    proxy.add(Rule(Answer(503), times=2))
    assert statuses(client, *[("GET", "/k")] * 3) == [503, 503, 200]


def test_the_first_rule_that_wants_a_request_has_it(client: Client, proxy: Proxy):
    proxy.add(Rule(Answer(500), nth=2), Rule(Answer(503), method="GET"))
    assert statuses(client, ("GET", "/k"), ("GET", "/k"), ("HEAD", "/k")) == [503, 500, 200]


def test_the_same_seed_draws_the_same_requests(client: Client, proxy: Proxy):
    def drawn() -> list[int]:
        proxy.reset()
        proxy.add(Rule(Answer(503), probability=0.3, seed=7))
        return statuses(client, *[("GET", "/k")] * 100)

    first = drawn()
    assert 10 < first.count(503) < 60
    assert drawn() == first


def test_a_reset_forgets_rules_and_latency(client: Client, proxy: Proxy):
    proxy.latency(60_000)
    proxy.add(Rule(Answer(503)))
    proxy.reset()
    assert statuses(client, ("GET", "/k")) == [200]


# Connections


def test_a_server_that_closed_an_idle_connection_is_reached_again(tmp_path: Path):
    """As it would be by the client itself, which sees such a connection closed."""

    class Impatient(Handler):
        timeout = 0.1

    with Server() as server:
        server.RequestHandlerClass = Impatient
        server.kept["/k"] = BODY
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        with proxied(server.endpoint, log=tmp_path / "log") as proxy:
            client = Client(proxy)
            assert client.get() == BODY
            time.sleep(0.5)
            assert client.get() == BODY
            client.close()
        server.shutdown()


def test_without_its_server_a_connection_is_closed(tmp_path: Path):
    with Server() as server:
        endpoint = server.endpoint
    with proxied(endpoint, log=tmp_path / "log") as proxy, pytest.raises(CLOSED):
        Client(proxy).get()
