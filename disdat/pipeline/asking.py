"""
Why a task ran, or did not: what its run decided, and what its result was known by.

The decisions of each run are kept with it, skips too; the components of a result's key are kept with the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, cast

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Lineage, Run
from disdat.core.canonical import Json
from disdat.core.event import Event
from disdat.errors import NotFound
from disdat.ops import find
from disdat.pipeline import observed, params
from disdat.pipeline.loading import load_class
from disdat.pipeline.task import PipeTask, build

LOOKED_BACK = 200
"""So many of the newest runs are looked through for a decision."""

_NOT_KNOWN = "made elsewhere: what its run decided is not known here"
_Fields = Mapping[str, Any]  # a decision, as a run recorded it


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What a run decided for a task: ``made``, ``reused``, ``failed``, ``not run`` or ``interrupted``."""

    task: str
    decision: str
    why: str
    bundle: str | None
    seconds: float
    time_us: int
    """When it was made, or else the run ended, µs since the epoch."""
    run: Run | None
    because: Sequence[Decided] = ()
    """What the same run decided for those of its inputs that were why, each with what that was because of."""
    reasons: Sequence[Mapping[str, Json]] = ()
    """Each reason by itself: its kind, its text, what it is about, what that was and is."""

    def to_json(self) -> dict[str, Json]:
        return {
            "task": self.task,
            "decision": self.decision,
            "why": self.why,
            "reasons": list(self.reasons),
            "bundle": self.bundle,
            "seconds": self.seconds,
            "time": self.time_us,
            "run": None if self.run is None else {"id": self.run.id, "user": self.run.user, "host": self.run.host},
            "because": [each.to_json() for each in self.because],
        }


class Read(NamedTuple):
    """A bundle that was read."""

    name: str
    uuid: str
    yielded: str | None = None
    """Of the output of a task that was yielded that task, ``Train(gamma=0.1)``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a task ran, or why its result was used again."""

    last: Decided
    made: Decided | None
    """Of a result that was used again, what the run decided that made it, as far as that is known."""
    components: Mapping[str, Json] = field(default_factory=dict)
    """What the result's key was made of: ``class``, ``params``, ``code``, ``inputs``, perhaps ``salt``."""
    inputs: Mapping[str, Read] = field(default_factory=dict)
    """Each bundle that was read, by argument."""
    compared: Mapping[str, str] = field(default_factory=dict)
    """The tasks that made the earlier results that reasons are against, by the uuids of these."""

    def to_json(self) -> dict[str, Json]:
        return {
            "last": self.last.to_json(),
            "made": None if self.made is None else self.made.to_json(),
            "components": dict(self.components),
            "inputs": {argument: each._asdict() for argument, each in self.inputs.items()},
            "compared": dict(self.compared),
        }


def ask(context: Context, what: str | type[PipeTask], given: Mapping[str, object] | None = None) -> Answer:
    """
    :func:`of_bundle` of the bundle that *what* refers to, or else :func:`of_task` of the class it names.

    Raises:
        NotFound: There is neither, or no run decided about it.
        InvalidInput: The parameters *given* are not the class's.
    """
    if isinstance(what, str):
        row = bundle_named(context, what) if given is None else None
        if row is not None:
            return of_bundle(context, row)
        what = load_class(what)
    meant = None if given is None else params.describe(build(what, given))
    return of_task(context, family(what), meant)


def family(cls: type[PipeTask]) -> str:
    """What the tasks of a class are called by, before their parameters."""
    found: str = cls.get_task_family()  # type: ignore[no-untyped-call]  # luigi does not annotate its own
    return found


def bundle_named(context: Context, what: str) -> Row | None:
    """The bundle that *what* refers to; None where there is none, and it may name a class."""
    try:
        return find.resolve(context, what)
    except NotFound:
        if "." in what and all(part.isidentifier() for part in what.split(".")):
            return None
        raise


def of_bundle(context: Context, row: Row) -> Answer:
    """
    Why a bundle was made, and why the last run that used it again did.

    Of one that was made elsewhere, and pulled, who made it: what was decided is kept where it was.

    Raises:
        NotFound: No task made it.
    """
    made = _made(context, row.uuid)
    last = _last(context, lambda each: each["bundle"] == row.uuid) or made
    if last is None:
        code = context.catalog.bundle(row.uuid).lineage.code
        how = f"it was made by {code.method}" if code and code.method else "nothing is recorded of how it was made"
        raise NotFound(f"no run is known that decided about {row.name} {row.uuid[:8]}: {how}")
    return _answer(context, last, made)


