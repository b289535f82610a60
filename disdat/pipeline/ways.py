"""
How the tasks of an apply are run, from what its caller asked for.

This brings in the executors and all else that runs tasks, which an apply that finds everything there does without.
"""

from __future__ import annotations

import luigi.configuration

from disdat.errors import InvalidInput
from disdat.pipeline.driver import Open, Terms
from disdat.pipeline.executors.named import EXECUTORS, INLINE, Wanted
from disdat.pipeline.executors.pool import Pool
from disdat.pipeline.work import inside_a_task


def chosen(
    executor: str | None, workers: int, scheduler: str | None, timeout_s: float | None, *, is_central: bool
) -> Terms:
    """
    How tasks are run.

    Raises:
        NotFound: There is no such *executor*; NotConfigured if what it takes is not installed.
        InvalidInput: It has no use for a *scheduler*.
    """
    settings = luigi.configuration.get_config()
    return Terms(
        executor=_opening(executor, workers, scheduler),
        apart=lambda sink: Pool(sink, 1),
        timeout_s=timeout_s,
        limits=settings.getintdict("resources"),
        # Luigi's own default, a quarter of an hour, is for servers.
        retry_delay_s=settings.getfloat("scheduler", "retry_delay", 0.0),
        is_central=is_central,
    )


def _opening(executor: str | None, workers: int, scheduler: str | None) -> Open | None:
    """What opens the executor; None for this process."""
    name = executor or ("pool" if workers > 1 else INLINE)
    opens = EXECUTORS.get(name)
    if scheduler is not None and name in {INLINE, "pool"}:
        raise InvalidInput(f"a scheduler is that of a cluster, not of {name}", hint="say executor=dask, too")
    if name == INLINE or inside_a_task():
        return None
    at_once = None if scheduler is not None and workers == 1 else workers
    return lambda sink: opens(sink, Wanted(at_once, scheduler))
