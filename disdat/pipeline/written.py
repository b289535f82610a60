"""What is known of a statement of a module: a text that only its meaning changes, and what it reads and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Keeping:
    """What counts of a module beside what it does, as some code reads that, by :attr:`Written.reads`."""

    docstrings: bool = False
    annotations: bool = False
    sources: bool = False
    """All of a definition's text, comments too."""

    def __str__(self) -> str:
        return "".join(f"+{each.name}" for each in fields(self) if getattr(self, each.name))


PLAIN = Keeping()


@dataclass(frozen=True, slots=True)
class Written:
    """
    A statement, written.

    A reference is a name of the module with the attributes that are read of it (``helpers.clean``), or what a
    function imports, ``:module:`` or ``:module:name.attribute``; ``*`` is all of the module.
    """

    text: str
    names: tuple[str, ...]
    """The names it binds in the module."""
    refs: tuple[str, ...]
    imports: Mapping[str, list[str]] = field(default_factory=dict)
    """Of the names those that an import binds, what to: references."""
    imported: tuple[str, ...] = ()
    """The modules that are imported when it runs, or when a function of it does: references."""
    stars: tuple[str, ...] = ()
    """Of those the ones of which every name is imported."""
    declared: tuple[str, ...] = ()
    """References that only say which tasks there are."""
    calls: tuple[str, ...] = ()
    """References that are called while the module is imported."""
    reads: tuple[str, ...] = ()
    """What it reads of code beside what that does: ``docstrings``, ``annotations``, ``sources``."""
    blind: tuple[str, ...] = ()
    """What it does that cannot be followed, and where."""
