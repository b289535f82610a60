"""A bucket keeps the contract of backends, on three servers; what goes wrong there is told in one line."""

from __future__ import annotations

import gc
import io
import os
import random
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from disdat.config import Settings
from disdat.errors import (
    BucketNotFound,
    DisdatError,
    InvalidInput,
    NotConfigured,
    PermissionDenied,
    StorageError,
    Unavailable,
)
from disdat.store import engine
from disdat.store.backend import PIECE_BYTES, Abilities, Backend, Unsupported, open_backend, probe
from disdat.store.stores import S3Place
from disdat.testing.backend_contract import BackendContract
from tests.servers.azure import AzureServer
from tests.servers.faults import Answer, CutReply, CutRequest, Fault, HoldReply, LoseReply, Refuse, Rule
from tests.servers.processes import free_port
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

ROOT = Path(__file__).resolve().parents[2]
LARGE = random.Random(0).randbytes(2 * PIECE_BYTES + 9)
ACTS: Mapping[str, Callable[[Backend], object]] = {
    "get": lambda backend: backend.get("key"),
    "get_range": lambda backend: backend.get_range("key", 0, 1),
    "head": lambda backend: backend.head("key"),
    "put": lambda backend: backend.put("key", b"bytes"),
    "put_file": lambda backend: backend.put_file("large", io.BytesIO(LARGE), len(LARGE)),
    "create": lambda backend: backend.put_if_absent(f"created/{os.urandom(8).hex()}", b""),
    "swap": lambda backend: backend.put_if_match("key", b"bytes", backend.head("key").etag),
    "copy": lambda backend: backend.copy("key", "copied"),
    "list": lambda backend: list(backend.list()),
    "list_below": lambda backend: backend.list_below(""),
    "delete": lambda backend: backend.delete("nothing"),
    "delete_many": lambda backend: backend.delete_many(["nothing", "either"]),
    "read_pieces": lambda backend: list(backend.read_pieces("key")),
}
"""What a backend can be asked to do where ``key`` has some bytes."""


def settings(*, timeout_s: int = 10) -> Settings:
    return Settings(home=Path("/nowhere"), remote_timeout_s=timeout_s)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Server | AzureServer], None]:
    """Lead who reads the environment to a server."""

    def use(server: S3Server | AzureServer) -> None:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

    return use


class TestMinistack(BackendContract):
    @pytest.fixture
    def backend(self, ministack: S3Server, use: Callable[[S3Server], None]) -> Backend:
        use(ministack)
        return open_backend(f"s3://{ministack.fresh_bucket()}/some/prefix", settings())


@pytest.mark.slow
class TestMoto(BackendContract):
    @pytest.fixture
    def backend(self, moto: S3Server, use: Callable[[S3Server], None]) -> Backend:
        use(moto)
        return open_backend(f"s3://{moto.fresh_bucket()}", settings())


@pytest.mark.slow
class TestAzurite(BackendContract):
    @pytest.fixture
    def backend(self, azurite: AzureServer, use: Callable[[AzureServer], None]) -> Backend:
        use(azurite)
        return open_backend(f"az://{azurite.fresh_container()}/some/prefix", settings())


@pytest.fixture
def bucket(ministack: S3Server) -> str:
    """One with ``key``, whose bytes are ``bytes``."""
    bucket = ministack.fresh_bucket()
    ministack.write(bucket, "key", b"bytes")
    return bucket


@pytest.fixture
def backend(ministack: S3Server, proxy: Proxy, bucket: str, use: Callable[[S3Server], None]) -> Backend:
    """The bucket, reached through the proxy."""
    use(ministack.at(proxy.endpoint))
    return open_backend(f"s3://{bucket}", settings())


def told(error: type[DisdatError], act: Callable[[Backend], object], backend: Backend) -> DisdatError:
    """What is raised, which is one line and says how to go on."""
    with pytest.raises(error) as caught:
        act(backend)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return caught.value


