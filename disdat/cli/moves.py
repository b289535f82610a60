"""For who names things anew: bundles, in this context or another one, and whole contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import TypedDict, Unpack

import click

from disdat import ops
from disdat.catalog.queries import Row
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import Phases
from disdat.context import Context
from disdat.core.canonical import Json
from disdat.ops.moves import Taken


@click.command(cls=Verb)
@click.option("--all", "every", is_flag=True, help="Every version of the name REF, not only one.")
@click.option("--dry-run", is_flag=True, help="Say what would be renamed, and rename nothing.")
@options.json("Print the renamed bundles as JSON.")
@click.argument("ref", callback=options.any_text)
@click.argument("new", callback=options.text)
@click.pass_obj
def rename(choices: Choices, ref: str, new: str, *, every: bool, dry_run: bool, as_json: bool) -> None:
    """
    Give a bundle another name.

    The version that REF names; with --all, every version of the name. Their place in time stays, so of NEW the version
    that was made last is the latest. The bundle itself, and what was made from it, does not change.
    """
    context = opening.context(choices)
    rows = _rows(context, [ref], every=every)
    if not dry_run:
        rows = ops.moves.rename(context, rows, new)
        rows_now = context.catalog.rows([row.uuid for row in rows])
    if as_json:
        found = [row if dry_run else rows_now[row.uuid] for row in rows]
        render.out(render.as_json([listing.as_json(row) for row in found]))
        return
    verb = "Would rename" if dry_run else "Renamed"
    for line in [f"{verb} {listing.summary(row)} to {listing.shown_name(new)}" for row in rows] or [_named_so(new)]:
        render.out([line]) if dry_run else render.say(choices, line)


class _Wanted(TypedDict):
    """What the commands that give bundles to another context are told."""

    refs: Sequence[str]
    target: str
    every: bool
    create: bool
    dry_run: bool
    as_json: bool


def _giving(done: str, do: str) -> Callable[[options.F], options.F]:
    """The options and arguments of such a command."""
    parts = [
        click.option(
            "--to", "target", required=True, metavar="CONTEXT", callback=options.text, help="The other context."
        ),
        click.option("--all", "every", is_flag=True, help="Every version of each name REF, not only one."),
        click.option("--create", is_flag=True, help="Make CONTEXT where it is not there."),
        click.option("--dry-run", is_flag=True, help=f"Say what would be {done}, and {do} nothing."),
        options.json("Print what was done as JSON."),
        click.argument("refs", metavar="REF...", nargs=-1, required=True, callback=options.any_text),
    ]
    return lambda command: reduce(lambda wrapped, part: part(wrapped), reversed(parts), command)


@click.command(cls=Verb)
@_giving("copied", "copy")
@click.pass_obj
def copy(choices: Choices, **wanted: Unpack[_Wanted]) -> None:
    """
    Give bundles to another context too.

    No byte of them is copied: both contexts have the same bundle, with the same uuid, name, tags and inputs, and each
    goes on by itself. What is there already stays as it is.
    """
    _give(choices, ops.moves.copy, ("Copied", "copy"), **wanted)


@click.command(cls=Verb)
@_giving("moved", "move")
@click.pass_obj
def move(choices: Choices, **wanted: Unpack[_Wanted]) -> None:
    """
    Move bundles to another context.

    As `dsdt copy`, and then they are removed from this one. Paths of their files here stay valid until the next
    `dsdt gc --apply`. If it is interrupted, a bundle is in both contexts, and moving it again completes it.
    """
    _give(choices, ops.moves.move, ("Moved", "move"), **wanted)


@click.command(cls=Verb)
@options.json("Print the new context as JSON.")
@click.argument("names", metavar="[CONTEXT] NEW", nargs=-1, callback=options.text)
@click.pass_obj
def fork(choices: Choices, names: Sequence[str], *, as_json: bool) -> None:
    """
    Make a context that begins as another one is.

    NEW has every bundle of CONTEXT, or of the current context, with its whole history, and no byte of them is copied.
    Both go on by themselves. Does not switch to it.
    """
    if not 1 <= len(names) <= 2:
        missing = "unexpected extra argument" if names else "missing argument 'NEW'"
        raise WrongUsage(missing, "write `dsdt fork NEW` or `dsdt fork CONTEXT NEW`")
    *given, new = names
    source = ops.contexts.named(opening.home(choices), given[0]) if given else opening.context(choices)
    with Phases(shown=opening.wants_progress(choices)) as progress:
        progress(f"forking {source.name}")
        made = ops.fork.fork(source, new)
        bundles = made.catalog.counts().bundles
    if as_json:
        render.out(render.as_json({"context": made.name, "forked": source.name, "bundles": bundles}))
    else:
        render.say(choices, f"Forked context {source.name} as {made.name}: {render.count(bundles, 'bundle')}")


Act = Callable[[Context, Context, Sequence[Row]], Taken]


def _give(choices: Choices, act: Act, verbs: tuple[str, str], **wanted: Unpack[_Wanted]) -> None:
    context, target = opening.context(choices), wanted["target"]
    done, would = verbs
    with Phases(shown=opening.wants_progress(choices)) as progress:
        progress("looking for the bundles")
        rows = _rows(context, wanted["refs"], every=wanted["every"])
        if not wanted["create"]:
            ops.contexts.named(context.home, target)
        if wanted["dry_run"]:
            taken = ops.moves.plan(context, rows, target)
        else:
            other = ops.moves.found_or_made(context.home, target)
            progress(f"writing {render.count(len(rows), 'bundle')} to {other.name}")
            taken = act(context, other, rows)
    if wanted["as_json"]:
        render.out(render.as_json(_taken_json(taken)))
    elif wanted["dry_run"]:
        render.out(_lines(taken, f"Would {would}"))
    else:
        for line in _lines(taken, done):
            render.say(choices, line)


def _rows(context: Context, refs: Sequence[str], *, every: bool) -> list[Row]:
    return ops.moves.versions(context, refs) if every else ops.moves.chosen(context, refs)


def _lines(taken: Taken, verb: str) -> Iterator[str]:
    there = {row.uuid for row in taken.there}
    moves = verb.lower().endswith(("moved", "move"))
    for row in taken.all:
        if row.uuid not in there:
            yield f"{verb} {listing.summary(row)} to {taken.target}"
        elif moves:
            yield f"{verb} {listing.summary(row)} to {taken.target}, where it was already"
        else:
            yield f"Already in {taken.target}: {listing.summary(row)}"


def _taken_json(taken: Taken) -> Json:
    return {
        "from": taken.source,
        "to": taken.target,
        "new": [listing.as_json(row) for row in taken.new],
        "there": [listing.as_json(row) for row in taken.there],
    }


def _named_so(name: str) -> str:
    return f"Already named {listing.shown_name(name)}."
