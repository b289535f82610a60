"""
Taking back what was done: one more event, by which the events of a change are void.

Nothing is rewritten, so what was undone can be had again by undoing the undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from disdat.catalog import history as known
from disdat.catalog.history import History, Kinds
from disdat.catalog.rows import EventRow
from disdat.context import Context
from disdat.core import event
from disdat.core.event import BundleState
from disdat.errors import BadQuery, Conflict, InvalidInput, ObjectNotFound, RefNotFound
from disdat.ops import elsewhere, needs, runs
from disdat.ops.given import check_text
from disdat.ops.history import (
    OF_BUNDLES,
    OF_RUNS,
    SHORT,
    Change,
    change_id,
    describe,
    one_of_each_record,
)

_PAGE = 64
_MANY = 1000
_SHOWN = 3
_CANDIDATES = 5
_ATTEMPTS = 20
"""So often the change to take back is looked for again, where another process was quicker."""


@dataclass(frozen=True, slots=True)
class Named:
    """A bundle, by its uuid and its name."""

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Undone:
    """A change that is taken back, and what comes of it."""

    change: Change
    back: tuple[Named, ...]
    """The bundles that are there again."""
    gone: tuple[Named, ...]
    """The bundles that are not there any more."""
    id: str | None = None
    """What names the undoing, so that it can be undone; None where it is only planned."""


@dataclass(frozen=True, slots=True)
class _Decision:
    change: Change
    write_keys: tuple[str, ...]
    back: Mapping[str, BundleState]
    gone: Mapping[str, BundleState]
    names: Mapping[str, str]

    def undone(self, id_: str | None = None) -> Undone:
        return Undone(self.change, self._named(self.back), self._named(self.gone), id_)

    def _named(self, states: Mapping[str, BundleState]) -> tuple[Named, ...]:
        return tuple(Named(uuid, self.names.get(uuid, "")) for uuid in states)


class _Overtaken(Exception):
    """Somebody changed meanwhile what the decision was made by."""


def plan(context: Context, change: str | None = None, *, force: bool = False, mentioned: int | None = None) -> Undone:
    """What :func:`undo` would do; raises what that does, and changes nothing."""
    decision = known.ask(context.catalog, lambda of: _decide(of, context, change, force=force, mentioned=mentioned))
    _check_bytes(context, decision)
    return decision.undone()


def undo(context: Context, change: str | None = None, *, force: bool = False, mentioned: int | None = None) -> Undone:
    """
    Take back a change, named by the beginning of its id, or else the last one that counts and is no undo itself.

    An undo that is named is taken back like any other change. All that still counts of the change is undone by one
    event, and until that is durable nothing is collected that a bundle that comes back needs. The result names at most
    *mentioned* bundles of the change.

    Raises:
        InvalidInput: There is nothing to undo, or the change says nothing of bundles.
        RefNotFound, BadQuery: No change, or several, have an id that begins so.
        Conflict: It was undone already; or a committed bundle would be gone, and not *force*.
        ObjectNotFound: A bundle cannot come back, since bytes it needs were purged.
    """
    context.home.ensure()
    with context.home.store.kept():
        for _ in range(_ATTEMPTS):
            decision = known.ask(
                context.catalog, lambda of: _decide(of, context, change, force=force, mentioned=mentioned)
            )
            _check_bytes(context, decision)
            try:
                return decision.undone(_commit(context, decision, force=force))
            except _Overtaken:
                continue
            except Conflict:
                if change is not None:
                    raise
    raise Conflict("others change the context all the time", hint="name the change: `dsdt log` shows its id")


def _commit(context: Context, decision: _Decision, *, force: bool) -> str:
    def check(of: History) -> None:
        again = _decide(of, context, decision.change.id, force=force, mentioned=0)
        if again.write_keys != decision.write_keys or not again.back.keys() <= decision.back.keys():
            raise _Overtaken

    draft = event.Draft(event.UNDO, {}, undoes=decision.write_keys)
    [made] = known.commit(context.catalog, [draft], actor=runs.actor(), check=check)
    return made.id


def _decide(of: History, context: Context, wanted: str | None, *, force: bool, mentioned: int | None) -> _Decision:
    row = _last(of, context) if wanted is None else _called(of, context, wanted)
    change = describe(of, row, mentioned=mentioned)
    said = [each for each in of.record(row) if each.kind in OF_BUNDLES]
    if not said:
        raise InvalidInput(f"the change {change.short} says nothing of bundles", hint="`dsdt log` shows what does")
    undone = of.undone(said)
    counting = [each for each in said if each.write_key not in undone]
    if not counting:
        by = of.short(change_id(of, next(iter(undone.values()))), least=SHORT)
        raise Conflict(f"the change {change.short} was undone already", hint=f"`dsdt undo {by}` takes that back")
    keys = tuple(dict.fromkeys(each.write_key for each in counting))
    fate = of.fate(of.spoken_of(counting), without=keys)
    back = {uuid: state for uuid, state in fate.then.items() if uuid not in fate.now}
    gone = {uuid: state for uuid, state in fate.now.items() if uuid not in fate.then}
    names = of.names([*back, *gone])
    if not force:
        _refuse_committed([Named(uuid, names.get(uuid, "")) for uuid, state in gone.items() if state.committed])
    return _Decision(change, keys, back, gone, names)


def _last(of: History, context: Context) -> EventRow:
    """An event of the last change made here that counts and is no undo; what was fetched is others'."""
    kinds, before = Kinds(frozenset(OF_BUNDLES - {event.UNDO}), True), known.LAST_ID
    count = _PAGE
    theirs: set[int] = set()
    while page := of.newest(kinds, before=before, count=count):
        undone = of.undone(page)
        for row in page:
            if row.write_key not in undone and row.number not in theirs:
                if (fetched := _fetched_with(of, context, row)) is None:
                    return row
                theirs |= fetched
        before, count = min(row.id for row in page), _MANY
    raise InvalidInput(
        f"nothing to undo in the context {context.name}", hint="an undo is undone by naming it: `dsdt log` shows its id"
    )


