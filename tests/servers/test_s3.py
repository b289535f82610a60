"""The S3 servers do what remotes count on, and keep what they refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.servers import start
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture(params=["ministack", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    given: S3Server = request.getfixturevalue(request.param)
    return given


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.fresh_bucket()


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as refused:
        act()
    return str(refused.value.response["Error"]["Code"])


def test_what_is_written_is_read_and_listed_in_order(server: S3Server, bucket: str):
    for key in ("b/2", "a", "b/1"):
        server.write(bucket, key, key.encode())
    assert server.keys(bucket) == ["a", "b/1", "b/2"]
    assert server.keys(bucket, "b/") == ["b/1", "b/2"]
    assert server.read(bucket, "b/2") == b"b/2"


def test_one_of_sixteen_creates_an_object(server: S3Server, bucket: str):
    def create(writer: int) -> str:
        try:
            server.client().put_object(Bucket=bucket, Key="ref", Body=b"%d" % writer, IfNoneMatch="*")
        except ClientError as refused:
            return str(refused.response["Error"]["Code"])
        return "created"

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(create, range(16)))
    assert Counter(said) == {"created": 1, "PreconditionFailed": 15}
    assert server.read(bucket, "ref") == b"%d" % said.index("created")


def test_an_object_is_replaced_only_by_who_knows_it(server: S3Server, bucket: str):
    client = server.client()
    first = client.put_object(Bucket=bucket, Key="ref", Body=b"1")["ETag"]
    client.put_object(Bucket=bucket, Key="ref", Body=b"2", IfMatch=first)
    late = refusal(lambda: client.put_object(Bucket=bucket, Key="ref", Body=b"3", IfMatch=first))
    assert (late, server.read(bucket, "ref")) == ("PreconditionFailed", b"2")


def test_a_bucket_made_again_is_empty(server: S3Server, bucket: str):
    client = server.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        server.write(bucket, "k", b"")
    client.create_multipart_upload(Bucket=bucket, Key="unfinished")
    assert server.bucket(bucket) == bucket
    assert "Versions" not in client.list_object_versions(Bucket=bucket)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    server.remove_bucket(bucket)
    assert bucket not in server.buckets()


def test_the_environment_is_all_that_boto3_needs(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    assert boto3.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_body_that_is_not_what_its_checksum_says_is_refused(ministack: S3Server):
    bucket = ministack.fresh_bucket()
    wrong = "A" * 43 + "="
    client = ministack.client()
    assert refusal(lambda: client.put_object(Bucket=bucket, Key="k", Body=b"", ChecksumSHA256=wrong)) == "BadDigest"
    assert ministack.keys(bucket) == []


@pytest.fixture
def reader(ministack_iam: S3Server) -> tuple[S3Server, str]:
    """A user who may read below ``mine/`` in a bucket, and the bucket."""
    bucket = ministack_iam.fresh_bucket()
    ministack_iam.write(bucket, "mine/k", b"x")
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/mine/*"}
    return ministack_iam.user(f"reader-of-{bucket}", {"Version": "2012-10-17", "Statement": [reading]}), bucket


def test_with_iam_a_user_may_do_what_the_policy_says_and_no_more(reader: tuple[S3Server, str]):
    user, bucket = reader
    assert user.read(bucket, "mine/k") == b"x"
    assert refusal(lambda: user.write(bucket, "mine/k", b"y")) == "AccessDenied"
    assert refusal(lambda: user.read(bucket, "other/k")) == "AccessDenied"
    assert refusal(lambda: user.keys(bucket)) == "AccessDenied"


def test_with_iam_a_wrong_secret_is_refused(reader: tuple[S3Server, str]):
    user, bucket = reader
    forged = replace(user, secret_key="guessed")
    assert refusal(lambda: forged.read(bucket, "mine/k")) == "SignatureDoesNotMatch"


def test_the_server_for_benchmarks_keeps_what_it_is_given(tmp_path: Path):
    with start.rclone(tmp_path / "rclone") as server:
        bucket = server.bucket("bench")
        server.write(bucket, "a/b", b"x")
        assert server.keys(bucket) == ["a/b"]
        assert server.read(bucket, "a/b") == b"x"
        assert refusal(replace(server, secret_key="guessed").buckets) == "SignatureDoesNotMatch"
