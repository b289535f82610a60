"""How a run is told: lines as tasks end, a sum at the end, and at a terminal what runs now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from disdat.cli.telling import Board, Teller
from disdat.pipeline.events import Subject
from disdat.pipeline.outcome import Outcome
from tests.cli.conftest import Dsdt
from tests.cli.test_main import at_a_terminal

SLOW = """\
import time
import luigi
from disdat.pipe import PipeTask

class Base(PipeTask):
    def pipe_run(self):
        return 1

class Slow(PipeTask):
    s = luigi.FloatParameter(default=1.2)

    def pipe_requires(self):
        self.add_dependency("base", Base, {})

    def pipe_run(self, base):
        print("slow says hello")
        time.sleep(self.s)
        return base

class Broken(PipeTask):
    def pipe_requires(self):
        self.add_dependency("base", Base, {})

    def pipe_run(self, base):
        raise ValueError("no good")
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_board_shows_what_runs_for_how_long_and_what_is_left():
    clock = Clock()
    board = Board(0.0, clock)
    one, two, three = (Subject(str(number), f"Task(n={number})") for number in range(3))
    board.plan(6, reused=2, saved_s=250.0)
    board.begin(one)
    clock.now_s = 3.0
    board.begin(two)
    board.begin(three)
    board.leave(three)
    board.end(two, Outcome("failed", "no good"))
    clock.now_s = 4.5
    assert board.lines() == [
        "3 left, 0 made, 2 reused (saved 4 min 10 s), 1 failed, 4.5 s",
        "  Task(n=0)  4.5 s",
    ]


def test_a_board_shows_what_a_task_pulls_or_pushes_until_that_is_done():
    board = Board(0.0, Clock())
    board.plan(2, reused=0, saved_s=0.0)
    one, two = (Subject(str(number), f"Task(n={number})") for number in range(2))
    board.begin(one)
    board.move(one, "pulled", 12_300_000, 200_000_000)
    board.move(two, "pushed", 1, 2)  # it does not run
    assert board.lines()[1:] == ["  Task(n=0)  0.0 s  pulls 12.3 MB of 200.0 MB"]
    board.move(one, "pulled", 200_000_000, 200_000_000)
    board.begin(two)
    board.move(two, "pushed", 500, 1_000)
    assert board.lines()[1:] == ["  Task(n=0)  0.0 s", "  Task(n=1)  0.0 s  pushes 500 B of 1.0 kB"]


def test_a_board_stays_short_and_on_its_lines():
    board = Board(0.0, Clock())
    board.plan(100, reused=0, saved_s=0)
    for number in range(100):
        board.begin(Subject(str(number), "a\nb"))
    assert len(board.lines()) == 10
    assert board.lines()[1] == "  a\\nb  0.0 s"
    assert board.lines()[-1] == "  and 92 more run"


def test_each_task_has_its_line_when_it_ends(capsys: pytest.CaptureFixture[str]):
    teller = Teller(lines=True, person=False, saved_s=lambda uuids: 90.0 * len(uuids))
    base, top = Subject("0", "Base()"), Subject("1", "Top(name=long)")
    reused, made = Outcome("reused", "same", "k", "12345678-1"), Outcome("made", "forced", "k", "abcdefgh-1", 2.34)
    with teller:
        teller.planned([(base, reused), (top, None)])
        assert capsys.readouterr().out.split() == ["reused", "Base()", "12345678", "same"]
        teller.began(top)
        teller.retried(top, "it fell over")
        assert "tried again: it fell over" in capsys.readouterr().out
        teller.ended(top, made)
        assert capsys.readouterr().out.split() == ["made", "Top(name=long)", "abcdefgh", "2.3", "s", "forced"]
    for name, outcome in (("Base()", reused), ("Top(name=long)", made)):
        teller.concluded(name, outcome)
    assert re.fullmatch(r"1 made, 1 reused \(saved 1 min 30 s\), 0 failed in [\d.]+ s", teller.summary())
    assert teller.kept() == "1 result is kept; the same command goes on"


def test_a_long_parameter_does_not_widen_the_lines(capsys: pytest.CaptureFixture[str]):
    long, plain = Subject("0", f"Load(digest={'0123456789abcdef' * 4})"), Subject("1", "Top()")
    made = Outcome("made", "forced", "k", "abcdefgh-1", 2.34)
    with Teller(lines=True, person=False, saved_s=lambda uuids: 0.0) as teller:
        teller.planned([(long, None), (plain, None)])
        teller.ended(long, made)
        teller.ended(plain, made)
    first, second = capsys.readouterr().out.splitlines()
    assert "  Load(digest=0123456789ab...89abcdef)  abcdefgh  " in first
    assert len(first) == len(second)


