"""What every executor promises, as tests to inherit."""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from disdat.context import Context, Home
from disdat.ops import bundles, contexts, runs
from disdat.ops.bundles import Birth
from disdat.ops.carrying import Way
from disdat.pipeline import call, plan
from disdat.pipeline.call import Call
from disdat.pipeline.events import Stream
from disdat.pipeline.executors import Executor
from disdat.pipeline.graph import Asked
from disdat.pipeline.observed import key_of
from disdat.pipeline.outcome import Done, Ended, Failed, Lacking, Lost, Outcome, Suspended
from disdat.pipeline.session import Session
from disdat.pipeline.task import PipeTask, make
from disdat.testing import executor_tasks as tasks

_PATIENCE_S = 60.0
_LARGE = 3_000_000


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.written: dict[tuple[str, Stream], str] = {}
        self.moves: dict[tuple[str, Way], tuple[int, int]] = {}

    def began(self, call_id: str) -> None:
        """Keep it."""
        self.begun.append(call_id)

    def wrote(self, call_id: str, stream: Stream, text: str) -> None:
        """Keep it."""
        self.written[call_id, stream] = self.written.get((call_id, stream), "") + text

    def moved(self, call_id: str, way: Way, done_bytes: int, total_bytes: int) -> None:
        """Keep the last of it."""
        self.moves[call_id, way] = done_bytes, total_bytes


class Calls:
    """Makes calls of tasks in a context of their own, and tells what is left of them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._numbers = itertools.count()

    def of(self, cls: type[PipeTask], params: Mapping[str, object] | None = None, **more: object) -> Call:
        """A call of a task without inputs; *more* are further fields of it."""
        node = plan.discover(cls(**(params or {})), self.session, Asked()).nodes[-1]
        return replace(call.of_work(node.work, f"call-{next(self._numbers)}"), **more)  # type: ignore[arg-type]  # its fields

    def given(self, text: str) -> str:
        """The uuid of a bundle that no task made, and that is here alone."""
        return bundles.write(self.session.context, text, Birth(name="given")).uuid

    def lose(self, uuid: str) -> None:
        """Remove what a bundle's value is made of, as a broken disk does."""
        context = self.session.context
        for frame in context.catalog.bundle(uuid).frames:
            assert frame.digest is not None, "the value is so small that it lies in the manifest"
            context.home.store.loose_path(frame.digest).unlink()

    def value(self, ended: Ended) -> object:
        """The value of what a call made."""
        assert isinstance(ended, Outcome), ended
        assert ended.bundle is not None
        return bundles.value(self.session.context, ended.bundle)

    def leftovers(self) -> list[str]:
        """Directories of bundles that are none, and leases that are still there."""
        context = self.session.context
        leases = context.home.root / "store" / "leases"
        return [path.name for place in (context.objects, leases) if place.is_dir() for path in place.iterdir()]


