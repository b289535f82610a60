"""Times what a contender does: wall and CPU time, peak memory. Standard library only, as it runs in every contender."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = str(Path(__file__).with_name("launch.py"))


@dataclass(frozen=True)
class Taken:
    """What one operation took; *count* operations where it stands for several alike."""

    op: str
    wall_s: float
    cpu_s: float
    """Of the process and of the children it waited for."""
    peak_mb: float
    """The most memory that was resident, in 2**20 bytes."""
    count: int = 1
    size_bytes: int = 0


@dataclass
class Meter:
    """Gathers what one contender's operations took, and other values worth keeping."""

    taken: list[Taken] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def op(self, name: str, *, count: int = 1, size_bytes: int = 0) -> Iterator[None]:
        """Time the block, in this process."""
        _forget_peak()
        cpu, wall = _cpu_s(), time.perf_counter()
        yield
        wall_s, cpu_s = time.perf_counter() - wall, _cpu_s() - cpu
        self.taken.append(Taken(name, wall_s, cpu_s, _peak_mb(), count, size_bytes))

    def run(
        self, op: str, command: Sequence[str | Path], *, cwd: Path | None = None, count: int = 1, size_bytes: int = 0
    ) -> None:
        """Time a command as a whole process; CalledProcessError if it fails."""
        words = [os.fspath(part) for part in command]
        reader, writer = os.pipe()
        with open(reader, encoding="utf-8") as told:
            subprocess.run(
                [sys.executable, "-I", "-S", LAUNCHER, str(writer), *words],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                pass_fds=[writer],
                check=True,
            )
            os.close(writer)
            used = json.loads(told.read())
        if used["code"]:
            raise subprocess.CalledProcessError(used["code"], words)
        self.taken.append(Taken(op, used["wall_s"], used["cpu_s"], used["peak_mb"], count, size_bytes))

    def value(self, name: str, value: float) -> None:
        """Keep a number that is no time."""
        self.values[name] = value


def untimed(command: Sequence[str | Path], *, cwd: Path | None = None) -> None:
    """Run a command that does not count."""
    subprocess.run([os.fspath(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, check=True)


def own_bin() -> Path:
    """The directory of this interpreter's programs."""
    return Path(sys.executable).parent


def resident_mb() -> float:
    """Memory of this process that is resident now, in 2**20 bytes."""
    return _status_mb("VmRSS")


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def _peak_mb() -> float:
    return _status_mb("VmHWM")


def _status_mb(key: str) -> float:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise LookupError(key)
