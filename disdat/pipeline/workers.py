"""
Luigi's workers, running the tasks a plan left open.

What Luigi schedules are :class:`Step`, not the user's tasks: two tasks may share Luigi's id, and a step knows at
once whether it is done. A worker process gets the uuids of the step's inputs and gives back what became of it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, NoReturn, cast

import luigi
from luigi.worker import Worker

from disdat.core.canonical import Json
from disdat.errors import InvalidInput
from disdat.pipeline import noise, params
from disdat.pipeline.outcome import Outcome, Suspended
from disdat.pipeline.plan import Node
from disdat.pipeline.scheduler import Local, Remote
from disdat.pipeline.task import Made, Uncached, state_of
from disdat.pipeline.work import Work, perform

logger = logging.getLogger("disdat.pipeline")

_MACHINERY = ("disdat.pipeline.", "luigi.")


class Step(luigi.Task, metaclass=Uncached):
    """One task that has to run, or to be decided when its inputs are there."""

    _visible_in_registry = False

    def __init__(self, work: Work, number: int, made_by: Mapping[str, Step], results: dict[str, Outcome]) -> None:
        self.work = work  # first: luigi asks for the parameters at once
        super().__init__()  # type: ignore[no-untyped-call]  # luigi does not annotate its own
        self.made_by = made_by
        """The steps that make those inputs that are not there yet, by argument."""
        self.results = results
        self.driver = os.getpid()
        """The process that schedules; in any other one this is a copy, and the process is there for this step only."""
        self.task_id = f"{work.task.task_id}-{work.session.run.id[:8]}-{number}"
        self.priority = work.task.priority
        self.resources = work.task.resources
        self.worker_timeout = work.task.worker_timeout
        self.disabled = work.task.disabled

    def __hash__(self) -> int:
        return hash(self.task_id)

    def __repr__(self) -> str:
        return params.describe(self.work.task)

    def __reduce__(self) -> tuple[Callable[..., Step], tuple[Work, str]]:
        return _restore, (self.pinned(), self.task_id)

    def pinned(self) -> Work:
        """The work, with all its inputs; the steps that make them are done."""
        made = {argument: self.results[step.task_id].bundle for argument, step in self.made_by.items()}
        inputs = {argument: uuid for argument, uuid in made.items() if uuid is not None}
        return replace(self.work, inputs={**self.work.inputs, **inputs})

    @property
    def _task(self) -> luigi.Task:
        return self.work.task

    # What luigi asks

    @classmethod
    def get_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """None: they are the task's. Luigi asks often, and would look through all of the class each time."""
        return []

    @property
    def task_family(self) -> str:
        return str(self._task.get_task_family())

    @property
    def task_module(self) -> str:
        return type(self.work.task).__module__

    @property
    def retry_count(self) -> Any:  # luigi: an int or None
        return self.work.task.retry_count

    def to_str_params(self, only_significant: bool = False, only_public: bool = False) -> dict[str, str]:
        return cast("dict[str, str]", self._task.to_str_params(only_significant, only_public))

    def trigger_event(self, event: str, *args: object, **kwargs: object) -> None:
        given = [self.work.task if each is self else each for each in args]
        self._task.trigger_event(event, *given, **kwargs)

    def complete(self) -> bool:
        outcome = self.results.get(self.task_id)
        return outcome is not None and outcome.decision != "failed"

    def requires(self) -> list[Step]:
        return list(self.made_by.values())

    def run(self) -> None:
        if os.getpid() != self.driver:
            _raise_when_ended()
        try:
            outcome = perform(self.pinned())
            if isinstance(outcome, Suspended):
                raise InvalidInput("a task that yields others runs with one worker only")
            self.results[self.task_id] = outcome
        except _Ended as exc:
            # Whoever ended this process knows why, and would take what luigi tells for the reason.
            sys.stdout.flush()
            os._exit(exc.status)

    def on_success(self) -> Json:
        outcome = self.results[self.task_id]
        return [outcome.decision, outcome.why, outcome.key, outcome.bundle, outcome.seconds]

    def on_failure(self, exception: BaseException) -> Json:
        show(self.work, exception)
        return ["failed", summary(exception), None, None, 0.0]


