"""
The servers as fixtures: one of each for a test session (under pytest-xdist, a worker), started when first asked for.

A server remembers everything for that long: a test works in a bucket of its own (:meth:`S3Server.fresh_bucket`). Where
its program is missing, the test is skipped by its name (on CI: fails).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.conftest import missing
from tests.servers import start
from tests.servers.azure import AzureServer
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import S3Server

Server = TypeVar("Server", S3Server, AzureServer)


@pytest.hookimpl(tryfirst=True)  # before those that are slow are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What talks to a server is slow."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which every server has one of its own, with its log."""
    return tmp_path_factory.mktemp("servers")


def run(server: Callable[[Path], AbstractContextManager[Server]], place: Path) -> Iterator[Server]:
    try:
        with server(place) as running:
            yield running
    except start.NotInstalled as what:
        missing(str(what))


@pytest.fixture(scope="session")
def ministack(servers: Path) -> Iterator[S3Server]:
    """S3 with conditional writes, versions and checksums; anybody may do anything."""
    yield from run(start.ministack, servers / "ministack")


@pytest.fixture(scope="session")
def ministack_iam(servers: Path) -> Iterator[S3Server]:
    """The same server with IAM enforced. This user is root, never refused; :meth:`S3Server.user` makes others."""
    yield from run(start.ministack_iam, servers / "ministack-iam")


@pytest.fixture(scope="session")
def moto(servers: Path) -> Iterator[S3Server]:
    """Another implementation of S3, for a second opinion; slow."""
    yield from run(start.moto, servers / "moto")


@pytest.fixture(scope="session")
def rclone(servers: Path) -> Iterator[S3Server]:
    """A directory as S3, without conditions; it answers with all of an object where a part is asked for."""
    yield from run(start.rclone, servers / "rclone")


@pytest.fixture(scope="session")
def azurite(servers: Path) -> Iterator[AzureServer]:
    """Azure's blobs. It ignores the offset of a listing."""
    yield from run(start.azurite, servers / "azurite")


@pytest.fixture(scope="session")
def standing_proxy(ministack: S3Server, servers: Path) -> Iterator[Proxy]:
    with proxied(ministack.endpoint, log=servers / "proxy.log") as proxy:
        yield proxy


@pytest.fixture
def proxy(standing_proxy: Proxy) -> Iterator[Proxy]:
    """A proxy before ``ministack``, without rules yet; ``ministack.at(proxy.endpoint)`` is the server through it."""
    standing_proxy.reset()
    yield standing_proxy
    standing_proxy.reset()
