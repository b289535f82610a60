"""What others do not know yet of bundles: a decision about events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from disdat.catalog import history
from disdat.context import Context
from disdat.core import event
from disdat.core.event import Event

STAY_HERE = frozenset({event.REMOVE, event.FETCH, event.DECISIONS})
"""Kinds that a push never publishes: what is removed here is not removed for others."""


@dataclass(frozen=True, slots=True)
class News:
    """What others do not know: events, earliest first, and the bundles they speak of, be it by undoing what did."""

    events: tuple[Event, ...]
    uuids: frozenset[str]


def of_bundles(context: Context, uuids: Sequence[str], published: Callable[[Sequence[str]], Set[str]]) -> News:
    """The events about bundles that are to be published; *published* tells of write keys which are already."""
    events = history.ask(context.catalog, lambda of: list(of.events(of.about(uuids))))
    known = published([each.write_key for each in events] + [key for each in events for key in each.undoes])
    new = chosen(events, known)
    return News(tuple(new), frozenset(_subjects(new, events)))


def chosen(events: Sequence[Event], published: Set[str]) -> list[Event]:
    """
    Those of all events about some bundles that others need, given the write keys of those they have; earliest first.

    What does not count is left out, and so is an undo of what others never saw. A removal that others do not know is
    not taken back for them either: who removed the bundle, too, would have it again.
    """
    counting = event.valid(events)
    theirs = [each for each in counting if each.kind == event.REMOVE and each.write_key in published]
    removed = {uuid for each in theirs for uuid in each.subjects}
    new: dict[str, Event] = {}
    for each in counting:
        if each.write_key in published or each.kind in STAY_HERE:
            continue
        if each.kind == event.UNDO and not any(key in published or key in new for key in each.undoes):
            continue
        if each.kind == event.RESTORE and removed.isdisjoint(each.subjects):
            continue
        new[each.write_key] = each
    return list(new.values())


def _subjects(new: Iterable[Event], events: Iterable[Event]) -> set[str]:
    """The bundles that events speak of, be it by undoing some of all *events*."""
    by_key: dict[str, list[Event]] = defaultdict(list)
    for each in events:
        by_key[each.write_key].append(each)
    found: set[str] = set()
    left, seen = list(new), set[str]()
    while left:
        each = left.pop()
        found.update(each.subjects)
        left += [target for key in each.undoes if key not in seen for target in by_key[key]]
        seen.update(each.undoes)
    return found
