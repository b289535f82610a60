"""A process that is killed leaves all it acknowledged, nothing half, and a home that works."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.ops import bundles, contexts, maintain
from disdat.ops.bundles import Birth
from tests.catalog.contexts import dump
from tests.faults.processes import WORKS, Work, child, forever

MEMORY = Path("/dev/shm")
SOON_S = 0.004


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory where that can be had: a kill takes nothing from the kernel, so nothing need be synced."""
    path = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    yield path
    shutil.rmtree(path)


def kill_while(work: Work, root: Path, name: str, place: Path, delay_s: float) -> tuple[int, int]:
    """Let a process make changes, kill it *delay_s* after it began; how many it acknowledged, and how many it began."""
    context = contexts.create(Home(root), name)
    work.prepare(context)
    directory = place / f"files-{name}"
    directory.mkdir()
    with child(forever(work, root, name, directory)) as (pid, reading):
        assert os.read(reading, 6) == b"ready\n"
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        lines = _read_all(reading).split(b"\n")
    shutil.rmtree(directory)
    assert not [line for line in lines if line.startswith(b"failed")], lines[-2]
    return sum(line.startswith(b"done") for line in lines), sum(line.startswith(b"begin") for line in lines)


def _read_all(reading: int) -> bytes:
    found = b""
    while piece := os.read(reading, 1 << 16):
        found += piece
    return found


def check_home(root: Path, name: str) -> None:
    """The next process works, all that is there is right, and the catalog is what the log says."""
    home = Home(root)
    context = home.context(name)
    made = bundles.write(context, ["after"], Birth("after"))
    assert bundles.value(Home(root).context(name), made.uuid) == ["after"]
    report = maintain.verify(context)
    assert report.findings == ()
    before = dump(context.directory)
    maintain.reindex(context)
    assert dump(context.directory) == before


def kill_again_and_again(times: int, place: Path) -> None:
    chance = random.Random(times)
    root = place / "home"
    interrupted = 0
    for number, (name, work) in enumerate(islice(cycle(WORKS.items()), times)):
        delay_s = chance.uniform(0, chance.choice([SOON_S, work.late_s]))
        done, begun = kill_while(work, root, f"{name}{number}", place, delay_s)
        assert done <= begun <= done + 1
        interrupted += begun > done
        context = Home(root).context(f"{name}{number}")
        work.check(context, done, begun)
        check_home(root, context.name)
    assert interrupted > times / 2, "hardly a change was cut short"


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_leaves_all_it_acknowledged(place: Path) -> None:
    kill_again_and_again(30, place)


@pytest.mark.soak
def test_processes_that_are_killed_three_hundred_times_leave_all_they_acknowledged(place: Path) -> None:
    kill_again_and_again(300, place)
