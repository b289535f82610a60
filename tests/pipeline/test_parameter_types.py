"""Every type of parameter that Luigi has, inherited too: as text, as what identifies, and on a command line."""

from __future__ import annotations

import datetime as dt
import enum
import json
from pathlib import Path

import luigi
import pytest
from luigi.date_interval import Month

from disdat.pipe import PipeTask
from disdat.pipeline import loading, params
from disdat.pipeline.outcome import Named
from disdat.pipeline.source import class_name
from disdat.pipeline.task import make, named
from disdat.testing.executor_tasks import Doubles

NOON = dt.datetime.fromisoformat("2026-03-01T12:00")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Every(PipeTask):
    """One parameter of each type, named as that is."""

    Parameter = luigi.Parameter()
    StrParameter = luigi.StrParameter()
    DateParameter = luigi.DateParameter()
    MonthParameter = luigi.MonthParameter()
    YearParameter = luigi.YearParameter()
    DateHourParameter = luigi.DateHourParameter()
    DateMinuteParameter = luigi.DateMinuteParameter()
    DateSecondParameter = luigi.DateSecondParameter()
    DateIntervalParameter = luigi.DateIntervalParameter()
    TimeDeltaParameter = luigi.TimeDeltaParameter()
    IntParameter = luigi.IntParameter()
    FloatParameter = luigi.FloatParameter()
    BoolParameter = luigi.BoolParameter()
    PathParameter = luigi.PathParameter()
    TaskParameter = luigi.TaskParameter()
    ListParameter = luigi.ListParameter()
    TupleParameter = luigi.TupleParameter()
    EnumParameter = luigi.EnumParameter(enum=Colour)
    EnumListParameter = luigi.EnumListParameter(enum=Colour)
    DictParameter = luigi.DictParameter()
    NumericalParameter = luigi.NumericalParameter(min_value=0, max_value=9, var_type=float)
    ChoiceParameter = luigi.ChoiceParameter(choices=["a", "b"])
    ChoiceListParameter = luigi.ChoiceListParameter(choices=["a", "b"])
    OptionalParameter = luigi.OptionalParameter(default=None)
    OptionalStrParameter = luigi.OptionalStrParameter(default=None)
    OptionalIntParameter = luigi.OptionalIntParameter(default=None)
    OptionalFloatParameter = luigi.OptionalFloatParameter(default=None)
    OptionalBoolParameter = luigi.OptionalBoolParameter(default=None)
    OptionalPathParameter = luigi.OptionalPathParameter(default=None)
    OptionalDictParameter = luigi.OptionalDictParameter(default=None)
    OptionalListParameter = luigi.OptionalListParameter(default=None)
    OptionalTupleParameter = luigi.OptionalTupleParameter(default=None)
    OptionalChoiceParameter = luigi.OptionalChoiceParameter(choices=["a", "b"], default=None)
    OptionalNumericalParameter = luigi.OptionalNumericalParameter(min_value=0, max_value=9, var_type=int, default=None)

    def pipe_run(self) -> list[str]:
        return [repr(value) for _, value in sorted(self.param_kwargs.items())]


class Inherits(Every):
    """Has them all from another class."""


GIVEN: dict[str, object] = {
    "Parameter": "three words, 'quoted'",
    "StrParameter": "ü",
    "DateParameter": dt.date(2026, 3, 1),
    "MonthParameter": dt.date(2026, 3, 1),
    "YearParameter": dt.date(2026, 1, 1),
    "DateHourParameter": NOON,
    "DateMinuteParameter": NOON,
    "DateSecondParameter": NOON,
    "DateIntervalParameter": Month(2026, 3),
    "TimeDeltaParameter": dt.timedelta(days=1, hours=2, seconds=3),
    "IntParameter": -3,
    "FloatParameter": 0.1,
    "BoolParameter": True,
    "PathParameter": Path("/somewhere"),
    "TaskParameter": Doubles,
    "ListParameter": [1, "two", [3.5, None]],
    "TupleParameter": ((1, 2), (3, 4)),
    "EnumParameter": Colour.BLUE,
    "EnumListParameter": (Colour.BLUE, Colour.RED),
    "DictParameter": {"a": [1, {"b": None}]},
    "NumericalParameter": 2.5,
    "ChoiceParameter": "b",
    "ChoiceListParameter": ("b", "a"),
}
MORE: dict[str, object] = {
    "OptionalParameter": "text",
    "OptionalStrParameter": "text",
    "OptionalIntParameter": 3,
    "OptionalFloatParameter": 0.25,
    "OptionalBoolParameter": False,
    "OptionalPathParameter": Path("/somewhere"),
    "OptionalDictParameter": {"a": 1},
    "OptionalListParameter": [1, 2],
    "OptionalTupleParameter": (1, 2),
    "OptionalChoiceParameter": "a",
    "OptionalNumericalParameter": 4,
}
CASES = pytest.mark.parametrize("given", [GIVEN, GIVEN | MORE], ids=["required", "optional too"])
CLASSES = pytest.mark.parametrize("cls", [Every, Inherits])


def test_no_type_of_luigis_is_left_out():
    theirs = {name for name in luigi.__all__ if name.endswith("Parameter")}
    assert theirs == {name for name, _ in Every.get_params()} == {*GIVEN, *MORE}


@CASES
@CLASSES
def test_a_task_is_told_other_processes_as_text(cls: type[PipeTask], given: dict[str, object]):
    params.check(cls, given)
    task = cls(**given)
    again = make(Named.from_json(json.loads(json.dumps(named(task).to_json()))))
    assert (type(again), again.param_kwargs) == (cls, task.param_kwargs)


@CASES
@CLASSES
def test_a_task_can_be_made_of_what_identifies_it(cls: type[PipeTask], given: dict[str, object]):
    task = cls(**given)
    again = loading.task_of(class_name(cls), params.identifying(task))
    assert (type(again), again.param_kwargs) == (cls, task.param_kwargs)


@CLASSES
def test_a_task_can_be_written_on_a_command_line(cls: type[PipeTask]):
    task = cls(**GIVEN | MORE)
    words = [f"--{name}={text}" for name, text in params.identifying(task).items()]
    assert cls(**params.parse(cls, words)).param_kwargs == task.param_kwargs
