"""What becomes of tasks, as plain values that any process can tell another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from disdat.core.canonical import Json
from disdat.pipeline.reasons import Reason

_Fields = Mapping[str, Any]  # JSON that was written here

Decision = Literal["made", "reused", "failed", "not run", "interrupted"]
"""A task is *not run* that is disabled, or that what failed or ended the run kept from it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task, why, and its key and bundle where there are such."""

    decision: Decision
    why: str
    key: str | None = None
    bundle: str | None = None
    seconds: float = 0.0
    reasons: tuple[Reason, ...] = ()
    """Of what ran, why it did: *why*, one by one."""
    saved_s: float | None = None
    """Of what is used again, how long it took to make it; None where that was not looked up."""
    hint: str = ""
    """Of what failed, how to go on, where that is known; not recorded."""

    def to_json(self, task: str) -> dict[str, Json]:
        """As a decision of the run is recorded."""
        fields: dict[str, Json] = {
            "task": task,
            "key": self.key,
            "bundle": self.bundle,
            "decision": self.decision,
            "why": self.why,
            "seconds": round(self.seconds, 6),
        }
        told: list[Json] = [each.to_json() for each in self.reasons]
        return {**fields, "reasons": told} if told else fields


@dataclass(frozen=True, slots=True)
class Named:
    """A task by its class and parameters, so that any process that can import the class can make it."""

    module: str
    qualname: str
    params: Mapping[str, str | None]
    """Luigi's text of each; None stands for itself."""

    def to_json(self) -> dict[str, Json]:
        return {"module": self.module, "qualname": self.qualname, "params": dict(self.params)}

    @classmethod
    def from_json(cls, fields: _Fields) -> Named:
        return cls(fields["module"], fields["qualname"], fields["params"])


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised: in one line, with the user's own traceback, and how to go on where that is known."""

    why: str
    trace: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Suspended:
    """The task cannot go on before others are made; it is called again with their bundles, and starts from its top."""

    waits: Sequence[Named]


@dataclass(frozen=True, slots=True)
class Lost:
    """The task was ended from outside: its process died, it was out of time, or nobody wants it any more."""

    how: Literal["died", "timeout", "cancelled"]
    why: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """The task cannot run, as the bytes of these bundles, which it reads, are gone; it is called again with others."""

    uuids: Sequence[str]
    why: str


Ended = Outcome | Failed | Suspended | Lacking | Lost
"""An :class:`Outcome` is one of a task that was made or reused."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a call ended."""

    call_id: str
    ended: Ended

    def to_json(self) -> dict[str, Json]:
        return {"call": self.call_id, **_ended_json(self.ended)}

    @classmethod
    def from_json(cls, fields: _Fields) -> Done:
        return cls(fields["call"], _ended(fields))


def _ended_json(ended: Ended) -> dict[str, Json]:
    match ended:
        case Outcome(decision, why, key, bundle, seconds, reasons):
            told: list[Json] = [decision, why, key, bundle, seconds, [each.to_json() for each in reasons]]
            return {"ended": "outcome", "outcome": told}
        case Failed(why, trace, hint):
            return {"ended": "failed", "why": why, "trace": trace, "hint": hint}
        case Suspended(waits):
            return {"ended": "suspended", "waits": [each.to_json() for each in waits]}
        case Lacking(uuids, why):
            return {"ended": "lacking", "uuids": list(uuids), "why": why}
        case Lost(how, why):
            return {"ended": "lost", "how": how, "why": why}


def _ended(fields: _Fields) -> Ended:
    match fields["ended"]:
        case "outcome":
            decision, why, key, bundle, seconds, reasons = fields["outcome"]
            return Outcome(decision, why, key, bundle, seconds, tuple(map(Reason.from_json, reasons)))
        case "failed":
            return Failed(fields["why"], fields["trace"], fields["hint"])
        case "suspended":
            return Suspended(tuple(map(Named.from_json, fields["waits"])))
        case "lacking":
            return Lacking(tuple(fields["uuids"]), fields["why"])
        case _:
            return Lost(cast("Any", fields["how"]), fields["why"])
