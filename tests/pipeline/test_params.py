"""Parameters: checked when given, read from a command line, and described without what is nobody's business."""

from __future__ import annotations

import datetime as dt
import enum
import math
from pathlib import Path

import luigi
import pytest
from luigi.parameter import ParameterVisibility

from disdat.errors import InvalidInput
from disdat.pipe import PipeTask, parse_params
from disdat.pipeline import params

HOUR = dt.datetime.fromisoformat("2026-03-01T09:00")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Every(PipeTask):
    text = luigi.Parameter(default="")
    number = luigi.IntParameter(default=0)
    part = luigi.FloatParameter(default=0.0)
    flag = luigi.BoolParameter()
    day = luigi.DateParameter(default=dt.date(2026, 1, 1))
    hour = luigi.DateHourParameter(default=HOUR)
    span = luigi.TimeDeltaParameter(default=dt.timedelta(0))
    many = luigi.ListParameter(default=[])
    pair = luigi.TupleParameter(default=())
    table = luigi.DictParameter(default={})
    colour = luigi.EnumParameter(enum=Colour, default=Colour.RED)
    choice = luigi.ChoiceParameter(choices=["a", "b"], default="a")
    size = luigi.NumericalParameter(min_value=1, max_value=9, var_type=int, default=1)
    path = luigi.PathParameter(default=".")
    maybe = luigi.OptionalIntParameter(default=None)
    unset = luigi.Parameter(default=None)


class Needs(PipeTask):
    first = luigi.IntParameter()
    second = luigi.Parameter()
    third = luigi.Parameter(default="x")


class Hidden(PipeTask):
    shown = luigi.Parameter(default="s" * 100)
    aside = luigi.Parameter(default="2", significant=False)
    token = luigi.Parameter(default="hunter2", visibility=ParameterVisibility.PRIVATE)
    api_key = luigi.Parameter(default="swordfish", significant=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "three words"),
        ("text", ""),
        ("number", -3),
        ("part", 0.5),
        ("part", 3),
        ("part", math.inf),
        ("part", math.nan),
        ("flag", True),
        ("day", dt.date(2026, 3, 1)),
        ("hour", HOUR),
        ("span", dt.timedelta(hours=2)),
        ("many", [1, "two", [3]]),
        ("many", (1, 2)),
        ("pair", (1, 2)),
        ("table", {"a": [1, {"b": None}]}),
        ("colour", Colour.BLUE),
        ("choice", "b"),
        ("size", 8),
        ("path", Path("/tmp")),
        ("path", "/tmp"),
        ("maybe", None),
        ("maybe", 3),
        ("unset", None),
        ("unset", "text"),
    ],
)
def test_a_value_of_the_parameters_type_is_taken(name: str, value: object):
    params.check(Every, {name: value})
    assert Every(**{name: value}).param_kwargs.keys() == dict(Every.get_params()).keys()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("text", 3, "parameter text of Every is a str; int 3 is not"),
        ("text", None, "NoneType None"),
        ("number", "3", "parameter number of Every is an int; str '3' is not"),
        ("number", 3.0, "float 3.0"),
        ("number", True, "bool True"),
        ("part", "0.5", "is a float; str '0.5'"),
        ("flag", "perhaps", "is a bool; str 'perhaps'"),
        ("day", "2026-03-01", "is a date; str"),
        ("many", "text", "is a list; str 'text'"),
        ("many", {1}, "is a list"),
        ("table", [1], "is a dict; list"),
        ("table", {1: 2}, "is a dict"),
        ("colour", "RED", "is an enum"),
        ("choice", "c", "is a choice; str 'c' is not"),
        ("size", 9, "is a numerical; int 9"),
        ("maybe", "3", "is an int or None; str '3'"),
        ("number", "9" * 500, "..."),
    ],
)
def test_a_value_of_another_type_is_refused_by_name_type_and_value(name: str, value: object, told: str):
    with pytest.raises(InvalidInput) as caught:
        params.check(Every, {name: value})
    assert told in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_choices_are_listed():
    with pytest.raises(InvalidInput) as caught:
        params.check(Every, {"choice": "c"})
    assert "a" in caught.value.hint
    assert "b" in caught.value.hint


