"""Text that others chose, as it can stand on a line."""

from __future__ import annotations

import re

_LONG = re.compile(r"[^\s,()=]{33,}")
_KEPT = (12, 8)
_WIDEST = 100
_KEPT_OF_ALL = (64, 33)


def one_line(text: str) -> str:
    """*text* with every character that would break the line, or that cannot be seen, as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def brief(text: str) -> str:
    """*text* in one line of at most 100 characters; of long words in it, such as digests, and of itself the ends."""
    line = _LONG.sub(lambda found: _ends(found[0], *_KEPT), one_line(text))
    return line if len(line) <= _WIDEST else _ends(line, *_KEPT_OF_ALL)


def _ends(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...{text[-last:]}"
