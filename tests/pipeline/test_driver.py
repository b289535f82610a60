"""How the tasks of a plan are run: in order, again, at the same time, and what is told meanwhile."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import luigi
import pytest

from disdat.errors import ApplyError, InvalidInput, NotFound
from disdat.ops import runs
from disdat.pipeline import asking, driver, plan
from disdat.pipeline.driver import Terms
from disdat.pipeline.events import Quiet, Subject
from disdat.pipeline.executors.pool import Pool
from disdat.pipeline.graph import Asked
from disdat.pipeline.outcome import Outcome
from disdat.pipeline.run import apply
from disdat.pipeline.session import Session
from tests.pipeline import steps
from tests.pipeline.conftest import Applied
from tests.pipeline.tasks import Dies

WORKERS = pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for what tasks write down."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Kept(Quiet):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def planned(self, tasks: Sequence[tuple[Subject, Outcome | None]]) -> None:
        self.told.append(("planned", *(subject.name for subject, _ in tasks)))

    def began(self, task: Subject) -> None:
        self.told.append(("began", task.name))

    def suspended(self, task: Subject, waits: Sequence[Subject]) -> None:
        self.told.append(("suspended", task.name, *(each.name for each in waits)))

    def retried(self, task: Subject, why: str) -> None:
        self.told.append(("retried", task.name, why))

    def ended(self, task: Subject, outcome: Outcome) -> None:
        self.told.append(("ended", task.name, outcome.decision))


def told_of(applied: Applied, cls: type, **params: object) -> list[tuple[str, ...]]:
    """What is told of a run in this process."""
    session = Session(applied.context, runs.of_pipeline(applied.context))
    runs.record(applied.context, session.run)
    planned = plan.discover(cls(**params), session, Asked())
    plan.decide_known(planned, planned.nodes)
    kept = Kept()
    driver.run(planned, Terms(None, apart=lambda sink: Pool(sink, 1)), kept)
    return kept.told


@WORKERS
def test_what_a_task_yields_is_made_in_the_same_run(applied: Applied, workers: int) -> None:
    """It starts from its top each time, and what it yielded before is there at once."""
    assert applied(steps.Waits, workers=workers) == ["Leaf", "Leaf", "Leaf", "Leaf", "Waits"]
    assert applied.value("Waits") == [20, [0, 10], {"a": 70}]
    assert steps.noted("Waits") == ["from the top"] * 4
    assert applied.leftovers() == []


@WORKERS
def test_what_is_yielded_may_yield(applied: Applied, workers: int) -> None:
    applied(steps.WaitsForWaiting, workers=workers)
    assert applied.value("WaitsForWaiting") == [[10, [0], {"a": 70}]]


@WORKERS
def test_a_whole_number_for_a_float_is_that_float(applied: Applied, workers: int) -> None:
    """A task is the same one wherever it is made, from a value or from text."""
    assert len(applied(steps.WaitsForWeighed, {"weight": 4}, workers=workers)) == 3
    found = applied.value("WaitsForWeighed")
    assert found == [[1, 2], [4, 2]]
    assert {type(each) for pair in found for each in pair} == {float}
    assert applied(steps.WaitsForWeighed, {"weight": 4.0}, workers=3 - workers) == []


def test_a_task_that_never_gets_what_it_yields_is_told_so(applied: Applied) -> None:
    with pytest.raises(ApplyError, match=r"WaitsForMarked\(\) yields IsMarked\(mark=a!\) again"):
        apply(applied.context, steps.WaitsForMarked)


def test_tasks_that_yield_each_other_are_told_so(applied: Applied) -> None:
    with pytest.raises(ApplyError, match=r"WaitsInARing\(n=2\) yields WaitsInARing\(n=0\), which needs it"):
        apply(applied.context, steps.WaitsInARing)


@WORKERS
def test_a_task_fails_with_what_it_yields(applied: Applied, workers: int) -> None:
    with pytest.raises(ApplyError, match="1 of 3 tasks failed, 1 not run since it needs it: FailsTwice"):
        apply(applied.context, steps.WaitsForFailing, workers=workers)
    decided = applied.decisions()
    assert decided["WaitsForFailing()"] == ("not run", "FailsTwice(n=1) failed")
    assert decided["Leaf(n=1)"][0] == "made"


def test_a_yielded_task_whose_input_is_missing_fails_who_yields_it(applied: Applied) -> None:
    with pytest.raises(ApplyError, match=r"1 of 1 tasks failed: .*Lacks\(\) needs bundle named absent as data"):
        apply(applied.context, steps.WaitsForNobody)


def test_a_task_is_not_tried_again_unless_it_says_so(applied: Applied) -> None:
    with pytest.raises(ApplyError, match="not yet"):
        apply(applied.context, steps.FailsTwice)
    assert steps.noted("FailsTwice") == ["tried"]


@WORKERS
def test_a_task_is_tried_as_often_as_it_says(applied: Applied, workers: int) -> None:
    assert applied(steps.Persistent, workers=workers) == ["Persistent"]
    assert len(steps.noted("Persistent")) == 3
    with pytest.raises(ApplyError, match="never"):
        apply(applied.context, steps.GivesUp, workers=workers)
    assert len(steps.noted("GivesUp")) == 2


def test_a_task_that_is_switched_off_is_not_run_though_what_it_needs_is(applied: Applied) -> None:
    with pytest.raises(ApplyError, match=r"2 of 3 tasks did not run: SwitchedOff\(\): it is disabled$"):
        apply(applied.context, steps.NeedsSwitchedOff)
    assert applied.decisions() == {
        "Leaf(n=1)": ("made", "no earlier result"),
        "SwitchedOff()": ("not run", "it is disabled"),
        "NeedsSwitchedOff()": ("not run", "SwitchedOff() did not run"),
    }


def test_what_an_interrupted_run_decided_is_kept(applied: Applied) -> None:
    with pytest.raises(KeyboardInterrupt):
        apply(applied.context, steps.NeedsInterrupting)
    assert applied.decisions() == {
        "Leaf(n=1)": ("made", "no earlier result"),
        "Interrupting()": ("interrupted", "the run was interrupted"),
        "NeedsInterrupting()": ("not run", "the run was interrupted"),
    }
    assert applied.leftovers() == []
    assert asking.of_task(applied.context, "NeedsInterrupting").last.decision == "not run"


@pytest.mark.slow
def test_tasks_that_want_the_same_take_it_in_turns(applied: Applied) -> None:
    applied(steps.AllAlone, workers=3)
    assert applied.value("AllAlone") is True


def test_of_tasks_that_can_run_the_most_urgent_does(applied: Applied) -> None:
    applied(steps.AllRanked)
    assert steps.noted("Ranked") == ["3", "2", "1"]


def test_a_time_limit_ends_a_task_and_is_announced_as_luigi_does(applied: Applied) -> None:
    """In a process of its own, with one worker too, as what runs in this one could not be ended."""
    with handled(steps.Slow, luigi.Event.TIMEOUT) as seen, pytest.raises(ApplyError, match="timed out after"):
        apply(applied.context, steps.Slow, timeout=0.2)
    assert seen == [(steps.Slow(), "timed out after 0.2 seconds")]
    assert applied.leftovers() == []
    applied(steps.Where, timeout=60)
    assert applied.value("Where") != os.getpid()


def test_a_dead_process_is_announced_as_luigi_does(applied: Applied) -> None:
    with handled(Dies, luigi.Event.PROCESS_FAILURE) as seen, pytest.raises(ApplyError):
        apply(applied.context, Dies, workers=2)
    assert seen == [(Dies(), "its process ended with exit code 7")]


@pytest.mark.parametrize(("executor", "workers", "is_here"), [("pool", 1, False), ("inline", 3, True), (None, 1, True)])
def test_the_executor_is_the_one_asked_for(applied: Applied, executor: str | None, workers: int, is_here: bool) -> None:
    applied(steps.Where, executor=executor, workers=workers)
    assert (applied.value("Where") == os.getpid()) is is_here


def test_an_executor_there_is_not_is_refused(applied: Applied) -> None:
    with pytest.raises(NotFound, match="no executor named 'cloud'"):
        apply(applied.context, steps.Where, executor="cloud")


def test_all_is_told_as_planned_where_nothing_is_to_do(applied: Applied) -> None:
    applied(steps.Leaf, {"n": 1})
    assert told_of(applied, steps.Leaf, n=1) == [("planned", "Leaf(n=1)")]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_limit_that_is_none_is_refused(applied: Applied, timeout: float) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        apply(applied.context, steps.Where, timeout=timeout)


def test_what_happens_is_told_as_it_does(applied: Applied) -> None:
    applied(steps.Leaf, {"n": 7})
    assert told_of(applied, steps.Waits, n=1) == [
        ("planned", "Waits(n=1)"),
        ("began", "Waits(n=1)"),
        ("planned", "Leaf(n=1)"),
        ("suspended", "Waits(n=1)", "Leaf(n=1)"),
        ("began", "Leaf(n=1)"),
        ("ended", "Leaf(n=1)", "made"),
        ("began", "Waits(n=1)"),
        ("planned", "Leaf(n=0)"),
        ("suspended", "Waits(n=1)", "Leaf(n=1)", "Leaf(n=0)"),
        ("began", "Leaf(n=0)"),
        ("ended", "Leaf(n=0)", "made"),
        ("began", "Waits(n=1)"),
        ("planned", "Leaf(n=7)"),
        ("suspended", "Waits(n=1)", "Leaf(n=1)", "Leaf(n=0)", "Leaf(n=7)"),
        ("began", "Waits(n=1)"),
        ("ended", "Waits(n=1)", "made"),
    ]
    assert told_of(applied, steps.Persistent) == [
        ("planned", "Persistent(n=0)"),
        ("began", "Persistent(n=0)"),
        ("retried", "Persistent(n=0)", "ValueError: not yet"),
        ("began", "Persistent(n=0)"),
        ("retried", "Persistent(n=0)", "ValueError: not yet"),
        ("began", "Persistent(n=0)"),
        ("ended", "Persistent(n=0)", "made"),
    ]


@WORKERS
def test_what_tasks_write_comes_out_here(applied: Applied, capsys: pytest.CaptureFixture[str], workers: int) -> None:
    applied(steps.Writes, workers=workers)
    assert capsys.readouterr() == ("written\n", "")


def test_what_each_task_does_is_logged_where_that_is_asked_for(
    applied: Applied, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "disdat.pipeline"):
        applied(steps.Leaf, {"n": 1})
    assert [record.getMessage() for record in caplog.records] == ["Leaf(n=1) begins", "Leaf(n=1): made"]


@pytest.mark.slow
def test_workers_are_used_again(applied: Applied) -> None:
    applied(steps.AllWhere, workers=2)
    pids = applied.value("AllWhere")
    assert isinstance(pids, list)
    assert len(set(pids)) <= 2
    assert os.getpid() not in pids


def handled(cls: type[luigi.Task], event: str) -> _Handled:
    return _Handled(cls, event)


class _Handled:
    """What the handler of an event of Luigi's is called with, in a block."""

    def __init__(self, cls: type[luigi.Task], event: str) -> None:
        self._cls, self._event = cls, event
        self._seen: list[tuple[object, ...]] = []

    def __enter__(self) -> list[tuple[object, ...]]:
        self._cls.event_handler(self._event)(self._keep)
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._cls.remove_event_handler(self._event, self._keep)

    def _keep(self, *told: object) -> None:
        self._seen.append(told)
