"""
What happened in a context, change by change, the newest first.

A change is what one record of the log holds: made at once, by one actor, and taken back as one.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from disdat.catalog import history
from disdat.catalog.history import History, Kinds, Learned
from disdat.catalog.queries import Filter
from disdat.catalog.rows import EventRow
from disdat.context import Context
from disdat.core import event
from disdat.core.canonical import Json
from disdat.core.event import Event
from disdat.errors import BadQuery, BundleNotFound
from disdat.ops import find
from disdat.ops.given import check_text

OF_RUNS = frozenset({event.RUN, event.DECISIONS, event.FETCH})
"""What is recorded of runs and fetches changes no bundle: it is listed where it is asked for, and not undone."""
OF_BUNDLES = event.KINDS - OF_RUNS
SHORT = 12
"""So many characters of an id, or more, are shown: the millisecond, and what tells those within it apart."""

_FIRST, _MOST = 32, 2048
_KEPT_OUT = frozenset({"uuid", "uuids", "manifest", "body"})


@dataclass(frozen=True, slots=True)
class Mention:
    """A bundle that a change speaks of, by its name now or its last one, and what else was said of it."""

    kind: str
    uuid: str
    name: str
    said: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """
    What happened at once. :attr:`id`, or the beginning of it, names it to ``undo``.

    It counts unless all it says of bundles was undone; :attr:`undone_by` is the change that undid any of it.
    """

    id: str
    short: str
    """As much of :attr:`id` as tells it from all others today."""
    time_us: int
    actor: str
    bundles: Mapping[str, int]
    """How many bundles each kind of event in it speaks of."""
    mentions: tuple[Mention, ...]
    undoes: tuple[str, ...]
    """The changes that it undoes."""
    counts: bool
    undone_by: str | None


def log(
    context: Context,
    reference: str | None = None,
    *,
    uuid: str | None = None,
    kinds: Collection[str] = (),
    actor: str | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
    mentioned: int | None = None,
) -> Iterator[Change]:
    """
    Yield the changes that pass all that is given, the newest first, each read when it is asked for.

    *reference* is a name, of bundles that are there or were removed, or one version of it; *uuid* may be the beginning
    of one. Without *kinds* those that say something of bundles are meant. *actor* is ``user`` or ``user@host``, times
    are inclusive, µs since the epoch. Of each change at most *mentioned* bundles are named; None: all.

    Raises:
        BundleNotFound: There is, and was, no such bundle.
        BadQuery: The reference is ambiguous, or there is no such kind.
    """
    if unknown := set(kinds) - event.KINDS:
        raise BadQuery(
            f"no kind of change is named {min(unknown)!r}", hint=f"there are {', '.join(sorted(event.KINDS))}"
        )
    meant = Kinds(frozenset(kinds), True) if kinds else Kinds(OF_RUNS, False)
    uuids = _uuids(context, reference, uuid)
    source = _All(meant, until_us) if uuids is None else _About(uuids, meant)
    found = _changes(context, source, since_us=since_us, until_us=until_us, mentioned=mentioned)
    return (each for each in found if actor is None or actor in (each.actor, each.actor.partition("@")[0]))


def latest(rows: Iterable[EventRow], undone: Mapping[str, EventRow]) -> EventRow | None:
    """The first of *rows* that counts."""
    return next((row for row in rows if row.write_key not in undone), None)


def describe(of: History, row: EventRow, *, mentioned: int | None = None) -> Change:
    """The change that an event is of."""
    record = of.record(row)
    said = [each for each in record if each.kind not in OF_RUNS]
    undone = of.undone(said)
    by = next((undone[each.write_key] for each in said if each.write_key in undone), None)
    first = (said or record)[0]
    events = _Read(of)
    bundles, mentions = _mentions(of, said, events, mentioned)
    return Change(
        id=first.id,
        short=of.short(first.id, least=SHORT),
        time_us=first.time_us,
        actor=events.of([first])[0].actor,
        bundles=bundles if said else dict.fromkeys((each.kind for each in record), 0),
        mentions=tuple(mentions),
        undoes=tuple(_undone_changes(of, events.of([each for each in said if each.kind == event.UNDO]))),
        counts=not said or latest(said, undone) is not None,
        undone_by=None if by is None else change_id(of, by),
    )


def change_id(of: History, row: EventRow) -> str:
    """The id of the change that an event is of: that of its first event that says something of bundles."""
    record = of.record(row)
    return next((each for each in record if each.kind not in OF_RUNS), record[0]).id


def one_of_each_record(rows: Sequence[EventRow]) -> Iterator[EventRow]:
    """Some events, at least one of each record that *rows* are of; of a long record few."""
    last: EventRow | None = None
    for row in sorted(rows, key=lambda each: each.number):
        if last is None or last.number + 1 != row.number or last.offset + last.length + 1 != row.offset:
            yield row
        last = row


class _Read:
    """Events of the log, each read once."""

    def __init__(self, of: History) -> None:
        self._of = of
        self._known: dict[int, Event] = {}

    def of(self, rows: Sequence[EventRow]) -> list[Event]:
        new = [row for row in rows if row.number not in self._known]
        self._known.update(zip((row.number for row in new), self._of.events(new), strict=True))
        return [self._known[row.number] for row in rows]


class _All:
    """All events of *kinds* up to a moment, some at a time, the newest first."""

    def __init__(self, kinds: Kinds, until_us: int | None) -> None:
        self._kinds = kinds
        self._before = history.LAST_ID if until_us is None else event.ulid(until_us + 1000, entropy=0)

    def page(self, of: History, count: int) -> list[EventRow]:
        found = of.newest(self._kinds, before=self._before, count=count)
        self._before = min((row.id for row in found), default=self._before)
        return found


class _About:
    """The events of *kinds* that speak of some bundles, the newest first."""

    def __init__(self, uuids: Sequence[str], kinds: Kinds) -> None:
        self._uuids = uuids
        self._kinds = kinds
        self._rest: Iterator[EventRow] | None = None

    def page(self, of: History, count: int) -> list[EventRow]:
        if self._rest is None:
            self._rest = iter([row for row in of.about(self._uuids) if _is_of(row, self._kinds)])
        return list(itertools.islice(self._rest, count))


def _changes(
    context: Context,
    source: _All | _About,
    *,
    since_us: int | None,
    until_us: int | None,
    mentioned: int | None,
) -> Iterator[Change]:
    """Yield the changes that the events of *source* are of; few are read at first, as few may be wanted."""
    seen: set[int] = set()
    """The events of changes that were described already, which are still to come."""

    def next_page(of: History, count: int) -> tuple[list[Change], bool]:
        page = source.page(of, count)
        within = list(itertools.takewhile(lambda row: since_us is None or row.time_us >= since_us, page))
        later = itertools.dropwhile(lambda row: until_us is not None and row.time_us > until_us, within)
        return [describe(of, row, mentioned=mentioned) for row in later if is_new(of, row)], bool(within)

    def is_new(of: History, row: EventRow) -> bool:
        if row.number in seen:
            seen.discard(row.number)
            return False
        seen.update(each.number for each in of.record(row) if each.number != row.number)
        return True

    count, is_more, learned = _FIRST, True, Learned()
    while is_more:
        changes, is_more = history.ask(context.catalog, functools.partial(next_page, count=count), learned=learned)
        yield from changes
        count = min(2 * count, _MOST)


def _mentions(
    of: History, said: Sequence[EventRow], events: _Read, most: int | None
) -> tuple[dict[str, int], list[Mention]]:
    """How many bundles events speak of, by kind, and *most* of them."""
    counts: Counter[str] = Counter()
    found: list[Mention] = []
    for row in said:
        has_room = most is None or len(found) < most
        if row.kind in event.OF_ONE and not has_room:
            counts[row.kind] += 1
            continue
        [each] = events.of([row])
        uuids = sorted(of.undone_bundles(each)) if each.kind == event.UNDO else each.subjects
        counts[row.kind] += len(uuids)
        details = {key: value for key, value in each.payload.items() if key not in _KEPT_OUT}
        room = None if most is None else most - len(found)
        found += [Mention(row.kind, uuid, "", details) for uuid in uuids[:room]]
    names = of.names(each.uuid for each in found)
    return dict(counts), [Mention(each.kind, each.uuid, names.get(each.uuid, ""), each.said) for each in found]


def _undone_changes(of: History, undos: Sequence[Event]) -> list[str]:
    rows = of.same_write(target for each in undos for target in each.undoes)
    return list(dict.fromkeys(change_id(of, row) for row in one_of_each_record(rows)))


def _is_of(row: EventRow, meant: Kinds) -> bool:
    return (row.kind in meant.kinds) is meant.are_meant


def _uuids(context: Context, reference: str | None, uuid: str | None) -> list[str] | None:
    """The bundles that are meant, those that were removed included; None for all."""
    named = None if reference is None else _of_reference(context, reference)
    starting = None if uuid is None else _starting(context, uuid)
    if named is None or starting is None:
        return starting if named is None else named
    return [each for each in named if each in set(starting)]


def _of_reference(context: Context, reference: str) -> list[str]:
    check_text("what is searched for", reference)

    def removed(of: History) -> list[str]:
        return [uuid for uuid, name in of.names(of.gone()).items() if name == reference]

    present = [row.uuid for row in context.catalog.search(Filter(name=reference))]
    found = present + history.ask(context.catalog, removed)
    return found or [find.resolve(context, reference).uuid]


def _starting(context: Context, uuid: str) -> list[str]:
    if not find.is_uuid_prefix(uuid):
        raise BadQuery(f"{uuid!r} is not a uuid", hint="give it whole, or its first digits, four or more")
    present = [row.uuid for row in context.catalog.search(Filter(uuid_prefix=uuid))]
    found = present + history.ask(context.catalog, lambda of: of.gone(uuid))
    if not found:
        raise BundleNotFound(f"no bundle with uuid {uuid} is or was in the context {context.name}")
    return found
