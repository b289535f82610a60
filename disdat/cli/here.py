"""For who decides which bytes are here: fetching those of bundles, and dropping them where the remote has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import click

from disdat import ops
from disdat.catalog.queries import Row
from disdat.cli import listing, opening, options, render, transferring
from disdat.cli.choices import Choices, Verb
from disdat.cli.interrupting import interruptible
from disdat.cli.progress import ByteBar
from disdat.context import Context
from disdat.core.canonical import Json
from disdat.errors import ObjectNotFound
from disdat.ops.delocalizing import Delocalized
from disdat.ops.localizing import Localized
from disdat.remote import unbound
from disdat.remote.known import Presence

_ALL = click.option("--all", "every", is_flag=True, help="Every version of REF, which is a name then.")
_SHOWN = 3


@click.command(cls=Verb)
@_ALL
@options.jobs()
@transferring.progress()
@options.json("Print what came as JSON.")
@click.argument("ref", callback=options.text)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.pass_obj
def localize(
    choices: Choices,
    ref: str,
    paths: Sequence[str],
    *,
    every: bool,
    jobs: int | None,
    how: str | None,
    as_json: bool,
) -> None:
    """
    Fetch the bytes of a bundle that are not here.

    With PATHs, only those of these files and directories of the bundle. What is read is fetched without this too.
    """
    context = opening.context(choices)
    rows = _meant(context, ref, every=every)
    with transferring.of_bytes(choices, "fetching", how=how, kept=kept("dsdt localize")) as tell:
        done = ops.localizing.localize(context, rows, paths, progress=tell, **options.with_jobs(jobs))
    render.out(render.as_json(_localized_json(done)) if as_json else _localized_lines(done))


@click.command(cls=Verb)
@_ALL
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and drop nothing.")
@options.jobs()
@options.json("Print what was dropped as JSON.")
@click.argument("ref", callback=options.text)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.pass_obj
def delocalize(
    choices: Choices, ref: str, paths: Sequence[str], *, every: bool, dry_run: bool, jobs: int | None, as_json: bool
) -> None:
    """
    Drop the bytes of a bundle here that the remote has.

    With PATHs, only those of these files and directories of the bundle. The remote is proved to have them, unchanged,
    before anything goes. What another bundle of this home needs stays. They come back when they are asked for.
    """
    context = opening.context(choices)
    rows = _meant(context, ref, every=every)
    if dry_run:
        done = ops.delocalizing.plan(context, rows, paths)
    else:
        bar = ByteBar("Proving", shown=opening.wants_progress(choices))
        with bar, interruptible(lambda: "what was dropped the remote has; `dsdt delocalize` goes on", stop=bar.stop):
            done = ops.delocalizing.delocalize(context, rows, paths, progress=bar, **options.with_jobs(jobs))
    render.out(render.as_json(delocalized_json(done)) if as_json else delocalized_lines(done, would=dry_run))


def bring(choices: Choices, context: Context, row: Row) -> None:
    """
    Fetch what is not here of a bundle all of which is about to be read, and show how far that is.

    Raises:
        ObjectNotFound: It is on a remote that the context is bound to no more.
    """
    _check_left(context, row)
    if context.binding is None or context.binding.layout == "plain":
        return  # nothing can be fetched, or nothing is before somebody asks for it
    if ops.presence.of_rows(context, [row.uuid])[row.uuid] is Presence.LOCAL:
        return
    with transferring.of_bytes(choices, "fetching", how=None, kept=kept("dsdt localize")) as tell:
        ops.localizing.localize(context, [row], progress=tell)


def _check_left(context: Context, row: Row) -> None:
    for left in unbound.noted(unbound.read(context.directory), None, context.binding):
        if row.uuid in left.uuids and ops.presence.absent(context, context.catalog.bundle(row.uuid)):
            raise ObjectNotFound(
                f"bytes of {listing.shown_name(row.name)} are on a remote no longer bound: "
                f"{left.binding.name}@{left.binding.url}",
                hint=f"`{left.remedy}` binds to it again",
            )


def kept(goes_on: str, otherwise: str = "") -> Callable[[int, int], str]:
    """What bytes that arrived before an interrupt are good for; *otherwise* is what goes on where there were none."""

    def say(done_bytes: int, total_bytes: int) -> str:
        if not total_bytes:
            return f"`{otherwise or goes_on}` goes on"
        arrived = f"{render.size(done_bytes)} of {render.size(total_bytes)} arrived"
        return f"{arrived}, of which whole objects are kept; `{goes_on}` goes on"

    return say


def delocalized_lines(done: Delocalized, *, would: bool = False) -> Iterator[str]:
    """What ``dsdt delocalize`` prints."""
    verb = "Would drop" if would else "Dropped"
    what = f"{render.count(done.objects, 'object')}, {render.size(done.bytes_freed)}"
    for row in done.bundles[:1] if len(done.bundles) == 1 else ():
        yield f"{verb} {what} of {listing.summary(row)}"
    if len(done.bundles) != 1:
        yield f"{verb} {what} of {render.count(len(done.bundles), 'bundle')}"
    if done.kept:
        who = ", ".join(map(render.one_line, done.kept_for[:_SHOWN]))
        more = f" and {len(done.kept_for) - _SHOWN:,} more" if len(done.kept_for) > _SHOWN else ""
        yield f"Kept {render.count(done.kept, 'object')} that other bundles need here: {who}{more}"
    if done.bytes_left:
        yield f"Left {render.size(done.bytes_left)} in packs of which most is needed"


def delocalized_json(done: Delocalized) -> dict[str, Json]:
    """What ``dsdt delocalize --json`` prints."""
    return {
        "bundles": [row.uuid for row in done.bundles],
        "objects": done.objects,
        "bytes_freed": done.bytes_freed,
        "kept": done.kept,
        "kept_for": list(done.kept_for),
        "bytes_left": done.bytes_left,
        "seconds": done.seconds,
    }


def _meant(context: Context, ref: str, *, every: bool) -> list[Row]:
    if every:
        return ops.find.chosen(context, ref, which=ops.find.Which.ALL)
    return [ops.find.resolve(context, ref)]


def _localized_lines(done: Localized) -> Iterator[str]:
    what = listing.summary(done.bundles[0]) if len(done.bundles) == 1 else render.count(len(done.bundles), "bundle")
    if done.objects:
        yield f"Fetched {render.size(done.bytes_received)} of {what} in {done.seconds:.1f} s"
    else:
        yield f"All bytes are here of {what}"


def _localized_json(done: Localized) -> Json:
    return {
        "bundles": [row.uuid for row in done.bundles],
        "objects": done.objects,
        "bytes_received": done.bytes_received,
        "seconds": done.seconds,
    }
