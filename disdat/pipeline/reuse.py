"""
Run or reuse: the decision for one task, from values alone.

Under ``rerun="content"`` any earlier result with the same key is a hit, so an input that was made again with
equal content changes nothing, and going back to old parameters or code finds the old result. Under
``rerun="version"`` only the newest result counts, and a newer version of an input makes the task run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from disdat.core.bundle import Dependency, TaskKey
from disdat.pipeline import reasons
from disdat.pipeline.reasons import NO_EARLIER_RESULT, Reason

Rerun = Literal["content", "version"]


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier result. Without a key it was not made by a task of ours, and is never reused."""

    uuid: str
    name: str
    key: TaskKey | None
    inputs: Mapping[str, Dependency]
    tainted: bool = False
    faults: tuple[Reason, ...] = ()
    """What else keeps it from being used: its bytes are gone, or what it observed is another now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The result that is wanted: its human name, its key, and its inputs by argument."""

    name: str
    key: TaskKey
    inputs: Mapping[str, Dependency]
    forced: str = ""
    """Why it is to be made in any case; empty where it is not."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """The bundle *uuid* is what is wanted."""

    uuid: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """The task has to run; there is one reason at least."""

    reasons: tuple[Reason, ...]

    @property
    def why(self) -> str:
        """The reasons for people, in one line."""
        return reasons.told(self.reasons)


def decide(priors: Sequence[Prior], wanted: Wanted, *, rerun: Rerun) -> Reuse | Run:
    """
    Whether the task runs, and why. *priors* come newest first.

    Priors that do not fit only serve to say why the task runs: what differs from the first of its class.
    """
    if wanted.forced:
        return Run((Reason("forced", wanted.forced),))
    mine = [prior for prior in priors if prior.key and prior.key.algorithm == wanted.key.algorithm]
    by = _by_content if rerun == "content" else _by_version
    return by(mine, wanted)


def differences(prior: Prior, wanted: Wanted) -> list[Reason]:
    """Why a prior, which has a key, is not what is wanted, whatever its inputs are."""
    assert prior.key is not None
    return _against(prior, [*_faults(prior, wanted), *reasons.differences(prior.key, wanted.key, inputs=False)])


def _by_content(priors: Sequence[Prior], wanted: Wanted) -> Reuse | Run:
    same = [prior for prior in priors if prior.key and prior.key.digest == wanted.key.digest]
    for prior in same:
        if not list(_faults(prior, wanted)):
            return Reuse(prior.uuid, "same code, parameters and input content")
    for prior in same or _of_class(priors, wanted):
        assert prior.key is not None  # decide() left those without one out
        found = [*_faults(prior, wanted), *reasons.differences(prior.key, wanted.key)]
        return Run(tuple(_against(prior, found)))
    return Run((NO_EARLIER_RESULT,))


def _by_version(priors: Sequence[Prior], wanted: Wanted) -> Reuse | Run:
    own = _of_class(priors, wanted)
    named = [prior for prior in own if prior.name == wanted.name]
    for prior in named or own:
        found = [*differences(prior, wanted), *_against(prior, _newer_inputs(prior, wanted))]
        return Run(tuple(found)) if found else Reuse(prior.uuid, "same code, parameters and input versions")
    return Run((NO_EARLIER_RESULT,))


def _against(prior: Prior, found: Iterable[Reason]) -> list[Reason]:
    return [replace(each, against=prior.uuid) for each in found]


def _of_class(priors: Sequence[Prior], wanted: Wanted) -> list[Prior]:
    cls = reasons.class_of(wanted.key)
    return [prior for prior in priors if prior.key and reasons.class_of(prior.key) == cls]


def _faults(prior: Prior, wanted: Wanted) -> Iterator[Reason]:
    if prior.name != wanted.name:
        text = f"renamed: {reasons.short(prior.name)} -> {reasons.short(wanted.name)}"
        yield Reason("renamed", text, old=prior.name, new=wanted.name)
    if prior.tainted:
        yield Reason("tainted", "tainted: the code changed while the earlier result was made", prior.uuid)
    yield from prior.faults


def _newer_inputs(prior: Prior, wanted: Wanted) -> Iterator[Reason]:
    for argument in sorted({*prior.inputs, *wanted.inputs}):
        old, new = prior.inputs.get(argument), wanted.inputs.get(argument)
        if old is None and new is not None:
            yield Reason("input", f"input {argument} is new", argument, new=new.uuid)
        elif new is None and old is not None:
            yield Reason("input", f"input {argument} is gone", argument, old=old.uuid)
        elif old is not None and new is not None and old.uuid != new.uuid:
            text = f"input {argument} has another version: {old.uuid[:8]} -> {new.uuid[:8]}"
            yield Reason("input", text, argument, old.uuid, new.uuid)
