"""The record of who ran what: one for this process, written to a context's log with the first bundle it makes there."""

from __future__ import annotations

from functools import cache

from disdat import capture
from disdat.context import now_us
from disdat.core import event, manifest
from disdat.core.bundle import Run


@cache
def of_process() -> Run:
    """The run this process is; children that were forked from it belong to it."""
    return capture.run(now_us=now_us())


@cache
def actor() -> str:
    """Who makes a change: ``user@host``."""
    run = of_process()
    return f"{run.user}@{run.host}"


def draft(run: Run) -> event.Draft:
    """The event that records *run*."""
    return event.Draft(event.RUN, {"run": manifest.run_to_json(run)})
