"""For who looks: what bundles there are, what is in one, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import click

from disdat import ops
from disdat.catalog.queries import Filter, Row
from disdat.cli import describe, listing, opening, options, present, render
from disdat.cli.choices import Choices, Verb
from disdat.context import Context
from disdat.remote import unbound


@click.command(cls=Verb)
@click.option("-v", "--long", "--verbose", "long", is_flag=True, help="A table: names, owner, date, uuid and more.")
@click.option("-p", "--print-tags", is_flag=True, help="The same as -v, which shows them.")
@click.option("-a", "--print-args", is_flag=True, help="As -v, and a line with the parameters too.")
@click.option("-i", "--intermediates", is_flag=True, help="Only what is not the last output of a pipeline run.")
@click.option("-r", "--roots", is_flag=True, help="Only the last outputs of pipeline runs; with -i everything.")
@click.option("-c", "--committed", is_flag=True, help="Only committed bundles.")
@click.option("--uncommitted", is_flag=True, help="Only bundles that are not committed; with -c everything.")
@click.option("--remote", is_flag=True, help="Only bundles that are on the remote, as of the last fetch.")
@click.option("-l", "--latest-by-date", is_flag=True, help="Of what passes all else, the newest of each name.")
@click.option("-A", "--after", callback=options.moment, metavar="DATE", help="Created at that moment or later.")
@click.option("-B", "--before", callback=options.last_moment, metavar="DATE", help="Created at that moment or earlier.")
@options.tags("Only bundles with this tag; repeatable, all must be there.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@options.as_of()
@options.json()
@click.argument("pattern", callback=options.any_text, required=False)
@click.pass_obj
def ls(
    choices: Choices,
    pattern: str | None,
    *,
    long: bool,
    print_tags: bool,
    print_args: bool,
    intermediates: bool,
    roots: bool,
    committed: bool,
    uncommitted: bool,
    remote: bool,
    latest_by_date: bool,
    after: int | None,
    before: int | None,
    tags: Mapping[str, str],
    uuid: str | None,
    as_of: int | None,
    as_json: bool,
) -> None:
    """
    List bundles.

    Newest first, each name once; every version with -v. PATTERN is a name; where no bundle has it, it is a glob
    if it has one of *?[ and a regular expression between slashes (/…/). A dot is a dot. DATE is 2026-03-01,
    2026-03-01T09:00, 03-01-2026 [09:00:00], or as -v shows it (03-01-26 09:00:00), local time.

    Where the context has a remote, -v says of each bundle whether its bytes are here (local, partial, remote), with a ~
    where some of its files are known by what S3 says of them.
    """
    context = opening.context(choices, as_of=as_of)
    wanted = replace(
        ops.find.by_pattern(context, pattern) if pattern is not None else Filter(),
        uuid=ops.find.by_uuid(context, uuid).uuid if uuid is not None else None,
        tags=tags,
        committed=_only(committed, uncommitted),
        root=_only(roots, intermediates),
        after_us=after,
        before_us=before,
        latest_only=latest_by_date and not remote,
    )
    rows = ops.find.search(context, wanted)
    if remote:
        rows = _published(context, rows, latest_only=latest_by_date)
    if as_json:
        presence, weak = _presence(context, rows), ops.presence.weak(context)
        found = [listing.as_json(row) | {"presence": presence[row.uuid], "weak": row.uuid in weak} for row in rows]
        render.out(render.as_json(found))
    elif long or print_tags or print_args:
        widths = listing.PADS if opening.width() is None else listing.fitting(rows)
        shown = _presence(context, rows) if context.binding is not None else None
        weak = ops.presence.weak(context)
        render.out(listing.long(rows, widths=widths, params=print_args, presence=shown, weak=weak))
    elif context.binding is not None and opening.width() is not None:
        newest = _newest(rows)
        render.out(listing.marked_names(newest, _presence(context, newest)))
    else:
        render.out(listing.names(rows))


@click.command(cls=Verb)
@options.tags("Of the versions with this tag; repeatable.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@click.option(
    "-f", "--file", "target", callback=options.not_empty, metavar="FILE", help="Write the value to FILE as CSV instead."
)
@options.as_of()
@click.argument("name", metavar="[REF]", callback=options.any_text, required=False)
@click.pass_obj
def cat(
    choices: Choices,
    name: str | None,
    *,
    tags: Mapping[str, str],
    uuid: str | None,
    target: str | None,
    as_of: int | None,
) -> None:
    """
    Print the value of a bundle.

    Of several versions that match the latest one; with nothing named, the newest bundle of all. One file is its
    path, an added directory the paths of its files, a line each; a table is rows with files as file:// URLs (at a
    terminal the head and tail of a long one, as wide as it is), anything else is as Python prints it.
    """
    context = opening.context(choices, as_of=as_of)
    row = _one(context, name, uuid=uuid, tags=tags)
    _bring(choices, context, row)
    value, directory = ops.bundles.value(context, row.uuid), context.bundle_directory(row.uuid)
    if target is not None:
        present.write_csv(value, directory, Path(target))
    elif _is_paths(context, row):
        render.out(map(str, cast("list[str]", value)))
    else:
        render.out([present.text(value, directory, width=opening.width())])


@click.command(cls=Verb)
@options.as_of()
@options.json()
@click.argument("ref", callback=options.text)
@click.pass_obj
def show(choices: Choices, ref: str, *, as_of: int | None, as_json: bool) -> None:
    """
    Show all that is recorded of a bundle: tags, code, run, inputs.

    REF is NAME, NAME@UUID-PREFIX, NAME@-1 (the version before the latest), NAME@DATE (the latest as of then)
    or a uuid prefix of four digits or more.
    """
    context = opening.context(choices, as_of=as_of)
    details = ops.details.of(context, ops.find.resolve(context, ref))
    render.out(render.as_json(describe.as_json(details)) if as_json else describe.lines(details))


def _presence(context: Context, rows: Sequence[Row]) -> Mapping[str, str]:
    """Of each bundle whether its bytes are here."""
    if context.binding is None:
        return dict.fromkeys((row.uuid for row in rows), listing.HERE)
    states = ops.presence.of_rows(context, [row.uuid for row in rows])
    return {uuid: state.value for uuid, state in states.items()}


def _published(context: Context, rows: Sequence[Row], *, latest_only: bool) -> list[Row]:
    """Those of some bundles, newest first, that are on the remote; of these only the newest of each name."""
    context.remote  # noqa: B018 - it must have one
    found = ops.pull.published(context, rows)
    return _newest(found) if latest_only else found


def _newest(rows: Sequence[Row]) -> list[Row]:
    """Of bundles, newest first, the first of each name."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.name, row)
    return list(found.values())


def _bring(choices: Choices, context: Context, row: Row) -> None:
    """Fetch what is not here of a bundle all of which is about to be read."""
    if context.binding is not None or (context.directory / unbound.NAME).exists():
        from disdat.cli import here  # what moves bytes, which listing bundles does not wait for

        here.bring(choices, context, row)


def _only(yes: bool, no: bool) -> bool | None:
    """What two opposite options ask for; both together, and neither, ask for nothing."""
    return yes if yes is not no else None


def _is_paths(context: Context, row: Row) -> bool:
    """Whether the value is what was added as several files: their paths."""
    frames = context.catalog.bundle(row.uuid).frames
    return bool(frames) and (frames[0].kind, frames[0].form) == ("directory", "paths")


def _one(context: Context, reference: str | None, *, uuid: str | None, tags: Mapping[str, str]) -> Row:
    if reference is None and uuid is None:
        return ops.find.need(context, tags=tags)
    if uuid is None and not tags:
        return ops.find.resolve(context, str(reference))
    return ops.find.chosen(context, reference, uuid=uuid, tags=tags)[0]
