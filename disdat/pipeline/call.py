"""
A call: all that one task needs to run in any process, as plain JSON; and running it.

Parameters and the uuids of bundles go in, a bundle's uuid comes back; a value never travels but through the store.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, cast

import luigi

from disdat.context import Home
from disdat.core import canonical, manifest
from disdat.core.bundle import CodeRef
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.errors import DisdatError
from disdat.pipeline import coded, turns
from disdat.pipeline.coded import Coded
from disdat.pipeline.deciding import Work
from disdat.pipeline.outcome import Done, Ended, Failed, Named, Outcome
from disdat.pipeline.reasons import Reason
from disdat.pipeline.session import Session
from disdat.pipeline.sharing import Sharing
from disdat.pipeline.task import PipeTask, attribute, make, named, state_of
from disdat.pipeline.work import perform

_MACHINERY = ("disdat.pipeline.", "luigi.")
_KEPT_SESSIONS = 4
_KEPT_CLASSES = 256

_Fields = Mapping[str, Any]  # JSON that was written here


class Lane(StrEnum):
    """Which processes can run a call."""

    ANY = "any"
    KIN = "kin"
    """The one that planned it, and those forked from it: they have its class, which cannot be imported."""
    HERE = "here"
    """The one that planned it alone: no name leads to its class."""
    FRESH = "fresh"
    """A new one, as in this one the code was edited after it was imported."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to run one task."""

    id: str
    """Another one for each attempt."""
    task: Named
    session: Mapping[str, Json]
    """What all calls of an apply share: see :func:`session_fields`."""
    name: str
    processing_name: str
    code: Json
    """The component of the key, as it was planned."""
    code_ref: Mapping[str, Json]
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The uuid of each input, by argument."""
    yielded: Mapping[str, str] = field(default_factory=dict)
    """The uuid of what each task it yielded in an earlier attempt made, by :func:`~disdat.pipeline.observed.key_of`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    root_tags: Mapping[str, str] | None = None
    uuid: str | None = None
    forced: str = ""
    reasons: Sequence[Mapping[str, Json]] = ()
    """Why it runs, as far as that is known."""
    lost: Sequence[str] = ()
    """The uuids of earlier results whose bytes are gone."""
    has_earlier: bool = True
    priority: float = 0
    timeout_s: float | None = None
    """From when it begins; None: it may take as long as it does."""
    turns: Sequence[str] = ()
    """The keys of the tasks that wait for it in the block of their own turn."""
    lane: Lane = Lane.ANY

    def to_json(self) -> dict[str, Json]:
        fields = {name: _plain(getattr(self, name)) for name in _PLAIN}
        return {**fields, "task": self.task.to_json(), "lane": str(self.lane)}

    @classmethod
    def from_json(cls, fields: _Fields) -> Call:
        plain = {name: fields[name] for name in _PLAIN}
        return cls(task=Named.from_json(fields["task"]), lane=Lane(fields["lane"]), **plain)


_PLAIN = tuple(name for name in Call.__slots__ if name not in {"task", "lane"})


def _plain(value: object) -> Any:  # what the fields of a call hold, as JSON has it
    return dict(value) if isinstance(value, Mapping) else value


def of_work(
    work: Work,
    call_id: str,
    *,
    session: Mapping[str, Json] | None = None,
    priority: float = 0,
    timeout_s: float | None = None,
) -> Call:
    """The call that runs *work*, whose inputs must all be known; *session* is that of it, where it is at hand."""
    return Call(
        id=call_id,
        task=named(work.task),
        session=session_fields(work.session) if session is None else session,
        name=work.name,
        processing_name=work.processing_name,
        code=work.code.component,
        code_ref=_ref_fields(work.code.ref()),
        inputs=work.inputs,
        yielded=work.yielded,
        tags=work.tags,
        root_tags=work.root,
        uuid=work.uuid,
        forced=work.forced,
        reasons=[each.to_json() for each in work.reasons],
        lost=list(work.lost),
        has_earlier=work.has_earlier,
        priority=priority,
        timeout_s=timeout_s,
        turns=sorted(turns.mine()),
        lane=lane(work),
    )


def lane(work: Work) -> Lane:
    """Where a task can run: an importable class anywhere, but one that was edited in a fresh process only."""
    cls = type(work.task)
    if attribute(sys.modules.get(cls.__module__), cls.__qualname__) is not cls:
        return Lane.HERE
    if cls.__module__ == "__main__":
        return Lane.KIN
    return Lane.FRESH if work.code.is_outdated() else Lane.ANY


