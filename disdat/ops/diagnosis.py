"""What an examination finds: whether it is well, what it means, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from disdat.errors import DisdatError


class Verdict(Enum):
    """How one thing is."""

    OK = "ok"
    NOTE = "note"
    """It works, and somebody may want to know, or to do better."""
    PROBLEM = "problem"
    """Something does not work, or will not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What kind of thing it is, such as ``clock``."""
    verdict: Verdict
    found: str
    """How it is, and what that means."""
    remedy: str = ""
    """What to do; empty where there is nothing."""


Findings: TypeAlias = "Iterator[Finding]"


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """It works as it is."""
    return Finding(check, Verdict.NOTE, found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """Something must be done."""
    return Finding(check, Verdict.PROBLEM, found, remedy)


def refused(check: str, error: DisdatError) -> Finding:
    """A problem that an error names."""
    return problem(check, error.message, error.hint or "put that right, and run `dsdt doctor` again")


def guarded(check: str, look: Callable[[], Findings]) -> Findings:
    """What *look* finds; where the disk refuses that, a finding that says so, and the examination goes on."""
    try:
        yield from look()
    except DisdatError as exc:
        yield refused(check, exc)
    except OSError as exc:
        where = f": {exc.filename}" if exc.filename else ""
        is_full = exc.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "free some space" if is_full else "see that you may read and write it, and that its disk works"
        yield problem(check, f"cannot be looked at: {exc.strerror or exc}{where}", remedy)
