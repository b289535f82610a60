"""For who asks where a bundle came from, or what came of it: as a tree, a picture, or data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from disdat import ops
from disdat.cli import describe, opening, options, render, trees
from disdat.cli.choices import Choices, Verb
from disdat.context import Context
from disdat.core.branches import Strokes
from disdat.durable import storage_errors
from disdat.ops import drawing
from disdat.ops.lineage import Graph

FORMATS = ("tree", "blocks", "json", "dot", "mermaid", "html")
_SUFFIXES = {".json": "json", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid", ".html": "html"}


@click.command(cls=Verb)
@click.option("-d", "--depth", type=options.AtLeast(0), metavar="N", help="Go N steps only.")
@click.option("--down", is_flag=True, help="Show what was made from it, not what it was made from.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(FORMATS),
    help="tree (unless FILE's name says another), blocks with all of each, json, dot for Graphviz, mermaid, or "
    "html: a page to look around in.",
)
@click.option("-o", "--output", callback=options.not_empty, metavar="FILE", help="Write it to FILE.")
@options.as_of()
@options.json("The same as --format json.")
@click.argument("ref", callback=options.text)
@click.pass_obj
def lineage(
    choices: Choices,
    ref: str,
    *,
    depth: int | None,
    down: bool,
    shape: str | None,
    output: str | None,
    as_of: int | None,
    as_json: bool,
) -> None:
    """
    Show what a bundle was made from, step by step.

    As a tree: the bundle, below it what it was made from, and so on; what was used twice is shown once. The page of
    --format html needs no server and no network.
    """
    wanted = _shape(shape, output, as_json=as_json)
    context = opening.context(choices, as_of=as_of)
    uuid = ops.find.resolve(context, ref).uuid
    walk = ops.lineage.downstream if down else ops.lineage.upstream
    graph = walk(context, uuid, max_depth=depth)
    found = _lines(context, graph, wanted, strokes=trees.strokes(to_file=output is not None))
    if output is None:
        width = opening.width() if wanted == "tree" else None
        render.out(render.cut(line, width) for line in found)
        if graph.missing and wanted == "tree":
            _note_missing(choices, graph, context)
        return
    with storage_errors(f"write {output}"):
        Path(output).write_text("".join(f"{line}\n" for line in found), "utf-8")
    render.say(choices, f"Wrote {output}")


def _shape(shape: str | None, output: str | None, *, as_json: bool) -> str:
    if as_json and shape not in {None, "json"}:
        raise options.WrongUsage(f"--json and --format {shape} exclude each other", "give one of them")
    wanted = "json" if as_json else shape or _SUFFIXES.get(Path(output or "").suffix.lower(), "tree")
    if wanted == "html" and output is None and opening.width() is not None:
        raise options.WrongUsage("a page is nothing to read in a terminal", "write it to a file: -o lineage.html")
    return wanted


def _note_missing(choices: Choices, graph: Graph, context: Context) -> None:
    """Say that the lineage is not whole, and how it may get so."""
    count, are = len(graph.missing), "is" if len(graph.missing) == 1 else "are"
    told = f"{count:,} of {render.count(len(graph.found), 'bundle')} {are} not in {context.name}"
    render.note(choices, f"{told}, and so what {'it was' if count == 1 else 'they were'} made from is not known")
    if context.binding is not None:
        render.note(choices, f"hint: `dsdt pull -u {graph.missing[0]}`, if {context.binding.name} has it")


def _lines(context: Context, graph: Graph, shape: str, *, strokes: Strokes) -> Iterable[str]:
    match shape:
        case "json":
            return render.as_json(describe.lineage_json(graph.found, is_down=graph.is_down))
        case "blocks":
            return describe.lineage_lines(graph.found)
        case "dot":
            return drawing.dot(graph)
        case "mermaid":
            return drawing.mermaid(graph)
        case "html":
            return [drawing.html(graph, ops.lineage.why(context, graph)).rstrip("\n")]
        case _:
            return drawing.tree(graph, strokes=strokes)
