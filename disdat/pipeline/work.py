"""One task, in whatever process: decide with the inputs it has, then reuse what there is or make it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from disdat.catalog.queries import Filter, Row
from disdat.core import canonical
from disdat.core.bundle import Dependency, Lineage, TaskKey
from disdat.core.canonical import Json
from disdat.core.reserved import ROOT_TASK
from disdat.errors import Corrupt, InvalidInput, NotFound
from disdat.ops import bundles
from disdat.ops.bundles import Birth, BundleWriter
from disdat.pipeline import identity, params, reuse, sharing, source, turns
from disdat.pipeline.coded import Coded
from disdat.pipeline.outcome import Outcome, Suspended
from disdat.pipeline.reuse import Prior, Reuse, Run, Wanted
from disdat.pipeline.session import Session
from disdat.pipeline.task import Made, PipeTask, Running, named, state_of

_Steps = Generator[object, object, object]
Earlier = Callable[["Work"], Sequence[Row]]
"""Gives the earlier results of a task, whatever their keys, newest first."""


class _Waits(BaseException):
    """Raised through the user's code where the task cannot go on before others are made."""

    def __init__(self, tasks: Sequence[PipeTask]) -> None:
        super().__init__()
        self.tasks = tasks


_INSIDE: ContextVar[bool] = ContextVar("disdat_inside_a_task", default=False)


@dataclass(frozen=True, slots=True)
class Work:
    """A task that may have to run, with all that this takes."""

    session: Session
    task: PipeTask
    name: str
    processing_name: str
    code: Coded
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The uuid of each input, by argument."""
    yielded: Mapping[str, str] = field(default_factory=dict)
    """The uuid of what each task it yielded in an earlier attempt made, by :func:`key_of`."""
    forced: str = ""
    uuid: str | None = None
    """What the bundle's uuid is to be, if it is made."""
    why: str = ""
    """Why it is to run, where that was found out already; only a new result can change it."""
    root: Mapping[str, str] | None = None
    """For the last task of the run the tags only its output gets; None for any other."""


@dataclass(frozen=True, slots=True)
class Known:
    """A task whose inputs are known, and with them its key."""

    work: Work
    inputs: Mapping[str, Dependency]
    key: TaskKey


def inside_a_task() -> bool:
    """Whether this code was called by a task's ``pipe_run``."""
    return _INSIDE.get()


def identify(work: Work) -> Known:
    """The key *work* has with its inputs; reads their manifests."""
    inputs = work.session.given(work.inputs)
    key = identity.task_key(
        cls=work.code.name,
        params=params.identifying(work.task),
        code=work.code.component,
        inputs={argument: each.logical for argument, each in inputs.items()},
        salt=work.task.salt,
    )
    return Known(work, inputs, key)


def settle(known: Sequence[Known], earlier: Earlier) -> list[Reuse | Run]:
    """
    Decide for tasks of one run by what the context holds now; one catalog query each where they are hits.

    What *earlier* gives, only to say why a task runs, may be outdated.
    """
    if not known:
        return []
    return [_decide(each, hits, earlier) for each, hits in zip(known, _hits(known), strict=True)]


def key_of(task: PipeTask) -> str:
    """What tells a task of a run from all that are not equal to it, in every process."""
    told: dict[str, Json] = {"class": source.class_name(type(task)), "params": dict(params.identifying(task))}
    return canonical.encode(told).decode()


def perform(work: Work) -> Outcome | Suspended:
    """
    Reuse what there is, or run the task and publish what it returns, unless it has to wait for tasks it yields.

    While it works, others of this home who want the same wait, and then find it.
    """
    context = work.session.context
    context.recorded_runs.add(work.session.run.id)
    work.session.refresh(work.inputs)
    known = identify(work)
    with turns.turn(context.home, known.key.digest, params.describe(work.task)):
        [decision] = settle([known], _earlier)
        if isinstance(decision, Reuse):
            return _shared(work, reused(known, decision))
        try:
            return _shared(work, _make(known, work.why or decision.why))
        except _Waits as exc:
            return Suspended(tuple(map(named, exc.tasks)))


def reused(known: Known, decision: Reuse) -> Outcome:
    """What became of a task whose output is there already."""
    state_of(known.work.task).made = Made(known.work.session.context, decision.uuid, is_new=False)
    return Outcome("reused", decision.why, known.key.digest, decision.uuid)


def _shared(work: Work, outcome: Outcome) -> Outcome:
    """The outcome, once others can have the bundle too, where that was asked for."""
    if work.session.sharing.push and outcome.bundle is not None:
        sharing.publish(work.session.context, [outcome.bundle])
    return outcome


