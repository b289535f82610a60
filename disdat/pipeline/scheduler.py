"""Luigi's schedulers, which keep what became of each step here, and of which the one in this process is fast."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any

from luigi.interface import core
from luigi.rpc import RemoteScheduler
from luigi.scheduler import Scheduler
from luigi.task_status import DONE, FAILED, PENDING, RUNNING

from disdat.pipeline.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that is to run once the tasks *needs* are done; of those that can, the one of the lowest *rank* first."""

    id: str
    rank: tuple[float, float]
    needs: Set[str]


class Ready:
    """The tasks of one run, those that cannot run yet too."""

    def __init__(self, waiting: Iterable[Waiting]) -> None:
        self._needed_by: dict[str, list[Waiting]] = {}
        self._lacking: dict[str, int] = {}
        self._heap: list[tuple[tuple[float, float], str]] = []
        for each in waiting:
            self._lacking[each.id] = len(each.needs)
            for need in each.needs:
                self._needed_by.setdefault(need, []).append(each)
            if not each.needs:
                self._heap.append((each.rank, each.id))
        heapq.heapify(self._heap)

    def take(self) -> str | None:
        """The next task to run, which is given once; None where none can run now."""
        return heapq.heappop(self._heap)[1] if self._heap else None

    def finish(self, done: str) -> None:
        """Say that a task is done: what lacked nothing else can run now."""
        for each in self._needed_by.pop(done, []):
            self._lacking[each.id] -= 1
            if not self._lacking[each.id]:
                heapq.heappush(self._heap, (each.rank, each.id))


class _Recording:
    """A scheduler that keeps what it is told became of each step."""

    results: dict[str, Outcome]

    def add_task(self, *args: Any, **kwargs: Any) -> Any:  # luigi's
        if kwargs.get("status") in {DONE, FAILED} and kwargs.get("expl"):
            self.results[kwargs["task_id"]] = _outcome(json.loads(kwargs["expl"]))
        return super().add_task(*args, **kwargs)  # type: ignore[misc]  # the scheduler beside this class has it


class Local(_Recording, Scheduler):
    """
    Luigi's scheduler for the one worker there is, which adds all tasks before it asks for the first.

    Luigi looks through all open tasks for each that it gives out, which takes longer than a small task. Where no
    task wants resources, none of that is needed to find the next.
    """

    def __init__(self, results: dict[str, Outcome]) -> None:
        # Pruning is for workers that went away; here there is one, and it is this process.
        super().__init__(prune_on_get_work=False, record_task_history=False)  # type: ignore[no-untyped-call]  # as above
        self.results = results
        self._ready: Ready | None = None

    def add_task(self, *args: Any, **kwargs: Any) -> Any:  # luigi's
        super().add_task(*args, **kwargs)
        if kwargs.get("status") == DONE and self._ready is not None:
            self._ready.finish(kwargs["task_id"])

    def get_work(self, *, worker: str, **asked: Any) -> Any:  # luigi's
        if self._ready is None:
            pending = list(self._state.get_active_tasks_by_status(PENDING))
            if any(each.resources for each in pending):
                return super().get_work(worker=worker, **asked)
            self._ready = Ready(map(self._waiting, pending))
        return {**self.count_pending(worker), "task_id": self._take(worker, self._ready)}

    def count_pending(self, worker: str) -> dict[str, Any]:
        """
        Nothing: luigi looks through all that is open to say so.

        A worker asks for it to know whether to stay when there is nothing to do, and ours does not stay.
        """
        counted = dict.fromkeys(("n_pending_tasks", "n_unique_pending", "n_pending_last_scheduled"), 0)
        return {**counted, "worker_state": self._state.get_worker(worker).state, "running_tasks": []}

    def _waiting(self, task: Any) -> Waiting:  # luigi's
        """A task that is pending, as urgent as luigi ranks it."""
        open_ = {each for each in task.deps if self._state.get_task(each).status != DONE}
        return Waiting(task.id, (-task.priority, task.time), open_)

    def _take(self, worker: str, ready: Ready) -> str | None:
        """The next task, noted as luigi notes it when it gives one out."""
        if (found := ready.take()) is None:
            return None
        task = self._state.get_task(found)
        self.update_metrics_task_started(task)
        self._state.set_status(task, RUNNING, self._config)
        task.worker_running, task.time_running = worker, task.updated
        return found


class Remote(_Recording, RemoteScheduler):
    """The central scheduler that luigi's configuration names."""

    def __init__(self, results: dict[str, Outcome]) -> None:
        super().__init__(_url())  # type: ignore[no-untyped-call]  # luigi does not annotate its own
        self.results = results


def _outcome(told: object) -> Outcome:
    """What a step told; where its process died, luigi's own words."""
    return Outcome(*told) if isinstance(told, list) else Outcome("failed", str(told))


def _url() -> str:
    """Where luigi's configuration says that the central scheduler is."""
    settings = core()
    return settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}/"
