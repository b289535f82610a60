"""What is said of an apply beforehand is what it does; nothing is changed by asking."""

from __future__ import annotations

import time
from collections.abc import Generator

import luigi
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context
from disdat.core.bundle import Lineage
from disdat.errors import ApplyError
from disdat.ops import bundles, find
from disdat.ops.bundles import Birth
from disdat.pipe import PipeTask
from disdat.pipeline import asking
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


class Rounds(PipeTask):
    """It yields what it needs one after the other."""

    rounds = luigi.IntParameter(default=2)

    def pipe_run(self) -> Generator[PipeTask, int, int]:
        total = 0
        for n in range(self.rounds):
            total += yield self.yield_dependency(Mid, {"n": n})
        return total


class After(PipeTask):
    """It reads what yields."""

    def pipe_requires(self) -> None:
        self.add_dependency("both", Both, {})

    def pipe_run(self, both: int) -> int:
        return both


class Both(PipeTask):
    """It yields, and is not the first that is decided."""

    def pipe_requires(self) -> None:
        self.add_dependency("raw", Raw, {})

    def pipe_run(self, raw: int) -> Generator[PipeTask, int, int]:
        return raw + (yield self.yield_dependency(Mid, {"n": 1}))


class Twice(PipeTask):
    """It yields what reads a task that yields."""

    def pipe_run(self) -> Generator[PipeTask, int, int]:
        return (yield self.yield_dependency(After, {}))


class All(PipeTask):
    """It reads a task, too, of which one that it reads yields what needs it."""

    def pipe_requires(self) -> None:
        self.add_dependency("twice", Twice, {})
        self.add_dependency("both", Both, {})

    def pipe_run(self, twice: int, both: int) -> int:
        return twice + both


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


def test_new_parameters_are_compared_with_the_result_that_differs_least(context: Context, applied: Applied):
    """Newest of equals: which one that is stands beside the reason, before a run and after it."""
    uuids = {}
    for n, slow_s in ((3, 0.001), (3, 0.002), (5, 0.003)):
        applied(Top, {"n": n, "slow_s": slow_s})
        uuids[n, slow_s] = applied.latest("Top")
    found = {
        (n, slow_s): preview(context, Top, {"n": n, "slow_s": slow_s}).tasks[-1]
        for n in (3, 7)
        for slow_s in (0.001, 0.004)
    }
    assert [(each.decision, each.why, each.against) for each in found.values()] == [
        ("reuse", "same code, parameters and input content", None),
        ("run", "parameter slow_s: 0.002 -> 0.004", uuids[3, 0.002]),
        ("run", "parameter n: 3 -> 7", uuids[3, 0.001]),
        ("run", "parameter n: 5 -> 7; parameter slow_s: 0.003 -> 0.004", uuids[5, 0.003]),
    ]
    applied(Top, {"n": 3, "slow_s": 0.004})
    [made] = asking.of_task(context, "Top").last.reasons
    assert (made["text"], made["against"]) == ("parameter slow_s: 0.002 -> 0.004", uuids[3, 0.002])


def test_what_a_task_yielded_last_time_is_shown_as_what_it_would_be_now(context: Context, applied: Applied):
    """It may yield others when it runs; nothing of that is decided for the apply."""
    applied(Rounds, {"rounds": 2})
    again = preview(context, Rounds, {"rounds": 2})
    assert [(each.decision, each.as_last_time) for each in again.tasks] == [("reuse", False)] * 5
    more = preview(context, Rounds, {"rounds": 3})
    assert [(each.task, each.decision, each.as_last_time) for each in more.tasks] == [
        ("Rounds(rounds=3)", "run", False),
        ("Raw(n=0)", "reuse", True),
        ("Mid(n=0)", "reuse", True),
        ("Raw(n=1)", "reuse", True),
        ("Mid(n=1)", "reuse", True),
    ]
    assert more.tasks[0].yields == [2, 4]
    assert set(told(context, Rounds, force_all=True).values()) == {"run"}
    bundles.remove(context, [find.need(context, uuid=applied.latest("Raw"))])
    gone = preview(context, Rounds, {"rounds": 2})
    assert [(each.task, each.decision, each.as_last_time) for each in gone.tasks] == [
        ("Rounds(rounds=2)", "run", False),
        ("Raw(n=0)", "reuse", True),
        ("Mid(n=0)", "reuse", True),
        ("Raw(n=1)", "run", True),
        ("Mid(n=1)", "unknown", True),
    ]


def test_what_is_reused_keeps_what_it_yielded_whoever_had_it_decided(context: Context, applied: Applied):
    """It was decided as one that runs may yield what reads it."""
    applied(All)
    bundles.remove(context, [find.need(context, uuid=applied.latest("After"))])
    assert told(context, All) == {"All": "unknown", "Twice": "run", "After": "run"} | dict.fromkeys(
        ("Both", "Raw", "Mid"), "reuse"
    )
    applied(All)
    decided = asking.of_task(context, "Mid").last
    assert (decided.decision, decided.task) == ("reused", "Mid(n=1)")


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
