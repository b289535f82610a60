"""Handlers of luigi's events, as who knows luigi expects them: the same ones, whatever runs the task."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.errors import ApplyError
from disdat.pipeline.run import apply
from tests.pipeline.conftest import Applied

WATCHED = """
    import os
    import luigi
    from disdat.pipe import PipeTask

    class Watched(PipeTask):
        pass

    class Gives(Watched):
        n = luigi.IntParameter()
        def pipe_run(self):
            return self.n

    class Yields(Watched):
        def pipe_run(self):
            return (yield self.yield_dependency(Gives, {"n": 2}))

    class Fails(Watched):
        retry_count = 2
        def pipe_requires(self):
            self.add_dependency("one", Gives, {"n": 1})
            self.add_dependency("yielded", Yields, {})
        def pipe_run(self, one, yielded):
            raise ArithmeticError("too many")

    def note(event, task, *told):
        with open("events.txt", "a") as file:
            file.write(f"{event} {type(task).__name__} {' '.join(map(repr, told))}|{os.getpid()}\\n")

    @Watched.event_handler(luigi.Event.START)
    def started(task):
        note("start", task)

    @Watched.event_handler(luigi.Event.SUCCESS)
    def succeeded(task):
        note("success", task)

    @Watched.event_handler(luigi.Event.PROCESSING_TIME)
    def took(task, seconds):
        note("took", task, type(seconds).__name__)

    @Fails.event_handler(luigi.Event.FAILURE)
    def failed(task, exc):
        note("failure", task, exc)

    @Yields.event_handler(luigi.Event.SUCCESS)
    def breaks(task):
        raise ValueError("a handler that raises harms nobody")
    """


@pytest.mark.parametrize("executor", ["inline", "pool", "anew", pytest.param("dask", marks=pytest.mark.slow)])
def test_handlers_are_called_in_the_process_that_runs_the_task(
    applied: Applied,
    importable: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
) -> None:
    """Also where that imports their module anew: in a pool, where there are other threads, and on a cluster."""
    importable("watched.py", WATCHED)
    monkeypatch.chdir(tmp_path)
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    if executor == "anew":
        other.start()
    try:
        with pytest.raises(ApplyError, match="ArithmeticError: too many"):
            apply(applied.context, "watched.Fails", executor=executor.replace("anew", "pool"))
    finally:
        over.set()
    told, pids = zip(*(line.rsplit("|", 1) for line in Path("events.txt").read_text().splitlines()), strict=True)
    assert sorted(each.strip() for each in told) == [
        *["failure Fails ArithmeticError('too many')"] * 2,
        *["start Fails"] * 2,
        *["start Gives"] * 2,
        *["start Yields"] * 2,  # again when it has what it yielded
        *["success Gives"] * 2,
        "success Yields",
        *["took Gives 'float'"] * 2,
        "took Yields 'float'",
    ]
    assert ({int(pid) for pid in pids} == {os.getpid()}) == (executor == "inline")
