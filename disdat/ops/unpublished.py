"""What others do not know yet of bundles: a decision about events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set

from disdat.catalog import history
from disdat.context import Context
from disdat.core import event
from disdat.core.event import Event

STAY_HERE = frozenset({event.REMOVE, event.FETCH, event.DECISIONS})
"""Kinds that a push never publishes: what is removed here is not removed for others."""


def of_bundles(context: Context, uuids: Sequence[str], published: Callable[[Sequence[str]], Set[str]]) -> list[Event]:
    """The events about bundles that are to be published; *published* tells of write keys which are already."""
    events = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    return chosen(
        events, published([each.write_key for each in events] + [key for each in events for key in each.undoes])
    )


def chosen(events: Iterable[Event], published: Set[str]) -> list[Event]:
    """
    Those of all events about some bundles that others need, given the write keys of those they have; earliest first.

    What does not count is left out, and so is an undo of what others never saw.
    """
    new: dict[str, Event] = {}
    for each in event.valid(events):
        if each.write_key in published or each.kind in STAY_HERE:
            continue
        if each.kind == event.UNDO and not any(key in published or key in new for key in each.undoes):
            continue
        new[each.write_key] = each
    return list(new.values())
