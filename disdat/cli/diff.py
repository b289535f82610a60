"""For who compares: how one version of a bundle differs from another."""

from __future__ import annotations

from collections.abc import Sequence

import click

from disdat import ops
from disdat.cli import difference, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import ByteBar
from disdat.ops.diff import SHOWN
from disdat.values.difference import Options, Tolerance

SAME, DIFFERENT, TROUBLE = 0, 1, 2


@click.command(cls=Verb)
@click.option(
    "-k",
    "--key",
    multiple=True,
    callback=options.text,
    metavar="COLUMN",
    help="Match the rows of tables by this column; repeatable. Else by one that looks like a key, or by position.",
)
@click.option(
    "--rtol", type=float, default=0.0, metavar="X", help="Numbers that differ by X times their size are equal."
)
@click.option("--atol", type=float, default=0.0, metavar="X", help="Numbers that differ by X are equal.")
@click.option(
    "--limit", type=options.AtLeast(0), default=SHOWN, metavar="N", help=f"Show N of each kind, not {SHOWN}; 0: all."
)
@click.option("--stat", is_flag=True, help="A line for each thing that differs.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where they differ, and with 2 on trouble.")
@options.json()
@click.argument("old", metavar="REF", callback=options.text)
@click.argument("new", metavar="[REF]", callback=options.text, required=False)
@click.pass_obj
def diff(
    choices: Choices,
    old: str,
    new: str | None,
    *,
    key: Sequence[str],
    rtol: float,
    atol: float,
    limit: int,
    stat: bool,
    exit_code: bool,
    as_json: bool,
) -> int:
    """
    Show how two bundles, or two versions of one, differ.

    The first REF is the old one; alone, it is compared with the version before it. The value, down to the cells of
    tables, the items of arrays and the files of directories; params, tags, metrics, code and inputs. What has equal
    digests is not read.
    """
    if exit_code:
        choices.failed = TROUBLE
    if stat and as_json:
        raise WrongUsage("--stat and --json exclude each other", "--json has all that --stat tells")
    asked = Options(tuple(key), Tolerance(rtol, atol), limit or None)
    context = opening.context(choices)
    with ByteBar("comparing", shown=opening.wants_progress(choices)) as progress:
        found = ops.diff.diff(context, old, new, options=asked, progress=progress)
    if as_json:
        render.out(render.as_json(found.to_json()))
    elif found:
        render.out(difference.stat(found) if stat else difference.lines(found))
    return DIFFERENT if exit_code and found else SAME
