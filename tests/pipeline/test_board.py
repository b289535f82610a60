"""In what order tasks are given out: as Luigi's own scheduler would."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from luigi.scheduler import Scheduler
from luigi.task_status import DISABLED, DONE, FAILED, PENDING

from disdat.pipeline.board import Board, Job, Status

WORKER = "worker"
LIMITS = {"disk": 2}


@dataclass(frozen=True)
class Planned:
    """A task of a graph: those it needs by number, and how its attempts fare: the last one as all after it."""

    priority: int = 0
    needs: Sequence[int] = ()
    is_disabled: bool = False
    fails: int = 0
    attempts: int | None = None
    resources: Mapping[str, int] = field(default_factory=dict)


RESOURCES = st.dictionaries(st.sampled_from(["disk", "licence"]), st.integers(0, 2), max_size=2)


@st.composite
def graphs(draw: st.DrawFn) -> list[Planned]:
    planned: list[Planned] = []
    wants_resources, retries = draw(st.booleans()), draw(st.booleans())
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        planned.append(
            Planned(
                draw(st.integers(0, 2)),
                sorted(needs),
                draw(st.sampled_from([False] * 9 + [True])),
                draw(st.sampled_from([0] * 5 + [1, 2, 3])),
                draw(st.integers(1, 3)) if retries else None,
                draw(RESOURCES) if wants_resources else {},
            )
        )
    return planned


def job(number: int, planned: Planned) -> Job:
    needs = [str(each) for each in planned.needs]
    return Job(str(number), needs, planned.priority, planned.resources, planned.attempts, planned.is_disabled)


@given(graphs(), st.integers(1, 3), st.randoms(use_true_random=False))
@example([Planned(1, resources={"disk": 2}), Planned(0, resources={"disk": 1}), Planned(0)], 2, random.Random(1))
def test_tasks_are_given_out_in_luigis_order(graph: list[Planned], at_once: int, chance: random.Random) -> None:
    """With priorities, resources, retries and tasks that are disabled, whichever of those that run ends first."""
    seed = chance.random()
    assert by_board(graph, at_once, random.Random(seed)) == by_luigi(graph, at_once, random.Random(seed))


def by_board(graph: Sequence[Planned], at_once: int, chance: random.Random) -> list[str]:
    board = Board(slots=at_once, limits=LIMITS)
    for number, planned in enumerate(graph):
        board.add(job(number, planned))
    failures = dict.fromkeys(range(len(graph)), 0)
    given_out: list[str] = []
    running: list[str] = []
    while True:
        job_id = board.take() if len(running) < at_once else None
        if job_id is not None:
            given_out.append(job_id)
            running.append(job_id)
        elif not running:
            return given_out
        else:
            ended = running.pop(chance.randrange(len(running)))
            if failures[int(ended)] < graph[int(ended)].fails:
                failures[int(ended)] += 1
                board.fail(ended)
            else:
                board.finish(ended)


def by_luigi(graph: Sequence[Planned], at_once: int, chance: random.Random) -> list[str]:
    scheduler: Any = Scheduler(resources=LIMITS, prune_on_get_work=True, retry_delay=0.0)
    scheduler.add_worker(WORKER, [("workers", at_once)])
    for number in reversed(range(len(graph))):  # as luigi's worker adds them: first who needs, then what is needed
        add_to_luigi(scheduler, str(number), graph[number], DISABLED if graph[number].is_disabled else PENDING)
    for number in range(len(graph)):  # luigi ranks by the time a task is first heard of
        scheduler._state.get_task(str(number)).time = number
    failures = dict.fromkeys(range(len(graph)), 0)
    given_out: list[str] = []
    running: list[str] = []
    while True:
        task_id = None
        if len(running) < at_once:
            task_id = scheduler.get_work(worker=WORKER, host="here", current_tasks=list(running))["task_id"]
        if task_id is not None:
            given_out.append(task_id)
            running.append(task_id)
        elif not running:
            return given_out
        else:
            ended = running.pop(chance.randrange(len(running)))
            planned = graph[int(ended)]
            failed = failures[int(ended)] < planned.fails
            failures[int(ended)] += failed
            add_to_luigi(scheduler, ended, planned, FAILED if failed else DONE)
            time.sleep(1e-6)  # luigi tries again what failed before now


def add_to_luigi(scheduler: Any, task_id: str, planned: Planned, status: str) -> None:
    # Luigi never gives up by itself, but its workers do not stay to try again: without a count there is one attempt.
    attempts = 1 if planned.attempts is None else planned.attempts
    scheduler.add_task(
        worker=WORKER,
        task_id=task_id,
        status=status,
        deps=[str(each) for each in planned.needs] if status in {PENDING, DISABLED} else None,
        priority=planned.priority,
        resources=dict(planned.resources),
        retry_policy_dict={"retry_count": attempts},
        runnable=status == PENDING,
        expl="",
    )


def test_what_needs_a_failed_or_a_disabled_task_is_never_given_out() -> None:
    graph = [Planned(fails=1), Planned(is_disabled=True), Planned(), Planned(9, [0, 2]), Planned(9, [1])]
    assert sorted(by_board(graph, 1, random.Random(0))) == ["0", "2"]


def test_a_task_that_failed_is_tried_again_after_the_delay_as_often_as_it_may() -> None:
    board = Board(retry_delay_s=10)
    board.add(Job("a", attempts=2))
    assert board.take(0) == "a"
    assert board.fail("a", 5) is Status.FAILED
    assert (board.wakes_at_s(), board.take(14)) == (15, None)
    assert board.take(15) == "a"
    assert board.fail("a", 16) is Status.DISABLED
    assert (board.wakes_at_s(), board.take(99)) == (None, None)


def test_a_task_with_no_attempts_given_has_one() -> None:
    board = Board()
    board.add(Job("a"))
    board.take()
    assert board.fail("a") is Status.FAILED
    assert (board.take(), board.wakes_at_s()) == (None, None)


@pytest.mark.parametrize("is_added_first", [True, False])
def test_a_suspended_task_runs_again_when_what_it_waits_for_is_done(is_added_first: bool) -> None:
    board = Board()
    board.add(Job("waits", priority=1))
    board.add(Job("other"))
    assert board.take() == "waits"
    if is_added_first:
        board.add(Job("yielded"))
    board.suspend("waits", ["yielded"])
    if not is_added_first:
        board.add(Job("yielded"))
    assert board.take() == "yielded"  # it is as urgent as what waits for it
    assert board.status("waits") is Status.PENDING
    board.finish("yielded")
    assert board.take() == "waits"


def test_a_suspended_task_whose_needs_are_done_already_runs_at_once() -> None:
    board = Board()
    for name in ("done", "waits"):
        board.add(Job(name))
        board.take()
    board.finish("done")
    board.suspend("waits", ["done"])
    assert board.take() == "waits"


def test_a_task_that_was_done_runs_again_where_that_is_wanted_and_who_needs_it_waits() -> None:
    board = Board()
    for name in ("done", "reads"):
        board.add(Job(name))
        board.take()
    board.finish("done")
    board.reopen("done")
    board.suspend("reads", ["done"])
    assert (board.take(), board.take()) == ("done", None)
    board.finish("done")
    assert board.take() == "reads"


def test_of_tasks_that_want_one_resource_the_next_is_found_without_a_look_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Luigi looks at every task for each that it gives out."""
    looked: list[object] = []
    has = Board._has
    monkeypatch.setattr(Board, "_has", lambda *given: looked.append(given) or has(*given))  # type: ignore[func-returns-value]  # None, so that the second counts
    board = Board(slots=2)
    for number in range(2000):
        board.add(Job(str(number), resources={"disk": 1}))
    for number in range(2000):
        assert board.take() == str(number)
        assert board.take() is None
        board.finish(str(number))
    assert len(looked) < 2000 * 8
