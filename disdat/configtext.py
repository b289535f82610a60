"""What the text of a setting means; a ValueError says what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

DAY_S = 86_400

_URL = re.compile(r"[a-z0-9]+://[^\s/].*|file:///.+")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhdw]?)", re.ASCII)
_UNITS_S: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": DAY_S, "": DAY_S, "w": 7 * DAY_S}
_LONGEST_S = 1000 * 366 * DAY_S


def one_of(*options: T) -> Callable[[str], T]:
    """What reads one of some words."""

    def parse(text: str) -> T:
        for option in options:
            if option == text:
                return option
        raise ValueError(f"it must be {' or '.join(map(str, options))}")

    return parse


def duration_s(text: str) -> int:
    """A time of so many days, or with a unit, such as ``36h``, in seconds; ValueError if it is none."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError("it must be a number of days, or like 36h, 90m or 2w")
    return round(seconds)


def code_version(text: str) -> str:
    """How a change of code counts: ``closure``, ``git``, ``none``, or ``manual:`` and a version."""
    if text in {"closure", "git", "none"} or (text.startswith("manual:") and text != "manual:"):
        return text
    raise ValueError("it must be closure, git, none or manual:<version>")


def count(text: str) -> int:
    """A number of bytes."""
    if text.isascii() and text.isdigit():
        return int(text)
    raise ValueError("it must be a whole number of bytes, or 0")


def urls(text: str) -> tuple[str, ...]:
    """URLs with spaces or commas between them, without the slash at their end."""
    found = tuple(each.rstrip("/") for each in text.replace(",", " ").split())
    if all(_URL.fullmatch(each) for each in found):
        return found
    raise ValueError("it must be URLs of remotes, such as s3://bucket/prefix, with spaces between them")


def whole_number(text: str) -> int:
    """A number above 0."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ValueError("it must be a whole number above 0")
