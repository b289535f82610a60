"""An S3 server and a user of it: where it is, whose keys, and what tests do to it behind the product's back."""

from __future__ import annotations

import functools
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class S3Server:
    """What a client must know to reach a server as one of its users."""

    endpoint: str
    access_key: str = "test"
    secret_key: str = "test"
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead boto3, obstore and AWS's tools here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def at(self, endpoint: str) -> S3Server:
        """Return the same server and user, reached another way: through a proxy."""
        return replace(self, endpoint=endpoint)

    def client(self, **settings: Any) -> S3Client:  # of botocore.config.Config
        """Return a boto3 client that tries once and addresses buckets by path, unless *settings* say otherwise."""
        return new_client(self, **settings) if settings else usual_client(self, os.getpid())

    def bucket(self, name: str) -> str:
        """Make the bucket *name*, or empty the one there is, and return its name."""
        if name in self.buckets():
            self.wipe(name)
        else:
            self.client().create_bucket(Bucket=name)
        return name

    def fresh_bucket(self) -> str:
        """Make a bucket whose name nobody has used, and return its name."""
        name = f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name

    def buckets(self) -> list[str]:
        return [bucket["Name"] for bucket in self.client().list_buckets()["Buckets"]]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys of all objects below *prefix*, in order."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, bucket: str, key: str) -> bytes:
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(self, bucket: str, key: str, content: bytes) -> None:
        self.client().put_object(Bucket=bucket, Key=key, Body=content)

    def wipe(self, bucket: str) -> None:
        """Delete every version of every object in *bucket*, and the uploads nobody finished."""
        client = self.client()
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for some in batches(self._versions(client, bucket)):
            client.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})

    def remove_bucket(self, bucket: str) -> None:
        self.wipe(bucket)
        self.client().delete_bucket(Bucket=bucket)

    def user(self, name: str, policy: Mapping[str, object]) -> S3Server:
        """Make an IAM user who may do what *policy* says, and return the server as this user sees it."""
        iam = boto3.client(
            "iam",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
        )
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="granted", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return replace(self, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])

    def _versions(self, client: S3Client, bucket: str) -> Iterator[ObjectIdentifierTypeDef]:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                yield {"Key": found["Key"], "VersionId": found["VersionId"]}


def new_client(server: S3Server, **settings: Any) -> S3Client:  # of botocore.config.Config
    usual = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=usual.merge(Config(**settings)),
    )


@functools.cache
def usual_client(server: S3Server, _pid: int) -> S3Client:
    """Return the client of a process, which is slow to make."""
    return new_client(server)


def batches(found: Iterable[ObjectIdentifierTypeDef]) -> Iterator[list[ObjectIdentifierTypeDef]]:
    """Group what to delete by what one request may delete; all is listed before the first is given."""
    every = list(found)
    for start in range(0, len(every), DELETED_AT_ONCE):
        yield every[start : start + DELETED_AT_ONCE]
