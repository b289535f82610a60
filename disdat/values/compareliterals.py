"""How two literals differ, place by place. Nothing here recurses with the depth of the values."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, cast

from disdat.core import canonical
from disdat.core.bundle import Frame
from disdat.errors import Unserializable
from disdat.values import literal
from disdat.values.difference import Added, Removed, Reordered, Replaced, Tolerance, described

LONGEST_PLACE = 200
"""Longer places are shortened."""


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """A frame inside a literal: equal to another one of equal content; a literal in it is decoded when asked for."""

    frame: Frame
    opened: Callable[[], object] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.frame.logical == self.frame.logical

    def __hash__(self) -> int:
        return hash(self.frame.logical)

    def __repr__(self) -> str:
        return f"<{described(self.frame)}>"


class Frames(NamedTuple):
    """Two frames of content that is no literal, to be compared by whoever can."""

    old: Frame
    new: Frame


Found: TypeAlias = Replaced | Added | Removed | Reordered | Frames


class _Absent:
    """What is in place of an item that only one value has."""


_ABSENT = _Absent()


class _Step(NamedTuple):
    """An item of a container: its key or position there, and what it is in both."""

    form: str
    """How the place of such an item is written."""
    key: object
    old: object
    new: object


_KEYED, _MEMBER, _WHOLE = "[{}]", "{{{}}}", ""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where something is: inside what, and which item there. Written out only where a difference is."""

    above: _Place | None = None
    form: str = _WHOLE
    key: object = None

    def __str__(self) -> str:
        names: list[str] = []
        place: _Place | None = self
        while place is not None:
            names.append(place.form.format(_short(place.key)))
            place = place.above
        text = "".join(reversed(names))
        return text if len(text) <= LONGEST_PLACE else text[:120] + "…" + text[-60:]


def compare(old: object, new: object, tolerance: Tolerance) -> Iterator[tuple[str, Found]]:
    """
    Yield every place at which *new* differs from *old*, and how, in the order in which the values are written.

    A place is empty for the whole, else such as ``['a'][3]``. Items of dicts are matched by key, those of lists and
    tuples by position, those of sets by equality. What is in both as a frame of its own is yielded as :class:`Frames`.
    """
    waiting: list[tuple[_Place, Iterator[_Step]]] = [(_Place(), iter([_Step(_WHOLE, None, old, new)]))]
    while waiting:
        above, steps = waiting[-1]
        step = next(steps, None)
        if step is None:
            waiting.pop()
            continue
        if type(step.old) in _JSON_SCALARS and type(step.old) is type(step.new) and step.old == step.new:
            continue
        place = _Place(above, step.form, step.key)
        before, after = _unwrapped(step.old, step.new)
        if type(before) is type(after) and type(before) in literal.CONTAINERS:
            if isinstance(before, dict) and _is_reordered(before, cast("Mapping[object, object]", after)):
                yield str(place), Reordered()
            waiting.append((place, _steps(before, after)))
        elif (found := _difference(before, after, tolerance)) is not None:
            yield str(place), found


_JSON_SCALARS = frozenset({type(None), bool, int, float, str})


def _unwrapped(old: object, new: object) -> tuple[object, object]:
    """Literals in place of the frames that hold them, where the other side is not the same frame."""
    if isinstance(old, Ref) and isinstance(new, Ref) and old == new:
        return old, new
    return _literal_in(old), _literal_in(new)


def _literal_in(value: object) -> object:
    return value.opened() if isinstance(value, Ref) and value.frame.kind == "literal" else value


def _difference(old: object, new: object, tolerance: Tolerance) -> Found | None:
    if old is _ABSENT:
        return Added(new)
    if new is _ABSENT:
        return Removed(old)
    if isinstance(old, Ref) and isinstance(new, Ref):
        return None if old == new else Frames(old.frame, new.frame)
    return None if _alike(old, new, tolerance) else Replaced(old, new)


def _alike(old: object, new: object, tolerance: Tolerance) -> bool:
    """Whether two scalars are of one type and equal; NaN equals itself, and ``1.0`` as a Decimal is not ``1.00``."""
    if type(old) is not type(new) or isinstance(old, Ref):
        return False
    if tolerance and _is_number(old) and tolerance.allows(_plain(old), _plain(new)):
        return True
    return _code(old) == _code(new)


def _is_number(value: object) -> bool:
    return type(value) in {int, float, complex} or (literal.is_numpy_scalar(value) and _kind(value) in "iufc")


def _kind(value: Any) -> str:  # a numpy scalar, of a package that may not be imported
    return str(value.dtype.kind)


def _plain(value: Any) -> complex:  # as above, or a number of Python
    number: complex = value.item() if literal.is_numpy_scalar(value) else value
    return number


def _code(value: object) -> literal.Code:
    """What two scalars of one type have the same of exactly if they are equal, NaN to itself."""
    return literal.encode(value, lambda: "a value")


def _steps(old: object, new: object) -> Iterator[_Step]:
    if isinstance(old, dict):
        return _dict_steps(old, cast("Mapping[object, object]", new))
    if isinstance(old, set | frozenset):
        return _set_steps(old, cast("Iterable[object]", new))
    pairs = itertools.zip_longest(cast("Sequence[object]", old), cast("Sequence[object]", new), fillvalue=_ABSENT)
    return (_Step(_KEYED, position, one, other) for position, (one, other) in enumerate(pairs))


def _dict_steps(old: Mapping[object, object], new: Mapping[object, object]) -> Iterator[_Step]:
    before, after = _by_identity(old), _by_identity(new)
    for identity, key in before.items():
        value = new[after[identity]] if identity in after else _ABSENT
        yield _Step(_KEYED, key, old[key], value)
    for identity, key in after.items():
        if identity not in before:
            yield _Step(_KEYED, key, _ABSENT, new[key])


def _set_steps(old: Iterable[object], new: Iterable[object]) -> Iterator[_Step]:
    before, after = _by_identity(old), _by_identity(new)
    for item in sorted((before[one] for one in before.keys() - after.keys()), key=repr):
        yield _Step(_MEMBER, item, item, _ABSENT)
    for item in sorted((after[one] for one in after.keys() - before.keys()), key=repr):
        yield _Step(_MEMBER, item, _ABSENT, item)


def _is_reordered(old: Mapping[object, object], new: Mapping[object, object]) -> bool:
    before, after = _by_identity(old), _by_identity(new)
    if before.keys() == after.keys():
        return any(map(operator.ne, before, after))
    return [one for one in before if one in after] != [one for one in after if one in before]


def _by_identity(items: Iterable[object]) -> dict[object, object]:
    """Keys of a dict, or items of a set, by what tells apart 1 and True, which are equal, and not NaN and NaN."""
    return {item if type(item) is str else _identity(item): item for item in items}


def _identity(item: object) -> object:
    try:
        return canonical.encode(literal.encode_plain(item, lambda: "a key"))
    except Unserializable:  # a frame, or a tuple with one in it
        return item


def _short(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:50] + "…"
