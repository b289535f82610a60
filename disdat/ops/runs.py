"""The record of who ran what: one for this process, written to a context's log with the first bundle it makes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from disdat import capture
from disdat.context import Context, now_us
from disdat.core import canonical, digest, event, manifest
from disdat.core.bundle import Run
from disdat.core.canonical import Json


@cache
def of_process() -> Run:
    """The run this process is; children that were forked from it belong to it."""
    return capture.run(now_us=now_us())


def of_pipeline(context: Context) -> Run:
    """A new run of this process, with the set of installed packages, which is stored once per distinct set."""
    data = canonical.encode(capture.packages())
    name = digest.of_bytes(data)
    context.home.ensure()
    if not context.home.store.has(name):
        with context.home.store.batch() as batch:
            batch.put(data)
            batch.seal()
    return replace(capture.run(now_us=context.home.clock_us()), packages=name)


@cache
def actor() -> str:
    """Who makes a change: ``user@host``."""
    run = of_process()
    return f"{run.user}@{run.host}"


def draft(run: Run) -> event.Draft:
    """The event that records *run*."""
    return event.Draft(event.RUN, {"run": manifest.run_to_json(run)})


def record(context: Context, run: Run) -> None:
    """Write the record of *run* to the context's log, unless it is there."""
    if run.id not in context.recorded_runs:
        context.catalog.commit([draft(run)], actor=actor())
        context.recorded_runs.add(run.id)


def conclude(context: Context, run: Run, decisions: Sequence[Mapping[str, Json]], *, reaffirmed: Sequence[str]) -> None:
    """Record, in one commit, what a run decided for each task, and that these bundles were found right again."""
    drafts = [] if run.id in context.recorded_runs else [draft(run)]
    if reaffirmed:
        drafts.append(event.Draft(event.REAFFIRM, {"uuids": list(reaffirmed), "run": run.id}))
    drafts.append(event.Draft(event.DECISIONS, {"run": run.id, "tasks": list(decisions)}))
    context.catalog.commit(drafts, actor=actor())
    context.recorded_runs.add(run.id)