class ExecutorContract:
    """Inherit, and say how to open one: ``TestMine(ExecutorContract)`` with a method :meth:`open`."""

    ENDS: ClassVar[bool] = True
    """Whether its calls run in processes of their own, so that they can be ended, and may die."""

    def open(self, told: Told, slots: int) -> Executor:
        """Return an executor with so many slots, if it can have several; to be overridden."""
        raise NotImplementedError

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        """Return the context in which calls are made."""
        return contexts.create(Home(tmp_path / "home"), "contract")

    @pytest.fixture
    def calls(self, context: Context) -> Calls:
        """Return what makes calls in it."""
        session = Session(context, runs.of_pipeline(context))
        runs.record(context, session.run)
        return Calls(session)

    @pytest.fixture
    def told(self) -> Told:
        """Return what is told by the executors that a test opens."""
        return Told()

    @pytest.fixture
    def executors(self, told: Told) -> Iterator[Callable[[int], Executor]]:
        """Open executors that are closed after the test."""
        opened: list[Executor] = []

        def opens(slots: int = 1) -> Executor:
            opened.append(self.open(told, slots))
            return opened[-1]

        yield opens
        for each in opened:
            each.close()

    @pytest.fixture
    def executor(self, executors: Callable[[int], Executor]) -> Executor:
        """Return one with one slot."""
        return executors(1)

    @pytest.fixture
    def mortal(self) -> None:
        """Skip what is not promised where calls run in this process."""
        if not self.ENDS:
            pytest.skip("what runs in this process cannot be ended")

    def test_a_call_is_plain_json(self, calls: Calls) -> None:
        """Whoever reads it has the very same call."""
        first = calls.of(tasks.Doubles, {"n": 4}, yielded={"a": "b"}, turns=["c"], timeout_s=1.5, root_tags={"t": "u"})
        assert Call.from_json(json.loads(json.dumps(first.to_json()))) == first

    def test_what_a_call_makes_is_there_when_it_has_ended(self, executor: Executor, calls: Calls, told: Told) -> None:
        first = calls.of(tasks.Doubles, {"n": 4})
        ended = _run(executor, first)
        assert isinstance(ended, Outcome), ended
        assert ended.decision == "made"
        assert calls.value(ended) == 8
        assert told.begun == [first.id]

    def test_of_equal_calls_the_second_reuses(self, executor: Executor, calls: Calls) -> None:
        first, second = (_run(executor, calls.of(tasks.Doubles, {"n": 4})) for _ in range(2))
        assert isinstance(first, Outcome)
        assert isinstance(second, Outcome)
        assert (second.decision, second.bundle) == ("reused", first.bundle)

    def test_what_a_task_raises_is_told_with_the_users_own_traceback(self, executor: Executor, calls: Calls) -> None:
        ended = _run(executor, calls.of(tasks.Fails))
        assert isinstance(ended, Failed)
        assert ended.why == "ArithmeticError: seven is too many"
        first, second, *_, last = ended.trace.splitlines()
        assert first == "Traceback (most recent call last):"
        assert "executor_tasks.py" in second
        assert last == ended.why
        assert calls.leftovers() == []
        assert calls.value(_run(executor, calls.of(tasks.Doubles, {"n": 1}))) == 2

    def test_a_task_that_wants_to_end_the_program_fails(self, executor: Executor, calls: Calls) -> None:
        ended = _run(executor, calls.of(tasks.Exits))
        assert isinstance(ended, Failed)
        assert ended.why == "SystemExit: 3"

    def test_a_class_that_cannot_be_imported_fails_its_call(self, executor: Executor, calls: Calls) -> None:
        known = calls.of(tasks.Doubles, {"n": 1})
        ended = _run(executor, replace(known, task=replace(known.task, qualname="Nobody")))
        assert isinstance(ended, Failed)
        assert "Nobody" in ended.why

    def test_parameters_may_be_large(self, executor: Executor, calls: Calls) -> None:
        text = "x" * _LARGE + "ü\n"
        assert calls.value(_run(executor, calls.of(tasks.Echoes, {"text": text}))) == text

    def test_a_task_that_yields_is_suspended_until_it_has_all(self, executor: Executor, calls: Calls) -> None:
        yielded: dict[str, str] = {}
        asked: list[list[str | None]] = []
        while isinstance(ended := _run(executor, calls.of(tasks.Yields, yielded=yielded)), Suspended):
            asked.append([each.params["n"] for each in ended.waits])
            for each in ended.waits:
                made = _run(executor, calls.of(tasks.Doubles, {"n": int(each.params["n"] or 0)}))
                assert isinstance(made, Outcome)
                assert made.bundle is not None
                yielded[key_of(make(each))] = made.bundle
        assert calls.value(ended) == [4, 8, 10]
        assert asked == [["2"], ["4", "5"]]
        assert calls.leftovers() == []

    def test_what_cannot_be_read_any_more_is_told_so_that_it_is_made_again(
        self, executor: Executor, calls: Calls
    ) -> None:
        """As an end of its own, before the task begins; a call with another one in its place is as any."""
        lost, kept = (calls.given(letter * _LARGE) for letter in "lk")
        assert calls.value(_run(executor, calls.of(tasks.Measures, inputs={"text": kept}))) == _LARGE
        calls.lose(lost)
        ended = _run(executor, calls.of(tasks.Measures, inputs={"text": lost}))
        assert isinstance(ended, Lacking), ended
        assert ended.uuids == (lost,)
        assert calls.leftovers() == []

    def test_what_a_task_writes_and_logs_is_told(
        self,
        executor: Executor,
        calls: Calls,
        told: Told,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """By the sink where it runs elsewhere; a log record comes to the handlers of this process."""
        writes = calls.of(tasks.Writes)
        assert isinstance(_run(executor, writes), Outcome)
        out, err = capsys.readouterr()
        assert told.written.get((writes.id, "stdout"), out) == "to stdout\nno end of line: ü"
        assert told.written.get((writes.id, "stderr"), err) == "to stderr\n"
        (record,) = [each for each in caplog.records if each.name == "executor.contract"]
        assert (record.levelno, record.getMessage(), record.funcName) == (logging.WARNING, "logged so", "pipe_run")

    def test_every_call_ends_once_however_many_there_are(
        self, executors: Callable[[int], Executor], calls: Calls, told: Told
    ) -> None:
        executor = executors(2)
        asked = [calls.of(tasks.Doubles, {"n": n}) for n in range(8)]
        for each in asked:
            executor.submit(each)
        ended = {done.call_id: done.ended for done in (_next(executor) for _ in asked)}
        assert [calls.value(ended[each.id]) for each in asked] == [2 * n for n in range(8)]
        assert sorted(told.begun) == sorted(each.id for each in asked)
        assert executor.next() is None

    def test_of_calls_that_wait_the_most_urgent_begins_first(
        self, executor: Executor, calls: Calls, told: Told
    ) -> None:
        asked = [calls.of(tasks.Doubles, {"n": n}, priority=n) for n in (9, 1, 3, 2)]
        for each in asked:
            executor.submit(each)
        for _ in asked:
            _next(executor)
        first, low, high, middle = (each.id for each in asked)
        assert told.begun == [first, high, middle, low]

    def test_a_call_that_waits_can_be_cancelled(self, executor: Executor, calls: Calls, told: Told) -> None:
        first, second = (calls.of(tasks.Doubles, {"n": n}) for n in range(2))
        executor.submit(first)
        executor.submit(second)
        executor.cancel(second.id)
        ended = {done.call_id: done.ended for done in (_next(executor), _next(executor))}
        assert ended[second.id] == Lost("cancelled", "cancelled")
        assert isinstance(ended[first.id], Outcome)
        assert told.begun == [first.id]

    def test_to_wait_for_nothing_takes_no_time(self, executor: Executor) -> None:
        assert executor.next() is None
        assert executor.next(600) is None

    @pytest.mark.usefixtures("mortal")
    @pytest.mark.parametrize(("how", "told_why"), [("exit", "exit code 7"), ("kill", "SIGKILL"), ("crash", "SIGSEGV")])
    def test_a_task_that_takes_its_process_with_it_fails_alone(
        self, executor: Executor, calls: Calls, how: str, told_why: str
    ) -> None:
        """Others go on in a new process."""
        executor.submit(calls.of(tasks.Dies, {"how": how}))
        executor.submit(calls.of(tasks.Doubles, {"n": 4}))
        lost, made = _next(executor), _next(executor)
        assert isinstance(lost.ended, Lost)
        assert lost.ended.how == "died"
        assert told_why in lost.ended.why
        assert calls.value(made.ended) == 8

    @pytest.mark.usefixtures("mortal")
    def test_a_call_that_is_out_of_time_is_ended_and_leaves_nothing(
        self, executor: Executor, calls: Calls, tmp_path: Path
    ) -> None:
        """The time counts from when it begins."""
        path = tmp_path / "pid"
        executor.submit(calls.of(tasks.Hangs, {"path": str(path)}, timeout_s=2.0))
        executor.submit(calls.of(tasks.Doubles, {"n": 4}, timeout_s=60.0))
        lost, made = _next(executor), _next(executor)
        assert lost.ended == Lost("timeout", "timed out after 2 seconds")
        assert calls.value(made.ended) == 8
        _wait_until(lambda: not _lives(path))
        assert calls.leftovers() == []

    @pytest.mark.usefixtures("mortal")
    def test_a_call_that_runs_can_be_cancelled(self, executor: Executor, calls: Calls, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        hangs = calls.of(tasks.Hangs, {"path": str(path)})
        executor.submit(hangs)
        assert executor.next(0.01) is None
        _wait_until(path.exists, executor)
        executor.cancel(hangs.id)
        assert _next(executor) == Done(hangs.id, Lost("cancelled", "cancelled"))
        _wait_until(lambda: not _lives(path))
        assert calls.leftovers() == []

    @pytest.mark.usefixtures("mortal")
    def test_to_close_ends_what_runs_and_leaves_nothing(self, executor: Executor, calls: Calls, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        executor.submit(calls.of(tasks.Hangs, {"path": str(path)}))
        _wait_until(path.exists, executor)
        executor.close()
        _wait_until(lambda: not _lives(path))
        assert calls.leftovers() == []


def _run(executor: Executor, asked: Call) -> Ended:
    executor.submit(asked)
    done = _next(executor)
    assert done.call_id == asked.id
    return done.ended


def _next(executor: Executor) -> Done:
    done = executor.next(_PATIENCE_S)
    assert done is not None, "nothing ended in time"
    return done


def _wait_until(happened: Callable[[], bool], executor: Executor | None = None) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        if executor is None or executor.next(0.02) is None:
            time.sleep(0.01)


def _lives(path: Path) -> bool:
    """Whether the process whose id is in the file is there."""
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return False
    return True
