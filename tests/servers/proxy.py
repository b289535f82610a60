"""
A proxy before a server, in a process of its own, that fails as it is told and remembers every request.

>>> proxy.add(Rule(Answer(503), method="PUT", probability=0.05, seed=1), Rule(LoseReply(), path="/refs/", nth=2))
>>> proxy.fail_nth(3, CutRequest(after=1000))
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers.faults import Fault, Request, Rule, to_json
from tests.servers.processes import ServerFailed, clean_environment, process

ROOT = Path(__file__).resolve().parents[2]


class Proxy:
    """The way to a proxy's process. Several threads may use it."""

    def __init__(self, server: subprocess.Popen[bytes], log: Path) -> None:
        self._server = server
        self._log = log
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._answer()}"

    def add(self, *rules: Rule) -> None:
        """Add *rules* after those there are; the first that wants a request has it."""
        self._tell("add", *map(to_json, rules))

    def fail_nth(self, nth: int, fault: Fault) -> None:
        """Let *fault* befall the *nth* request from now on, counted from 1."""
        self.add(Rule(fault, nth=nth))

    def latency(self, milliseconds: float) -> None:
        """Delay every request from now on, on top of what the rules do."""
        self._tell("latency", milliseconds)

    def refuse(self, seconds: float) -> None:
        """Close every connection and refuse new ones for so long."""
        self._tell("refuse", seconds)

    def reset(self) -> None:
        """Forget rules, latency and requests, take connections again, and drop requests that are held."""
        self._tell("reset")

    def count(self) -> int:
        """Return how many requests came since the last reset, whatever became of them."""
        return int(self._tell("count"))

    def requests(self) -> list[Request]:
        """Return the requests that came since the last reset, in order of arrival."""
        return [Request(**told) for told in self._tell("requests")]

    def held(self) -> list[int]:
        """Return the numbers of the requests that are held now, or whose reply is."""
        return [int(number) for number in self._tell("held")]

    def until_held(self, how_many: int = 1, *, timeout_s: float = 30) -> list[int]:
        """Wait until so many requests are held, and return their numbers."""
        deadline = time.monotonic() + timeout_s
        while len(held := self.held()) < how_many:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(held)} of {how_many} requests are held after {timeout_s} s")
            time.sleep(0.005)
        return held

    def release(self) -> None:
        """Let go of all that is held."""
        self._tell("release")

    def _tell(self, order: str, *given: Any) -> Any:  # what JSON holds
        assert self._server.stdin is not None
        with self._lock:
            self._server.stdin.write(json.dumps([order, *given]).encode() + b"\n")
            self._server.stdin.flush()
            return self._answer()

    def _answer(self) -> Any:  # what JSON holds
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise ServerFailed(f"the proxy has ended:\n{self._log.read_text(encoding='utf-8')[-2000:]}")
        return json.loads(line)


@contextlib.contextmanager
def proxied(endpoint: str, *, log: Path) -> Iterator[Proxy]:
    """Run a proxy before the server at *endpoint*, on this machine, for the block; *log* has what goes wrong in it."""
    command = [sys.executable, "-m", "tests.servers.proxy_process", str(urlsplit(endpoint).port)]
    environment = clean_environment(PYTHONPATH=str(ROOT))
    with process(command, log=log, environment=environment, piped=True) as server:
        yield Proxy(server, log)
