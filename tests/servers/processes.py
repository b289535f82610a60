"""A server process: started, waited for, and gone with the process that started it, however that one ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
PR_SET_PDEATHSIG = 1


class ServerFailed(Exception):
    """A server ended, or did not listen in time; says what it wrote."""


def free_port() -> int:
    """Return a port that nobody listens on; another process may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing the developer has set reaches a server."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | more


def dies_with_its_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program, so that the kernel ends it when we are killed; None but on Linux."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # killed before the line above

    return tie


@contextlib.contextmanager
def process(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], piped: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* for the block, its output in *log*; its standard input and output are pipes if *piped*."""
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else output,
            stderr=output,
            preexec_fn=dies_with_its_parent(),  # noqa: PLW1509 - it calls prctl, looked up before
        )
    with server:
        try:
            yield server
        finally:
            stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End *server*: ask, then kill."""
    server.terminate()
    try:
        server.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextlib.contextmanager
def listening(
    command: Callable[[int], Sequence[str | Path]], *, log: Path, environment: Callable[[int], Mapping[str, str]]
) -> Iterator[int]:
    """Run a server for the block and give its port, once it listens there; *command* and *environment* are told it."""
    port = free_port()
    with process(command(port), log=log, environment=environment(port)) as server:
        wait_for(server, port, log=log)
        yield port


def wait_for(server: subprocess.Popen[bytes], port: int, *, log: Path) -> None:
    """
    Return once *server* takes connections on *port*.

    Raises:
        ServerFailed: It ended, or it took too long.
    """
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        time.sleep(0.02)
    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise ServerFailed(f"{server.args!r} does not listen on port {port} (exit code {server.poll()}):\n{said}")
