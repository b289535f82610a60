"""AWS as one profile sees it: its credentials, and what only its own library can ask; botocore's errors as ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import botocore.session
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.credentials import RefreshableCredentials
from botocore.loaders import Loader, create_loader
from botocore.utils import is_valid_endpoint_url

from disdat.core.checksum import CRC64NVME, SHA256, Checksum
from disdat.errors import (
    BucketNotFound,
    DisdatError,
    NotConfigured,
    NotFound,
    PermissionDenied,
    StorageError,
    Unavailable,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
ATTEMPTS = 3
USUAL_REGION = "us-east-1"
COPIED_BYTES = 256 << 20
"""A larger object is copied in parts of so many bytes."""
_HAS_CHANGED = 412
# botocore renews credentials ten minutes before they expire, or earlier.
_GOOD_FOR = timedelta(minutes=9)

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_UNKNOWN_KEYS = frozenset({
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
_WRONG_REGION = frozenset({
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
})  # fmt: skip
_SIGN_IN = "sign in again, as with `aws sso login`, or set other credentials"


class WrongRegion(StorageError):
    """A bucket is in another region than it was asked for in."""

    kind = "wrong-region"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as a request is signed with them, good until then; for ever if None."""

    access_key: str
    secret_key: str
    token: str | None
    expires: datetime | None


class Session:
    """
    AWS by a profile, or by the usual variables and files if None; for several threads, but not for a forked child.

    Raises:
        NotConfigured: There is no such profile, or its files cannot be used.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._botocore = botocore.session.Session(profile=profile)
        self._s3: S3Client | None = None
        self._making = threading.Lock()
        with aws_errors("read AWS's settings"):
            self._settings = self._botocore.get_scoped_config()
            self._botocore.register_component("data_loader", _models(self._botocore.get_config_variable("data_path")))

    def keys(self) -> Keys:
        """
        Credentials, renewed if need be, of any kind that boto3 knows.

        Raises:
            NotConfigured: There are none.
            PermissionDenied: They have expired and cannot be renewed.
        """
        with aws_errors("get AWS credentials"):
            found = self._botocore.get_credentials()
            if found is None:
                raise botocore_errors.NoCredentialsError
            frozen = found.get_frozen_credentials()
            if not (frozen.access_key and frozen.secret_key):
                raise botocore_errors.NoCredentialsError
        expires = datetime.now(UTC) + _GOOD_FOR if isinstance(found, RefreshableCredentials) else None
        return Keys(frozen.access_key, frozen.secret_key, frozen.token, expires)

    @property
    def s3(self) -> S3Client:
        """A client for S3, at the endpoint that variables or the profile name; for several threads."""
        with self._making:  # boto3 cannot make two of one session of botocore's
            if self._s3 is None:
                self._s3 = self._client()
            return self._s3

    @property
    def endpoint(self) -> str:
        """The URL that S3 is reached by, whichever bucket."""
        return self._configured_endpoint() or self.s3.meta.endpoint_url

    @property
    def region(self) -> str:
        """The region that variables or the profile name."""
        with aws_errors("use AWS's settings"):
            found = self._botocore.get_config_variable("region")
        return USUAL_REGION if found in {"", None, "aws-global"} else str(found)

    @property
    def virtual_hosts(self) -> bool:
        """Whether the profile asks that a bucket is part of the host's name, rather than of the path."""
        style = self._settings.get("s3", {})
        return isinstance(style, dict) and style.get("addressing_style") == "virtual"

    def check_bucket(self, bucket: str) -> str:
        """
        The region of a bucket that is there and may be listed.

        Raises:
            BucketNotFound: There is none.
            PermissionDenied: It may not be listed.
            Unavailable: Nobody answers.
        """
        with aws_errors(f"list s3://{bucket}", permission="s3:ListBucket", bucket=bucket):
            return self.s3.head_bucket(Bucket=bucket).get("BucketRegion") or self.region

    def bucket_region(self, bucket: str) -> str:
        """The region of a bucket, which AWS tells those too who may not list it; that of the session if it does not."""
        try:
            return self.check_bucket(bucket)
        except PermissionDenied as exc:
            refused = exc.__cause__
            if not isinstance(refused, botocore_errors.ClientError):
                raise
            headers = refused.response["ResponseMetadata"]["HTTPHeaders"]
            return str(headers.get("x-amz-bucket-region", self.region))

    def object_checksum(self, bucket: str, key: str) -> Checksum | None:
        """
        What S3 computed over all of an object when it took it: its SHA-256, or else its CRC64NVME; None if neither.

        Raises:
            NotFound: There is no such object.
            PermissionDenied, Unavailable: As for :meth:`check_bucket`.
        """
        what = f"read s3://{bucket}/{key}"
        with aws_errors(what, permission="s3:GetObject"):
            head = self.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        of_parts = head.get("ChecksumType", "COMPOSITE" if "-" in head["ETag"] else "FULL_OBJECT") == "COMPOSITE"
        for algorithm, text in ((SHA256, head.get("ChecksumSHA256")), (CRC64NVME, head.get("ChecksumCRC64NVME"))):
            # One of parts that does not say of how many is of something else.
            if text and of_parts == ("-" in text):
                return Checksum.parse(algorithm, text)
        return None

    def copy(self, source: str, target: str, *, etag: str, part_bytes: int = COPIED_BYTES) -> bool:
        """
        Have S3 copy an object from one ``s3://`` URL to another, in parts if it is large; whether it was of this etag.

        The copy is there whole or not at all, and of one that failed no part stays, if S3 answers.

        Raises:
            PermissionDenied: One may not be read, or the other not be written.
            NotFound, Unavailable: As for :meth:`check_bucket`.
        """
        from boto3.s3.transfer import TransferConfig  # as in _client

        (source_bucket, source_key), (bucket, key) = _located(source), _located(target)
        with aws_errors(f"copy {source} to {target}", permission="s3:GetObject, or s3:PutObject there"):
            try:
                self.s3.copy(
                    {"Bucket": source_bucket, "Key": source_key},
                    bucket,
                    key,
                    ExtraArgs={"CopySourceIfMatch": etag},
                    Config=TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes),
                )
            except botocore_errors.ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] != _HAS_CHANGED:
                    raise
                return False
        return True

    def _configured_endpoint(self) -> str | None:
        """The URL that variables or the profile name, as a client finds it; to make one takes 0.1 s."""
        with aws_errors("use AWS's settings"):
            if self._botocore.get_config_variable("ignore_configured_endpoint_urls"):
                return None
            found: str | None = ConfiguredEndpointProvider(
                full_config=self._botocore.full_config,
                scoped_config=self._settings,
                client_name="s3",
            ).provide()
        if found is not None and not is_valid_endpoint_url(found):
            raise NotConfigured(
                f"{found!r} is not the URL of an endpoint",
                hint="check AWS_ENDPOINT_URL, and the profile if there is one",
            )
        return found

    def _client(self) -> S3Client:
        import boto3  # a client is not always needed, and this takes 25 ms more

        with aws_errors("use AWS's settings"):
            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                s3={"addressing_style": "virtual" if self.virtual_hosts else "path"},
            )
            return boto3.Session(botocore_session=self._botocore).client("s3", config=config)


