r"""
Canonical JSON: one byte sequence for one value, so that its digest names it.

Keys sorted by code point, no white space, ASCII only (other characters as lower-case ``\\uXXXX``),
integers in decimal, floats in Python's shortest round-trip form, always with ``.`` or ``e``; NaN and
infinities do not occur. ``docs/format.md`` states it for readers in other languages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))


def encode(value: Json) -> bytes:
    """The canonical bytes of *value*. Mapping keys must be str; tuples are written as arrays."""
    return _ENCODER.encode(value).encode("ascii")


def decode(data: bytes | str) -> Json:
    """The value written as *data*; ValueError if it is not JSON."""
    decoded: Json = json.loads(data)
    return decoded
