"""Where remotes may be."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.store.backend import Backend, open_backend
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

Opened = Callable[[], Backend]
"""Opens the same place again, as another process would."""


def lead(monkeypatch: pytest.MonkeyPatch, server: S3Server) -> None:
    """Let all that reach S3 reach this server."""
    for name, text in server.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("DISDAT_REMOTE_TIMEOUT", "10")


@pytest.fixture(
    params=["directory", "memory", *(pytest.param(server, marks=pytest.mark.slow) for server in ("ministack", "moto"))]
)
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A place of every kind that swaps."""
    url = f"file://{tmp_path}/remote" if request.param == "directory" else f"memory://{secrets.token_hex(8)}"
    if request.param in ("ministack", "moto"):
        server: S3Server = request.getfixturevalue(request.param)
        lead(monkeypatch, server)
        url = f"s3://{server.fresh_bucket()}/prefix"
    return lambda: open_backend(url)


@pytest.fixture
def through_proxy(ministack: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A bucket that is reached through the proxy."""
    lead(monkeypatch, ministack.at(proxy.endpoint))
    url = f"s3://{ministack.fresh_bucket()}/prefix"
    return lambda: open_backend(url)
