"""For who wants to know what happened, and to take it back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from disdat import ops
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.core.canonical import Json
from disdat.core.event import KINDS
from disdat.ops.history import SHORT, Change, Mention
from disdat.ops.undo import Named, Undone

_SHOWN = 3
_AT_A_TERMINAL = 20
_VERBS = {
    "add": "added",
    "remove": "removed",
    "restore": "restored",
    "tag": "tagged",
    "commit": "committed",
    "rename": "renamed",
    "reaffirm": "reaffirmed",
    "undo": "undid what was done to",
    "run": "recorded a run",
    "decisions": "recorded what a run decided",
}


@click.command(cls=Verb)
@click.option(
    "-n",
    "--number",
    "limit",
    type=options.AtLeast(1),
    metavar="N",
    help="Only the N newest; at a terminal 20 if left out.",
)
@click.option("-k", "--kind", "kinds", multiple=True, type=click.Choice(sorted(KINDS)), help="Only these; repeatable.")
@click.option("--by", "actor", callback=options.text, metavar="ACTOR", help="Only what USER, or USER@HOST, did.")
@click.option("--since", callback=options.moment, metavar="DATE", help="Done at that moment or later.")
@click.option("--until", callback=options.last_moment, metavar="DATE", help="Done at that moment or earlier.")
@options.uuid("Only what says something of the bundle with this uuid, or first digits of it.")
@options.as_of()
@options.json()
@click.argument("ref", callback=options.any_text, required=False)
@click.pass_obj
def log(
    choices: Choices,
    ref: str | None,
    *,
    limit: int | None,
    kinds: Sequence[str],
    actor: str | None,
    since: int | None,
    until: int | None,
    uuid: str | None,
    as_of: int | None,
    as_json: bool,
) -> None:
    """
    Show what happened in the context: who did what, and when.

    The newest change first; with REF only what says something of these bundles: all of a name, be they removed, or one
    version. What was undone says so. The first column names a change to `dsdt undo`. DATE is as
    for `dsdt ls`.
    """
    context = opening.context(choices, as_of=as_of)
    found = ops.history.log(
        context,
        ref,
        uuid=uuid,
        kinds=kinds,
        actor=actor,
        since_us=since,
        until_us=until,
        mentioned=None if as_json else _SHOWN,
    )
    most = limit or (None if opening.width() is None or as_json else _AT_A_TERMINAL)
    if as_json:
        render.out(render.as_json([_as_json(change) for change in itertools.islice(found, most)]))
        return
    render.out(map(_line, itertools.islice(found, most)))
    if limit is None and next(found, None) is not None:
        render.note(choices, "There is more: -n shows another number of changes, --since and --until other ones.")


@click.command(cls=Verb)
@click.option("-f", "--force", is_flag=True, help="Even if a committed bundle is gone then.")
@click.option("--dry-run", is_flag=True, help="Say what would be undone, and undo nothing.")
@options.json()
@click.argument("change", callback=options.text, required=False)
@click.pass_obj
def undo(choices: Choices, change: str | None, *, force: bool, dry_run: bool, as_json: bool) -> None:
    """
    Take back the last change, or a named one.

    CHANGE is the id that `dsdt log` shows, or the beginning of it. Without it, the last change that still counts and
    is no undo itself is meant, so that the next undo goes further back. Nothing is lost by it: an undo can be undone
    by its own id. What brings a bundle back is refused once its bytes were purged.
    """
    context = opening.context(choices)
    mentioned = None if as_json else _SHOWN
    if dry_run:
        found = ops.undo.plan(context, change, force=force, mentioned=mentioned)
    else:
        found = ops.undo.undo(context, change, force=force, mentioned=mentioned)
    if as_json:
        render.out(render.as_json(_undone_json(found)))
    elif dry_run:
        render.out(map(render.one_line, _undone_lines(found, "Would undo")))
    else:
        for line in _undone_lines(found, "Undid"):
            render.say(choices, line)


def _line(change: Change) -> str:
    when = listing.local_time(change.time_us)
    return "  ".join([change.short.ljust(SHORT), when, render.one_line(change.actor), _what(change)])


def _what(change: Change) -> str:
    done = "; ".join(_deed(kind, count, change) for kind, count in change.bundles.items())
    if change.undone_by is None:
        return done
    return f"{done} ({'undone' if not change.counts else 'partly undone'} by {change.undone_by[:SHORT]})"


def _deed(kind: str, count: int, change: Change) -> str:
    """What one kind of events of a change did, and to which bundles."""
    named = [each for each in change.mentions if each.kind == kind]
    verb = _VERBS.get(kind, kind)
    if kind == "undo" and change.undoes:
        verb = f"undid {', '.join(id_[:SHORT] for id_ in change.undoes[:_SHOWN])}:"
    shown = ", ".join(map(_renamed if kind == "rename" else _called, named))
    more = count - len(named)
    if more > 0:
        shown = f"{shown} and {more:,} more" if shown else render.count(count, "bundle")
    details = _details(named[0]) if named and (count == 1 or kind == "rename") else _place(named)
    return " ".join(filter(None, (verb, shown, details)))


def _called(bundle: Mention | Named) -> str:
    return f"{listing.shown_name(bundle.name)} {bundle.uuid[:8]}"


def _renamed(bundle: Mention) -> str:
    """A bundle that got a name: the one it has now may be that, or yet another one."""
    return bundle.uuid[:8]


def _details(mention: Mention) -> str:
    said: Mapping[str, Any] = mention.said  # whoever decoded it looked at what is in it
    if mention.kind == "tag":
        unset = [f"-[{render.one_line(key)}]" for key in said.get("unset", ())]
        return " ".join(filter(None, [render.pairs(said.get("set", {})), *unset]))
    if mention.kind == "rename":
        return f"to {listing.shown_name(said['name'])}"
    return _place([mention])


def _place(mentions: Sequence[Mention]) -> str:
    """The context that bundles came from, or went to."""
    for mention in mentions[:1]:
        for key in ("from", "to"):
            place = mention.said.get(key)
            if isinstance(place, dict) and "name" in place:
                return f"{key} the context {render.one_line(str(place['name']))}"
    return ""


def _undone_lines(found: Undone, verb: str) -> Iterator[str]:
    change = found.change
    yield f"{verb} {change.short} of {listing.local_time(change.time_us)}: {_what(change)}"
    if found.back:
        yield f"There again: {_listed(found.back)}"
    if found.gone:
        yield f"Not there any more: {_listed(found.gone)}"
    if found.id is not None:
        yield f"`dsdt undo {found.id[:SHORT]}` takes that back"


def _listed(bundles: Sequence[Named]) -> str:
    shown = ", ".join(map(_called, bundles[:_SHOWN]))
    return shown + (f" and {len(bundles) - _SHOWN:,} more" if len(bundles) > _SHOWN else "")


def _as_json(change: Change) -> dict[str, Json]:
    return {
        "id": change.id,
        "time": listing.utc(change.time_us),
        "actor": change.actor,
        "counts": change.counts,
        "undone_by": change.undone_by,
        "undoes": list(change.undoes),
        "bundles": dict(change.bundles),
        "mentions": [
            {"kind": each.kind, "uuid": each.uuid, "name": each.name, "said": dict(each.said)}
            for each in change.mentions
        ],
    }


def _undone_json(found: Undone) -> Json:
    return {
        "id": found.id,
        "change": _as_json(found.change),
        "back": [{"uuid": each.uuid, "name": each.name} for each in found.back],
        "gone": [{"uuid": each.uuid, "name": each.name} for each in found.gone],
    }
