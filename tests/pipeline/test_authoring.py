"""What a newcomer may write that would do nothing, or fail late: refused, with the name of what does it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import luigi
import pytest

from disdat.errors import ApplyError, InvalidInput
from disdat.pipe import PipeTask
from disdat.pipeline.run import apply
from tests.pipeline.conftest import Applied


class Leaf(PipeTask):
    def pipe_run(self) -> int:
        return 1


class Reads(PipeTask):
    """Reads a leaf as ``leaf``."""

    def pipe_requires(self) -> object:
        self.add_dependency("leaf", Leaf, {})
        return None


def test_a_parameter_is_not_called_as_something_of_every_task():
    with pytest.raises(InvalidInput, match=r"Odd has a parameter 'add_tags'"):
        type("Odd", (PipeTask,), {"add_tags": luigi.Parameter()})


@pytest.mark.parametrize("name", ["requires", "run", "output", "complete"])
def test_a_method_that_only_luigi_calls_is_refused_and_a_parameter_of_that_name_is_not(name: str):
    with pytest.raises(InvalidInput, match=f"Odd has a method {name}, which nothing calls"):
        type("Odd", (PipeTask,), {name: lambda self: None})
    with pytest.raises(InvalidInput, match=f"Odd has a method {name}, which nothing calls"):
        type("Odd", (PipeTask,), {name: property(lambda self: None)})
    assert getattr(type("Even", (PipeTask,), {name: luigi.IntParameter()})(**{name: 1}), name) == 1


def test_pipe_requires_takes_no_arguments():
    with pytest.raises(InvalidInput, match="pipe_requires of Odd wants an argument 'leaf', and is called without any"):
        type("Odd", (PipeTask,), {"pipe_requires": lambda self, leaf: None})
    type("Even", (PipeTask,), {"pipe_requires": lambda self, leaf=1: None})


def test_such_a_method_is_refused_where_a_base_or_a_decorator_brought_it_too(applied: Applied):
    class Mixin:
        def output(self) -> None:
            """Where Luigi would look."""

    class Mixed(Mixin, Leaf):
        pass

    class Decorated(Leaf):
        pass

    Decorated.requires = lambda self: Leaf()  # type: ignore[method-assign]  # as luigi.util.requires does
    for cls, name in ((Mixed, "output"), (Decorated, "requires")):
        with pytest.raises(ApplyError, match=f"{cls.__name__} has a method {name}, which nothing calls"):
            apply(applied.context, cls)
    assert applied.uuids() == set()


def hands_more(function: Callable[..., object]) -> Callable[..., object]:
    """A decorator that hands what it wraps an argument of its own."""

    @functools.wraps(function)
    def changed(self: PipeTask, leaf: object) -> object:
        return function(self, leaf, 7)

    return changed


def passes(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def changed(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return changed


TAKING: list[Callable[..., object]] = [
    lambda self, leaf: leaf,
    lambda self, *, leaf: leaf,
    lambda self, leaf, more=1: leaf,
    lambda self, **inputs: inputs["leaf"],
    lambda *args, **inputs: inputs["leaf"],
    hands_more(lambda self, leaf, more: leaf),
    passes(lambda self, leaf: leaf),
    functools.partialmethod(lambda self, more, leaf: leaf, 7),  # type: ignore[list-item]  # a descriptor
]


@pytest.mark.parametrize("function", TAKING)
def test_what_can_be_handed_its_inputs_runs(applied: Applied, function: Callable[..., object]):
    applied(type("Task", (Reads,), {"pipe_run": function}))
    assert applied.value("Task") == 1


REFUSED: list[tuple[Callable[..., object], str, str]] = [
    (lambda self: 1, "takes no argument 'leaf', which add_dependency", r"def pipe_run\(self, leaf\)$"),
    (lambda self, it: 1, "takes no argument 'leaf'", "pipe_run.self, leaf., or name the input 'it' in pipe_requires$"),
    (lambda self, leaf, /: 1, "takes no argument 'leaf'", "def pipe_run"),
    (lambda self, leaf, more: 1, "wants an argument 'more', which nothing hands it", r"add_dependency\('more', CLASS"),
    (lambda self, leaf, *, more: 1, "wants an argument 'more'", "a parameter is self.more$"),
]


@pytest.mark.parametrize(("function", "told", "hint"), REFUSED)
def test_what_cannot_be_handed_its_inputs_is_refused_before_anything_runs(
    applied: Applied, function: Callable[..., object], told: str, hint: str
):
    with pytest.raises(ApplyError, match=rf"^Task\(\): pipe_run {told}") as caught:
        apply(applied.context, type("Task", (Reads,), {"pipe_run": function}))
    assert re.search(hint, caught.value.hint)
    assert list(applied.context.catalog.events()) == []


def yields(self: PipeTask) -> object:
    yield Leaf()


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda self: Leaf(), "returns Leaf, and what it returns counts for nothing"),
        (lambda self: [{"a": (Leaf(),)}], "returns Leaf, and what it returns counts for nothing"),
        (yields, "yields, so that nothing in it is called"),
    ],
)
def test_tasks_that_pipe_requires_returns_are_refused_with_the_method_to_call(
    applied: Applied, function: Callable[..., object], told: str
):
    with pytest.raises(ApplyError, match=rf"^Task\(\): pipe_requires {told}") as caught:
        apply(applied.context, type("Task", (Leaf,), {"pipe_requires": function}))
    assert "self.add_dependency('ARGUMENT', " in caught.value.hint
    assert list(applied.context.catalog.events()) == []


def test_whatever_else_it_returns_counts_for_nothing(applied: Applied):
    assert applied(type("Task", (Leaf,), {"pipe_requires": lambda self: ["no task"]})) == ["Task"]
