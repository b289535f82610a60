"""A cluster of Dask's whose workers have homes and directories of their own, and no project on their path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from disdat.context import Home
from tests.servers.processes import clean_environment, free_port, process

DASK = Path(sys.executable).with_name("dask")


@dataclass(frozen=True)
class Worker:
    name: str
    home: Path
    process: subprocess.Popen[bytes]

    def leftovers(self) -> list[str]:
        """Contexts of runs that are over, and leases."""
        leases = self.home / "store" / "leases"
        return [*Home(self.home).context_names(), *(path.name for path in leases.glob("*"))]


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[Worker, ...]


@contextmanager
def cluster_in(place: Path, count: int, **settings: str) -> Iterator[Cluster]:
    """Run a scheduler, and so many workers with one thread each."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as running:
        command = [DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        started = process(command, log=place / "scheduler.log", environment=clean_environment())
        scheduler = running.enter_context(started)
        workers = tuple(_worker(running, place, address, f"w{each}", settings) for each in range(count))
        yield Cluster(address, scheduler, workers)


def _worker(running: ExitStack, place: Path, address: str, name: str, settings: dict[str, str]) -> Worker:
    home, own = place / f"{name}-home", place / name
    own.mkdir()
    # A shell, as a process is started in its own directory by nothing else here.
    command = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", own, DASK, "worker", address, "--name", name]
    options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0"]
    environment = clean_environment(DISDAT_HOME=str(home), **settings)
    started = process([*command, *options], log=place / f"{name}.log", environment=environment)
    return Worker(name, home, running.enter_context(started))
