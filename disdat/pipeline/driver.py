"""
The loop of a run: what can run is handed to an executor, and what became of it is put back.

Nothing is decided here but in what order; the same bundles come out whatever the executor is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from luigi.event import Event

from disdat.core.canonical import Json
from disdat.errors import DisdatError
from disdat.ops.carrying import Way
from disdat.pipeline import call, plan
from disdat.pipeline.board import Board, Job, Status
from disdat.pipeline.call import Call
from disdat.pipeline.deciding import Work
from disdat.pipeline.events import Events, Stream
from disdat.pipeline.executors import Executor, Sink
from disdat.pipeline.executors.inline import Inline
from disdat.pipeline.executors.lanes import Lanes
from disdat.pipeline.graph import Node, Plan
from disdat.pipeline.ledger import Ledger
from disdat.pipeline.outcome import Done, Failed, Lacking, Lost, Named, Outcome, Suspended

MOST_LOST = 3
"""So often a result is made again in a run that nobody can read: a disk that loses all must not keep it going."""

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
    is_central: bool = False
    """Whether a running luigid says what is next."""


def run(planned: Plan, terms: Terms, events: Events) -> None:
    """
    Run what the plan left open; afterwards every node has its outcome.

    Raises:
        BaseException: What ended it: an interrupt, or an executor that cannot go on. All calls are ended.
    """
    driver = _Driver(planned, terms, events)
    try:
        driver.run()
    except BaseException as exc:
        driver.abandon(exc)
        raise
    finally:
        driver.close()


class _Driver:
    """One run; it is the executors' sink."""

    def __init__(self, planned: Plan, terms: Terms, events: Events) -> None:
        self._terms = terms
        self._ledger = Ledger(planned, events)
        here = Inline(self, self._run_here)
        main = terms.executor(self) if terms.executor else here
        self._executor = Lanes(main, here, lambda: terms.apart(self))
        self._nodes: dict[str, Node] = {}
        self._board = self._open_board(main.slots)
        self._calls: dict[str, tuple[Node, Work]] = {}
        self._attempts = 0
        self._has_reopened = False
        self._session: dict[str, Json] = {}

    def run(self) -> None:
        self._add(self._ledger.plan.nodes)
        while self._submit() or self._wait():
            pass
        self._ledger.close()

    def abandon(self, exc: BaseException) -> None:
        """Keep what became of each task until this ended the run."""
        self._ledger.abandon(f"the run ended: {exc}" if str(exc) else "the run was interrupted")

    def close(self) -> None:
        self._executor.close()
        self._board.close()

    def _open_board(self, slots: int) -> Board:
        terms = self._terms
        if not terms.is_central:
            return Board(slots=slots, limits=terms.limits, retry_delay_s=terms.retry_delay_s)
        from disdat.pipeline.central import Central  # luigi's client, which few runs need

        run_id = self._ledger.plan.run_id
        return Central(run_id, lambda job: self._nodes[job].task, slots=slots, retry_delay_s=terms.retry_delay_s)

    # What executors tell

    def began(self, call_id: str) -> None:
        self._ledger.began(self._calls[call_id][0])

    def wrote(self, call_id: str, stream: Stream, text: str) -> None:
        self._ledger.wrote(self._calls[call_id][0], stream, text)

    def moved(self, call_id: str, way: Way, done_bytes: int, total_bytes: int) -> None:
        self._ledger.moved(self._calls[call_id][0], way, done_bytes, total_bytes)

    # The loop

    def _add(self, nodes: Sequence[Node]) -> None:
        self._ledger.add(nodes)
        for node in nodes:
            if node.outcome is None:
                self._nodes[self._ledger.id(node)] = node
                self._board.add(self._job(node))

    def _submit(self) -> bool:
        """Hand out what can run, as far as there is room; whether anything was."""
        handed = False
        while len(self._calls) < self._executor.slots:
            job_id = self._board.take(time.monotonic())
            if job_id is None:
                break
            node = self._nodes[job_id]
            if self._has_reopened and (needs := self._needs(node.upstream)):
                self._board.suspend(job_id, needs)
                continue
            self._executor.submit(self._call(node))
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

    def _call(self, node: Node) -> Call:
        self._attempts += 1
        call_id = f"{self._ledger.id(node)}.{self._attempts}"
        work, timeout_s = _pinned(node), _timeout_s(node, self._terms.timeout_s)
        self._calls[call_id] = node, work
        if not self._session:
            self._session = call.session_fields(work.session)
        return call.of_work(work, call_id, session=self._session, priority=node.task.priority, timeout_s=timeout_s)

    def _run_here(self, asked: Call) -> Done:
        """Run a call in this process, with the very task of the plan."""
        _, work = self._calls[asked.id]
        return Done(asked.id, call.attempt(lambda: work))

    def _put(self, done: Done) -> None:
        node, _ = self._calls.pop(done.call_id)
        match done.ended:
            case Outcome() as outcome:
                self._board.finish(self._ledger.id(node))
                self._ledger.ended(node, outcome)
            case Failed(why, trace, hint):
                self._fail(node, why, trace, hint)
            case Suspended(waits):
                self._suspend(node, waits)
            case Lacking(uuids, why):
                self._make_again(node, set(uuids), why)
            case Lost(how, why):
                call.announce(node.task, Event.TIMEOUT if how == "timeout" else Event.PROCESS_FAILURE, why)
                self._fail(node, why)

    def _suspend(self, node: Node, waits: Sequence[Named]) -> None:
        """Have what a task yielded made, and then the task go on."""
        try:
            added = plan.extend(self._ledger.plan, node, waits)
        except DisdatError as exc:
            self._fail(node, exc.message, hint=exc.hint)
            return
        self._add(added)
        self._ledger.suspended(node, node.yielded.values())
        self._board.suspend(self._ledger.id(node), self._needs(node.yielded))

    def _make_again(self, node: Node, lost: Set[str], why: str) -> None:
        """Have the bundles made again that a task cannot read any more, and then the task go on."""
        read = [*node.upstream.values(), *node.yielded.values()]
        makers = {uuid: each for each in read for uuid in plan.outputs(each) if uuid in lost}
        if makers.keys() != lost or any(len(each.work.lost) >= MOST_LOST for each in makers.values()):
            self._fail(node, f"the bytes of what it reads are gone: {why}")
            return
        for uuid, each in makers.items():
            if each.outcome is not None and each.outcome.bundle == uuid:
                plan.reopen(each, uuid, why)
                self._reopen(each)
        self._ledger.suspended(node, makers.values())
        self._board.suspend(self._ledger.id(node), self._needs(makers))

    def _reopen(self, node: Node) -> None:
        self._has_reopened = True
        job_id = self._ledger.id(node)
        if job_id in self._nodes:
            self._board.reopen(job_id)
        else:
            self._nodes[job_id] = node
            self._board.add(self._job(node))

    def _fail(self, node: Node, why: str, trace: str = "", hint: str = "") -> None:
        status = self._board.fail(self._ledger.id(node), time.monotonic())
        if status is Status.FAILED and node.task.retry_count is not None:
            self._ledger.retried(node, why, trace)
        else:
            self._ledger.failed(node, why, trace, hint)

    def _job(self, node: Node) -> Job:
        task = node.task
        return Job(
            self._ledger.id(node),
            needs=self._needs(node.upstream),
            priority=task.priority,
            resources=task.process_resources(),  # type: ignore[no-untyped-call]  # luigi does not annotate its own
            attempts=task.retry_count,
            is_disabled=task.disabled,
        )

    def _needs(self, nodes: Mapping[str, Node]) -> set[str]:
        return {self._ledger.id(node) for node in self._ledger.open(nodes.values())}


def _pinned(node: Node) -> Work:
    """The work of a node, with all its inputs; what makes them is done."""
    inputs = {**node.work.inputs, **_made(node.upstream)}
    return replace(node.work, inputs=inputs, yielded=_made(node.yielded))


def _timeout_s(node: Node, otherwise_s: float | None) -> float | None:
    """How long a task may run: as it says, where it does; None: as long as it does."""
    own: float | None = node.task.worker_timeout
    return (otherwise_s if own is None else own) or None


def _made(nodes: Mapping[str, Node]) -> dict[str, str]:
    found = {name: node.outcome.bundle for name, node in nodes.items() if node.outcome}
    return {name: uuid for name, uuid in found.items() if uuid is not None}
