"""Which home and which context a call means."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from disdat import config, ops

if TYPE_CHECKING:  # it brings in SQLAlchemy, which importing the API must not
    from disdat.context import Context, Home


class _Known(NamedTuple):
    """A home that was opened, its ``format`` file, and the inode of that then."""

    home: Home
    marker: str
    inode: int


ContextLike: TypeAlias = "str | Context"
"""A context: its local name, ``remote/local``, or itself."""

_homes: dict[Path, _Known] = {}
# A child that was forked opens its own: the parent's threads may have held a home's lock at that moment.
os.register_at_fork(after_in_child=_homes.clear)


def home() -> Home:
    """The home the settings name at this moment."""
    return home_at(config.home())


def home_at(root: Path) -> Home:
    """The home in a directory: the same object for every call, until another one lies there."""
    known = _homes.get(root)
    if known is not None and _inode(known.marker) == known.inode:
        return known.home
    from disdat.context import Home  # it brings in SQLAlchemy, which importing the API must not

    marker = str(root / "format")
    inode = _inode(marker)
    opened = Home(root)
    if inode is not None:
        _homes[root] = _Known(opened, marker, inode)
    return opened


def context(named: ContextLike) -> Context:
    """The context; ContextNotFound if there is none, also for a Context that was deleted since."""
    if isinstance(named, str):
        return ops.contexts.named(home(), named)
    from disdat.context import Context  # it brings in SQLAlchemy, which importing the API must not

    if not isinstance(named, Context):
        raise TypeError(f"a context is given as its name or as a Context, not as {named!r}")
    now = named.home.context(named.name)
    return now if named.moment_us is None else now.as_of(named.moment_us)


def context_as_of(named: ContextLike, moment: str | datetime | None) -> Context:
    """
    The context as it was at a moment, which is local time unless it names a zone; None for now.

    Raises:
        BadQuery: The moment cannot be read, or is before the context began.
    """
    here = context(named)
    return here if moment is None else here.as_of(moment_us(moment, ops.when.parse_last))


def moment_us(given: str | datetime, parse: Callable[[str], int]) -> int:
    """A moment as µs since the epoch; text is read by *parse*."""
    return ops.when.to_us(given) if isinstance(given, datetime) else parse(given)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:  # to open the home says what is wrong with it, if anything is
        return None