def test_what_s3_can_do_is_found_by_trying(backend: Backend) -> None:
    assert probe(backend, "") == Abilities(creates_once=True, swaps=True, signs=True, checksums=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        *(Answer(500), Answer(503), Answer(429, "SlowDown"), CutRequest(), CutReply(), LoseReply()),
        # Once in a few runs a request to the proxy, which listens again by then, waits for its whole time limit.
        pytest.param(Refuse(0.2), marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_what_fails_for_a_moment_is_done_all_the_same(backend: Backend, proxy: Proxy, fault: Fault) -> None:
    """At whichever of its requests; what is there stays."""
    for name, act in ACTS.items():
        asked = 0
        while True:
            proxy.reset()
            proxy.fail_nth(asked + 1, fault)
            act(backend)
            if not any(request.fault for request in proxy.requests()):
                break
            asked += 1
        assert asked >= {"put_file": 5, "swap": 2}.get(name, 1)
    assert backend.get("key") == b"bytes"


def test_a_server_that_answers_a_part_with_the_whole_is_understood_where_it_may(
    rclone: S3Server, use: Callable[[S3Server], None]
) -> None:
    """Where all from there on was asked for: no more is held in memory than that."""
    use(rclone)
    backend = open_backend(f"s3://{rclone.fresh_bucket()}", settings(timeout_s=2))
    backend.put("key", b"bytes")
    assert backend.get_range("key", 0, 100) == b"bytes"
    assert backend.get_range("key", 2, 100) == b"tes"
    with pytest.raises(StorageError, match="non-partial"):
        backend.get_range("key", 0, 2)


def test_an_answer_that_is_cut_is_asked_for_again(backend: Backend, proxy: Proxy) -> None:
    backend.put("large", LARGE)
    proxy.add(Rule(CutReply(1000), method="GET", times=3))
    assert b"".join(backend.read_pieces("large")) == LARGE
    proxy.add(Rule(CutReply(2), method="GET", times=2))
    assert backend.get("key") == b"bytes"
    proxy.add(Rule(CutReply(100), method="GET", times=2))
    assert [stored.key for stored in backend.list()] == ["key", "large"]


def test_who_creates_while_others_do_asks_until_it_is_known(backend: Backend, proxy: Proxy) -> None:
    """S3 says 409 when it does not know yet whose bytes will be there."""
    proxy.add(Rule(Answer(409, "ConditionalRequestConflict"), method="PUT", times=2))
    assert backend.put_if_absent("new", b"mine")
    assert backend.get("new") == b"mine"


def test_who_never_heard_finds_what_it_wrote_itself(backend: Backend, proxy: Proxy) -> None:
    """So a no is to be read back by who must know."""
    proxy.add(Rule(LoseReply(), method="PUT", times=1))
    assert not backend.put_if_absent("new", b"mine")
    assert backend.get("new") == b"mine"
    proxy.add(Rule(LoseReply(), method="PUT", times=1))
    assert backend.put_if_match("new", b"mine too", backend.head("new").etag) is None
    assert backend.get("new") == b"mine too"


@pytest.mark.parametrize("act", [ACTS[name] for name in ("get", "put_file", "create", "list", "delete")])
def test_what_fails_for_long_is_given_up_in_time(
    backend: Backend, proxy: Proxy, bucket: str, act: Callable[[Backend], object]
) -> None:
    hasty = open_backend(f"s3://{bucket}", settings(timeout_s=1))
    hasty.head("key")
    proxy.add(Rule(Answer(503, "SlowDown")))
    began = time.monotonic()
    error = told(Unavailable, act, hasty)
    assert "503 SlowDown" in str(error)
    assert time.monotonic() - began < 10  # by default it would be a minute


def test_a_server_that_never_answers_is_given_up_in_time(backend: Backend, proxy: Proxy, bucket: str) -> None:
    hasty = open_backend(f"s3://{bucket}", settings(timeout_s=1))
    proxy.add(Rule(HoldReply()))
    assert "tried for" in str(told(Unavailable, ACTS["get"], hasty))


def test_where_nobody_listens_is_told(use: Callable[[S3Server], None]) -> None:
    use(S3Server(f"http://127.0.0.1:{free_port()}"))
    error = told(Unavailable, ACTS["get"], open_backend("s3://bucket/prefix", settings(timeout_s=1)))
    assert "Connection refused (tried for " in str(error)
    assert "AWS_ENDPOINT_URL" in error.hint


@pytest.mark.parametrize("act", [act for name, act in ACTS.items() if name not in {"head", "swap"}])
def test_a_bucket_that_is_not_there_is_told(
    ministack: S3Server, use: Callable[[S3Server], None], act: Callable[[Backend], object]
) -> None:
    use(ministack)
    assert "'no-such-bucket'" in str(told(BucketNotFound, act, open_backend("s3://no-such-bucket/x", settings())))


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(400, "ExpiredToken"), PermissionDenied, "have expired"),
        (Answer(403, "InvalidAccessKeyId"), PermissionDenied, "not known"),
        (Answer(403, "RequestTimeTooSkewed"), PermissionDenied, "clock"),
        (Answer(301, "PermanentRedirect"), StorageError, "another region"),
        (Answer(400, "AuthorizationHeaderMalformed"), StorageError, "another region"),
        (Answer(501, "NotImplemented"), Unsupported, "cannot do this"),
        (Answer(400, "EntityTooLarge"), StorageError, "400 EntityTooLarge"),
    ],
    ids=str,
)
def test_what_a_server_refuses_is_told(
    backend: Backend, proxy: Proxy, bucket: str, answer: Answer, error: type[DisdatError], said: str
) -> None:
    hasty = open_backend(f"s3://{bucket}", settings(timeout_s=1))
    proxy.add(Rule(answer))
    for name in ("get", "put", "list", "delete"):
        assert said in str(told(error, ACTS[name], hasty))


