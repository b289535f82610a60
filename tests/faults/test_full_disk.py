"""A disk that is full at any moment: a change is made or refused in words one can act on, and goes on with space."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.errors import StorageError
from disdat.ops import maintain
from disdat.testing.faults import FailingDisk
from tests.conftest import missing
from tests.faults.scenarios import SCENARIOS, Scenario, prepare, state
from tests.faults.test_crashes import check_usable

KIB = 1024
DISK_KIB = 6 * KIB
LEFT_KIB = [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 104, 128, 192, 240, 256, 320, 384, 448]


def _reindex(context: Context, root: Path) -> None:
    maintain.reindex(context)


ALL = [*SCENARIOS, Scenario("a catalog made again", _reindex)]
every_scenario = pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and _mount(place)
    if not mounted:
        missing("the right to mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(place: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "none", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def filled(disk: Path, left_kib: int) -> Iterator[None]:
    """Leave only so much space on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4 * KIB))
    os.truncate(filler, max(0, filler.stat().st_size - left_kib * KIB))
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.slow
@every_scenario
def test_a_full_disk_refuses_a_change_cleanly_or_has_made_it(scenario: Scenario, disk: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "ready")
    outcomes = []
    for left_kib in LEFT_KIB:
        shutil.copytree(tmp_path / "ready", disk / "root")
        home = disk / "root" / "home"
        Home(home).ensure()
        before = state(Home(home))
        refused = False
        with filled(disk, left_kib):
            try:
                scenario.act(Home(home).context("demo"), disk / "root")
            except OSError as exc:
                refused = True
                is_ours = isinstance(exc, StorageError)  # else the scenario could not write a file of its own
                assert "free some space" in exc.hint if is_ours else exc.errno == errno.ENOSPC  # noqa: PT017
        after = state(Home(home))
        outcomes.append(refused)
        if refused:
            assert after == before, f"refused with {left_kib} KiB left, and made"
        elif scenario.act is not _reindex:
            assert after != before, f"acknowledged with {left_kib} KiB left, and not made"
        check_usable(home)
        assert maintain.verify(Home(home).context("after")).findings == ()
        shutil.rmtree(disk / "root")
    assert not outcomes[-1], "the disk was always too small"
    assert any(outcomes) or "an added" not in scenario.name, "the disk was never too small"


@pytest.mark.slow
@every_scenario
def test_a_disk_that_says_it_is_full_at_any_step_refuses_cleanly_or_has_made_it(scenario: Scenario) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        prepare(Path(directory, "ready"))
        at, reached = 0, True
        while reached:
            at += 1
            root = Path(directory, str(at))
            shutil.copytree(Path(directory, "ready"), root)
            Home(root / "home").ensure()
            before = state(Home(root / "home"))
            full = FailingDisk(at, error=_full)
            refused = _is_refused(lambda root=root, full=full: scenario.act(_demo(root, full), root))  # type: ignore[misc]
            reached = full.reached
            if not refused and scenario.act is not _reindex:
                assert state(Home(root / "home")) != before
            check_usable(root / "home")
            shutil.rmtree(root)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _demo(root: Path, disk: FailingDisk) -> Context:
    return Home(root / "home", disk=disk).context("demo")


def _is_refused(act: Callable[[], None]) -> bool:
    try:
        act()
    except StorageError as exc:
        assert "free some space" in exc.hint, str(exc)  # noqa: PT017 - it may also be done
        return True
    return False
