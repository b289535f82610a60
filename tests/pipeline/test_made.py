"""A class that a function or ``type(...)`` made counts with what it was made of, which no source tells."""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import luigi
import pytest

from disdat.pipe import PipeTask
from disdat.pipeline import made, source


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Settings:
    size: int


def one() -> int:
    return 1


def other() -> int:
    return 2


def adding(n: int) -> Callable[[int], int]:
    return lambda x: x + n


def closing_over(value: object) -> type[PipeTask]:
    class T(PipeTask):
        def pipe_run(self) -> object:
            return value

    return T


def told(cls: type) -> made.Made:
    return made.of_class(cls, "made.py", lambda module: module == __name__)


def sized(size: int) -> type:
    class Base:
        it = size

    class Derived(Base): ...

    return Derived


@pytest.mark.parametrize(
    ("value", "another"),
    [
        (1, 2),
        (1, True),
        (1, 1.0),
        ("a", b"a"),
        (None, ...),
        ([1, 2], [2, 1]),
        ([1], (1,)),
        ({"a": 1}, {"a": 2}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}),
        (dict.fromkeys("abcd", 1), {**dict.fromkeys("abcd", 1), "d": 2}),
        ({"a", "b", "c"}, {"a", "b", "d"}),
        (Colour.RED, Colour.BLUE),
        (dt.date(2026, 1, 1), dt.date(2026, 1, 2)),
        (Decimal("1.0"), Decimal("1.00")),
        (Path("a"), Path("b")),
        (re.compile("a" * 300 + "b"), re.compile("a" * 300 + "c")),
        (slice(1), slice(2)),
        (one, other),
        ((one, other), (other, one)),
        (adding(1), adding(2)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (functools.partial(max, 1), functools.partial(min, 1)),
        (functools.cache(one), functools.cache(other)),
        (Settings(1), Settings(2)),
        (Settings(1).__repr__, Settings(2).__repr__),
        (closing_over(1), closing_over(2)),
        (sized(1), sized(2)),
    ],
)
def test_what_it_closes_over_counts(value: object, another: object):
    assert told(closing_over(value)).values != told(closing_over(another)).values
    assert told(closing_over(value)).values == told(closing_over(value)).values
    assert not told(closing_over(value)).blind


def test_functions_and_classes_that_it_is_given_count_as_code():
    found = told(closing_over([one, Settings, Settings(1), adding(1), re]))
    assert {(__name__, "one"), (__name__, "Settings"), (__name__, "adding"), ("re", "")} <= found.starts.keys()


def test_what_type_was_given_counts_and_gives_it_a_home():
    def typed(**given: object) -> type:
        return type("T", (PipeTask,), {"pipe_run": lambda self: one(), **given})

    assert source.class_name(typed()) == f"{__name__}.T"
    assert told(typed(size=1)).values != told(typed(size=2)).values
    assert (__name__, "test_what_type_was_given_counts_and_gives_it_a_home") in told(typed()).starts
    assert not told(typed(n=luigi.IntParameter(default=1))).blind


def test_what_is_bound_to_it_counts_beside_what_it_was_given(importable: Callable[[str, str], Path]):
    importable("made_h.py", "def make(n, run, base): return type(n, (base,), {'pipe_run': run})")
    text = """
        from disdat.pipe import PipeTask
        from made_h import make
        T = make("T", lambda self: {}, PipeTask)
        """

    def counted(module: str, value: str) -> dict[str, str]:
        importable(f"{module}.py", text.format(value))
        found = source.of_class(importlib.import_module(module).T).counted.definitions
        return {name.rpartition(":")[2]: kind + told for name, (kind, told) in found.items()}

    one, two = counted("made_one", "1"), counted("made_two", "2")
    assert one.keys() == two.keys() == {"T", "T()", "make", "PipeTask"}
    assert one["T"] != two["T"]


def test_a_value_of_which_nothing_is_known_is_told():
    [found] = told(closing_over(SimpleNamespace(a=1))).blind
    assert found == "made.py:closing_over.<locals>.T(), pipe_run.value: a SimpleNamespace"


def test_what_holds_itself_ends():
    value: list[object] = []
    value.append(value)
    assert ["pipe_run.value.0", "as pipe_run.value"] in told(closing_over(value)).values


def test_classes_of_one_name_that_were_given_other_values_count_as_others():
    two, three, again = (source.of_class(closing_over(n)).counted for n in (2, 3, 2))
    assert two.digest != three.digest
    assert two.digest == again.digest
    assert f"{__name__.replace('.', '/')}.py:closing_over.<locals>.T()" in two.definitions


def test_a_class_that_its_name_leads_to_is_told_by_its_source():
    assert made.is_named(Settings)
    assert not made.is_named(closing_over(1))
