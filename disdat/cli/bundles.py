"""For who makes bundles and changes what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from disdat import ops
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import AddProgress
from disdat.errors import BundleNotFound


@click.command(cls=Verb)
@options.tags("Give the bundle this tag; repeatable.")
@click.option("-i", "--inline", is_flag=True, help="Store a csv, tsv, parquet or json file as a table.")
@options.json("Print the new bundle as JSON.")
@click.argument("name", callback=options.text)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.pass_obj
def add(
    choices: Choices, name: str, paths: Sequence[str], *, tags: Mapping[str, str], inline: bool, as_json: bool
) -> None:
    """
    Make a bundle of files, directories or a table.

    The bytes are copied into a new version of NAME. A directory keeps its tree; several paths keep their
    places relative to each other. With -i, the cells of a column that all name files, relative to the table's
    directory or by s3:// URLs, take these files in.
    """
    context = opening.context(choices)
    if inline and len(paths) > 1:
        raise WrongUsage("--inline takes one file", "add the files one by one")
    if inline:
        made = ops.add.add_inline(context, name, paths[0], tags=tags)
    else:
        with AddProgress(paths, shown=opening.wants_progress(choices)) as progress:
            made = ops.add.add(context, name, paths, tags=tags, progress=progress)
    row = ops.find.by_uuid(context, made.uuid)
    if as_json:
        render.out(render.as_json(listing.as_json(row)))
    else:
        render.say(choices, f"Added {listing.summary(row)}")


@click.command(cls=Verb)
@options.tags("Of the versions with this tag; repeatable.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@click.argument("name", callback=options.any_text, required=False)
@click.pass_obj
def commit(choices: Choices, name: str | None, *, tags: Mapping[str, str], uuid: str | None) -> None:
    """
    Mark a bundle as ready to be shared.

    Of several versions that match, the latest one. NAME may be NAME@VERSION too.
    """
    context = opening.context(choices)
    rows = ops.find.chosen(context, name, uuid=uuid, tags=tags)
    ops.bundles.commit(context, rows)
    for row in rows:
        render.say(choices, f"{'Already committed' if row.committed else 'Committed'} {listing.summary(row)}")


@click.command(cls=Verb)
@click.argument("ref", callback=options.text)
@click.argument("tags", metavar="KEY:VALUE...", nargs=-1, required=True, callback=options.key_values)
@click.pass_obj
def tag(choices: Choices, ref: str, tags: Mapping[str, str]) -> None:
    """
    Set tags of a bundle.

    A tag that is there gets the new value. Only the context's record changes, never the bundle.
    """
    context = opening.context(choices)
    row = ops.find.resolve(context, ref)
    ops.bundles.tag(context, row, set_to=tags)
    render.say(choices, f"Tagged {listing.summary(row)}")


@click.command(cls=Verb)
@click.argument("ref", callback=options.text)
@click.argument("keys", metavar="KEY...", callback=options.text, nargs=-1, required=True)
@click.pass_obj
def untag(choices: Choices, ref: str, keys: Sequence[str]) -> None:
    """Remove tags of a bundle."""
    context = opening.context(choices)
    row = ops.find.resolve(context, ref)
    ops.bundles.tag(context, row, unset=keys)
    render.say(choices, f"Untagged {listing.summary(row)}")


@click.command(cls=Verb)
@options.tags("Only versions with this tag; repeatable.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@click.option("--all", "every", is_flag=True, help="Every version that matches, not only the latest.")
@click.option("--old", is_flag=True, help="Every version that matches but the latest.")
@click.option("--uncommitted", is_flag=True, help="Of these, only those that are not committed.")
@click.option("-f", "--force", is_flag=True, help="Committed bundles too.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.argument("name", callback=options.any_text, required=False)
@click.pass_obj
def rm(
    choices: Choices,
    name: str | None,
    *,
    tags: Mapping[str, str],
    uuid: str | None,
    every: bool,
    old: bool,
    uncommitted: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """
    Remove bundles from the context; `dsdt undo` brings them back.

    Of several versions that match, the latest one. NAME is exact, or NAME@VERSION; a name, a uuid or a tag must
    be given. The bytes stay in the store until they are collected.
    """
    if every and old:
        raise WrongUsage("--all and --old exclude each other", "--all removes the latest too, --old keeps it")
    context = opening.context(choices)
    which = ops.find.Which.ALL if every else ops.find.Which.OLD if old else ops.find.Which.LATEST
    try:
        rows = ops.find.chosen(context, name, uuid=uuid, tags=tags, which=which)
    except BundleNotFound:
        if uuid is None or name is not None or tags or dry_run or not ops.unreadable.remove(context, uuid):
            raise
        render.say(choices, f"Removed {uuid}, of which the rest could not be read")
        return
    if uncommitted:
        rows = [row for row in rows if not row.committed]
    if dry_run:
        render.out([f"Would remove {listing.summary(row)}" for row in rows] or ["No bundles to remove."])
        return
    ops.bundles.remove(context, rows, force=force)
    for line in [f"Removed {listing.summary(row)}" for row in rows] or ["No bundles to remove."]:
        render.say(choices, line)
