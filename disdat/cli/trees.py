"""How trees are drawn where they go."""

from __future__ import annotations

import sys

from disdat.cli import render
from disdat.core.branches import ASCII, LINES, Strokes


def strokes(*, to_file: bool = False) -> Strokes:
    """Lines, where standard output can show them; a file always can."""
    return LINES if to_file or sys.stdout is None or render.can_show("".join(LINES)) else ASCII
