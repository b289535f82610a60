"""
The servers, each run for a block: in a process of its own, on a free port, its files and its log in *place*.

Each forgets all that was in it. *place* is a directory that is not there yet. Who has no .venv-servers (`make servers`)
is told by :class:`NotInstalled`.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.azure import AzureServer
from tests.servers.processes import clean_environment, listening
from tests.servers.s3 import S3Server

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-servers"


class NotInstalled(Exception):
    """A server's program is not there."""


def program(path: str) -> str:
    """Return where *path* is in .venv-servers."""
    found = ENVIRONMENT / path
    if not found.exists():
        raise NotInstalled(f"{found.name} (make servers)")
    return str(found)


@contextlib.contextmanager
def ministack(place: Path) -> Iterator[S3Server]:
    """S3 with conditional writes, versions and checksums, in memory; anybody may do anything."""
    with _ministack(place, AUTH="false") as server:
        yield server


@contextlib.contextmanager
def ministack_iam(place: Path) -> Iterator[S3Server]:
    """The same, with IAM enforced. This user is root, never refused; :meth:`S3Server.user` makes others."""
    with _ministack(place, AUTH="true") as server:
        yield server


@contextlib.contextmanager
def _ministack(place: Path, **settings: str) -> Iterator[S3Server]:
    command = [program("bin/ministack")]
    place.mkdir()
    settings |= {"BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR", "TMPDIR": str(place)}
    with listening(
        lambda _: command,
        log=place / "log",
        environment=lambda port: clean_environment(GATEWAY_PORT=str(port), **settings),
    ) as port:
        yield S3Server(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def moto(place: Path) -> Iterator[S3Server]:
    """Another implementation of S3, for a second opinion; some 400 requests a second."""
    place.mkdir()
    with listening(
        lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        log=place / "log",
        environment=lambda _: clean_environment(),
    ) as port:
        yield S3Server(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def rclone(place: Path) -> Iterator[S3Server]:
    """
    S3 over files below *place*, for benchmarks: the least work of all for the machine.

    Conditions of a write are ignored, without a word; there are no versions; obstore refuses its answers to ranges.
    """
    command = [program("bin/rclone"), "serve", "s3", "--vfs-cache-mode", "off", "--etag-hash", ""]
    buckets, secret = place / "buckets", secrets.token_hex(8)
    buckets.mkdir(parents=True)
    with listening(
        lambda port: [*command, "--addr", f"127.0.0.1:{port}", "--auth-key", f"test,{secret}", str(buckets)],
        log=place / "log",
        environment=lambda _: clean_environment(RCLONE_CONFIG="/dev/null"),
    ) as port:
        yield S3Server(f"http://127.0.0.1:{port}", secret_key=secret)


@contextlib.contextmanager
def azurite(place: Path) -> Iterator[AzureServer]:
    """Azure's blobs, in memory. The offset of a listing is ignored, without a word."""
    command = [program("node_modules/.bin/azurite-blob"), "--inMemoryPersistence", "--skipApiVersionCheck"]
    key = secrets.token_hex(32)
    place.mkdir()
    with listening(
        lambda port: [*command, "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", str(port)],
        log=place / "log",
        environment=lambda _: clean_environment(AZURITE_ACCOUNTS=f"tests:{key}"),
    ) as port:
        yield AzureServer(f"http://127.0.0.1:{port}/tests", account="tests", key=key)
