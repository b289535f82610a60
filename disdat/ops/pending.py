"""
What may be left to publish of a context, so that pushing all of it costs what happened since it was pushed last.

When all committed bundles were pushed, the last event there was then is noted. Of a bundle of which nothing happened
since, nothing is left to publish, with one exception: an undo is not published while others do not know what it undoes.
They may come to, by somebody else who has the same events, as of a fork. So a fetch of events that are here counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from disdat.catalog import history
from disdat.catalog.history import History
from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import event
from disdat.ops import find

_PUSHED = "pushed"
_REPEATED = "repeated"
NOWHERE = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """The committed bundles of which something may be left to publish, newest first, and up to where that is all."""

    rows: list[Row]
    upto: str


def look(context: Context) -> Pending:
    """What may be left to publish of all that is committed."""
    known = context.remote.known
    noted, repeated = known.fact(_PUSHED), known.number(_REPEATED)

    def ask(of: History) -> tuple[str, set[str] | None]:
        last = of.last()
        if last is None:
            return NOWHERE, set()
        return f"{last.number} {last.id} {repeated}", _spoken_of_since(of, noted, repeated)

    upto, uuids = history.ask(context.catalog, ask)
    if uuids is None:
        return Pending(find.search(context, Filter(committed=True)), upto)
    changed = [row for row in context.catalog.rows(sorted(uuids)).values() if row.committed]
    return Pending(sorted(changed, key=lambda row: (row.made_us, row.uuid), reverse=True), upto)


def note_pushed(context: Context, pending: Pending) -> None:
    """Note that nothing of what was pending is left."""
    known = context.remote.known
    if known.fact(_PUSHED) != pending.upto:
        known.note({_PUSHED: pending.upto})


def note_repeated(context: Context) -> None:
    """Note that others published events that are here."""
    known = context.remote.known
    known.note({_REPEATED: known.number(_REPEATED) + 1})


def _spoken_of_since(of: History, noted: str | None, repeated: int) -> set[str] | None:
    """The bundles that events after what was noted speak of; None where that does not hold any more."""
    if not noted:
        return None
    number, id_, repeated_then = noted.split(" ")
    since = of.since(int(number), id_) if int(repeated_then) == repeated else None
    return None if since is None else of.spoken_of(each for each in since if each.kind != event.FETCH)
