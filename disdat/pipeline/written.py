"""What is known of a statement of a module: a text that only its meaning changes, and what it reads and does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a module may read of itself while it runs, so that it counts there."""

    docstrings: bool = False
    annotations: bool = False


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
    imports: dict[str, list[str]]
    """Of the names those that an import binds, what to: references."""
    imported: tuple[str, ...] = ()
    """The modules that are imported when it runs, or when a function of it does: references."""
    stars: tuple[str, ...] = ()
    """Of those the ones of which every name is imported."""
    declared: tuple[str, ...] = ()
    """References that only say which tasks there are."""
    calls: tuple[str, ...] = ()
    """References that are called while the module is imported."""
    docstrings: tuple[str, ...] = ()
    """Those that are not in the text."""
    blind: tuple[str, ...] = ()
    """What it does that cannot be followed, and where."""
