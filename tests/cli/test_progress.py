"""Progress is for a person who waits: after two seconds, at a terminal, in bytes, rate and time left."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from disdat.cli.progress import DELAY_S, AddProgress, JsonLines, Phases


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes standard error for a wide terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def tree(tmp_path: Path) -> str:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(bytes(60_000))
    (tmp_path / "sub" / "b").write_bytes(bytes(40_000))
    (tmp_path / "gone").symlink_to("nowhere")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("shown", "waited_s", "seen"), [(True, 0.0, False), (True, DELAY_S, True), (False, 3 * DELAY_S, False)]
)
def test_it_is_seen_by_who_looks_and_waits(tree, capsys, shown, waited_s, seen):
    clock = Clock()
    with AddProgress([tree], shown=shown, clock_s=clock) as progress:
        clock.now_s = waited_s
        progress(50_000)
    assert bool(capsys.readouterr().err) == seen


def test_it_shows_bytes_of_all_files_and_the_share_that_is_done(tree, capsys):
    clock = Clock()
    with AddProgress([tree, f"{tree}/a"], shown=True, clock_s=clock) as progress:
        clock.now_s = DELAY_S
        progress(40_000)
    assert "40.0/160.0 kB" in capsys.readouterr().err


@pytest.mark.parametrize(("shown", "delay_s", "seen"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)])
def test_what_is_being_done_is_seen_by_who_looks_and_waits(capsys, shown, delay_s, seen):
    with Phases(shown=shown, delay_s=delay_s) as say:
        say("looking at this")
        deadline_s = time.monotonic() + 5
        while seen and say.is_open is False and time.monotonic() < deadline_s:
            time.sleep(0.01)
        say("looking at that")
        assert say.is_open == seen
    assert say.is_open is False


def test_it_counts_what_threads_report_at_once(tree, capsys):
    clock = Clock()
    with AddProgress([tree], shown=True, clock_s=clock) as progress:
        threads = [threading.Thread(target=lambda: [progress(10) for _ in range(1000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now_s = DELAY_S
        progress(0)
    assert "80.0/100.0 kB" in capsys.readouterr().err


def test_a_program_is_told_each_second_and_at_the_end(capsys):
    clock = Clock()
    with JsonLines("pushing", unit="bytes", clock_s=clock) as tell:
        for second in range(4):
            clock.now_s = second / 2
            tell(second * 10, 40)
        tell(40, 40)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["done"], each["seconds"]) for each in told] == [(0, 0.0), (20, 1.0), (40, 1.5)]
    assert told[0] == {"doing": "pushing", "unit": "bytes", "done": 0, "total": 40, "seconds": 0.0}


def test_nothing_is_told_twice_and_of_nothing_nothing(capsys):
    with JsonLines("pushing", unit="bytes", clock_s=Clock()):
        pass
    with JsonLines("pushing", unit="bytes", clock_s=Clock()) as tell:
        tell(1, 1)
    with JsonLines("pushing", unit="bytes", shown=False) as tell:
        tell(1, 1)
    assert len(capsys.readouterr().err.splitlines()) == 1