def of_task(context: Context, called: str, task: str | None = None) -> Answer:
    """
    Why the task *task* (``Train(gamma=0.1)``) ran or did not when a run last decided about it.

    Where that is None, the task *called* so, with whatever parameters, that a run decided about last.

    Raises:
        NotFound: No run decided about it.
    """

    def is_meant(each: _Fields) -> bool:
        return bool(each["task"] == task) if task else str(each["task"]).startswith(f"{called}(")

    last = _last(context, is_meant)
    if last is None:
        raise NotFound(
            f"no run in {context.name} decided about {task or called}", hint="`dsdt plan` says what an apply would do"
        )
    made = _made(context, last.bundle) if last.bundle is not None else None
    return _answer(context, last, made)


def _answer(context: Context, last: Decided, made: Decided | None) -> Answer:
    bundle = _bundle(context, last.bundle)
    components = bundle.lineage.task.components if bundle and bundle.lineage.task else {}
    inputs = _inputs(bundle.lineage) if bundle else {}
    told = [last] if made is None else [last, made]
    against = {str(each["against"]): "" for decided in told for each in decided.reasons if "against" in each}
    compared = {uuid: _maker(each) for uuid, each in context.catalog.bundles(list(against)).items()}
    return Answer(last, None if last.decision == "made" else made, components, inputs, compared)


def _inputs(lineage: Lineage) -> dict[str, Read]:
    yielded = {str(each["argument"]): observed.describe(each) for each in observed.yielded(lineage)}
    return {each.argument: Read(each.name, each.uuid, yielded.get(each.argument)) for each in lineage.inputs}


def _maker(bundle: Bundle) -> str:
    ref = bundle.lineage.run
    return ref.task if ref is not None and ref.task else bundle.name


def _last(context: Context, is_meant: Any) -> Decided | None:  # a function of a decision
    for event in islice(context.catalog.decided(), LOOKED_BACK):
        told = _tasks(event)
        for each in reversed(told):  # of several with one name the one that needs the others
            if is_meant(each):
                run = context.catalog.run(cast("str", event.payload["run"]))
                return _traced(each, told, event.time_us, run, set())
    return None


def _made(context: Context, uuid: str) -> Decided | None:
    """What the run decided that made a bundle; None where no task did."""
    bundle = _bundle(context, uuid)
    if bundle is None or bundle.lineage.run is None:
        return None
    told = context.catalog.decisions(bundle.lineage.run.id)
    for each in told:
        if each["bundle"] == uuid and each["decision"] == "made":
            return _traced(each, told, bundle.created_us, context.catalog.run(bundle.lineage.run.id), set())
    return None if bundle.lineage.task is None else _elsewhere(context, bundle)


def _elsewhere(context: Context, bundle: Bundle) -> Decided:
    """What the bundle itself tells, where the decisions of the run that made it are not here."""
    lineage = bundle.lineage
    seconds = ((lineage.stopped_us or 0) - (lineage.started_us or 0)) / 1_000_000
    run = None if lineage.run is None else context.catalog.run(lineage.run.id)
    return Decided(_maker(bundle), "made", _NOT_KNOWN, bundle.uuid, seconds, bundle.created_us, run)


def _tasks(event: Event) -> Sequence[_Fields]:
    return cast("Sequence[_Fields]", event.payload["tasks"])


def _traced(each: _Fields, told: Sequence[_Fields], time_us: int, run: Run | None, seen: set[int]) -> Decided:
    """A decision, with those of the inputs that were why: each once, so that it stays as long as the graph is."""
    because: list[Decided] = []
    for number in _why(each, told):
        if number not in seen and len(seen) < LOOKED_BACK:
            seen.add(number)
            because.append(_traced(told[number], told, time_us, run, seen))
    return Decided(
        task=each["task"],
        decision=each["decision"],
        why=each["why"],
        bundle=each["bundle"],
        seconds=each["seconds"],
        time_us=time_us,
        run=run,
        because=tuple(because),
        reasons=each.get("reasons", ()),
    )


def _why(each: _Fields, told: Sequence[_Fields]) -> list[int]:
    """The numbers of the decisions of its run that one follows from: of what ran the inputs it names, else faults."""
    inputs = {argument: number for argument, number in each.get("inputs", {}).items() if isinstance(number, int)}
    if each["decision"] != "made":
        return [number for number in inputs.values() if told[number]["bundle"] is None]
    named = {reason.get("about") for reason in each.get("reasons", ()) if reason["kind"] in {"input", "observed"}}
    made = {argument: number for argument, number in inputs.items() if told[number]["decision"] == "made"}
    return [number for argument, number in made.items() if argument in named or told[number]["task"] in named]


def _bundle(context: Context, uuid: str | None) -> Bundle | None:
    return None if uuid is None else context.catalog.bundles([uuid]).get(uuid)
