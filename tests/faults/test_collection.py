"""Collection that is cut off, refused by the disk, or run beside others takes nothing from any bundle, and goes on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from disdat.context import Context, Home
from disdat.core import event
from disdat.errors import DisdatError, StorageError
from disdat.ops import bundles, contexts, gc, maintain, usage, why
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk, crash_states
from tests.faults.processes import child
from tests.faults.scenarios import state
from tests.faults.test_crowd import crowd
from tests.faults.test_full_disk import disk, filled
from tests.faults.test_kills import place

__all__ = ["disk", "place"]

NOW = Policy(0, 0)
BOTH = frozenset(Step)
LARGE = 20_000


def prepare(root: Path) -> None:
    """A home in which there is something of everything that collection acts on."""
    home = Home(root)
    context, other, deleted = (contexts.create(home, name) for name in ("demo", "other", "deleted"))
    bundles.write_many(context, [(np.arange(300) + n, Birth(f"packed{n}")) for n in range(6)])
    for number, name in enumerate(("kept", "back", "purged", "gone")):
        bundles.write(context, {"large": np.arange(LARGE) + number, "small": np.arange(200) - number}, Birth(name))
    bundles.write(other, {"large": np.arange(LARGE), "small": np.arange(200)}, Birth("kept too"))
    bundles.write(deleted, np.arange(LARGE) + 100, Birth("deleted"))
    remove(context, "back", "purged")
    gc.collect(home, NOW, frozenset({Step.APPLY}))
    last = list(context.catalog.events())[-2]
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(last.id,))])
    remove(context, "gone", *(f"packed{n}" for n in range(4)))
    contexts.delete(home, "deleted")
    (root / "store" / "staging" / "left").write_bytes(b"half")
    (context.objects / "00000000-0000-4000-8000-000000000000" / "sub").mkdir(parents=True)


def remove(context: Context, *names: str) -> None:
    for name in names:
        bundles.remove(context, context.catalog.versions(name), force=True)


def collect(home: Home) -> None:
    gc.collect(home, NOW, BOTH)


def check(root: Path, before: dict[str, object]) -> None:
    """No bundle lost a byte, and the next collection leaves what is needed and nothing else."""
    assert state(Home(root)) == before, "every byte is read for this, and verified"
    collect(Home(root))
    assert state(Home(root)) == before
    plan = gc.plan(Home(root), NOW)
    assert plan.nothing
    assert not plan.trash
    assert plan.missing == 0
    assert plan.garbage.count == plan.staying.count


@pytest.fixture
def root(place: Path) -> Path:
    prepare(place / "home")
    return place


@pytest.mark.slow
def test_a_power_cut_after_any_step_of_a_collection_takes_nothing(root: Path) -> None:
    before = state(Home(root / "home"))
    shutil.copytree(root / "home", root / "initial")
    recording = RecordingDisk(root / "home")
    collect(Home(root / "home", disk=recording))
    names = {call.name for call in recording.calls}
    assert {"rename", "unlink", "sync_dir", "write", "sync"} <= names
    for what, left in crash_states(root / "initial", recording.calls, root):
        try:
            check(left, before)
        except AssertionError as exc:
            raise AssertionError(what) from exc


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [pytest.param(Crash, id="a kill"), pytest.param(full, id="a full disk", marks=pytest.mark.soak)]
)
def test_a_collection_that_ends_at_any_step_takes_nothing(root: Path, error: Callable[[], BaseException]) -> None:
    before = state(Home(root / "home"))
    at, reached = 0, True
    while reached:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt)
        Home(attempt).ensure()
        failing = FailingDisk(at, error=error)
        with suppress(DisdatError, Crash):
            collect(Home(attempt, disk=failing))
        reached = failing.reached
        check(attempt, before)
        shutil.rmtree(attempt)
    assert at > 20


@pytest.mark.slow
def test_a_disk_too_full_for_a_new_pack_keeps_the_old_one(disk: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "ready")
    outcomes: list[bool] = []
    for left_kib in (0, 4, 8, 64, 200, 700):
        root = disk / "home"
        shutil.copytree(tmp_path / "ready", root)
        collect(Home(root))
        context = Home(root).context("demo")
        bundles.write_many(context, [(os.urandom(40_000), Birth("rest")) for _ in range(12)])
        bundles.remove(context, context.catalog.versions("rest")[5:])
        before = state(Home(root))
        with filled(disk, left_kib):
            refusal = refused(root)
            assert state(Home(root)) == before
        if refusal is not None:
            assert "No space left" in str(refusal)
            assert "free some space" in refusal.hint
        outcomes.append(refusal is None)
        check(root, before)
        shutil.rmtree(root)
    assert not outcomes[0]
    assert outcomes[-1]


def refused(root: Path) -> StorageError | None:
    try:
        collect(Home(root))
    except StorageError as exc:
        return exc
    return None


@pytest.mark.slow
def test_a_full_disk_can_be_purged(disk: Path, tmp_path: Path) -> None:
    root = disk / "home"
    prepare(root)
    with filled(disk, 0):
        done = gc.collect(Home(root), NOW, frozenset({Step.PURGE}))
        assert done.purged is not None
        assert done.purged.size_bytes > 100_000
        bundles.write(Home(root).context("demo"), np.arange(LARGE // 2), Birth("there is room"))


def churn(root: Path) -> Callable[[Callable[[str], None]], None]:
    """Write, remove and collect again and again."""

    def act(say: Callable[[str], None]) -> None:
        home = Home(root)
        context = home.context("demo")
        say("ready")
        number = 0
        while True:
            number += 1
            for name in ("x", "y"):
                value = {"large": np.arange(LARGE) + 1000 + number, "small": np.arange(50) * number}
                bundles.write(context, value, Birth(f"churned {name}"))
            bundles.write_many(context, [(np.arange(300) * -number - n, Birth(f"many{n}")) for n in range(5)])
            remove(context, "churned x", *(f"many{n}" for n in range(4)))
            bundles.remove(context, context.catalog.versions("churned y")[3:])
            gc.collect(home, NOW, BOTH if number % 2 else frozenset({Step.APPLY}))

    return act


def kill_again_and_again(times: int, root: Path) -> None:
    chance = random.Random(times)
    kept = {name: found for name, found in state(Home(root)).items() if name == "other"}
    of_demo = state(Home(root))["demo"]
    assert isinstance(of_demo, dict)
    for _ in range(times):
        with child(churn(root)) as (pid, reading):
            assert os.read(reading, 6) == b"ready\n"
            time.sleep(chance.uniform(0, 0.25))
            os.kill(pid, signal.SIGKILL)
            assert b"failed" not in os.read(reading, 1 << 16)
        found = state(Home(root))
        assert found["other"] == kept["other"]
        now = found["demo"]
        assert isinstance(now, dict)
        assert {name: now[name] for name in of_demo} == of_demo
        assert maintain.verify(Home(root).context("demo")).findings == ()
        if chance.random() < 0.3:
            check(root, found)


@pytest.mark.slow
def test_killed_while_it_collects_no_bundle_loses_a_byte(root: Path) -> None:
    kill_again_and_again(8, root / "home")


@pytest.mark.soak
def test_killed_two_hundred_times_while_it_collects_no_bundle_loses_a_byte(root: Path) -> None:
    kill_again_and_again(200, root / "home")


def collecting(root: Path) -> Callable[[Callable[[str], None]], None]:
    def act(say: Callable[[str], None]) -> None:
        home = Home(root)
        while True:
            gc.collect(home, NOW, BOTH)
            say("collected")

    return act


def crowd_with_collection(root: Path, directory: Path, seconds: float) -> int:
    """Eight processes work while another collects without a pause; how often it did."""
    contexts.create(Home(root), "beside")
    with child(collecting(root)) as (pid, reading):
        crowd(root, directory, seconds)
        os.kill(pid, signal.SIGKILL)
        lines = b"".join(iter(lambda: os.read(reading, 1 << 16), b"")).split()
    assert set(lines) == {b"collected"}, lines[-20:]
    home = Home(root)
    gc.collect(home, NOW, BOTH)
    assert maintain.verify(Home(root).context("demo")).findings == ()
    assert gc.plan(Home(root), NOW).nothing
    return len(lines)


@pytest.mark.slow
def test_beside_eight_processes_collection_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    assert crowd_with_collection(tmp_path / "home", tmp_path, 5) >= 3


@pytest.mark.soak
def test_beside_eight_processes_for_a_minute_collection_takes_nothing(tmp_path: Path) -> None:
    assert crowd_with_collection(tmp_path / "home", tmp_path, 60) >= 20


@pytest.mark.slow
def test_two_collections_at_once_are_as_one_after_the_other(root: Path) -> None:
    before = state(Home(root / "home"))
    with child(collecting(root / "home")) as (_, first), child(collecting(root / "home")) as (_, second):
        for reading in (first, second):
            assert os.read(reading, 10) == b"collected\n"
            assert b"failed" not in os.read(reading, 1 << 16)
    check(root / "home", before)


@pytest.mark.slow
def test_contexts_that_are_deleted_and_purged_meanwhile_stop_no_look(root: Path) -> None:
    home = Home(root / "home")
    context = home.context("other")
    kept = bundles.write(context, np.arange(LARGE) - 5, Birth("looked for"))
    [digest] = [frame.digest for frame in kept.frames if frame.digest is not None]
    looks = 0
    with child(deleting(root / "home")) as (_, reading):
        assert os.read(reading, 8) == b"deleted\n"
        end_s = time.monotonic() + 4
        while time.monotonic() < end_s:
            looks += 1
            assert gc.plan(Home(root / "home"), NOW).kept.count >= 2
            [entry] = usage.usage(context, ["looked for"], NOW).entries
            assert entry.frees_bytes > LARGE
            assert why.why(Home(root / "home"), digest, NOW).way is not None
        assert b"failed" not in os.read(reading, 1 << 16)
    assert looks >= 5


def deleting(root: Path) -> Callable[[Callable[[str], None]], None]:
    """Make contexts and delete them, some for good, as fast as can be."""

    def act(say: Callable[[str], None]) -> None:
        home = Home(root)
        number = 0
        while True:
            number += 1
            made = contexts.create(home, f"made{number % 3}")
            bundles.write(made, np.arange(50) + number, Birth("n"))
            contexts.delete(home, made.name)
            if number % 10 == 0:
                gc.collect(home, NOW, frozenset({Step.PURGE}))
            say("deleted")

    return act


@pytest.mark.slow
def test_what_is_being_read_can_be_read_though_it_is_collected(root: Path) -> None:
    """A reader that knows a bundle reads it from the trash, wherever its objects are moved to at this moment."""
    home = Home(root / "home")
    context = home.context("demo")
    value = {"large": np.arange(LARGE) + 7, "small": np.arange(90), "file": np.arange(LARGE) + 8}
    made = bundles.write(context, value, Birth("read"))
    bundle = context.catalog.bundle(made.uuid)
    remove(context, "read")

    def act(say: Callable[[str], None]) -> None:
        mine = Home(root / "home")
        while True:
            gc.collect(mine, NOW, frozenset({Step.APPLY}))
            say("collected")

    with child(act) as (_, reading):
        end_s = time.monotonic() + 1
        while time.monotonic() < end_s:
            found = bundles.value_of(context, bundle)
            assert isinstance(found, dict)
            assert all(np.array_equal(found[key], value[key]) for key in value)
        assert b"failed" not in os.read(reading, 1 << 16)
