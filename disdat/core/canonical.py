r"""
Canonical JSON: one byte sequence for one value, so that its digest names it.

Keys sorted by code point, no white space, ASCII only (other characters as lower-case ``\\uXXXX``),
integers in decimal, floats in Python's shortest round-trip form, always with ``.`` or ``e``; NaN and
infinities do not occur. ``docs/format.md`` states it for readers in other languages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Encoded(dict[str, Json]):
    """A JSON object with its canonical bytes, for who encodes what holds it; it must not be changed."""

    __slots__ = ("encoded",)

    def __init__(self, fields: Mapping[str, Json]) -> None:
        super().__init__(fields)
        self.encoded = _encoded(self)


_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))


def encode(value: Json) -> bytes:
    """The canonical bytes of *value*. Mapping keys must be str; tuples are written as arrays."""
    return value.encoded if isinstance(value, Encoded) else _encoded(value)


def decode(data: bytes | str) -> Json:
    """The value written as *data*; ValueError if it is not JSON in UTF-8, or holds a number no float is equal to."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        decoded: Json = _DECODER.decode(text)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return decoded


def _encoded(value: Json) -> bytes:
    return _ENCODER.encode(value).encode("ascii")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {text}")
    return number


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_float)