def test_an_unknown_parameter_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="Needs has no parameter 'frist'") as caught:
        params.check(Needs, {"frist": 1})
    assert caught.value.hint == "did you mean first? its parameters: first, second, third"


def test_missing_parameters_are_listed():
    with pytest.raises(InvalidInput, match=r"Needs needs first \(an int\), second \(a str\)"):
        params.check(Needs, {})


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        ([], {}),
        (["--number", "3"], {"number": 3}),
        (["--number=3"], {"number": 3}),
        (["--number", "-3"], {"number": -3}),
        (["--text=--number"], {"text": "--number"}),
        (["--text", "a=b"], {"text": "a=b"}),
        (["--text="], {"text": ""}),
        (["--flag"], {"flag": True}),
        (["--flag", "--number", "1"], {"flag": True, "number": 1}),
        (["--flag", "false"], {"flag": False}),
        (["--flag=False"], {"flag": False}),
        (["--day", "2026-03-01"], {"day": dt.date(2026, 3, 1)}),
        (["--many", '[1, "two"]'], {"many": (1, "two")}),
        (["--colour", "BLUE"], {"colour": Colour.BLUE}),
    ],
)
def test_a_command_line_is_read(words: list[str], parsed: dict[str, object]):
    assert parse_params(Every, words) == parsed


def test_a_dash_may_stand_for_an_underscore():
    assert parse_params(Hidden, ["--api-key", "x"]) == {"api_key": "x"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--number", "three"], "parameter number of Every is an int; str 'three' is not"),
        (["--number"], "parameter number needs a value"),
        (["--number", "--text", "x"], "parameter number needs a value"),
        (["--number", "1", "--number", "2"], "given twice"),
        (["--nunber", "1"], "no parameter 'nunber'"),
        (["--nunber"], "no parameter 'nunber'"),
        (["stray"], "'stray' is not a parameter"),
        (["--"], "'--' is not a parameter"),
        (["--choice", "c"], "is a choice"),
        (["--table", "[1]"], "parameter table of Every is a dict; str '[1]' is not"),
        (["--many", "1,2"], "is a list"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_refused(words: list[str], told: str):
    with pytest.raises(InvalidInput) as caught:
        parse_params(Every, words)
    assert told in str(caught.value)


def test_a_description_shows_what_is_significant_and_public():
    assert params.describe(Hidden()) == f"Hidden(shown={'s' * 100})"


def test_descriptions_of_tasks_that_differ_do_and_stay_short():
    one, other = (params.describe(Hidden(shown=f"{'s' * 500}{middle}{'s' * 500}")) for middle in "ab")
    assert one != other
    assert len(one) == len(other) < 256


def test_what_identifies_includes_what_is_private_by_digest_only():
    found = params.identifying(Hidden())
    assert found.keys() == {"shown", "token"}
    assert found["token"].startswith("blake3:")
    assert found["token"] != params.identifying(Hidden(token="other"))["token"]


def test_what_is_recorded_hides_secrets():
    assert params.recorded(Hidden()) == {"shown": "s" * 100, "aside": "2", "api_key": "***"}


def test_parameters_are_explained_with_their_defaults_and_without_secrets():
    class Told(PipeTask):
        count = luigi.IntParameter(description="how many")
        label = luigi.Parameter(default="none")
        maybe = luigi.OptionalIntParameter(default=None)
        many = luigi.ListParameter(default=[1, 2])
        key = luigi.Parameter(default="hush", visibility=ParameterVisibility.HIDDEN)

    assert [(each.name, each.kind, each.default, each.description) for each in params.explain(Told)] == [
        ("count", "an int", None, "how many"),
        ("label", "a str", "none", ""),
        ("maybe", "an int or None", "None", ""),
        ("many", "a list", "[1, 2]", ""),
        ("key", "a str", "***", ""),
    ]


def test_every_parameter_can_be_explained():
    assert all(each.default is not None for each in params.explain(Every))
