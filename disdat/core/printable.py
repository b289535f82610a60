"""Text that others chose, as it can stand on a line."""

from __future__ import annotations


def one_line(text: str) -> str:
    """*text* with every character that would break the line, or that cannot be seen, as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
