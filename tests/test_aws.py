"""AWS is seen as boto3 sees it: by variables, profiles and what they lead to; its errors are ours, in one line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from disdat.aws import Session, refusal
from disdat.core.checksum import CRC64NVME, SHA256, Checksum, sha256
from disdat.errors import BucketNotFound, DisdatError, NotConfigured, NotFound, PermissionDenied, Unavailable
from tests.servers.faults import Answer
from tests.servers.processes import free_port
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server


@pytest.fixture
def session(ministack: S3Server, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in ministack.environment().items():
        monkeypatch.setenv(name, value)
    return Session()


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write AWS's config file, which is all there is to go by."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def write(text: str) -> None:
        (tmp_path / "config").write_text(textwrap.dedent(text), encoding="utf-8")

    return write


def told(error: type[DisdatError], act: Callable[[], object]) -> DisdatError:
    """What is raised, which is one line and says how to go on."""
    with pytest.raises(error) as caught:
        act()
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return caught.value


def test_what_botocore_knows_is_read_once_for_all_sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who has a directory of models of their own has sessions that read them."""
    usual = [Session()._botocore.get_component("data_loader") for _ in range(2)]
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    own = Session()._botocore.get_component("data_loader")
    assert usual[0] is usual[1] is not own
    assert str(tmp_path) in own.search_paths


def test_threads_that_begin_at_once_have_one_client(session: Session) -> None:
    start = threading.Barrier(8, timeout=20)

    def client(_: int) -> object:
        start.wait()
        return session.s3

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(client, range(8)))) == 1


def test_a_bucket_is_checked(session: Session, ministack: S3Server) -> None:
    assert session.check_bucket(ministack.fresh_bucket()) == "us-east-1"
    told(BucketNotFound, lambda: session.check_bucket("no-such-bucket"))


