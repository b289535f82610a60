"""How trees are drawn where they go."""

from __future__ import annotations

import sys

from disdat.core.branches import ASCII, LINES, Strokes


def strokes(*, to_file: bool = False) -> Strokes:
    """Lines, where standard output can show them; a file always can."""
    if to_file or sys.stdout is None:
        return LINES
    try:
        "".join(LINES).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return LINES
