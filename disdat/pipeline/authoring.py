"""What a task class says that would do nothing, or fail once it runs: refused at once, with what does it instead."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import luigi

from disdat.errors import InvalidInput

_LUIGIS = {
    "requires": "what it does goes into pipe_requires, with self.add_dependency(...) for each task",
    "run": "what it does goes into pipe_run",
    "output": "what pipe_run returns is the output; self.create_output_file('NAME') gives a target to write to",
    "complete": "its code, its parameters and its inputs say whether it runs; self.mark_force() in pipe_requires makes "
    "it run in any case",
}
_KEPT_CLASSES = 1024
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_class(cls: type[luigi.Task], *, taken: Mapping[str, object]) -> None:
    """
    Refuse a class that would not do what it says.

    Raises:
        InvalidInput: A parameter has a name that is *taken*, a method is one that only Luigi's worker calls, or
            ``pipe_requires`` wants arguments.
    """
    for name, value in vars(cls).items():
        if isinstance(value, luigi.Parameter) and name in taken:
            raise InvalidInput(
                f"{cls.__name__} has a parameter {name!r}, which means something else in every task",
                hint="give the parameter another name",
            )
        _refuse_luigis(cls, name, value)
    wanted = [name for name, is_wanted in (_arguments(cls, "pipe_requires") or {}).items() if is_wanted]
    if wanted and "pipe_requires" in vars(cls):
        raise InvalidInput(
            f"pipe_requires of {cls.__name__} wants an argument {wanted[0]!r}, and is called without any",
            hint=f"write def pipe_requires(self); inputs are arguments of pipe_run, parameters are self.{wanted[0]}",
        )


def check(cls: type[luigi.Task], arguments: Iterable[str], returned: object) -> None:
    """
    Refuse a task whose ``pipe_requires`` declared inputs as *arguments*, and *returned* something.

    Raises:
        InvalidInput: It returned tasks, or yields; ``pipe_run`` does not take these arguments, or wants others; or a
            base or a decorator of the class gave it a method that only Luigi's worker calls.
    """
    if returned is not None:
        _refuse_returned(returned)
    _check_once(cls, tuple(arguments))


def _refuse_returned(returned: object) -> None:
    if inspect.isgenerator(returned):
        raise InvalidInput(
            "pipe_requires yields, so that nothing in it is called",
            hint="call self.add_dependency('ARGUMENT', CLASS, PARAMS) for each input, without yield",
        )
    for task in _tasks(returned):
        raise InvalidInput(
            f"pipe_requires returns {task.task_family}, and what it returns counts for nothing",
            hint=f"self.add_dependency('ARGUMENT', {type(task).__name__}, PARAMS) makes it an input of pipe_run",
        )


def _tasks(found: object) -> Iterator[luigi.Task]:
    if isinstance(found, luigi.Task):
        yield found
    elif isinstance(found, list | tuple | set | frozenset):
        for each in found:
            yield from _tasks(each)
    elif isinstance(found, Mapping):
        yield from _tasks(list(found.values()))


@lru_cache(maxsize=_KEPT_CLASSES)
def _check_once(cls: type[luigi.Task], arguments: tuple[str, ...]) -> None:
    for name in _LUIGIS:
        owner = next(each for each in cls.__mro__ if name in vars(each))
        if not owner.__module__.startswith("luigi."):
            _refuse_luigis(cls, name, vars(owner)[name])
    taken = _arguments(cls, "pipe_run")
    if taken is None:
        return
    for argument in arguments:
        if argument not in taken:
            raise InvalidInput(
                f"pipe_run takes no argument {argument!r}, which add_dependency({argument!r}, ...) in pipe_requires "
                "hands it",
                hint=f"write def pipe_run(self, {', '.join(arguments)}){_or_another_name(taken.keys() - {*arguments})}",
            )
    missing = [name for name, is_wanted in taken.items() if is_wanted and name not in arguments]
    if missing:
        raise InvalidInput(
            f"pipe_run wants an argument {missing[0]!r}, which nothing hands it",
            hint=f"self.add_dependency({missing[0]!r}, CLASS, PARAMS) in pipe_requires does; a parameter is "
            f"self.{missing[0]}",
        )


def _or_another_name(free: Iterable[str]) -> str:
    names = " or ".join(map(repr, sorted(free)))
    return f", or name the input {names} in pipe_requires" if names else ""


def _arguments(cls: type[Any], method: str) -> Mapping[str, bool] | None:
    """What a method can be handed by name, and whether it wants it; None where that cannot be told."""
    function = inspect.getattr_static(cls, method)
    if not inspect.isfunction(function):
        return None
    # Not of what a decorator wraps: it may add arguments, or take some away.
    taken = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken):
        return None
    if taken and taken[0].kind in _BY_POSITION:
        del taken[0]  # self
    return {each.name: each.default is inspect.Parameter.empty for each in taken if each.kind in _NAMED}


def _refuse_luigis(cls: type[luigi.Task], name: str, value: object) -> None:
    if name in _LUIGIS and (callable(value) or isinstance(value, property | classmethod)):
        raise InvalidInput(f"{cls.__name__} has a method {name}, which nothing calls", hint=_LUIGIS[name])
