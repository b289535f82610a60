"""A Python value as frames, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from disdat.core.bundle import Frame
from disdat.errors import Corrupt, NotFound, UnknownFormat
from disdat.values import files, literal
from disdat.values.markers import Pickled, Text
from disdat.values.nested import NestedDump
from disdat.values.serializer import SERIALIZERS, Sink, Source

TOP = "value"
"""What messages call the whole value."""

_BY_PACKAGE = {"numpy": "array", "pandas": "table", "pyarrow": "table", "polars": "table"}


def dump(value: object, sink: Sink) -> tuple[Frame, ...]:
    """
    Write *value* to *sink* and return its frames, the value's own first.

    Raises:
        Unserializable: Naming the part of the value that cannot be stored. What *sink* took until then is
            the caller's to abandon.
        PathNotFound, BadLinkError: A path or URL in the value leads nowhere.
    """
    frame = _dump_whole(value, sink)
    if frame is not None:
        return (frame,)
    is_text = isinstance(value, Text)
    nested = NestedDump(TOP, sink, lambda inner, where: _dump_other(inner, where, sink))
    top = nested.frame(value.value if isinstance(value, Text) else value, is_text=is_text)
    return (top, *nested.frames)


def load(frames: Sequence[Frame], source: Source) -> object:
    """
    Return the value whose frames :func:`dump` gave.

    Raises:
        Corrupt: The frames or their bytes are not what was written.
        UnknownFormat: A frame is of a kind this version does not know.
        PermissionDenied: A pickle is in the value and *source* is not trusted.
    """
    if not frames:
        raise Corrupt("the bundle holds no value")
    loaded: dict[str, object] = {}
    for frame in frames[1:]:
        loaded[frame.name] = _load(frame, source, loaded)
    return _load(frames[0], source, loaded)


def _dump_whole(value: object, sink: Sink) -> Frame | None:
    """The one frame of a value that is no literal and no container."""
    if isinstance(value, str):
        found = files.find_text(value, TOP, sink) if type(value) is str else None
        return files.capture([found], sink)[0] if found else None
    return _dump_other(value, TOP, sink)


def _dump_other(value: object, where: str, sink: Sink) -> Frame | None:
    kind = _kind(value.value if isinstance(value, Text) else value)
    return None if kind is None else SERIALIZERS.get(kind).dump(value, where, sink)


def _kind(value: object) -> str | None:
    """The kind of a value that is no literal; known by its type's package, so that nothing is imported to find out."""
    if type(value) in literal.ENCODERS or type(value) in literal.CONTAINERS or isinstance(value, str | bytes):
        return None  # of numpy's str_ and bytes_ too, whose trailing NULs an array would cut
    if isinstance(value, Pickled):
        return "pickle"
    if isinstance(value, PurePath) or files.is_target(value):
        return "file"
    return _BY_PACKAGE.get(type(value).__module__.partition(".")[0])


def _load(frame: Frame, source: Source, loaded: dict[str, object]) -> object:
    if frame.kind == "literal":
        return load_literal(frame, source, loaded)
    try:
        serializer = SERIALIZERS.get(frame.kind)
    except NotFound as exc:
        known = ", ".join(["literal", *SERIALIZERS])
        raise UnknownFormat(f"frame {frame.name!r}", found=f"kind {frame.kind}", supported=known) from exc
    return serializer.load(frame, source)


def load_literal(frame: Frame, source: Source, loaded: Mapping[str, object]) -> object:
    """The value of a frame of kind ``literal``, with what *loaded* has by name in place of the frames it refers to."""
    if frame.inline is not None:
        code = frame.inline.value
    elif frame.digest is not None:
        code = literal.parse(source.read(frame.digest), f"the literal {frame.name!r}")
    else:
        raise Corrupt(f"the literal {frame.name!r} has no content")
    try:
        return literal.decode(code, loaded)
    except (ValueError, KeyError, TypeError, ArithmeticError) as exc:
        raise Corrupt(f"the literal {frame.name!r} is not one: {exc}") from exc