def run_nodes(nodes: Sequence[Node], *, workers: int, central: bool) -> None:
    """Run what is open; afterwards every node has its outcome."""
    results: dict[str, Outcome] = {}
    steps: dict[Node, Step] = {}
    for number, node in enumerate(nodes):
        if node.outcome is None:
            made_by = {argument: steps[each] for argument, each in node.upstream.items() if each in steps}
            steps[node] = Step(node.work, number, made_by, results)
            node.work.code.ref()  # here, as each process would have to ask git again
    try:
        run([list(steps.values())[-1]], results, workers=workers, central=central)  # it needs all others
    finally:
        for node, step in steps.items():
            node.outcome = results.get(step.task_id)
    for node in steps:
        _conclude(node)


def _conclude(node: Node) -> None:
    """Give a node that did not run its outcome, and a task whose work was done elsewhere its output."""
    if node.outcome is None:
        faulty = [each for each in node.upstream.values() if each.outcome and each.outcome.decision == "failed"]
        names = ", ".join(params.describe(each.task) for each in faulty)
        node.outcome = Outcome("failed", f"not run: {names} failed")
    if node.outcome.bundle is not None:
        is_new = node.outcome.decision == "made"
        state_of(node.task).made = Made(node.work.session.context, node.outcome.bundle, is_new=is_new)


def run(steps: Iterable[Step], results: dict[str, Outcome], *, workers: int, central: bool) -> None:
    """
    Run *steps*, each after those it needs, and put what became of each into *results*, by task id.

    A step that failed is in there too; one whose input failed is not.
    """
    scheduler = Remote(results) if central else Local(results)
    worker: Any = _Worker(  # luigi does not annotate its own
        scheduler=scheduler,
        worker_processes=workers,
        keep_alive=False,
        # What is complete was decided when the plan was made.
        check_unfulfilled_deps=False,
        send_failure_email=False,
        # A signal handler can be set in the main thread only, and would replace the user's.
        no_install_shutdown_handler=True,
    )
    with worker:
        for step in steps:
            worker.add(step)
        worker.run()


def show(work: Work, exception: BaseException) -> None:
    """Log what a task raised, as the user's own traceback."""
    shown = "".join(traceback.format_exception(type(exception), exception, own_frames(exception.__traceback__)))
    logger.error("%s failed\n%s", params.describe(work.task), shown.rstrip())


def summary(exception: BaseException) -> str:
    """An exception in one line."""
    return traceback.format_exception_only(exception)[-1].strip()


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not luigi's or the pipeline's."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_MACHINERY):
        trace = trace.tb_next
    return trace


class _Worker(Worker):
    """Luigi's worker, but what a task in this process came to reaches it without a pipe and a thread."""

    def __init__(self, **kwargs: Any) -> None:  # luigi's
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # luigi does not annotate its own
        # Luigi only puts, gets and closes.
        self._results = Results(self._task_result_queue)
        self._task_result_queue = self._results  # type: ignore[assignment]

    def _create_task_process(self, task: luigi.Task) -> Any:  # luigi's
        process: Any = super()._create_task_process(task)  # type: ignore[no-untyped-call]  # as above
        if process.use_multiprocessing:
            self._results.expect_processes()
        return process


class Results:
    """What became of tasks, as luigi puts it: those of other processes through *elsewhere*."""

    def __init__(self, elsewhere: multiprocessing.Queue[object]) -> None:
        self._elsewhere = elsewhere
        self._here: deque[object] = deque()
        self._driver = os.getpid()
        self._has_processes = False

    def expect_processes(self) -> None:
        """From now on other processes may put something."""
        self._has_processes = True

    def put(self, result: object) -> None:
        if os.getpid() == self._driver:
            self._here.append(result)
        else:
            self._elsewhere.put(result)

    def get(self, timeout: float) -> object:
        if not self._here:
            return self._elsewhere.get(timeout=timeout)
        if self._has_processes:
            # That a process died is put here: what it told before has been there for longer.
            with suppress(queue.Empty):
                return self._elsewhere.get_nowait()
        return self._here.popleft()

    def close(self) -> None:
        self._elsewhere.close()


def _restore(work: Work, task_id: str) -> Step:
    """A step in a worker process that was not forked."""
    noise.set_luigis(verbose=work.session.verbose)
    step = Step(work, 0, {}, {})
    step.task_id, step.driver = task_id, 0
    return step


class _Ended(BaseException):
    """Raised in a worker process that is told to end."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _raise_when_ended() -> None:
    """Make the signals that end this worker process raise, so that what its task began is removed."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # An interrupt reaches this process and its parent, who then terminates it: the second signal may not
    # cut short what the first one set off.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise _Ended(128 + number)
