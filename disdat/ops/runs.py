"""The record of who ran what: one for this process, written to a context's log with the first bundle it makes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from disdat import capture
from disdat.context import Context, now_us
from disdat.core import canonical, digest, event, manifest
from disdat.core.bundle import Run, RunRef
from disdat.core.canonical import Json
from disdat.core.digest import Digest


@cache
def of_process() -> Run:
    """The run this process is; children that were forked from it belong to it."""
    return capture.run(now_us=now_us())


def of_pipeline(context: Context) -> Run:
    """A new run of this process that names its set of installed packages; writes nothing."""
    packages = digest.of_bytes(_packages())
    return replace(capture.run(now_us=context.home.clock_us()), packages=packages)


@cache
def actor() -> str:
    """Who makes a change: ``user@host``."""
    run = of_process()
    return f"{run.user}@{run.host}"


@lru_cache(maxsize=16)
def environment(run: Run) -> Digest:
    """The digest of a run's record, by which its bundles name it."""
    return digest.of_json(manifest.run_to_json(run))


def reference(run: Run, task: str = "") -> RunRef:
    """How a bundle that *task* of *run* made names it."""
    return RunRef(run.id, environment(run), run.packages, task)


def draft(run: Run) -> event.Draft:
    """The event that records *run*."""
    return event.Draft(event.RUN, {"run": manifest.run_to_json(run)})


def record(context: Context, run: Run) -> None:
    """Write the record of a pipeline's run to the context's log, unless it is there, after its package set."""
    if run.id not in context.recorded_runs:
        _commit(context, run, [])


def conclude(context: Context, run: Run, decisions: Sequence[Mapping[str, Json]], *, reaffirmed: Sequence[str]) -> None:
    """Record, in one commit, what a pipeline's run decided for each task, and which bundles it found right again."""
    drafts = [event.Draft(event.DECISIONS, {"run": run.id, "tasks": list(decisions)})]
    if reaffirmed:
        drafts.insert(0, event.Draft(event.REAFFIRM, {"uuids": list(reaffirmed), "run": run.id}))
    _commit(context, run, drafts)


def _commit(context: Context, run: Run, drafts: Sequence[event.Draft]) -> None:
    if run.id in context.recorded_runs:
        context.catalog.commit(drafts, actor=actor())
        return
    context.home.ensure()
    with context.home.store.batch() as batch:
        if run.packages is not None:
            # Though it may be there already: another run may be storing it just now, and not have synced it.
            batch.put(_packages())
            batch.seal()
        context.catalog.commit([draft(run), *drafts], actor=actor())
    context.recorded_runs.add(run.id)


@cache
def _packages() -> bytes:
    return canonical.encode(capture.packages())
