"""
Containers of anything: a list, tuple, dict or set, however deep, as literal frames and frames of what is not literal.

Nothing here recurses with the depth of the user's value, so none meets Python's recursion limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath
from typing import cast

from disdat.core import canonical
from disdat.core.bundle import INLINE_LITERAL_BYTES, Frame, Inline
from disdat.core.digest import LogicalDigest
from disdat.errors import Unserializable
from disdat.values import files, literal
from disdat.values.literal import Code
from disdat.values.markers import Text
from disdat.values.serializer import Sink

MAX_DEPTH = 1000
"""Containers inside each other; a value that is deeper is refused."""
FRAME_HEIGHT = 32
"""A container of this height inside another is a frame of its own, so that JSON is never nested deeply."""

LONGEST_PLACE = 200
"""Longer places are shortened in names and messages."""

DumpOther = Callable[[object, str], Frame | None]
"""Given a value and its place: its frame, or None where only a literal can be in that place."""

_END = object()


@dataclass(slots=True)
class _Level:
    """A container being encoded: its items in the order they are written, and what they have become so far."""

    value: object
    items: Sequence[object]
    rest: Iterator[object]
    above: _Level | None
    position: int
    """Where this container is in the one above."""
    top: str
    """The place of the whole value."""
    is_text: bool
    frames: Mapping[int, Frame] = field(default_factory=dict)
    """Items that name files, by position."""
    codes: list[Code] = field(default_factory=list)
    height: int = 1

    def where(self) -> str:
        """The place of the item that is encoded next, from the top."""
        return self.place(len(self.codes))

    def place(self, position: int) -> str:
        """The place of an item, from the top: ``value['a'][3]``."""
        steps = [self.step_to(position)]
        level = self
        while level.above is not None:
            steps.append(level.above.step_to(level.position))
            level = level.above
        text = self.top + "".join(reversed(steps))
        return text if len(text) <= LONGEST_PLACE else text[:120] + "…" + text[-60:]

    def key_place(self, key: object) -> str:
        """The place of a key of this dict, from the top: ``value['a'] key (1, 2)``."""
        here = self.top if self.above is None else self.above.place(self.position)
        return f"{here} key {_short(key)}"

    def step_to(self, position: int) -> str:
        if isinstance(self.value, dict):
            return f"[{_short(list(self.value)[position])}]"
        return f"[{position}]" if isinstance(self.value, list | tuple) else f"{{{position}}}"


class NestedDump:
    """
    Encodes one value. What it needed besides is in :attr:`frames`, each referring only to earlier ones.

    *top* is the place of the whole value, which the frames' names leave out.
    """

    def __init__(self, top: str, sink: Sink, dump_other: DumpOther) -> None:
        self.frames: list[Frame] = []
        self._top = top
        self._sink = sink
        self._dump_other = dump_other
        self._logical: dict[str, LogicalDigest] = {}

    def frame(self, value: object, *, is_text: bool) -> Frame:
        """The frame, named ``""``, of a scalar or container; with *is_text* no string in it names a file."""
        if type(value) in literal.CONTAINERS:
            return self._finish(self._encode(value, is_text=is_text))
        return self._finish(literal.encode(value, lambda: self._top))

    def _encode(self, value: object, *, is_text: bool) -> Code:
        level = self._open(value, None, is_text=is_text)
        open_now = {id(value)}
        while True:
            child = next(level.rest, _END)
            if child is _END:
                code = self._close(level)
                if level.above is None:
                    return code
                open_now.discard(id(level.value))
                level.above.codes.append(self._closed(level, code))
                level = level.above
            elif type(inner := _unmarked(child)) in literal.CONTAINERS:
                _check_may_open(inner, open_now, level)
                open_now.add(id(inner))
                level = self._open(inner, level, is_text=level.is_text or inner is not child)
            else:
                level.codes.append(self._item(child, level))

    def _open(self, value: object, above: _Level | None, *, is_text: bool) -> _Level:
        items = _items(value)
        position = 0 if above is None else len(above.codes)
        level = _Level(value, items, iter(items), above, position, self._top, is_text)
        found = _found(level, self._sink)
        if found:
            level.frames = dict(zip(found, files.capture(found.values(), self._sink), strict=True))
        elif (codes := literal.encode_alike(items)) is not None:
            level.codes, level.rest = codes, iter(())
        elif literal.ENCODERS.keys() >= set(map(type, items)):
            level.rest = iter(())
            for item in items:  # one by one, for level.where() to say which one cannot be encoded
                level.codes.append(literal.ENCODERS[type(item)](item, level.where))
        return level

    def _item(self, child: object, level: _Level) -> Code:
        """The encoding of an item that is no container."""
        if level.frames and (found := level.frames.get(len(level.codes))):
            return self._refer(found, level.where())
        inner = _unmarked(child)
        encoder = literal.ENCODERS.get(type(inner))
        if encoder is not None:
            return encoder(inner, level.where)
        if not literal.is_numpy_scalar(inner):
            other = self._dump_other(Text(inner) if level.is_text else child, level.where())
            if other is not None:
                return self._refer(other, level.where())
        return literal.encode(inner, level.where)

    def _close(self, level: _Level) -> Code:
        value, codes = level.value, level.codes
        if isinstance(value, dict):
            keys = literal.encode_alike(list(value)) or [
                literal.encode_plain(key, partial(level.key_place, key)) for key in value
            ]
            return {"dict": [list(pair) for pair in zip(keys, codes, strict=True)]}
        if isinstance(value, set | frozenset):
            codes = sorted(codes, key=lambda code: literal.sort_key(self._by_logical(code)))
        return literal.tagged(value, codes)

    def _closed(self, level: _Level, code: Code) -> Code:
        """What a container becomes in the one above: its encoding, or a frame where it is too high."""
        above = cast("_Level", level.above)
        if level.height >= FRAME_HEIGHT:
            return self._refer(self._finish(code), above.where())
        above.height = max(above.height, level.height + 1)
        return code

    def _finish(self, code: Code) -> Frame:
        data = canonical.encode(code)
        logical = literal.digest_of_json(data) if not self._logical else literal.digest(self._with_digests(code))
        if len(data) <= INLINE_LITERAL_BYTES:
            return Frame("", "literal", logical, inline=Inline(code))
        digest, size = self._sink.put(data)
        media_type = "application/json"
        return Frame("", "literal", logical, media_type=media_type, digest=digest, size_bytes=size)

    def _refer(self, frame: Frame, where: str) -> Code:
        name = self._free_name(where.removeprefix(self._top))
        self.frames.append(replace(frame, name=name))
        self._logical[name] = frame.logical
        return {"frame": name}

    def _free_name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._logical:
            count += 1
            name = f"{wanted}#{count}"
        return name

    def _by_logical(self, code: Code) -> Code:
        """The encoding with the logical digests of frames for their names."""
        return code if not self._logical else self._with_digests(code)

    def _with_digests(self, code: Code) -> Code:
        if isinstance(code, list):
            return [self._with_digests(item) for item in code]
        if not isinstance(code, dict):
            return code
        ((tag, content),) = code.items()
        return {tag: self._logical[content] if tag == "frame" else self._with_digests(content)}


def _found(level: _Level, sink: Sink) -> dict[int, files.Named]:
    """
    The items of a container that name files, by position.

    Values of a dict count each by itself. In any other container strings count only if all of them name
    something; paths, targets and URLs always do.
    """
    types = set(map(type, level.items))
    others = types - literal.ENCODERS.keys() - literal.CONTAINERS
    if not others and (level.is_text or str not in types):
        return {}
    found = dict(_linked(level, sink))
    if not level.is_text:
        named = _named(level, sink) if str in types else {}
        found.update(named)
    return found


def _linked(level: _Level, sink: Sink) -> Iterator[tuple[int, files.Named]]:
    """The paths, targets and URLs among the items."""
    for position, item in enumerate(level.items):
        if type(item) is str:
            is_named = not level.is_text and files.is_link(item)
        else:
            is_named = type(item) not in literal.ENCODERS and (isinstance(item, PurePath) or files.is_target(item))
        if is_named and (found := files.find(item, level.place(position), sink)) is not None:
            yield position, found


def _named(level: _Level, sink: Sink) -> dict[int, files.Found]:
    """What the strings among the items name that are no URLs."""
    found: dict[int, files.Found] = {}
    for position, item in enumerate(level.items):
        if type(item) is not str or files.is_link(item):
            continue
        existing = files.find_existing(item, sink)
        if existing is not None:
            found[position] = existing
        elif not isinstance(level.value, dict):
            return {}
    return found


def _items(value: object) -> Sequence[object]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, set | frozenset):
        # Frames are named by position, so equal sets should be walked in one order where that is cheap.
        return list(value) if literal.ENCODERS.keys() >= set(map(type, value)) else sorted(value, key=_order)
    return cast("list[object] | tuple[object, ...]", value)


def _order(item: object) -> str:
    plain = type(item) in literal.ENCODERS or isinstance(item, PurePath)
    return f"{type(item).__qualname__} {item!r}" if plain else type(item).__qualname__


def _check_may_open(value: object, open_now: set[int], level: _Level) -> None:
    if id(value) in open_now:
        raise Unserializable(level.where(), f"the {literal.type_name(value)} contains itself")
    if len(open_now) >= MAX_DEPTH:
        raise Unserializable(
            level.where(),
            f"more than {MAX_DEPTH} containers inside each other",
            hint="flatten the value, or store it as a file",
        )


def _short(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:50] + "…"


def _unmarked(value: object) -> object:
    return value.value if isinstance(value, Text) else value
