"""For who wants the files of a bundle in a directory of his own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from disdat import ops
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.progress import ByteBar
from disdat.core.canonical import Json
from disdat.errors import Conflict
from disdat.ops.checkout import CheckedOut


@click.command(cls=Verb)
@click.option("--link", is_flag=True, help="Large files as read-only hard links to the store, which take no space.")
@click.option("-f", "--force", is_flag=True, help="Overwrite and delete files that were changed or were there before.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.json("Print what was done as JSON.")
@click.argument("ref", callback=options.text)
@click.argument("directory", metavar="[DIR]", required=False, callback=options.not_empty)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.pass_obj
def checkout(
    choices: Choices,
    ref: str,
    directory: str | None,
    paths: Sequence[str],
    *,
    link: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Put a bundle's files into a directory of your own.

    DIR is made if need be; without it, one named as the bundle. With PATHs, only these files and directories of the
    bundle. Doing it again, also with another version, changes what differs, and never a file that you changed or that
    was there before, unless you force it.
    """
    context = opening.context(choices)
    if dry_run:
        done = ops.checkout.plan(context, ref, directory, paths, link=link, force=force)
    else:
        with ByteBar("checking out", shown=opening.wants_progress(choices)) as progress:
            done = ops.checkout.checkout(context, ref, directory, paths, link=link, force=force, progress=progress)
    for clash in done.clashes:
        render.note(choices, f"the same name where case or accents do not count: {', '.join(clash)}")
    if as_json:
        render.out(render.as_json(_as_json(done)))
    elif dry_run:
        render.out(_would(done))
    else:
        render.say(choices, f"Checked out {_summary(done)}")
    if done.obstacles:
        raise Conflict(
            f"{render.count(len(done.obstacles), 'path')} in the way in {done.directory}; nothing would be done",
            hint="move them away, or lose what is in them with --force",
        )


def _would(done: CheckedOut) -> Iterator[str]:
    for verb, paths in (("write", done.written), ("replace", done.replaced), ("delete", done.deleted)):
        yield from (f"Would {verb} {render.one_line(path)}" for path in paths)
    yield from (f"In the way: {render.one_line(each.path)} {each.why}" for each in done.obstacles)
    yield f"Would check out {_summary(done)}"


def _summary(done: CheckedOut) -> str:
    counts = [
        f"{len(paths):,} {what}"
        for what, paths in (
            ("written", done.written),
            ("replaced", done.replaced),
            ("deleted", done.deleted),
            ("kept", done.kept),
        )
        if paths
    ]
    what = f"{listing.shown_name(done.name)} {done.uuid} into {render.one_line(str(done.directory))}"
    return f"{what}: {', '.join(counts) or 'no files'}, {render.size(done.size_bytes)}"


def _as_json(done: CheckedOut) -> Json:
    return {
        "uuid": done.uuid,
        "name": done.name,
        "directory": str(done.directory),
        "written": done.written,
        "replaced": done.replaced,
        "deleted": done.deleted,
        "kept": done.kept,
        "size_bytes": done.size_bytes,
        "obstacles": [{"path": each.path, "why": each.why} for each in done.obstacles],
        "clashes": done.clashes,
    }
