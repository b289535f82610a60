"""Calls: that they hold all that a task needs, and which processes they may run in."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import luigi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.context import Context
from disdat.errors import InvalidInput
from disdat.ops import runs
from disdat.pipe import PipeTask
from disdat.pipeline import call, plan
from disdat.pipeline.call import Lane
from disdat.pipeline.graph import Asked
from disdat.pipeline.outcome import Done, Ended, Failed, Lacking, Lost, Named, Outcome, Suspended
from disdat.pipeline.reasons import Kind, Reason
from disdat.pipeline.session import Session
from disdat.pipeline.task import make, named
from tests.pipeline import tasks


class Odd(PipeTask):
    """Parameters whose text is not plain."""

    nothing = luigi.Parameter(default=None)
    maybe = luigi.OptionalIntParameter(default=None)
    when = luigi.DateMinuteParameter(default=dt.datetime(2026, 3, 1, 12, 30))  # noqa: DTZ001 - luigi's have no zone
    many = luigi.ListParameter(default=({"a": [1, None]}, "ü\n"))
    secret = luigi.Parameter(default="hunter2", significant=False)


@pytest.mark.parametrize(
    "task", [tasks.AllKinds(), Odd(), Odd(nothing="None", maybe=3, secret=""), tasks.Secret(token="x")], ids=repr
)
def test_a_task_that_is_named_can_be_made_again(task: PipeTask) -> None:
    again = make(Named.from_json(json.loads(json.dumps(named(task).to_json()))))
    assert type(again) is type(task)
    assert again.param_kwargs == task.param_kwargs


@pytest.mark.parametrize(("module", "qualname"), [("tests.pipeline.tasks", "Nobody"), ("json", "JSONDecoder")])
def test_what_is_no_task_cannot_be_made(module: str, qualname: str) -> None:
    with pytest.raises(InvalidInput, match=f"no task class {qualname} in {module}"):
        make(Named(module, qualname, {}))


TEXT = st.text(max_size=5)
NAMED = st.builds(Named, TEXT, TEXT, st.dictionaries(TEXT, TEXT | st.none(), max_size=2))
REASON = st.builds(Reason, st.sampled_from(get_args(Kind)), TEXT, TEXT, TEXT | st.none(), TEXT | st.none())
REASONS = st.lists(REASON, max_size=2).map(tuple)
ENDED: st.SearchStrategy[Ended] = st.one_of(
    st.builds(Outcome, TEXT, TEXT, TEXT | st.none(), TEXT | st.none(), st.floats(0, 9), REASONS),
    st.builds(Lacking, st.lists(TEXT, max_size=2).map(tuple), TEXT),
    st.builds(Failed, TEXT, TEXT, TEXT),
    st.builds(Suspended, st.lists(NAMED, max_size=2).map(tuple)),
    st.builds(Lost, st.sampled_from(["died", "timeout", "cancelled"]), TEXT),
)


@given(TEXT, ENDED)
def test_how_a_call_ended_can_be_told_as_json(call_id: str, ended: Ended) -> None:
    done = Done(call_id, ended)
    assert Done.from_json(json.loads(json.dumps(done.to_json()))) == done


def lane_of(context: Context, cls: type[PipeTask]) -> Lane:
    session = Session(context, runs.of_pipeline(context))
    return call.lane(plan.discover(cls(), session, Asked()).nodes[-1].work)


def test_a_class_that_can_be_imported_runs_anywhere(context: Context) -> None:
    assert lane_of(context, tasks.A) is Lane.ANY


def test_a_class_no_name_leads_to_runs_here(context: Context) -> None:
    class Local(PipeTask):
        """Of this function alone."""

    assert lane_of(context, Local) is Lane.HERE
    Replaced = type("A", (PipeTask,), {"__module__": tasks.__name__})  # noqa: N806 - another one has the name
    assert lane_of(context, Replaced) is Lane.HERE


def test_a_class_of_a_script_runs_here_and_in_what_is_forked(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = type("Mine", (PipeTask,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Mine", mine, raising=False)
    assert lane_of(context, mine) is Lane.KIN


def test_a_class_that_was_edited_runs_in_a_new_process(
    context: Context, importable: Callable[[str, str], Path]
) -> None:
    text = "from disdat.pipe import PipeTask\nclass T(PipeTask):\n    def pipe_run(self): return 1\n"
    path = importable("edited_task.py", text)
    cls = importlib.import_module("edited_task").T
    assert lane_of(context, cls) is Lane.ANY
    path.write_text(text.replace("1", "2"))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert lane_of(context, cls) is Lane.FRESH
