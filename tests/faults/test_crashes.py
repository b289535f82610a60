"""Whatever a crash interrupts, the next command sees the old state or the new one, and works."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.errors import DisdatError
from disdat.ops import bundles, contexts
from disdat.ops.bundles import Birth
from disdat.testing.faults import Call, Crash, FailingDisk, RecordingDisk, crash_states
from tests.faults.scenarios import SCENARIOS, Scenario, prepare, state

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where the scenario happens: in memory where that can be, since what was synced is modelled, not waited for."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory)) if os.access(memory, os.W_OK) else tmp_path
    prepare(place)
    yield place
    shutil.rmtree(place)


def record(scenario: Scenario, root: Path) -> list[Call]:
    """Run the scenario in the home and return its steps."""
    disk = RecordingDisk(root / "home")
    scenario.act(Home(root / "home", disk=disk).context("demo"), root)
    return disk.calls


def check_usable(home: Path) -> None:
    """The next command works, and what it makes stays."""
    name = "after" if "after" not in Home(home).context_names() else "after2"
    context = contexts.create(Home(home), name)
    made = bundles.write(context, [1, 2], Birth("next"))
    assert bundles.value(Home(home).context(name), made.uuid) == [1, 2]
    for each in Home(home).context_names():
        bundles.write(Home(home).context(each), 3, Birth("next"))


@pytest.mark.slow
@every_scenario
def test_a_power_cut_after_any_step_leaves_the_old_state_or_the_new_one(scenario: Scenario, root: Path) -> None:
    before = state(Home(root / "home"))
    shutil.copytree(root / "home", root / "initial")
    calls = record(scenario, root)
    after = state(Home(root / "home"))
    assert before != after
    seen = []
    for what, left in crash_states(root / "initial", calls, root):
        found = state(Home(left))
        assert found in (before, after), what
        seen.append(found == after)
        check_usable(left)
    assert not seen[0]
    assert seen[-2:] == [True, True], "what was acknowledged did not survive a power cut"


@pytest.mark.slow
@every_scenario
def test_a_disk_that_fails_at_any_step_changes_nothing_or_everything(scenario: Scenario, root: Path) -> None:
    before = state(Home(root / "home"))
    at, reached = 0, True
    while reached:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt / "home")
        (attempt / "source").symlink_to(root / "source")
        Home(attempt / "home").ensure()  # a copy takes an id of its own first
        disk = FailingDisk(at)
        failed = True
        with suppress(DisdatError):
            scenario.act(Home(attempt / "home", disk=disk).context("demo"), attempt)
            failed = False
        reached = disk.reached
        found = state(Home(attempt / "home"))
        if failed and found != before:
            assert_was_committed(attempt, found)
        if not failed:
            assert found != before, f"step {at} failed, nothing was done, and nobody was told"
        check_usable(attempt / "home")
        shutil.rmtree(attempt)
    assert at > 2, "the scenario took no steps"


def assert_was_committed(attempt: Path, found: object) -> None:
    """A failure after the commit point is told, and the change is there: again in a process that replays the log."""
    for database in (attempt / "home" / "context").glob("*/catalog*.db*"):
        database.unlink()
    assert state(Home(attempt / "home")) == found


@pytest.mark.slow
@every_scenario
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new_one(scenario: Scenario, root: Path) -> None:
    before = state(Home(root / "home"))
    shutil.copytree(root / "home", root / "done" / "home")
    (root / "done" / "source").symlink_to(root / "source")
    scenario.act(Home(root / "done" / "home").context("demo"), root / "done")
    after = state(Home(root / "done" / "home"))
    at, reached = 0, True
    while reached:
        at += 1
        attempt = root / f"attempt-{at}"
        shutil.copytree(root / "home", attempt / "home")
        (attempt / "source").symlink_to(root / "source")
        Home(attempt / "home").ensure()
        disk = FailingDisk(at, error=Crash)
        try:
            scenario.act(Home(attempt / "home", disk=disk).context("demo"), attempt)
        except Crash:
            assert state(Home(attempt / "home")) in (before, after)
        reached = disk.reached
        check_usable(attempt / "home")
        shutil.rmtree(attempt)


def test_a_scalar_is_one_write_one_sync_and_then_the_catalog(root: Path) -> None:
    calls = [call for call in record(SCENARIOS[0], root) if "state.db" not in call.path]
    assert [call.name for call in calls] == ["write", "sync", "sql_commit"]
    assert calls[0].path == calls[1].path == "context/demo/log/00000001.log"
    assert calls[2].path.startswith("context/demo/catalog")


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name.startswith(("an added", "an output", "a manif"))])
def test_objects_are_durable_before_the_log_and_the_log_before_the_catalog(scenario: Scenario, root: Path) -> None:
    calls = [call for call in record(scenario, root) if "state.db" not in call.path and "leases" not in call.path]
    last = [call.name for call in calls][-3:]
    assert last == ["write", "sync", "sql_commit"]
    log = len(calls) - 3
    assert "/log/" in calls[log].path
    placed = [n for n, call in enumerate(calls) if call.name == "rename" and call.target.startswith("store/")]
    assert placed
    assert max(placed) < log
    for n in placed:
        synced = [m for m in range(n) if calls[m].name == "sync" and calls[m].path == calls[n].path]
        named = [m for m in range(n, log) if calls[m] == Call("sync_dir", str(Path(calls[n].target).parent))]
        assert synced, f"{calls[n]} before its bytes were durable"
        assert named, f"{calls[n]} has no durable name before the log"