@pytest.fixture
def limited(ministack_iam: S3Server, use: Callable[[S3Server], None]) -> Callable[..., Backend]:
    """Open a bucket, which has ``key``, as a user who may do only this."""

    def limited(*actions: str, secret: str = "") -> Backend:
        bucket = ministack_iam.fresh_bucket()
        ministack_iam.write(bucket, "key", b"bytes")
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": [f"arn:aws:s3:::{bucket}*"]}
        user = ministack_iam.user(f"user-of-{bucket}", {"Version": "2012-10-17", "Statement": [allowed]})
        use(replace(user, secret_key=secret) if secret else user)
        return open_backend(f"s3://{bucket}", settings())

    return limited


@pytest.mark.parametrize(
    ("act", "permission"),
    [
        ("get", "s3:GetObject"),
        ("head", "s3:GetObject"),
        ("put", "s3:PutObject"),
        ("create", "s3:PutObject"),
        ("list", "s3:ListBucket"),
        ("delete", "s3:DeleteObject"),
    ],
)
def test_which_permission_is_missing_is_told(limited: Callable[..., Backend], act: str, permission: str) -> None:
    every = {"s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"}
    backend = limited(*(every - {permission}))
    error = told(PermissionDenied, ACTS[act], backend)
    assert str(error).startswith("may not ")
    assert permission in error.hint
    ACTS[act](limited(permission))


def test_a_wrong_secret_is_told(limited: Callable[..., Backend]) -> None:
    assert "SignatureDoesNotMatch" in str(told(PermissionDenied, ACTS["get"], limited("s3:*", secret="guessed")))


