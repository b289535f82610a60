"""In what order tasks are given out: as Luigi's own scheduler would."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luigi.scheduler import Scheduler
from luigi.task_status import DISABLED, DONE, FAILED, PENDING

from disdat.pipeline.scheduler import Local

WORKER = "worker"


@dataclass(frozen=True)
class Planned:
    """A task of a graph: those it needs by number, and what becomes of it."""

    priority: int
    needs: Sequence[int]
    status: str = PENDING
    becomes: str = DONE
    resources: int = 0


@st.composite
def graphs(draw: st.DrawFn) -> list[Planned]:
    planned: list[Planned] = []
    wants_resources = draw(st.booleans())
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        planned.append(
            Planned(
                draw(st.integers(0, 2)),
                sorted(needs),
                draw(st.sampled_from([PENDING] * 9 + [DISABLED])),
                draw(st.sampled_from([DONE] * 5 + [FAILED])),
                draw(st.integers(0, 1)) if wants_resources else 0,
            )
        )
    return planned


@given(graphs(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_tasks_are_given_out_in_luigis_order(graph: list[Planned], at_once: int, chance: random.Random) -> None:
    seed = chance.random()
    ours = order(Local({}), graph, at_once, random.Random(seed))
    luigis = order(Scheduler(prune_on_get_work=False), graph, at_once, random.Random(seed))
    assert ours == luigis


def test_what_needs_a_failed_or_a_disabled_task_is_never_given_out() -> None:
    graph = [
        Planned(0, [], becomes=FAILED),
        Planned(0, [], DISABLED),
        Planned(0, []),
        Planned(9, [0, 2]),
        Planned(9, [1]),
    ]
    assert sorted(order(Local({}), graph, 1, random.Random(0))) == ["0", "2"]


def test_a_chain_of_thousands_takes_no_time_that_grows_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Luigi ranks every open task to find the next one."""
    ranked: list[object] = []
    monkeypatch.setattr(Scheduler, "_rank", lambda _, task: ranked.append(task) or (0, 0))  # type: ignore[func-returns-value]  # it returns the tuple
    graph = [Planned(0, [number - 1] if number else []) for number in range(3000)]
    assert order(Local({}), graph, 1, random.Random(0)) == [str(number) for number in range(3000)]
    assert not ranked


def order(scheduler: Any, graph: Sequence[Planned], at_once: int, chance: random.Random) -> list[str]:
    """The order in which *scheduler* gives a worker the tasks of *graph*, of which that many run at once."""
    for number in reversed(range(len(graph))):
        planned = graph[number]
        scheduler.add_task(
            worker=WORKER,
            task_id=str(number),
            status=planned.status,
            deps=[str(each) for each in planned.needs],
            priority=planned.priority,
            resources={"disk": planned.resources} if planned.resources else {},
        )
    for number in range(len(graph)):  # luigi ranks by the time a task is first heard of
        scheduler._state.get_task(str(number)).time = chance.random()
    given_out: list[str] = []
    running: list[str] = []
    while True:
        task_id = scheduler.get_work(worker=WORKER, host="here", current_tasks=list(running))["task_id"]
        if task_id is not None:
            given_out.append(task_id)
            running.append(task_id)
        if len(running) == at_once or (running and task_id is None):
            done = running.pop(chance.randrange(len(running)))
            scheduler.add_task(worker=WORKER, task_id=done, status=graph[int(done)].becomes, expl="", runnable=None)
        elif task_id is None:
            return given_out