def test_what_did_not_run_is_counted_apart_from_what_failed(capsys: pytest.CaptureFixture[str]):
    teller = Teller(lines=True, person=False, saved_s=lambda uuids: 0.0)
    with teller:
        teller.planned([(Subject("0", "One()"), None), (Subject("1", "Two()"), None)])
        teller.concluded("One()", Outcome("failed", "no good"))
        teller.concluded("Two()", Outcome("not run", "One() failed"))
    assert teller.summary().startswith("0 made, 0 reused, 1 failed, 1 not run in ")


def test_lines_fit_the_terminal_but_for_what_failed(capsys: pytest.CaptureFixture[str]):
    teller = Teller(lines=True, person=False, saved_s=lambda uuids: 0.0, columns=60)
    base, top, last = (Subject(str(number), f"Task(number={number})") for number in range(3))
    with teller:
        teller.planned([(base, Outcome("reused", "same code and all of that " * 3, "k", "12345678-1")), (top, None)])
        teller.ended(top, Outcome("made", "parameter number: 1 -> 2; " * 3, "k", "abcdefgh-1", 2.34))
        teller.ended(last, Outcome("failed", "it has to be said what " * 3))
    reused, made, failed = capsys.readouterr().out.splitlines()
    assert reused.split() == ["reused", "Task(number=0)", "12345678"]
    assert len(made) == 60
    assert re.search(r"abcdefgh  2\.3 s  parameter n.*(…|\.\.\.)$", made)
    assert failed.endswith("it has to be said what")


def test_where_many_are_reused_a_person_sees_the_number(capsys: pytest.CaptureFixture[str]):
    teller = Teller(lines=True, person=True, saved_s=lambda uuids: 0.0)
    with teller:
        teller.planned([(Subject(str(n), f"T({n})"), Outcome("reused", "same", "k", "u")) for n in range(1_000)])
    assert capsys.readouterr().out == "reused   1,000 tasks\n"


def test_a_failing_task_shows_its_own_traceback_first(demo: Dsdt):
    Path("told_failing.py").write_text(SLOW, "utf-8")
    code, seen = at_a_terminal(["apply", "told_failing.Broken"])
    lines = seen.decode().splitlines()
    trace = [line for line in lines if line.startswith("  File ")]
    assert code == 1
    assert len(trace) == 1
    assert "told_failing.py" in trace[0]
    assert lines[-2].startswith("dsdt: 1 of 2 tasks failed: Broken(): ValueError: no good")
    assert not any("luigi" in line.lower() for line in lines)


@pytest.mark.slow
def test_a_person_sees_what_runs_and_at_last_the_sum(demo: Dsdt):
    Path("told_slow.py").write_text(SLOW, "utf-8")
    code, seen = at_a_terminal(["apply", "told_slow.Slow"])
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", seen.decode())
    assert code == 0
    assert re.search(r"1 left, 1 made, [\d.]+ s\s+Slow\(s=1\.2\)  [\d.]+ s", text)
    assert "slow says hello\r\n" in text
    assert re.search(r"made     Slow\(s=1\.2\)  \w{8} +1\.2 s  no earlier result\r\n", text)
    assert re.search(r"2 made, 0 reused, 0 failed in [\d.]+ s\r\n$", text)


@pytest.mark.slow
def test_an_interrupted_run_says_what_is_kept_and_goes_on_from_there(demo: Dsdt):
    Path("told_long.py").write_text(SLOW, "utf-8")
    code, seen = at_a_terminal(["apply", "told_long.Slow", "--s", "60"], asked=b"slow says hello", typed=b"\x03")
    assert code == 130
    assert b"dsdt: interrupted: 1 result is kept; the same command goes on" in seen
    assert [each["name"] for each in demo.json("ls")] == ["Base"]
    assert demo.json("plan", "told_long.Slow")["reuse"] == 1
    assert b"1 made, 0 reused, 0 failed, 1 interrupted in " in seen
    assert demo("why", "told_long.Slow").lines[0].startswith("Slow(s=60.0) was interrupted on ")


def test_what_reusing_saved_is_read_only_where_that_is_not_known():
    asked: list[str] = []

    def saved_s(uuids: Sequence[str]) -> float:
        asked.extend(uuids)
        return 60.0 * len(uuids)

    teller = Teller(lines=False, person=False, saved_s=saved_s)
    teller.concluded("One()", Outcome("reused", "same", "k", "one", saved_s=120.0))
    teller.concluded("Two()", Outcome("reused", "same", "k", "two"))
    assert teller.summary().startswith("0 made, 2 reused (saved 3 min), 0 failed in ")
    assert asked == ["two"]
