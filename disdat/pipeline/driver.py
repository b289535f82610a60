"""
The loop of a run: what can run is handed to an executor, and what became of it is put back.

Nothing is decided here but in what order; the same bundles come out whatever the executor is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import luigi

from disdat.errors import DisdatError
from disdat.pipeline import call, params, plan
from disdat.pipeline.board import Board, Job, Status
from disdat.pipeline.call import Call
from disdat.pipeline.events import Events, Stream, Subject
from disdat.pipeline.executors import Executor, Sink
from disdat.pipeline.executors.inline import Inline
from disdat.pipeline.executors.lanes import Lanes
from disdat.pipeline.outcome import Done, Failed, Lost, Named, Outcome, Suspended
from disdat.pipeline.plan import Node, Plan
from disdat.pipeline.task import Made, state_of
from disdat.pipeline.work import Work

logger = logging.getLogger("disdat.pipeline")

Open = Callable[[Sink], Executor]
"""Opens an executor that tells the sink what happens."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How tasks are run. An executor that is None is this process."""

    executor: Open | None
    apart: Open
    """What runs the calls this process cannot, where that is the executor."""
    timeout_s: float | None = None
    """For tasks that have none of their own."""
    limits: Mapping[str, int] | None = None
    """How much there is of each resource; 1 of what is not named."""
    retry_delay_s: float = 0


def run(planned: Plan, terms: Terms, events: Events) -> None:
    """
    Run what the plan left open; afterwards every node has its outcome, but after an exception.

    Raises:
        BaseException: What ended it: an interrupt, or an executor that cannot go on. All calls are ended.
    """
    driver = _Driver(planned, terms, events)
    driver.run()


