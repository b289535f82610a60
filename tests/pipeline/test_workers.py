"""What became of tasks, as the worker processes and the process that schedules tell it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from queue import Empty

import pytest

from disdat.pipeline.workers import Results

TASK_ENDED = ("task", "DONE", "")
TASK_DIED = ("task", "FAILED", "died unexpectedly")


@pytest.fixture
def results() -> Iterator[Results]:
    queue: multiprocessing.Queue[object] = multiprocessing.Queue()
    yield Results(queue)
    queue.close()


def in_a_process(results: Results, result: object) -> None:
    """Put a result as a worker process does, and wait until that has ended."""
    results.expect_processes()
    process = multiprocessing.get_context("fork").Process(target=results.put, args=(result,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_what_a_process_told_before_it_died_comes_before_its_death(results: Results) -> None:
    in_a_process(results, TASK_ENDED)
    results.put(TASK_DIED)
    assert [results.get(timeout=5), results.get(timeout=5)] == [TASK_ENDED, TASK_DIED]


def test_a_death_is_told_where_the_process_told_nothing(results: Results) -> None:
    results.expect_processes()
    results.put(TASK_DIED)
    assert results.get(timeout=5) == TASK_DIED
    with pytest.raises(Empty):
        results.get(timeout=0.01)


def test_what_a_task_of_this_process_came_to_is_there_at_once(results: Results) -> None:
    results.put(TASK_ENDED)
    assert results.get(timeout=0) == TASK_ENDED