@cache
def _models(data_path: str | None) -> Loader:
    """What botocore knows of services and endpoints, read once: it is large, and every session would read it again."""
    return create_loader(data_path)


@contextmanager
def aws_errors(what: str, *, permission: str = "", bucket: str = "") -> Iterator[None]:
    """Turn botocore's errors inside into ours, which say that *what* could not be done."""
    try:
        yield
    except (botocore_errors.BotoCoreError, botocore_errors.ClientError) as exc:
        raise _translated(exc, what, permission, bucket) from exc


def refusal(what: str, *, code: str, status: int, permission: str = "", bucket: str = "") -> DisdatError:
    """The error for an answer by which AWS, or who speaks as it does, refused to do *what*."""
    if code == "NoSuchBucket":
        return BucketNotFound(bucket)
    if code in _EXPIRED:
        return PermissionDenied(f"cannot {what}: the credentials have expired", hint=_SIGN_IN)
    if code in _UNKNOWN_KEYS:
        return PermissionDenied(
            f"cannot {what}: the credentials are not known there ({code})", hint="check AWS_PROFILE and the keys"
        )
    if code == "RequestTimeTooSkewed":
        return PermissionDenied(f"cannot {what}: this machine's clock is wrong", hint="set it, best by NTP")
    if code in _WRONG_REGION or status == 301:
        return WrongRegion(f"cannot {what}: the bucket is in another region", hint="set AWS_REGION to the bucket's")
    if status in {401, 403}:
        hint = f"the credentials need the permission {permission}" if permission else "check the credentials"
        return PermissionDenied(f"may not {what}", hint=hint)
    answer = f"{status} {code}".strip()
    if status == 404:
        return NotFound(f"cannot {what}: it is not there")
    if status in {408, 409, 429} or (status >= 500 and status != 501):
        return Unavailable(f"cannot {what}: the server answers {answer}", hint="try again later")
    return StorageError(f"cannot {what}: the server answers {answer}")


def _translated(error: Exception, what: str, permission: str, bucket: str) -> DisdatError:
    if isinstance(error, botocore_errors.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code.isdigit():  # there is no text in an answer to HEAD
            code = "NoSuchBucket" if bucket and status == 404 else ""
        return refusal(what, code=code, status=status, permission=permission, bucket=bucket)
    if isinstance(error, (botocore_errors.NoCredentialsError, botocore_errors.PartialCredentialsError)):
        return NotConfigured("there are no AWS credentials", hint="run `aws configure`, or set AWS_PROFILE")
    if isinstance(error, _SIGNED_OUT):
        return PermissionDenied(f"cannot {what}: the credentials have expired", hint=_SIGN_IN)
    if isinstance(error, _NO_ANSWER):
        return Unavailable(
            f"cannot {what}: {_line(error)}", hint="check the network, and AWS_ENDPOINT_URL if it is set"
        )
    return NotConfigured(f"cannot {what}: {_line(error)}", hint="check AWS_PROFILE and the files in ~/.aws")


_SIGNED_OUT = (
    botocore_errors.CredentialRetrievalError,
    botocore_errors.SSOError,
    botocore_errors.TokenRetrievalError,
)
_NO_ANSWER = (botocore_errors.ConnectionError, botocore_errors.HTTPClientError)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _located(url: str) -> tuple[str, str]:
    """The bucket and the key of an ``s3://`` URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
