"""
What a class is made of that its source does not tell, as the function or call that made it was given that.

A class in a function closes over values, and one of ``type(...)`` has methods from anywhere: functions and classes
among these count as code does, plain values by what they are.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType

import luigi

from disdat.core import digest

_PLAIN = (bool, int, float, complex, str, bytes, range, type(None), type(...))
_TOLD = (
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction),
    *(pathlib.PurePath, uuid.UUID, slice),
)
"""Values of which the text tells all."""
_WRAPPERS: tuple[type, ...] = (staticmethod, classmethod, type(functools.cache(int)))
_METHODS = (FunctionType, property, functools.cached_property, *_WRAPPERS)
_ATTRIBUTES: tuple[tuple[type | tuple[type, ...], tuple[str, ...]], ...] = (
    (_WRAPPERS, ("__wrapped__",)),
    (property, ("fget", "fset", "fdel")),
    (functools.cached_property, ("func",)),
    (functools.partial, ("func", "args", "keywords")),
    (MethodType, ("__func__", "__self__")),
    (BuiltinFunctionType, ("__qualname__", "__self__")),
    (re.Pattern, ("pattern", "flags")),
)
"""What tells all of a value of these types."""
_SILENT = (luigi.Parameter, GetSetDescriptorType, MemberDescriptorType)
"""Parameters count by their values, and places for attributes by what fills them."""
_OURS = frozenset({"_abc_impl", "_namespace_at_class_time", "_disdat_uses"})
_OF_TYPE = "abc"
"""What Python takes for the module of a class of tasks that is no statement: where its metaclass is."""
_DIGITS = 32


@dataclass(slots=True)
class Made:
    """What counts of a class beside its source."""

    called: str
    """Other than the definition of that name."""
    starts: dict[tuple[str, str], None] = field(default_factory=dict)
    """Functions and classes, as module and name."""
    values: list[list[str]] = field(default_factory=list)
    """Plain values, each under where it is."""
    blind: list[str] = field(default_factory=list)
    """Values of which is not known what they are."""

    @property
    def digest(self) -> str:
        return digest.of_json(self.values).hex[:_DIGITS]


def home(cls: type) -> str:
    """The module a class is defined in; one that ``type(...)`` made is where its methods are."""
    if cls.__module__ != _OF_TYPE:
        return cls.__module__
    inner = (getattr(each, "__func__", each) for each in vars(cls).values())
    return next((each.__module__ for each in inner if isinstance(each, FunctionType)), _OF_TYPE)


def is_named(cls: type) -> bool:
    """Whether the name of a class leads to it."""
    found: object = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


def of_class(cls: type, file: str, is_projects: Callable[[str], bool]) -> Made:
    """What *cls* of *file*, which no name leads to, is made of; *is_projects* tells which modules are the project's."""
    walk = _Walk(cls, file, is_projects)
    for name, value in _attributes(cls):
        walk.add(name, value)
    return walk.made


class _Walk:
    def __init__(self, cls: type, file: str, is_projects: Callable[[str], bool]) -> None:
        self.made = Made(f"{file}:{cls.__qualname__}()")
        self._is_projects = is_projects
        self._seen: dict[int, tuple[str, object]] = {id(cls): ("", cls)}
        """Where what was seen is; and that itself, as another value may get the number of one that is gone."""

    def add(self, at: str, value: object) -> None:
        """Note a value, and what is in it."""
        if isinstance(value, _SILENT):
            return
        if isinstance(value, enum.Enum):
            self._start(type(value))
            self._note(at, value.name)
        elif isinstance(value, _PLAIN):
            self._note(at, f"{type(value).__name__} {value!r}")
        elif isinstance(value, _TOLD):
            self._note(at, repr(value))
        elif (first := self._seen.setdefault(id(value), (at, value))[0]) != at:
            self._note(at, f"as {first}")
        else:
            self._add_parts(at, value)

    def _add_parts(self, at: str, value: object) -> None:
        what = type(value).__qualname__
        if isinstance(value, FunctionType | type):
            what = self._start(value)
        elif isinstance(value, ModuleType):
            what = value.__name__
            self.made.starts[what, ""] = None
        parts = _parts(value)
        if parts is None and self._is_projects(type(value).__module__):
            parts = [("type", type(value)), *getattr(value, "__dict__", {}).items()]
        if parts is None:
            self.made.blind.append(f"{self.made.called}, {at}: a {what}")
            return
        self._note(at, what)
        for name, part in parts:
            self.add(f"{at}.{name}", part)

    def _note(self, at: str, what: str) -> None:
        self.made.values.append([at, what])

    def _start(self, defined: FunctionType | type) -> str:
        name = defined.__qualname__.partition(".")[0]
        self.made.starts[defined.__module__, name if name.isidentifier() else ""] = None
        return f"{defined.__module__}.{defined.__qualname__}"


def _parts(value: object) -> Iterable[tuple[str, object]] | None:
    """What a value is made of; None where that is not known."""
    if isinstance(value, FunctionType):
        return _closed_over(value)
    if isinstance(value, ModuleType):
        return ()
    if isinstance(value, type):
        return _members(value) if "<locals>" in value.__qualname__ else ()
    if isinstance(value, Mapping):
        return _numbered(value.items())
    if isinstance(value, list | tuple):
        return _numbered(value)
    if isinstance(value, Set):
        return _numbered(sorted(value, key=repr))
    return next(
        ([(name, getattr(value, name)) for name in names] for kind, names in _ATTRIBUTES if isinstance(value, kind)),
        None,
    )


def _numbered(values: Iterable[object]) -> Iterable[tuple[str, object]]:
    return ((str(number), each) for number, each in enumerate(values))


def _closed_over(function: FunctionType) -> Iterator[tuple[str, object]]:
    yield "defaults", function.__defaults__
    yield "keywords", function.__kwdefaults__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing was bound to it
            continue


def _members(cls: type) -> Iterator[tuple[str, object]]:
    """What a class that a class closes over is made of: what Python or a package made of it tells nothing."""
    yield "bases", cls.__bases__
    for name, value in _attributes(cls):
        if isinstance(value, _METHODS) or not hasattr(value, "__get__"):
            yield name, value


def _attributes(cls: type) -> Iterator[tuple[str, object]]:
    for name, value in vars(cls).items():
        is_pythons = name.startswith("__") and not isinstance(value, (FunctionType, *_WRAPPERS))
        if name not in _OURS and not is_pythons:
            yield name, value