def _fetched_with(of: History, context: Context, row: EventRow) -> set[int] | None:
    """The numbers of the events that came with one of another home; None where it was made here."""
    [made] = of.events([row])
    if made.writer == context.home.known_id:
        return None
    record = of.record(row)
    return {each.number for each in record} if record[0].kind == event.FETCH else None


def _called(of: History, context: Context, prefix: str) -> EventRow:
    """An event of the change whose id, or that of an event in it, begins so."""
    check_text("what names a change", prefix)
    rows = of.starting(prefix.upper(), limit=_MANY) if prefix else []
    if not rows:
        raise RefNotFound(f"no change {prefix!r} in the context {context.name}", hint="`dsdt log` shows their ids")
    ids = list(dict.fromkeys(change_id(of, row) for row in one_of_each_record(rows)))
    if len(ids) > 1 or len(rows) == _MANY:  # of more than are looked at, others may be of another change
        shown = ", ".join(ids[:_CANDIDATES]) + (" and more" if len(ids) > _CANDIDATES else "")
        raise BadQuery(f"{prefix!r} is ambiguous: {shown}", hint="give more of the id")
    return next((row for row in rows if row.kind not in OF_RUNS), rows[0])


def _refuse_committed(committed: Sequence[Named]) -> None:
    if committed:
        raise Conflict(
            f"{len(committed)} committed would be removed: {_listed(committed)}", hint="--force undoes it all the same"
        )


def _check_bytes(context: Context, decision: _Decision) -> None:
    """Refuse what would bring back a bundle some of whose bytes are neither here nor on the remote."""
    states = decision.back
    manifests = ((uuid, state.manifest, state.body) for uuid, state in states.items())
    lost = needs.lost(context.home.store, manifests, elsewhere=partial(elsewhere.on_remote, context))
    if lost:
        raise _purged(decision, [Named(uuid, decision.names.get(uuid, "")) for uuid in states if uuid in lost])


def _purged(decision: _Decision, lost: Sequence[Named]) -> ObjectNotFound:
    return ObjectNotFound(
        f"the change {decision.change.short} cannot be undone: bytes of {_listed(lost)} were purged",
        hint="what was purged is gone for good; restore it from a backup of the home",
    )


def _listed(bundles: Iterable[Named]) -> str:
    found = list(bundles)
    names = ", ".join(f"{each.name or '(unnamed)'} {each.uuid[:8]}" for each in found[:_SHOWN])
    return names + (f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else "")
