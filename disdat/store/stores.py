"""
obstore's stores for the URLs of each cloud: where the bucket is, by whose credentials, and how long to try.

A :class:`Place` is good in the process that made it only; see :mod:`disdat.store.engine`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

from disdat import aws
from disdat.config import Settings
from disdat.core.checksum import Checksum
from disdat.errors import DisdatError
from disdat.store import engine

CONNECT_TIMEOUT_S = 5
REQUEST_TIMEOUT_S = 20
"""A request of little, and its answer, take no longer; then it is tried again."""
TRANSFER_TIMEOUT_S = 300
"""A request of one piece takes no longer: a piece takes that long at 30 KB/s."""
IDLE_TIMEOUT_S = 20

_AWS_HOST = re.compile(r"\.amazonaws\.com(\.cn)?$")

Store = Any
"""A store of obstore's: of a type of the copy of the library that is loaded."""


class Place(Protocol):
    """A bucket of a cloud's, as one process sees it."""

    @property
    def requests(self) -> Store:
        """What asks for little."""

    @property
    def transfers(self) -> Store:
        """What sends and fetches pieces."""

    @property
    def version_field(self) -> str:
        """What obstore knows versions of objects by here, for compare-and-swap."""

    @property
    def in_order(self) -> bool:
        """Whether listings are in the order of the keys' bytes."""

    @property
    def fault(self) -> DisdatError | None:
        """Why there were no credentials, when last asked for."""

    def checksum(self, path: str) -> Checksum | None:
        """What the cloud computed over an object; None where we know no way to ask."""


class _Credentials:
    """
    What a store asks for credentials.

    It does not know the store: that is no object of Python's, whose collector would not see that the two keep each
    other, and a session of boto3's with them.
    """

    def __init__(self, session: aws.Session) -> None:
        self._session = session
        self.fault: DisdatError | None = None

    def __call__(self) -> dict[str, object]:
        try:
            keys = self._session.keys()
        except DisdatError as exc:
            self.fault = exc  # of what is raised here, obstore passes on the text only
            raise
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": keys.expires,
        }


class S3Place:
    """A bucket of S3's, or of what speaks as it does; the credentials and where it is are boto3's findings."""

    version_field = "e_tag"
    in_order = True

    def __init__(self, bucket: str, settings: Settings) -> None:
        self.bucket, self._settings = bucket, settings
        self.session = aws.Session(settings.profile)
        self.session.keys()  # none at all is better told now than by every request
        self._credentials = _Credentials(self.session)
        # Elsewhere than at AWS there is one region, whatever it is called.
        of_aws = _AWS_HOST.search(urlsplit(self.session.endpoint).netloc)
        self._region = self.session.bucket_region(bucket) if of_aws else self.session.region
        self.requests = self._store(_request_timeout_s(settings))
        self.transfers = self._store(TRANSFER_TIMEOUT_S)

    @property
    def fault(self) -> DisdatError | None:
        return self._credentials.fault

    def checksum(self, path: str) -> Checksum | None:
        return self.session.object_checksum(self.bucket, path)

    def _store(self, timeout_s: int) -> Store:
        endpoint = urlsplit(self.session.endpoint)
        virtual = self.session.virtual_hosts
        host = f"{self.bucket}.{endpoint.netloc}" if virtual else endpoint.netloc
        url = f"{endpoint.scheme}://{host}{endpoint.path}".rstrip("/")
        return engine.obstore().store.S3Store(
            self.bucket,
            endpoint=url,
            # A variable of this name would win over the line above, in which it has its say already.
            aws_endpoint_url_s3=url,
            region=self._region,
            virtual_hosted_style_request=virtual,
            checksum_algorithm="sha256",
            credential_provider=self._credentials,
            client_options={**_client_options(timeout_s), "allow_http": endpoint.scheme == "http"},
            retry_config=_retry_config(self._settings),
        )


class OtherPlace:
    """A bucket of Google's or Azure's, as obstore finds it with the variables usual there."""

    fault: DisdatError | None = None

    def __init__(self, bucket: str, settings: Settings, *, store: str, version_field: str, in_order: bool) -> None:
        self._bucket, self._settings, self._class = bucket, settings, store
        self.version_field, self.in_order = version_field, in_order
        self.requests = self._store(_request_timeout_s(settings))
        self.transfers = self._store(TRANSFER_TIMEOUT_S)

    def checksum(self, path: str) -> Checksum | None:
        self.requests.head(path)
        return None

    def _store(self, timeout_s: int) -> Store:
        # Not as client_options, beside which obstore does not look for what variables say of the client.
        client = {name: f"{took.total_seconds():.0f} s" for name, took in _client_options(timeout_s).items()}
        make = getattr(engine.obstore().store, self._class)
        return make(self._bucket, config=client, retry_config=_retry_config(self._settings))


PLACES: dict[str, Callable[[str, Settings], Place]] = {
    "s3": S3Place,
    "gs": partial(OtherPlace, store="GCSStore", version_field="version", in_order=True),
    "az": partial(OtherPlace, store="AzureStore", version_field="e_tag", in_order=False),
}
"""How the bucket of each scheme's URLs is reached."""


def _request_timeout_s(settings: Settings) -> int:
    return min(REQUEST_TIMEOUT_S, settings.remote_timeout_s)


def _client_options(timeout_s: int) -> dict[str, timedelta]:
    return {
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=timeout_s),
        "pool_idle_timeout": timedelta(seconds=IDLE_TIMEOUT_S),
    }


def _retry_config(settings: Settings) -> dict[str, object]:
    return {
        "max_retries": 100,  # the time is what bounds them
        "retry_timeout": timedelta(seconds=settings.remote_timeout_s),
        "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=5), "base": 2},
    }
