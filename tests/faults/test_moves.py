"""Moves and forks that are cut short, and collection beside them: no bundle is ever in neither context."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.errors import DisdatError
from disdat.ops import bundles, contexts, fork, gc, maintain, moves
from disdat.ops.gc import Policy, Step
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk, crash_states
from tests.catalog.contexts import dump
from tests.faults.processes import child
from tests.faults.scenarios import prepare, state

MEMORY = Path("/dev/shm")
AT_ONCE = Policy(0, 0)
NAMES = ["demo", "other"]


@pytest.fixture
def root() -> Iterator[Path]:
    """A home in memory, where that can be had, with what the scenarios begin with."""
    place = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    prepare(place)
    yield place
    shutil.rmtree(place)


def move(home: Home) -> None:
    source = home.context("demo")
    moves.move(source, home.context("other"), moves.chosen(source, ["old", "old@-1"]))


def places(home: Home) -> dict[str, set[str]]:
    """Each bundle, and the contexts it is in; every byte of it is read."""
    found: dict[str, set[str]] = {}
    for name in NAMES:
        context = home.context(name)
        for row in context.catalog.versions("old"):
            bundles.value(context, row.uuid)
            found.setdefault(row.uuid, set()).add(name)
    return found


def check_completes(root: Path, before: dict[str, set[str]]) -> None:
    """Nothing is lost or half there, and moving again completes it."""
    found = places(Home(root))
    assert found.keys() == before.keys()
    assert len({frozenset(where) for where in found.values()}) == 1, "part of what is moved at once was moved alone"
    if {"demo"} <= set.union(*found.values()):
        move(Home(root))
    assert set(map(frozenset, places(Home(root)).values())) == {frozenset({"other"})}
    assert maintain.verify(Home(root).context("other")).findings == ()


@pytest.mark.slow
def test_a_power_cut_in_a_move_leaves_each_bundle_somewhere_whole(root: Path) -> None:
    before = places(Home(root / "home"))
    shutil.copytree(root / "home", root / "initial", symlinks=True)
    disk = RecordingDisk(root / "home")
    move(Home(root / "home", disk=disk))
    seen = set()
    for _, left in crash_states(root / "initial", disk.calls, root):
        seen |= set(map(frozenset, places(Home(left)).values()))
        check_completes(left, before)
    assert seen == {frozenset({"demo"}), frozenset(NAMES), frozenset({"other"})}


@pytest.mark.parametrize("error", [Crash, pytest.param(OSError, marks=pytest.mark.slow)])
def test_a_move_that_is_cut_at_any_step_is_completed_by_moving_again(
    root: Path, error: Callable[[], BaseException]
) -> None:
    before = places(Home(root / "home"))
    at, reached = 0, True
    while reached:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt, symlinks=True)
        Home(attempt).ensure()
        disk = FailingDisk(at, error=error) if error is Crash else FailingDisk(at)
        with suppress(Crash, DisdatError):
            move(Home(attempt, disk=disk))
        reached = disk.reached
        check_completes(attempt, before)
        shutil.rmtree(attempt)
    assert at > 4


def test_a_fork_that_is_cut_at_any_step_is_there_whole_or_not_at_all(root: Path) -> None:
    before = state(Home(root / "home"))
    at, reached = 0, True
    while reached:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt, symlinks=True)
        Home(attempt).ensure()
        disk = FailingDisk(at, error=Crash)
        with suppress(Crash):
            fork.fork(Home(attempt, disk=disk).context("demo"), "another")
        reached = disk.reached
        after = state(Home(attempt))
        assert after == before or after == {**before, "another": before["demo"]}
        if "another" not in after:
            fork.fork(Home(attempt).context("demo"), "another")
        assert maintain.verify(Home(attempt).context("another")).findings == ()
        shutil.rmtree(attempt)
    assert at > 4


def test_a_name_at_which_the_making_of_a_context_was_cut_can_be_given_to_a_fork(root: Path) -> None:
    at, is_there = 0, False
    while not is_there:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt, symlinks=True)
        Home(attempt).ensure()
        with suppress(Crash):
            contexts.create(Home(attempt, disk=FailingDisk(at, error=Crash)), "another")
        is_there = "another" in Home(attempt).context_names()
        if not is_there:
            fork.fork(Home(attempt).context("demo"), "another")
            assert state(Home(attempt))["another"] == state(Home(attempt))["demo"]
        shutil.rmtree(attempt)
    assert at > 4


def kill_again_and_again(times: int, root: Path) -> None:
    """Real processes that move to and fro and fork, killed at random moments."""
    home, chance = root / "home", random.Random(times)
    before = places(Home(home))
    forks = interrupted = 0
    for number in range(times):

        def act(say: Callable[[str], None], number: int = number) -> None:
            mine = Home(home)
            say("ready")
            for again in range(1000):
                for source, target in (NAMES, NAMES[::-1]):
                    here = mine.context(source)
                    rows = here.catalog.versions("old")
                    moves.move(here, mine.context(target), rows) if rows else None
                fork.fork(mine.context("demo"), f"fork-{number}-{again}")
                say("forked")
            say("done")

        with child(act) as (pid, reading):
            assert os.read(reading, 6) == b"ready\n"
            if number % 2:
                assert os.read(reading, 7) == b"forked\n"
            time.sleep(chance.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            rest = b"".join(iter(lambda: os.read(reading, 1 << 16), b""))
            assert b"failed" not in rest, rest
            interrupted += b"done" not in rest
        found = places(Home(home))
        assert found.keys() == before.keys()
        for name in Home(home).context_names():
            context = Home(home).context(name)
            assert maintain.verify(context).findings == ()
            rows = dump(context.directory)
            context.catalog.reindex()
            assert dump(context.directory) == rows
            if name not in NAMES:
                forks += 1
                contexts.delete(Home(home), name)
        left = [path for path in (home / "context").iterdir() if path.name.startswith(".")]
        for path in left:
            os.utime(path, (1, 1))
        fork.fork(Home(home).context("other"), "last")
        contexts.delete(Home(home), "last")
        assert not [path for path in (home / "context").iterdir() if path.name.startswith(".")]
    assert interrupted > times / 2
    assert forks


@pytest.mark.slow
def test_processes_that_are_killed_while_they_move_and_fork_lose_nothing(root: Path) -> None:
    kill_again_and_again(10, root)


@pytest.mark.soak
def test_processes_that_are_killed_two_hundred_times_lose_nothing(root: Path) -> None:
    kill_again_and_again(200, root)


def collect_beside(root: Path, seconds: float) -> None:
    """Collection that keeps no history, beside one that moves to and fro and forks."""
    home, ends, failures = root / "home", time.monotonic() + seconds, []

    def collect() -> None:
        try:
            while time.monotonic() < ends:
                gc.collect(Home(home), AT_ONCE, frozenset({Step.APPLY, Step.PURGE}))
                time.sleep(0.01)
        except BaseException as exc:  # noqa: BLE001 - the test tells
            failures.append(exc)

    before = places(Home(home))
    collector = threading.Thread(target=collect)
    collector.start()
    times = 0
    while time.monotonic() < ends:
        mine = Home(home)
        for source, target in (NAMES, NAMES[::-1]):
            moves.move(mine.context(source), mine.context(target), mine.context(source).catalog.versions("old"))
        fork.fork(mine.context("demo"), "fork")
        contexts.delete(mine, "fork")
        times += 1
    collector.join()
    assert failures == []
    assert times > 1
    assert places(Home(home)).keys() == before.keys()
    assert maintain.verify(Home(home).context("demo")).findings == ()


@pytest.mark.slow
def test_collection_beside_moves_and_forks_takes_nothing(root: Path) -> None:
    collect_beside(root, 3)


@pytest.mark.soak
def test_collection_beside_moves_and_forks_for_a_minute_takes_nothing(root: Path) -> None:
    collect_beside(root, 60)