def _make(known: Known, why: str) -> Outcome:
    work = known.work
    clock_us = work.session.context.home.clock_us
    writer = BundleWriter(work.session.context, uuid=work.uuid)
    running = Running(writer, known.inputs, dict(work.tags))
    started_us = clock_us()
    try:
        with _running(work.task, running):
            value = _call(known)
        stopped_us = clock_us()
        lineage = Lineage(
            inputs=tuple(known.inputs.values()),
            code=work.code.ref(),
            started_us=started_us,
            stopped_us=stopped_us,
            task=known.key,
            tainted=work.code.is_tainted(),
        )
        work.session.remember(writer.close(value, _birth(work, running.tags, lineage)))
    except BaseException:
        writer.abandon()
        raise
    _remove_empty_directories(writer.path)
    state_of(work.task).made = Made(work.session.context, writer.uuid, is_new=True)
    return Outcome("made", why, known.key.digest, writer.uuid, (stopped_us - started_us) / 1_000_000)


def _call(known: Known) -> object:
    work = known.work
    if work.session.sharing.pull:
        sharing.bring(work.session.context, [each.uuid for each in known.inputs.values()])
    recorded = work.session.recorded(known.inputs)
    values = {argument: bundles.value_of(work.session.context, each) for argument, each in recorded.items()}
    value = work.task.pipe_run(**values)
    return _driven(work, cast("_Steps", value)) if inspect.isgenerator(value) else value


def _driven(work: Work, steps: _Steps) -> object:
    """What a generator returns, which is handed the data of each task it yields."""
    answer: object = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as end:
            return end.value
        try:
            answer = _answer(work, asked)
        except BaseException:
            steps.close()
            raise


def _answer(work: Work, asked: object) -> object:
    """The data of the tasks that were yielded, in the shape in which they were."""
    tasks = list(_tasks(work, asked))
    unknown = [task for task in tasks if key_of(task) not in work.yielded]
    if unknown:
        raise _Waits(unknown)
    context = work.session.context
    if work.session.sharing.pull:
        sharing.bring(context, [work.yielded[key_of(task)] for task in tasks])
    for task in tasks:
        state_of(task).made = Made(context, work.yielded[key_of(task)], is_new=False)
    return _data(asked)


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


def _data(asked: object) -> object:
    if isinstance(asked, PipeTask):
        return asked.pipe_output
    if isinstance(asked, Mapping):
        return {key: _data(each) for key, each in asked.items()}
    return [_data(each) for each in cast("Sequence[object]", asked)]


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


def _hits(known: Sequence[Known]) -> list[list[Row]]:
    """The earlier results of the very same keys, newest first; under ``version`` they do not count as such."""
    session = known[0].work.session
    if session.rerun == "version":
        return [[] for _ in known]
    return session.context.catalog.search_each([Filter(task_key=each.key.digest) for each in known])


def _earlier(work: Work) -> list[Row]:
    [rows] = work.session.earlier([(work.processing_name, work.name)])
    return rows


def _decide(known: Known, hits: Sequence[Row], earlier: Earlier) -> Reuse | Run:
    work = known.work
    wanted = Wanted(work.name, known.key, known.inputs, work.forced)
    priors = [Prior(row.uuid, row.name, wanted.key, {}, row.tainted) for row in hits]
    return reuse.decide(priors or list(_others(work, wanted, earlier)), wanted, rerun=work.session.rerun)


def _others(work: Work, wanted: Wanted, earlier: Earlier) -> Iterator[Prior]:
    """Earlier results of other keys, newest first: what may be a hit under ``version``, or else one to compare with."""
    session, catalog = work.session, work.session.context.catalog
    if work.forced or (work.why and session.rerun == "content"):
        return
    if session.rerun == "content":
        rows = earlier(work)
    else:
        # Here they decide: what was looked up before may be outdated.
        rows = catalog.by_processing_name(work.processing_name)
        if not rows and (latest := catalog.latest(work.name)):
            rows = [latest]
    for row in _worth_reading(rows, wanted):
        prior = _prior(session, row)
        # One of the very same key would have been among the hits: under ``content`` it was removed meanwhile.
        if prior and (session.rerun == "version" or prior.key is None or prior.key.digest != wanted.key.digest):
            yield prior


def _worth_reading(rows: Sequence[Row], wanted: Wanted) -> Sequence[Row]:
    """The newest rows down to the first of the wanted name: nothing older can change the decision."""
    for count, row in enumerate(rows, 1):
        if row.name == wanted.name:
            return rows[:count]
    return rows


def _prior(session: Session, row: Row) -> Prior | None:
    """An earlier result; None if it was removed meanwhile, or cannot be read."""
    try:
        lineage = session.bundle(row.uuid).lineage
    except (NotFound, Corrupt):
        return None
    inputs = {each.argument: each for each in lineage.inputs}
    return Prior(row.uuid, row.name, lineage.task, inputs, row.tainted)
