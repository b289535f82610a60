"""One task, in whatever process: decide with the inputs it has, then reuse what there is or make it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import cast

from disdat.context import Context
from disdat.core.bundle import Bundle, Dependency, Lineage
from disdat.core.reserved import ROOT_TASK
from disdat.errors import InvalidInput, ObjectNotFound
from disdat.ops import bundles, watching
from disdat.ops.bundles import Birth, BundleWriter
from disdat.pipeline import observed, params, sharing, turns
from disdat.pipeline.deciding import Ask, Known, Work, identify, look_back, settle
from disdat.pipeline.observed import Observer, key_of
from disdat.pipeline.outcome import Lacking, Outcome, Suspended
from disdat.pipeline.reasons import Reason, told
from disdat.pipeline.reuse import Reuse, Run
from disdat.pipeline.task import Made, PipeTask, Running, named, state_of

_Steps = Generator[object, object, object]


class _Waits(BaseException):
    """Raised through the user's code where the task cannot go on before others are made."""

    def __init__(self, tasks: Sequence[PipeTask]) -> None:
        super().__init__()
        self.tasks = tasks


class _Lacks(BaseException):
    """Raised, likewise, where the bytes of bundles that it reads are gone."""

    def __init__(self, uuids: Sequence[str], why: str) -> None:
        super().__init__()
        self.uuids = uuids
        self.why = why


_INSIDE: ContextVar[bool] = ContextVar("disdat_inside_a_task", default=False)


def inside_a_task() -> bool:
    """Whether this code was called by a task's ``pipe_run``."""
    return _INSIDE.get()


def perform(work: Work) -> Outcome | Suspended | Lacking:
    """
    Reuse what there is, or run the task and publish what it returns, unless it has to wait for tasks it yields.

    While it works, others of this home who want the same wait, and then find it.
    """
    context = work.session.context
    context.recorded_runs.add(work.session.run.id)
    work.session.refresh(work.inputs)
    work.session.look_again()
    known = identify(work, work.inputs)
    with turns.turn(context.home, known.key.digest, params.describe(work.task)):
        [decision] = settle([known], look_back)
        if isinstance(decision, Reuse):
            return _shared(work, reused(known, decision))
        try:
            return _shared(work, _make(known, work.reasons or _reasons(decision)))
        except _Waits as exc:
            return Suspended(tuple(map(named, exc.tasks)))
        except _Lacks as exc:
            return Lacking(tuple(exc.uuids), exc.why)


def reused(known: Known, decision: Reuse) -> Outcome:
    """What became of a task whose output is there already."""
    state_of(known.work.task).made = Made(known.work.session.context, decision.uuid, is_new=False)
    saved_s = known.work.session.took_s.get(decision.uuid)
    return Outcome("reused", decision.why, known.key.digest, decision.uuid, saved_s=saved_s)


def _reasons(decision: Run | Ask) -> tuple[Reason, ...]:
    if isinstance(decision, Run):
        return decision.reasons
    about = observed.describe(decision.tasks[0])
    return (Reason("observed", f"{about}, which it yielded, has to be looked for while it runs", about),)


def _shared(work: Work, outcome: Outcome) -> Outcome:
    """The outcome, once others can have the bundle too, where that was asked for."""
    if work.session.sharing.push and outcome.bundle is not None:
        sharing.publish(work.session.context, [outcome.bundle])
    return outcome


def _make(known: Known, reasons: tuple[Reason, ...]) -> Outcome:
    work = known.work
    clock_us = work.session.context.home.clock_us
    writer = BundleWriter(work.session.context, uuid=work.uuid)
    running = Running(writer, known.inputs, dict(work.tags), Observer(work.session))
    started_us = clock_us()
    try:
        with _running(work.task, running):
            value = _call(known, running)
        stopped_us = clock_us()
        lineage = Lineage(
            inputs=(*known.inputs.values(), *running.yielded.values()),
            code=work.code.ref(),
            started_us=started_us,
            stopped_us=stopped_us,
            task=known.key,
            observed=running.observer.listed(),
            tainted=work.code.is_tainted(),
        )
        work.session.remember(writer.close(value, _birth(work, running.tags, lineage)))
    except BaseException:
        writer.abandon()
        raise
    _remove_empty_directories(writer.path)
    state_of(work.task).made = Made(work.session.context, writer.uuid, is_new=True)
    seconds = (stopped_us - started_us) / 1_000_000
    return Outcome("made", told(reasons), known.key.digest, writer.uuid, seconds, reasons)


def _call(known: Known, running: Running) -> object:
    work = known.work
    values = _values(work, known.inputs)
    with watching.watched(running.observer.found):
        value = work.task.pipe_run(**values)
        return _driven(work, running, cast("_Steps", value)) if inspect.isgenerator(value) else value