def run_call(call: Call) -> Done:
    """Run a call in this process, and say how it ended; it is not to run where it may not: see :class:`Lane`."""
    return Done(call.id, attempt(lambda: work_of(call)))


def attempt(prepare: Callable[[], Work]) -> Ended:
    """Do the work that *prepare* gives, with Luigi's events; what the user's code raises is told, not raised."""
    try:
        work = prepare()
    except Exception as exc:  # noqa: BLE001 - the user's module, or his parameters: he is told
        return failed(exc)
    task = work.task
    announce(task, luigi.Event.START)
    try:
        ended = perform(work)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever the user's code raises, he is told
        announce(task, luigi.Event.FAILURE, exc)
        return failed(exc)
    if isinstance(ended, Outcome):
        announce(task, luigi.Event.PROCESSING_TIME, ended.seconds)
        announce(task, luigi.Event.SUCCESS)
    return ended


def announce(task: luigi.Task, event: str, *told: object) -> None:
    """Call the handlers the user has for an event of Luigi's."""
    task.trigger_event(event, task, *told)


def session_fields(session: Session) -> dict[str, Json]:
    """What a process needs to take part in an apply."""
    return {
        "home": str(session.context.home.root),
        "context": session.context.name,
        "run": manifest.run_to_json(session.run),
        "rerun": session.rerun,
        "code_version": session.code_version,
        "packages": session.packages,
        "force_all": session.force_all,
        "verbose": session.verbose,
        "recompute": session.recompute,
        "push": session.sharing.push,
        "pull": session.sharing.pull,
        "commit": session.sharing.commit,
    }


def work_of(call: Call) -> Work:
    """What a call asks for; raises what importing the class does, and making the task."""
    session, task = session_of(call.session), make(call.task)
    state = state_of(task)
    state.session, state.name, state.processing_name = session, call.name, call.processing_name
    own = _coded(type(task), session)
    return Work(
        session=session,
        task=task,
        name=call.name,
        processing_name=call.processing_name,
        code=coded.as_planned(own, call.code, _ref(call.code_ref)),
        tags=call.tags,
        inputs=call.inputs,
        yielded=call.yielded,
        forced=call.forced,
        uuid=call.uuid,
        reasons=tuple(map(Reason.from_json, call.reasons)),
        lost=call.lost,
        has_earlier=call.has_earlier,
        root=call.root_tags,
    )


@lru_cache(maxsize=_KEPT_CLASSES)
def _coded(cls: type[PipeTask], session: Session) -> Coded:
    """The code of a class as it was when this process first met it in a run."""
    return coded.of_class(cls, session)


def session_of(fields: Mapping[str, Json]) -> Session:
    """The apply that :func:`session_fields` told of, as this process takes part in it."""
    return _session_of(canonical.encode(dict(fields)))


@lru_cache(maxsize=_KEPT_SESSIONS)
def _session_of(encoded: bytes) -> Session:
    fields = cast("Any", canonical.decode(encoded))  # as session_fields() wrote it
    return Session(
        Home(Path(fields["home"])).context(fields["context"]),
        manifest.run_from_json(fields["run"]),
        rerun=fields["rerun"],
        code_version=fields["code_version"],
        packages=fields["packages"],
        force_all=fields["force_all"],
        verbose=fields["verbose"],
        recompute=fields["recompute"],
        sharing=Sharing(push=fields["push"], pull=fields["pull"], commit=fields["commit"]),
    )


def _ref_fields(ref: CodeRef) -> dict[str, Json]:
    return {name: getattr(ref, name) for name in CodeRef.__slots__}


def _ref(fields: _Fields) -> CodeRef:
    counted = fields["digest"]
    return CodeRef(**{**fields, "digest": None if counted is None else Digest.parse(counted)})


def failed(exc: BaseException) -> Failed:
    """What was raised, with the user's own frames; what we refuse in no line of his has none, and says how to go on."""
    if not isinstance(exc, DisdatError):
        return Failed(traceback.format_exception_only(exc)[-1].strip(), _shown(exc))
    is_ours_alone = all(_module(frame).startswith("disdat.") for frame, _ in traceback.walk_tb(exc.__traceback__))
    told = exc.message if is_ours_alone else _shown(exc)
    return Failed(exc.message, f"{told}\nhint: {exc.hint}" if exc.hint else told, exc.hint)


def _shown(exc: BaseException) -> str:
    return "".join(traceback.format_exception(type(exc), exc, _own_frames(exc.__traceback__))).rstrip()


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not luigi's or the pipeline's."""
    while trace is not None and _module(trace.tb_frame).startswith(_MACHINERY):
        trace = trace.tb_next
    return trace


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
