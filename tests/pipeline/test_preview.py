"""What is said of an apply beforehand is what it does; nothing is changed by asking."""

from __future__ import annotations

import time

import luigi
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context
from disdat.core.bundle import Lineage
from disdat.errors import ApplyError
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from disdat.pipe import PipeTask
from disdat.pipeline.preview import preview
from tests.pipeline.conftest import Applied


class Raw(PipeTask):
    """One of two values; made in every apply, if that is wanted."""

    n = luigi.IntParameter(default=0)
    again = luigi.BoolParameter(default=False, significant=False)

    def pipe_requires(self) -> None:
        if self.again:
            self.mark_force()

    def pipe_run(self) -> int:
        return self.n % 2


class Mid(PipeTask):
    """What is read twice."""

    n = luigi.IntParameter(default=0)
    again = luigi.BoolParameter(default=False, significant=False)

    def pipe_requires(self) -> None:
        self.add_dependency("raw", Raw, {"n": self.n, "again": self.again})

    def pipe_run(self, raw: int) -> int:
        return raw * 10


class Top(PipeTask):
    """The last one."""

    n = luigi.IntParameter(default=0)
    again = luigi.BoolParameter(default=False, significant=False)
    slow_s = luigi.FloatParameter(default=0.0)

    def pipe_requires(self) -> None:
        self.add_dependency("mid", Mid, {"n": self.n, "again": self.again})
        self.add_dependency("raw", Raw, {"n": self.n, "again": self.again})

    def pipe_run(self, mid: int, raw: int) -> int:
        time.sleep(self.slow_s)
        return mid + raw


class Outside(PipeTask):
    """It reads what somebody must have put there."""

    def pipe_requires(self) -> None:
        self.add_external_dependency("station", None, {}, human_name="station")

    def pipe_run(self, station: int) -> int:
        return station


class Raising(PipeTask):
    def pipe_requires(self) -> None:
        raise ValueError("not today")


def told(context: Context, task: type[PipeTask] = Top, params: object = None, **options: object) -> dict[str, str]:
    """The decision about each class."""
    found = preview(context, task, params, **options)  # type: ignore[arg-type]
    return {each.cls.rpartition(".")[2]: each.decision for each in found.tasks}


def test_without_earlier_results_all_run(context: Context):
    found = preview(context, Top)
    assert [(each.task, each.decision, each.why) for each in found.tasks] == [
        ("Raw(n=0)", "run", "no earlier result"),
        ("Mid(n=0)", "run", "no earlier result"),
        ("Top(n=0, slow_s=0.0)", "run", "no earlier result"),
    ]
    assert found.tasks[2].inputs == {"mid": 1, "raw": 0}
    assert (found.seconds, found.fetch_bytes, found.missing) == (0.0, 0, "")


def test_asking_changes_nothing(context: Context, applied: Applied):
    applied(Top)
    before = [event.id for event in context.catalog.events()]
    preview(context, Top, {"n": 1}, force_all=True)
    assert [event.id for event in context.catalog.events()] == before
    assert applied.leftovers() == []


@pytest.mark.parametrize(
    ("params", "options", "expected"),
    [
        ({}, {}, ("reuse", "reuse", "reuse")),
        ({"n": 1}, {}, ("run", "run", "run")),
        ({"slow_s": 0.001}, {}, ("reuse", "reuse", "run")),
        ({}, {"force": True}, ("reuse", "reuse", "run")),
        ({}, {"force_all": True}, ("run", "run", "run")),
        ({}, {"output_bundle": "other"}, ("reuse", "reuse", "run")),
        ({"again": True}, {}, ("run", "unknown", "unknown")),
        ({"again": True}, {"rerun": "version"}, ("run", "run", "run")),
        ({"again": True, "slow_s": 0.001}, {}, ("run", "unknown", "run")),
    ],
)
def test_what_is_said_is_what_an_apply_does(context: Context, applied: Applied, params, options, expected):
    applied(Top)
    assert tuple(told(context, Top, params, **options).values()) == expected
    made = applied(Top, params, **options)
    called = {"Raw": "Raw", "Mid": "Mid", "Top": str(options.get("output_bundle", "Top"))}
    for (cls, name), decision in zip(called.items(), expected, strict=True):
        assert decision == "unknown" or (name in made) == (decision == "run"), cls


def test_it_says_why_and_how_long_it_took_when_it_last_ran(context: Context, applied: Applied):
    applied(Top, {"slow_s": 0.02})
    *_, top = preview(context, Top, {"slow_s": 0.03}).tasks
    assert top.why == "parameter slow_s: 0.02 -> 0.03"
    assert top.seconds is not None
    assert 0.02 <= top.seconds < 10
    [_, mid, top] = preview(context, Top, {"again": True, "slow_s": 0.02}).tasks
    assert mid.why == "reused if input raw is the same as before"
    assert top.why == "reused if inputs mid, raw are the same as before"
    assert [each.seconds for each in preview(context, Top, {"slow_s": 0.02}).tasks] == [None] * 3


def test_an_external_input_that_is_missing_is_said_and_not_raised(context: Context):
    found = preview(context, Outside)
    assert [(each.decision, each.why) for each in found.tasks] == [
        ("missing", "not in demo: bundle named station as station")
    ]
    assert found.missing == "Outside() needs bundle named station as station, which is not in demo"
    bundles.write(context, 1, Birth("station", lineage=Lineage()))
    assert told(context, Outside) == {"Outside": "run"}


def test_a_pipe_requires_that_raises_is_told_as_an_apply_tells_it(context: Context):
    with pytest.raises(ApplyError, match=r"Raising\(\): pipe_requires raised ValueError: not today"):
        preview(context, Raising)
    assert context.catalog.search(Filter()) == []
