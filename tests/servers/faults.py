"""What a proxy can do to a request and to which, and what it notes of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in the server's place, which never sees the request; *code* is S3's word, the usual one if empty."""

    status: int
    code: str = ""


@dataclass(frozen=True, slots=True)
class LoseReply:
    """Let the server do it, and close the connection instead of passing on what it said."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward the request this much later."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Take the whole request, and forward it only when the test releases it, even if the client is gone by then."""


@dataclass(frozen=True, slots=True)
class HoldReply:
    """Let the server do it, and pass on what it said only when the test releases it."""


@dataclass(frozen=True, slots=True)
class CutRequest:
    """
    Forward the head and *after* bytes of the body, but never its last byte; then close both connections.

    Of a request without a body, half of the first line is forwarded.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class CutReply:
    """
    Pass on the head and *after* bytes of the body, but never its last byte; then close both connections.

    Of a reply without a body, half of the first line is passed on.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Send the request twice, one after the other; the client hears what the server said to the second."""


@dataclass(frozen=True, slots=True)
class FlipRequest:
    """Change a bit of byte *at* of the request's body, counted from 0; nothing where the body is shorter."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class FlipReply:
    """Change a bit of byte *at* of the reply's body, counted from 0; nothing where the body is shorter."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """Close every connection and refuse new ones for so long, as a server that is restarted."""

    seconds: float


Fault = (
    Answer
    | LoseReply
    | Delay
    | HoldRequest
    | HoldReply
    | CutRequest
    | CutReply
    | Duplicate
    | FlipRequest
    | FlipReply
    | Refuse
)
FAULTS: Mapping[str, type[Fault]] = {kind.__name__: kind for kind in get_args(Fault)}


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A fault, and the requests it befalls.

    Of the requests of this *method* (all, if empty) whose target, with its query, has a match of the regular expression
    *path*: only the *nth*, counted from 1 (every, if 0); of these, each with *probability*, drawn from a generator
    seeded with *seed*; at most so many *times* (without end, if 0).
    """

    fault: Fault
    method: str = ""
    path: str = ""
    nth: int = 0
    probability: float = 1.0
    seed: int = 0
    times: int = 0


@dataclass(slots=True)
class Request:
    """What a proxy saw of one request."""

    number: int
    """Counted from 1 since the last reset, in order of arrival."""
    method: str
    target: str
    """Path and query, as the client spelled them."""
    began_s: float
    """Since the last reset."""
    took_s: float = 0.0
    """Until the last byte was given to the client; 0 while none was."""
    request_bytes: int = 0
    """Of the body, as received, without what frames chunks."""
    reply_bytes: int = 0
    """Of the body, as given to the client, without what frames chunks."""
    status: int = 0
    """What the server answered, or the proxy in its place; 0 where nobody did."""
    fault: str = ""
    """The name of the fault that befell it."""


def to_json(rule: Rule) -> dict[str, Any]:  # what JSON holds
    return asdict(rule) | {"kind": type(rule.fault).__name__}


def from_json(told: dict[str, Any]) -> Rule:  # what JSON holds
    """Return the rule that :func:`to_json` was given."""
    kind = FAULTS[told.pop("kind")]
    return Rule(**told | {"fault": kind(**told["fault"])})
