"""Contexts to act on: one alone, and two of different homes that share a remote."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import contexts, remotes
from tests.servers.s3 import S3Server

DIRECTORY_OR_S3 = ["directory", pytest.param("ministack", marks=pytest.mark.slow)]
"""Kinds of remotes for :func:`place_of`."""


def place_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new remote: a directory, memory, or a bucket of a server, to which the environment then leads."""
    if kind == "directory":
        return f"file://{tmp_path}/remote"
    if kind == "memory":
        return f"memory://{secrets.token_hex(8)}"
    server: S3Server = request.getfixturevalue(kind)
    for name, text in server.environment().items():
        monkeypatch.setenv(name, text)
    return f"s3://{server.fresh_bucket()}/some/prefix"


@pytest.fixture
def context(home: Path) -> Context:
    """An empty context in a home of its own; the current directory is the test's too."""
    return contexts.create(Home(home), "demo")


@pytest.fixture(params=DIRECTORY_OR_S3)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a remote."""
    return place_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def layout() -> str:
    """How files lie on the remote."""
    return "packed"


@pytest.fixture
def make(tmp_path: Path, url: str, layout: str) -> Callable[..., Context]:
    """Make a context of a home of its own, bound to the remote."""

    def made(who: str, *, layout: str = layout, remote: str = "shared") -> Context:
        context = contexts.create(Home(tmp_path / who), "work")
        return remotes.bind(context, remote, url, layout=layout).context

    return made


@pytest.fixture
def ann(make: Callable[..., Context]) -> Context:
    return make("ann")


@pytest.fixture
def bob(make: Callable[..., Context]) -> Context:
    return make("bob")
