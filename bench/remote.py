"""The server of a run, of S3 or a cluster, as who is measured sees it. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

BUCKET = "bench"
URL = f"s3://{BUCKET}/remote"
SCHEDULER = "BENCH_SCHEDULER"
ENDPOINT, PROXY, CONTROL = "AWS_ENDPOINT_URL", "BENCH_PROXY", "BENCH_PROXY_CONTROL"


def endpoint() -> str:
    """Where the server of S3 is."""
    return os.environ[ENDPOINT]


def scheduler() -> str | None:
    """Where the scheduler of a cluster is; None where there is none."""
    return os.environ.get(SCHEDULER)


@contextmanager
def through_proxy(*, latency_ms: float = 0) -> Iterator[None]:
    """Whatever opens the server within the block goes through the proxy, which delays each request."""
    direct = endpoint()
    _tell(f"latency/{latency_ms}")
    os.environ[ENDPOINT] = os.environ[PROXY]
    try:
        yield
    finally:
        os.environ[ENDPOINT] = direct


def requests() -> int:
    """How many requests came to the proxy since the block began."""
    return _tell("count")


def _tell(order: str) -> int:
    with urlopen(f"{os.environ[CONTROL]}/{order}") as answer:
        return int(answer.read())