def test_no_credentials_are_told(use: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch) -> None:
    use(S3Server("http://127.0.0.1:1"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "AWS_PROFILE" in told(NotConfigured, ACTS["get"], open_backend("s3://bucket", settings())).hint


def test_anybody_reads_by_a_signed_url_and_nothing_else(limited: Callable[..., Backend]) -> None:
    backend = limited("s3:GetObject", "s3:PutObject")
    backend.put("a b/+%ü", b"shared")
    url = backend.signed_url("a b/+%ü", expires_s=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"shared"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("a%20b/%2B%25%C3%BC", "key"))
    for expires_s in (0, 8 * 86_400):
        with pytest.raises(InvalidInput):
            backend.signed_url("key", expires_s=expires_s)


def test_what_is_replaced_while_it_is_read_is_told(backend: Backend) -> None:
    large = LARGE * 3
    backend.put("large", large)
    pieces = backend.read_pieces("large")
    first = bytes(next(pieces))
    backend.put("large", large[::-1])
    with pytest.raises(Unavailable, match="was replaced"):
        assert b"".join([first, *pieces]) == large


@pytest.mark.slow
def test_a_listing_goes_on_over_pages(backend: Backend, proxy: Proxy) -> None:
    """In order, also where a page is cut; from the key it is asked to start after."""
    keys = [f"many/{n:04}" for n in range(2100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: backend.put(key, b""), keys))
    proxy.reset()
    assert [stored.key for stored in backend.list("many/")] == keys
    assert proxy.count() == 3
    proxy.add(Rule(CutReply(10_000), path="continuation-token", times=1))
    assert [stored.key for stored in backend.list("many/", start_after="many/0041")] == keys[42:]
    proxy.reset()
    backend.delete_many(keys)
    assert proxy.count() == 3
    assert list(backend.list("many/")) == []


def test_close_ranges_are_one_request(backend: Backend, proxy: Proxy) -> None:
    backend.put("large", LARGE)
    proxy.reset()
    ranges = [(10 * n, 5) for n in range(1000)] + [(len(LARGE) - 5, 100)]
    assert list(backend.get_ranges("large", ranges)) == [LARGE[start : start + length] for start, length in ranges]
    assert proxy.count() == 2


def in_a_child(act: Callable[[], bool]) -> bool:
    """Whether a forked child got True, within the time a test may take."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if act() else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child waits for threads that are gone")


def test_a_forked_child_uses_a_backend_its_parent_used(backend: Backend) -> None:
    """And so does its own child; the parent is not disturbed."""
    backend.put("large", LARGE)

    def use() -> bool:
        read = b"".join(backend.read_pieces("large")) == LARGE
        backend.put(f"by/{os.getpid()}", LARGE)
        return read and not backend.put_if_absent("key", b"other")

    assert in_a_child(lambda: use() and in_a_child(use))
    assert use()
    assert len(backend.list_below("by/")) == 3


def test_what_nobody_uses_any_more_is_freed_but_not_in_a_forked_child(
    ministack: S3Server, use: Callable[[S3Server], None]
) -> None:
    """A session of boto3's is 10 MB; to free what it serves there, a child would need its parent's threads."""
    use(ministack)
    places = [S3Place(ministack.fresh_bucket(), settings()) for _ in range(2)]
    for place in places:
        engine.keep(place)
        list(place.requests.list())
    first, second = (weakref.ref(place.session) for place in places)
    del place, places[0]
    gc.collect()
    assert first() is None

    def use_no_more() -> bool:
        places.clear()
        gc.collect()
        return second() is not None

    assert in_a_child(use_no_more)
    assert not use_no_more()


@pytest.mark.slow
def test_memory_does_not_grow_with_an_object(ministack: S3Server, bucket: str, tmp_path: Path) -> None:
    """What is sent and fetched is held a few pieces at a time."""
    program = """
        import resource, sys
        from pathlib import Path
        from disdat.config import Settings
        from disdat.store.backend import open_backend

        backend, path = open_backend(sys.argv[1], Settings(home=Path("/nowhere"))), Path(sys.argv[2])
        backend.put("large", b"")
        list(backend.read_pieces("large"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with path.open("rb") as file:
            backend.put_file("large", file, path.stat().st_size)
        with path.open("rb") as file:
            for piece in backend.read_pieces("large"):
                assert file.read(len(piece)) == piece
            assert not file.read()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)  # KiB
    """
    large = tmp_path / "large"
    with large.open("wb") as file:
        for n in range(160):
            file.write(random.Random(n).randbytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), f"s3://{bucket}", large],
        cwd=ROOT,
        env=os.environ | ministack.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) < 96 << 10
