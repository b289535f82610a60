"""
The servers as fixtures: one of each for a test session (under pytest-xdist, a worker), started when first asked for.

A server remembers everything for that long: a test works in a bucket of its own (:meth:`S3Server.fresh_bucket`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers.processes import clean_environment, listening
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import S3Server

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-servers"


@pytest.fixture(scope="session")
def server_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which every server leaves what it says."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def ministack(server_logs: Path) -> Iterator[S3Server]:
    """S3 with conditional writes, versions and checksums; whose signature a request bears is not looked at."""
    yield from run_ministack(server_logs / "ministack", AUTH="false")


@pytest.fixture(scope="session")
def ministack_iam(server_logs: Path) -> Iterator[S3Server]:
    """The same server with IAM enforced. This user is root, never refused; :meth:`S3Server.user` makes others."""
    yield from run_ministack(server_logs / "ministack-iam", AUTH="true")


@pytest.fixture(scope="session")
def moto(server_logs: Path) -> Iterator[S3Server]:
    """Another implementation of S3, for a second opinion; slow, some 400 requests a second."""
    with listening(
        lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        log=server_logs / "moto.log",
        environment=lambda _: clean_environment(),
    ) as port:
        yield S3Server(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def standing_proxy(ministack: S3Server, server_logs: Path) -> Iterator[Proxy]:
    with proxied(ministack.endpoint, log=server_logs / "proxy.log") as proxy:
        yield proxy


@pytest.fixture
def proxy(standing_proxy: Proxy) -> Iterator[Proxy]:
    """A proxy before ``ministack``, without rules yet; ``ministack.at(proxy.endpoint)`` is the server through it."""
    standing_proxy.reset()
    yield standing_proxy
    standing_proxy.reset()


def run_ministack(place: Path, **settings: str) -> Iterator[S3Server]:
    """Run ministack with *settings* in its environment; where it is not installed, skip the test (on CI: fail)."""
    program = ENVIRONMENT / "bin" / "ministack"
    if not program.exists():
        missing("ministack (make servers)")
    place.mkdir()
    with listening(
        lambda _: [program],
        log=place / "log",
        environment=lambda port: clean_environment(
            BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port), LOG_LEVEL="ERROR", TMPDIR=str(place), **settings
        ),
    ) as port:
        yield S3Server(f"http://127.0.0.1:{port}")
