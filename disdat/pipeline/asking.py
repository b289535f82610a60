"""
Why a task ran, or did not: what its run decided, and what its result was known by.

The decisions of each run are kept with it, skips too; the components of a result's key are kept with the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Run
from disdat.core.canonical import Json
from disdat.core.event import Event
from disdat.errors import NotFound
from disdat.ops import find
from disdat.pipeline import params
from disdat.pipeline.loading import load_class
from disdat.pipeline.task import PipeTask, build

LOOKED_BACK = 200
"""So many of the newest runs are looked through for a decision."""

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
    """When the run ended, µs since the epoch."""
    run: Run | None
    because: Sequence[Decided] = ()
    """What the same run made anew of what this one read, each with what that was because of."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a task ran, or why its result was used again."""

    last: Decided
    made: Decided | None
    """Of a result that was used again, what the run decided that made it, as far as that is known."""
    components: Mapping[str, Json] = field(default_factory=dict)
    """What the result's key was made of: ``class``, ``params``, ``code``, ``inputs``, perhaps ``salt``."""
    inputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The name and uuid of each bundle that was read, by argument."""

    def to_json(self) -> dict[str, Json]:
        return {
            "last": self.last.to_json(),
            "made": None if self.made is None else self.made.to_json(),
            "components": dict(self.components),
            "inputs": {argument: {"name": name, "uuid": uuid} for argument, (name, uuid) in self.inputs.items()},
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

    Raises:
        NotFound: No task of a run that is known made it.
    """
    made = _made(context, row.uuid)
    last = _last(context, lambda each: each["bundle"] == row.uuid)
    if last is None:
        last = made
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
    inputs = {each.argument: (each.name, each.uuid) for each in bundle.lineage.inputs} if bundle else {}
    return Answer(last, None if last.decision == "made" else made, components, inputs)


def _last(context: Context, is_meant: Any) -> Decided | None:  # a function of a decision
    for event in islice(context.catalog.decided(), LOOKED_BACK):
        told = _tasks(event)
        for each in reversed(told):  # of several with one name the one that needs the others
            if is_meant(each):
                return _decided(context, each, told, event)
    return None


def _made(context: Context, uuid: str) -> Decided | None:
    """What the run decided that made a bundle."""
    bundle = _bundle(context, uuid)
    if bundle is None or bundle.lineage.run is None:
        return None
    run_id = bundle.lineage.run.id
    event = next((each for each in context.catalog.decided() if each.payload["run"] == run_id), None)
    if event is None:
        return None
    told = _tasks(event)
    found = (each for each in told if each["bundle"] == uuid and each["decision"] == "made")
    return next((_decided(context, each, told, event) for each in found), None)


def _tasks(event: Event) -> Sequence[_Fields]:
    return cast("Sequence[_Fields]", event.payload["tasks"])


def _decided(context: Context, each: _Fields, told: Sequence[_Fields], event: Event) -> Decided:
    run = context.catalog.run(cast("str", event.payload["run"]))
    by_bundle = {one["bundle"]: one for one in told if one["decision"] == "made"}
    return _traced(context, each, by_bundle, event.time_us, run, set())


def _traced(
    context: Context,
    each: _Fields,
    made: Mapping[str, _Fields],
    time_us: int,
    run: Run | None,
    seen: set[str],
) -> Decided:
    """A decision, with those of the inputs that it names: each once, so that it stays as long as the graph is."""
    because: list[Decided] = []
    if each["decision"] == "made" and len(seen) < LOOKED_BACK:
        for uuid in _changed_inputs(context, each):
            if uuid in made and uuid not in seen:
                seen.add(uuid)
                because.append(_traced(context, made[uuid], made, time_us, run, seen))
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


def _changed_inputs(context: Context, each: _Fields) -> list[str]:
    """The uuids of the inputs that a decision says were why."""
    named = {text.split()[1] for text in str(each["why"]).split("; ") if text.startswith("input ")}
    bundle = _bundle(context, each["bundle"]) if named else None
    return [given.uuid for given in bundle.lineage.inputs if given.argument in named] if bundle else []


def _bundle(context: Context, uuid: str | None) -> Bundle | None:
    return None if uuid is None else context.catalog.bundles([uuid]).get(uuid)