class _Driver:
    """One run; it is the executors' sink."""

    def __init__(self, planned: Plan, terms: Terms, events: Events) -> None:
        self._plan = planned
        self._terms = terms
        self._events = events
        here = Inline(self, self._run_here)
        main = terms.executor(self) if terms.executor else here
        self._executor = Lanes(main, here, lambda: terms.apart(self))
        self._board = Board(slots=main.slots, limits=terms.limits, retry_delay_s=terms.retry_delay_s)
        self._nodes: dict[str, Node] = {}
        self._ids: dict[Node, str] = {}
        self._calls: dict[str, tuple[Node, Work]] = {}
        self._attempts = 0

    def run(self) -> None:
        try:
            self._add(self._plan.nodes)
            while self._submit() or self._wait():
                pass
        finally:
            self._executor.close()
        for node in self._plan.nodes:
            if node.outcome is None:
                self._end(node, _not_run(node))

    # What executors tell

    def began(self, call_id: str) -> None:
        node, _ = self._calls[call_id]
        logger.info("%s begins", params.describe(node.task))
        self._events.began(self._subject(node))

    def wrote(self, call_id: str, stream: Stream, text: str) -> None:
        if call_id in self._calls:
            self._events.wrote(self._subject(self._calls[call_id][0]), stream, text)

    # The loop

    def _add(self, nodes: Sequence[Node]) -> None:
        """Take in nodes, inputs before those who read them; what is decided of them is told."""
        for node in nodes:
            self._ids[node] = job_id = str(len(self._ids))
            self._nodes[job_id] = node
            if node.outcome is None:
                self._board.add(self._job(job_id, node))
            else:
                self._has_output(node)
        self._events.planned([(self._subject(node), node.outcome) for node in nodes])

    def _submit(self) -> bool:
        """Hand out what can run, as far as there is room; whether anything was."""
        handed = False
        while len(self._calls) < self._executor.slots:
            job_id = self._board.take(time.monotonic())
            if job_id is None:
                break
            self._executor.submit(self._call(job_id))
            handed = True
        return handed

    def _wait(self) -> bool:
        """Wait for what ends next, or until something is tried again; False where nothing is left to wait for."""
        wakes_at_s = self._board.wakes_at_s()
        rest_s = None if wakes_at_s is None else max(0.0, wakes_at_s - time.monotonic())
        if self._calls:
            done = self._executor.next(rest_s)
            if done is not None:
                self._put(done)
            return True
        if rest_s is not None:
            time.sleep(rest_s)
        return rest_s is not None

    def _call(self, job_id: str) -> Call:
        node = self._nodes[job_id]
        self._attempts += 1
        call_id = f"{job_id}.{self._attempts}"
        work = replace(node.work, inputs={**node.work.inputs, **_made(node.upstream)}, yielded=_made(node.yielded))
        self._calls[call_id] = node, work
        own = node.task.worker_timeout
        timeout_s = self._terms.timeout_s if own is None else own
        return call.of_work(work, call_id, priority=node.task.priority, timeout_s=timeout_s or None)

    def _run_here(self, asked: Call) -> Done:
        """Run a call in this process, with the very task of the plan."""
        _, work = self._calls[asked.id]
        return Done(asked.id, call.attempt(lambda: work))

    def _put(self, done: Done) -> None:
        node, _ = self._calls.pop(done.call_id)
        match done.ended:
            case Outcome() as outcome:
                self._board.finish(self._ids[node])
                self._end(node, outcome)
            case Failed(why, trace):
                self._fail(node, why, trace)
            case Suspended(waits):
                self._suspend(node, waits)
            case Lost(how, why):
                event = luigi.Event.TIMEOUT if how == "timeout" else luigi.Event.PROCESS_FAILURE
                call.announce(node.task, event, why)
                self._fail(node, why, "")

    def _suspend(self, node: Node, waits: Sequence[Named]) -> None:
        """Have what a task yielded made, and then the task go on."""
        try:
            added = plan.extend(self._plan, node, waits)
        except DisdatError as exc:
            self._fail(node, exc.message, "")
            return
        self._add(added)
        self._events.suspended(self._subject(node), list(map(self._subject, node.yielded.values())))
        self._board.suspend(self._ids[node], self._open(node.yielded.values()))

    def _fail(self, node: Node, why: str, trace: str) -> None:
        logger.error("%s failed\n%s", params.describe(node.task), trace or why)
        status = self._board.fail(self._ids[node], time.monotonic())
        if status is Status.FAILED and node.task.retry_count is not None:
            self._events.retried(self._subject(node), why)
        else:
            self._end(node, Outcome("failed", why))

    def _end(self, node: Node, outcome: Outcome) -> None:
        node.outcome = outcome
        self._has_output(node)
        logger.info("%s: %s", params.describe(node.task), outcome.decision)
        self._events.ended(self._subject(node), outcome)

    def _has_output(self, node: Node) -> None:
        """Give a task whose work was done elsewhere its output."""
        outcome = node.outcome
        if outcome is not None and outcome.bundle is not None and state_of(node.task).made is None:
            context = node.work.session.context
            state_of(node.task).made = Made(context, outcome.bundle, is_new=outcome.decision == "made")

    def _job(self, job_id: str, node: Node) -> Job:
        task = node.task
        return Job(
            job_id,
            needs=self._open(node.upstream.values()),
            priority=task.priority,
            resources=task.process_resources(),  # type: ignore[no-untyped-call]  # luigi does not annotate its own
            attempts=task.retry_count,
            is_disabled=task.disabled,
        )

    def _open(self, nodes: Iterable[Node]) -> set[str]:
        """The nodes that are not there yet, and those that never will be."""
        return {self._ids[node] for node in nodes if node.outcome is None or node.outcome.bundle is None}

    def _subject(self, node: Node) -> Subject:
        return Subject(self._ids[node], params.describe(node.task))


def _made(nodes: Mapping[str, Node]) -> dict[str, str]:
    found = {name: node.outcome.bundle for name, node in nodes.items() if node.outcome}
    return {name: uuid for name, uuid in found.items() if uuid is not None}


def _not_run(node: Node) -> Outcome:
    """What became of a task that could not run."""
    if node.task.disabled:
        return Outcome("failed", "not run: it is disabled")
    needed = [*node.upstream.values(), *node.yielded.values()]
    faulty = [each.task for each in needed if each.outcome is None or each.outcome.bundle is None]
    return Outcome("failed", f"not run: {', '.join(map(params.describe, faulty))} failed")
