"""A server that a test starts is there when it is needed, and gone afterwards, whatever happens."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.servers.processes import ServerFailed, clean_environment, listening

ROOT = Path(__file__).resolve().parents[2]


def serve(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_listens_during_the_block_and_not_after(tmp_path: Path):
    with listening(serve, log=tmp_path / "log", environment=lambda _: clean_environment()) as port:
        assert listens(port)
    assert not listens(port)


def test_what_it_said_is_told_when_it_ends_at_once(tmp_path: Path):
    with (
        pytest.raises(ServerFailed, match=r"exit code 3[\s\S]*no such disk"),
        listening(
            lambda _: [sys.executable, "-c", "import sys; print('no such disk'); sys.exit(3)"],
            log=tmp_path / "log",
            environment=lambda _: clean_environment(),
        ),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_it_ends_when_who_started_it_is_killed(tmp_path: Path):
    program = """
        import pathlib, sys, time
        from tests.servers.processes import clean_environment, listening
        from tests.servers.test_processes import serve

        with listening(serve, log=pathlib.Path(sys.argv[1]), environment=lambda _: clean_environment()) as port:
            print(port, flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path / "log"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert listens(port)
        parent.kill()
    deadline = time.monotonic() + 10
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not listens(port)
