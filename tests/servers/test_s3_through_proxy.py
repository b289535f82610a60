"""A client of S3 sees through the proxy what it would see of the server, and what faults it is told to make."""

from __future__ import annotations

import random
from pathlib import Path

import boto3
import obstore
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError
from obstore.store import S3Store

from tests.servers.faults import Answer, CutReply, CutRequest, FlipRequest, LoseReply, Rule
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

PART = 5 << 20


@pytest.fixture
def server(ministack: S3Server, proxy: Proxy) -> S3Server:
    """``ministack`` through a proxy."""
    return ministack.at(proxy.endpoint)


@pytest.fixture
def bucket(ministack: S3Server) -> str:
    """Made behind the proxy's back, so that it is not among its requests."""
    return ministack.fresh_bucket()


def test_signatures_hold_through_the_proxy(ministack_iam: S3Server, tmp_path: Path):
    bucket = ministack_iam.fresh_bucket()
    all_of_s3 = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    user = ministack_iam.user(f"user-of-{bucket}", {"Version": "2012-10-17", "Statement": [all_of_s3]})
    with proxied(user.endpoint, log=tmp_path / "log") as proxy:
        through = user.at(proxy.endpoint)
        through.write(bucket, "a key/+%ü", b"x" * 2_000_000)
        assert through.read(bucket, "a key/+%ü") == b"x" * 2_000_000
        assert through.keys(bucket) == ["a key/+%ü"]
        assert proxy.count() == 3


def test_an_object_in_parts_passes_unchanged(server: S3Server, bucket: str, proxy: Proxy, tmp_path: Path):
    content = random.Random(1).randbytes(3 * PART + 1)
    (tmp_path / "large").write_bytes(content)
    parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    server.client().upload_file(str(tmp_path / "large"), bucket, "large", Config=parts)
    server.client().download_file(bucket, "large", str(tmp_path / "back"), Config=parts)
    assert (tmp_path / "back").read_bytes() == content
    assert sum(request.method == "PUT" for request in proxy.requests()) == 4


@pytest.mark.parametrize("client", ["boto3", "obstore"])
def test_a_client_that_tries_again_does_not_notice_a_busy_server(
    server: S3Server, bucket: str, proxy: Proxy, client: str, monkeypatch: pytest.MonkeyPatch
):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    proxy.add(Rule(Answer(503), times=2))
    if client == "boto3":
        boto3.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    else:
        obstore.put(S3Store(bucket, virtual_hosted_style_request=False), "k", b"x")
    assert [request.status for request in proxy.requests()] == [503, 503, 200]


def test_of_a_lost_reply_the_object_is_there(server: S3Server, ministack: S3Server, bucket: str, proxy: Proxy):
    proxy.fail_nth(1, LoseReply())
    with pytest.raises(ConnectionClosedError):
        server.write(bucket, "k", b"x")
    assert ministack.read(bucket, "k") == b"x"


def test_of_a_cut_request_there_is_no_object(server: S3Server, ministack: S3Server, bucket: str, proxy: Proxy):
    proxy.fail_nth(1, CutRequest(1000))
    with pytest.raises(ConnectionClosedError):
        server.write(bucket, "k", b"x" * 10_000)
    assert ministack.keys(bucket) == []


def test_a_cut_reply_is_not_taken_for_a_whole_object(server: S3Server, ministack: S3Server, bucket: str, proxy: Proxy):
    ministack.write(bucket, "k", b"x" * 10_000)
    proxy.fail_nth(1, CutReply(5000))
    with pytest.raises((ResponseStreamingError, IncompleteReadError)):
        server.read(bucket, "k")


def test_what_is_flipped_on_its_way_is_refused(server: S3Server, ministack: S3Server, bucket: str, proxy: Proxy):
    proxy.fail_nth(1, FlipRequest(5000))
    with pytest.raises(ClientError, match=r"BadDigest|XAmzContentSHA256Mismatch"):
        server.write(bucket, "k", b"x" * 10_000)
    assert ministack.keys(bucket) == []