def test_a_bucket_that_may_not_be_listed_is_forbidden(ministack_iam: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is, everybody is told."""
    bucket = ministack_iam.fresh_bucket()
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    user = ministack_iam.user(f"user-of-{bucket}", {"Version": "2012-10-17", "Statement": [allowed]})
    for name, value in user.environment().items():
        monkeypatch.setenv(name, value)
    assert "s3:ListBucket" in told(PermissionDenied, lambda: Session().check_bucket(bucket)).hint
    assert Session().bucket_region(bucket) == "us-east-1"


def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3Server(f"http://127.0.0.1:{free_port()}").environment().items():
        monkeypatch.setenv(name, value)
    assert "AWS_ENDPOINT_URL" in told(Unavailable, lambda: Session().check_bucket("bucket")).hint


def test_a_checksum_is_told_where_s3_computed_one_over_all(session: Session, ministack: S3Server) -> None:
    bucket, client = ministack.fresh_bucket(), ministack.client()
    client.put_object(Bucket=bucket, Key="sha", Body=b"bytes", ChecksumAlgorithm="SHA256")
    assert session.object_checksum(bucket, "sha") == Checksum(SHA256, hashlib.sha256(b"bytes").digest())
    client.put_object(Bucket=bucket, Key="crc", Body=b"abc", ChecksumCRC64NVME="BeXKuz/B+us=")
    crc = session.object_checksum(bucket, "crc")
    assert (crc and crc.algorithm, str(crc)) == (CRC64NVME, "BeXKuz/B+us=")
    plain = ministack.client(request_checksum_calculation="when_required")
    plain.put_object(Bucket=bucket, Key="none", Body=b"bytes")
    assert session.object_checksum(bucket, "none") is None
    told(NotFound, lambda: session.object_checksum(bucket, "absent"))


def test_the_sum_of_parts_is_the_same_however_the_bytes_come() -> None:
    content = bytes(range(256)) * 100
    parts = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    whole = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    for size in (1, 999, 1000, 1001, 30_000):
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        assert sha256(pieces, part_bytes=1000) == Checksum(SHA256, whole, len(parts))
        assert sha256(map(memoryview, pieces)) == Checksum(SHA256, hashlib.sha256(content).digest())
    found = Checksum(SHA256, whole, 26)
    assert Checksum.parse(SHA256, str(found)) == found
    with pytest.raises(ValueError, match="not a checksum"):
        Checksum.parse(SHA256, "!!")


def test_an_endpoint_and_a_region_come_from_a_profile(profiles: Callable[[str], None]) -> None:
    profiles(
        """
        [profile mine]
        region = eu-north-1
        aws_access_key_id = a
        aws_secret_access_key = b
        services = here
        s3 =
            addressing_style = virtual
        [services here]
        s3 =
            endpoint_url = http://s3.example:9000
        [profile other]
        region = cn-north-1
        """
    )
    mine, other = Session("mine"), Session("other")
    assert (mine.endpoint, mine.region, mine.virtual_hosts) == ("http://s3.example:9000", "eu-north-1", True)
    assert (other.endpoint, other.virtual_hosts) == ("https://s3.cn-north-1.amazonaws.com.cn", False)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_ENDPOINT_URL": "http://any.example:1"},
        {"AWS_ENDPOINT_URL": "http://any.example:1", "AWS_ENDPOINT_URL_S3": "https://s3.example/below"},
        {"AWS_ENDPOINT_URL": "http://any.example:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        {"AWS_ENDPOINT_URL": "http://any.example:1", "AWS_PROFILE": "services"},
        {"AWS_PROFILE": "services"},
        {"AWS_DEFAULT_REGION": "us-gov-west-1", "AWS_PROFILE": "services"},
        {"AWS_DEFAULT_REGION": "eu-north-1"},
    ],
)
def test_where_s3_is_and_its_region_are_found_as_a_client_finds_them(
    profiles: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    profiles(
        """
        [profile services]
        services = here
        region = ca-central-1
        [services here]
        s3 =
            endpoint_url = http://service.example:2
        """
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session, other = Session(), Session()
    of_client = other.s3.meta.endpoint_url, other.s3.meta.region_name
    assert (session.endpoint, session.region) == (of_client[0], of_client[1].replace("aws-global", "us-east-1"))


@pytest.mark.parametrize("url", ["localhost:9000", "http://", "http://a b", "nowhere"])
def test_an_endpoint_that_is_no_url_is_told(
    profiles: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    assert url in str(told(NotConfigured, lambda: Session().endpoint))


def test_where_the_endpoint_is_named_there_is_no_need_of_boto3(
    profiles: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To import it, and to make a client, takes half of the time that opening a bucket would take."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://any.example:1")
    code = "import sys; from disdat.aws import Session as S; print(S().endpoint, S().region, 'boto3' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["http://any.example:1", "us-east-1", "False"]


def test_without_a_region_there_is_one(profiles: Callable[[str], None]) -> None:
    profiles("")
    assert Session().region == "us-east-1"


def test_a_profile_that_is_not_there_is_told(profiles: Callable[[str], None]) -> None:
    profiles("")
    assert "nobody" in str(told(NotConfigured, lambda: Session("nobody")))


def test_no_credentials_are_told(profiles: Callable[[str], None]) -> None:
    profiles("")
    assert "AWS_PROFILE" in told(NotConfigured, Session().keys).hint


def test_half_of_a_key_is_told(profiles: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    profiles("")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    told(NotConfigured, Session().keys)


def test_credentials_that_expire_are_renewed(
    profiles: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the profile names, when they are about to; until it cannot any more."""
    program = tmp_path / "issue.py"
    program.write_text(
        textwrap.dedent(
            """
            import datetime, json, pathlib, sys
            issued = pathlib.Path(__file__).with_suffix(".count")
            count = int(issued.read_text()) + 1 if issued.exists() else 1
            issued.write_text(str(count))
            if count > 3:
                sys.exit("the session is over")
            until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
            keys = {"AccessKeyId": f"key-{count}", "SecretAccessKey": "s", "SessionToken": "t"}
            print(json.dumps({"Version": 1, "Expiration": until.isoformat(), **keys}))
            """
        ),
        encoding="utf-8",
    )
    profiles(f"[profile issued]\ncredential_process = {json.dumps(sys.executable)} {json.dumps(str(program))}\n")
    session = Session("issued")
    first, second = session.keys(), session.keys()
    assert (first.access_key, second.access_key) == ("key-2", "key-3")  # one is asked for when a profile is read
    assert first.expires is not None
    told(PermissionDenied, session.keys)


@pytest.mark.parametrize(
    ("code", "status", "error", "said"),
    [
        ("AccessDenied", 403, PermissionDenied, "may not do it"),
        ("", 401, PermissionDenied, "may not do it"),
        ("ExpiredToken", 400, PermissionDenied, "expired"),
        ("SignatureDoesNotMatch", 403, PermissionDenied, "not known"),
        ("RequestTimeTooSkewed", 403, PermissionDenied, "clock"),
        ("NoSuchBucket", 404, BucketNotFound, "'bucket'"),
        ("NoSuchUpload", 404, NotFound, "not there"),
        ("SlowDown", 503, Unavailable, "503 SlowDown"),
        ("OperationAborted", 409, Unavailable, "409"),
        ("InvalidRequest", 400, DisdatError, "400 InvalidRequest"),
        ("PermanentRedirect", 301, DisdatError, "another region"),
    ],
)
def test_what_aws_refuses_is_told(code: str, status: int, error: type[DisdatError], said: str) -> None:
    found = refusal("do it", code=code, status=status, permission="s3:It", bucket="bucket")
    assert isinstance(found, error)
    assert said in str(found)


def test_an_object_is_copied_from_bucket_to_bucket_if_it_is_what_it_was(session: Session, ministack: S3Server) -> None:
    source, target = ministack.fresh_bucket(), ministack.fresh_bucket()
    ministack.write(source, "a b/50%.bin", b"x" * 100_000)
    etag = ministack.client().head_object(Bucket=source, Key="a b/50%.bin")["ETag"]
    url = f"s3://{source}/a b/50%.bin"
    assert session.copy(url, f"s3://{target}/c/d e", etag=etag)
    assert ministack.read(target, "c/d e") == b"x" * 100_000
    ministack.write(source, "a b/50%.bin", b"y")
    assert not session.copy(url, f"s3://{target}/changed", etag=etag)
    assert ministack.keys(target) == ["c/d e"]


PART_BYTES = 5 << 20
"""The least that S3 takes as a part that is not the last."""


def large(server: S3Server) -> tuple[str, bytes]:
    """A bucket with an object of three parts."""
    bucket, content = server.fresh_bucket(), os.urandom(2 * PART_BYTES + 1)
    server.write(bucket, "from", content)
    return bucket, content


def test_a_large_object_is_copied_in_parts(session: Session, ministack: S3Server) -> None:
    bucket, content = large(ministack)
    client = ministack.client()
    etag = client.head_object(Bucket=bucket, Key="from")["ETag"]
    assert session.copy(f"s3://{bucket}/from", f"s3://{bucket}/to/it", etag=etag, part_bytes=PART_BYTES)
    assert ministack.read(bucket, "to/it") == content
    assert client.head_object(Bucket=bucket, Key="to/it")["ETag"].endswith('-3"')
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_large_object_that_was_replaced_is_not_copied(session: Session, ministack: S3Server) -> None:
    bucket, _ = large(ministack)
    etag = ministack.client().head_object(Bucket=bucket, Key="from")["ETag"]
    ministack.write(bucket, "from", os.urandom(2 * PART_BYTES + 1))
    assert not session.copy(f"s3://{bucket}/from", f"s3://{bucket}/to", etag=etag, part_bytes=PART_BYTES)
    assert ministack.keys(bucket) == ["from"]
    assert "Uploads" not in ministack.client().list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_copy_that_is_cut_is_there_whole_or_leaves_nothing(
    nth: int, ministack: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its requests S3 refuses to the end: no object, and no part of one, which would be paid for."""
    bucket, content = large(ministack)
    etag = ministack.client().head_object(Bucket=bucket, Key="from")["ETag"]
    for name, value in ministack.at(proxy.endpoint).environment().items():
        monkeypatch.setenv(name, value)
    proxy.fail_nth(nth, Answer(403))
    try:
        Session().copy(f"s3://{bucket}/from", f"s3://{bucket}/to", etag=etag, part_bytes=PART_BYTES)
    except PermissionDenied:
        assert ministack.keys(bucket) == ["from"]
    else:
        assert nth == 7
        assert ministack.read(bucket, "to") == content
    assert "Uploads" not in ministack.client().list_multipart_uploads(Bucket=bucket)


def test_what_is_not_there_cannot_be_copied(session: Session, ministack: S3Server) -> None:
    bucket = ministack.fresh_bucket()
    told(NotFound, lambda: session.copy(f"s3://{bucket}/gone", f"s3://{bucket}/copy", etag='"0"'))
