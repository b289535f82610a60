"""What a user wraps a value in to say how it is stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A value in which no string names a file; made by :func:`text`."""

    value: object


@dataclass(frozen=True, slots=True)
class Pickled:
    """Any object, to be stored as a Python pickle: read back as itself, and only where its writer is trusted."""

    value: object


def text(value: object) -> Text:
    """
    Return *value* marked so that the strings in it are stored as text, even where they name files or URLs.

    *value* is a string, or a container or table of them; it is read back without the mark.
    """
    return Text(value)