def _values(work: Work, inputs: Mapping[str, Dependency]) -> dict[str, object]:
    """The values of the inputs, by argument."""
    session = work.session
    if session.sharing.pull:
        _each_there([each.uuid for each in inputs.values()], lambda uuids: sharing.bring(session.context, uuids))
    recorded = session.recorded(inputs)
    values: dict[str, object] = {}

    def read(uuids: Sequence[str]) -> None:
        wanted = set(uuids)
        for argument, bundle in recorded.items():
            if bundle.uuid in wanted:
                values[argument] = bundles.value_of(session.context, bundle)

    _each_there([bundle.uuid for bundle in recorded.values()], read)
    return values


def _each_there(uuids: Sequence[str], use: Callable[[Sequence[str]], None]) -> None:
    """Use bundles whose bytes may be gone; which those are is then told to who can have them made again."""
    try:
        use(uuids)
    except ObjectNotFound as exc:
        if found := gone(uuids, use):
            raise _Lacks(found, str(exc)) from exc


def gone(uuids: Iterable[str], use: Callable[[Sequence[str]], object]) -> list[str]:
    """Those of some bundles whose bytes are gone, which is found out by using each."""
    return [uuid for uuid in dict.fromkeys(uuids) if _is_gone(uuid, use)]


def _is_gone(uuid: str, use: Callable[[Sequence[str]], object]) -> bool:
    try:
        use([uuid])
    except ObjectNotFound:
        return True
    return False


def _driven(work: Work, running: Running, steps: _Steps) -> object:
    """What a generator returns, which is handed the data of each task it yields."""
    answer: object = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as end:
            return end.value
        try:
            answer = _answer(work, running, asked)
        except BaseException:
            steps.close()
            raise


def _answer(work: Work, running: Running, asked: object) -> object:
    """The data of the tasks that were yielded, in the shape in which they were."""
    tasks = list(_tasks(work, asked))
    unknown = [task for task in tasks if key_of(task) not in work.yielded]
    if unknown:
        raise _Waits(unknown)
    context, uuids = work.session.context, [work.yielded[key_of(task)] for task in tasks]
    if work.session.sharing.pull:
        _each_there(uuids, lambda some: sharing.bring(context, some))
    given = work.session.given({uuid: uuid for uuid in uuids})
    for task, uuid in zip(tasks, uuids, strict=True):
        state_of(task).made = Made(context, uuid, is_new=False)
        _note(running, task, given[uuid])
    read = work.session.recorded(given)
    return _data(asked, lambda task: _output(context, read[work.yielded[key_of(task)]]))


def _note(running: Running, task: PipeTask, given: Dependency) -> None:
    """Have a task that was yielded among the inputs of what is made, by its id."""
    key = key_of(task)
    if key not in running.noted:
        running.noted.add(key)
        argument = observed.argument_of(task, running.inputs, running.yielded)
        running.yielded[argument] = replace(given, argument=argument)
        running.observer.yielded(task, running.yielded[argument], left_out=state_of(task).left_out)


def _tasks(work: Work, asked: object) -> Iterator[PipeTask]:
    if isinstance(asked, PipeTask):
        yield asked
    elif isinstance(asked, list | tuple):
        for each in asked:
            yield from _tasks(work, each)
    elif isinstance(asked, Mapping):
        yield from _tasks(work, list(asked.values()))
    else:
        raise InvalidInput(
            f"pipe_run of {type(work.task).__name__} yields {asked!r}, which is no task",
            hint="yield what self.yield_dependency(CLASS, PARAMS) gives, or a list of such",
        )


def _data(asked: object, output: Callable[[PipeTask], object]) -> object:
    if isinstance(asked, PipeTask):
        return output(asked)
    if isinstance(asked, Mapping):
        return {key: _data(each, output) for key, each in asked.items()}
    return [_data(each, output) for each in cast("Sequence[object]", asked)]


def _output(context: Context, bundle: Bundle) -> object:
    try:
        return bundles.value_of(context, bundle)
    except ObjectNotFound as exc:
        raise _Lacks([bundle.uuid], str(exc)) from exc


def _birth(work: Work, tags: Mapping[str, str], lineage: Lineage) -> Birth:
    root = {} if work.root is None else {**work.root, ROOT_TASK: "True"}
    return Birth(
        name=work.name,
        processing_name=work.processing_name,
        tags={**tags, **root},
        params=params.recorded(work.task),
        lineage=lineage,
        run=work.session.run,
        task=params.describe(work.task),
        committed=work.session.sharing.commits(tags),
    )


@contextmanager
def _running(task: PipeTask, running: Running) -> Iterator[None]:
    token = _INSIDE.set(True)
    state_of(task).running = running
    try:
        yield
    finally:
        state_of(task).running = None
        _INSIDE.reset(token)


def _remove_empty_directories(root: Path) -> None:
    """Remove what the task asked for and did not use; the bundle's own directory, too, if nothing is in it."""
    for directory, _, _ in os.walk(root, topdown=False):
        if not os.listdir(directory):
            os.rmdir(directory)
