"""
Lineage as a picture: a tree for a terminal, a graph for Graphviz or Mermaid, a page for a browser.

Names, tags and parameters are others' texts: each picture escapes them as its language wants it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from importlib import resources

from disdat.catalog.queries import Edge
from disdat.core.branches import LINES, Strokes, Twig, branches
from disdat.core.bundle import NOTHING, Bundle, CodeRef, Lineage, Run
from disdat.core.canonical import Json
from disdat.core.printable import brief, one_line
from disdat.core.reserved import is_reserved
from disdat.ops import when
from disdat.ops.lineage import Ancestor, Graph

UNNAMED = "(unnamed)"
_SHORT = 8
_TOOK = 8
_WIDEST = 60
"""What stands beside longer names is not in line with the rest: a deep tree would push all of it out of sight."""
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_MERMAID = {ord(c): f"#{ord(c)};" for c in '"#<>&`'}


def tree(graph: Graph, *, strokes: Strokes = LINES) -> Iterator[str]:
    """The graph as a tree below the bundle it began at; one that is met again is shown once."""
    found, names = {each.step.uuid: each for each in graph.found}, graph.names
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        stem, branch = (edge.input, edge.bundle) if graph.is_down else (edge.bundle, edge.input)
        below.setdefault(stem, []).append((one_line(edge.argument), branch))
    twigs = branches(graph.start, lambda uuid: below.get(uuid, ()), strokes=strokes)
    rows = [(twig.line(_label(found[twig.each], names)), _cells(found[twig.each], twig)) for twig in twigs]
    width = max((len(label) for label, _ in rows if len(label) <= _WIDEST), default=0)
    for label, cells in rows:
        yield "  ".join([label.ljust(width), *cells]).rstrip()


def dot(graph: Graph) -> Iterator[str]:
    """The graph in the language of Graphviz, from inputs to what was made of them."""
    names = graph.names
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded", fontname="sans-serif"];'
    yield '  edge [fontname="sans-serif", fontsize=10];'
    for each in graph.found:
        look = ", style=dashed" if each.row is None else ", penwidth=2" if each.step.depth == 0 else ""
        yield f"  {_dot(each.step.uuid)} [label={_dot(*_titles(each, names))}{look}];"
    for edge in graph.edges:
        yield f"  {_dot(edge.input)} -> {_dot(edge.bundle)} [label={_dot(edge.argument)}];"
    yield "}"


def mermaid(graph: Graph) -> Iterator[str]:
    """The graph in the language of Mermaid, which forges show in Markdown."""
    number, names = {each.step.uuid: f"n{number}" for number, each in enumerate(graph.found)}, graph.names
    yield "flowchart LR"
    for each in graph.found:
        yield f'  {number[each.step.uuid]}["{"<br/>".join(map(_mermaid, _titles(each, names)))}"]'
    for edge in graph.edges:
        yield f'  {number[edge.input]} -- "{_mermaid(edge.argument)}" --> {number[edge.bundle]}'


def html(graph: Graph, why: Mapping[str, str] = NOTHING) -> str:
    """
    The graph as a page that stands alone: it asks no server for anything, nor would a browser let it.

    Who clicks a bundle sees what is recorded of it, and *why* it was made, which is by its uuid.
    """
    style, script = (_resource(f"lineage.{kind}") for kind in ("css", "js"))
    parts = {
        "policy": f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_allowed(style)}; script-src {_allowed(script)}",
        "title": escape(one_line(_name(graph.found[0], graph.names))),
        "style": style,
        "script": script,
        # No text of a user's ends the element: there is no < in it.
        "data": json.dumps(_page(graph, why)).replace("<", "\\u003c"),
    }
    return _SLOT.sub(lambda slot: parts[slot[1]], _resource("lineage.html"))


def _label(each: Ancestor, names: Mapping[str, str]) -> str:
    """A bundle's name, with the parameters of the task that made it where that has the same."""
    name, maker = _name(each, names), _maker(each)
    return brief(maker) if maker.startswith(f"{name}(") else one_line(name)


def _cells(each: Ancestor, twig: Twig[str]) -> list[str]:
    """What stands beside a bundle's name in a tree; the uuid of what is not here whole, as it is pulled by that."""
    if each.row is None or each.bundle is None:
        return [each.step.uuid, "not here"]
    uuid = each.row.uuid[:_SHORT]
    if twig.is_again:
        return [uuid]
    made = f"{when.local(each.row.created_us):%Y-%m-%d %H:%M:%S}"
    maker = "" if _maker(each).startswith(f"{each.row.name}(") else _maker(each)
    return [uuid, made, _took(each.bundle).rjust(_TOOK), brief(maker)]


def _maker(each: Ancestor) -> str:
    """What made a bundle: a task with its parameters, or else a method."""
    lineage = Lineage() if each.bundle is None else each.bundle.lineage
    if lineage.task is not None and lineage.run is not None and lineage.run.task:
        return lineage.run.task
    return lineage.code.method if lineage.code is not None else ""


def _took(bundle: Bundle) -> str:
    start, stop = bundle.lineage.started_us, bundle.lineage.stopped_us
    return "" if start is None or stop is None else f"{(stop - start) / 1e6:.2f} s"


def _name(each: Ancestor, names: Mapping[str, str]) -> str:
    return (each.row.name if each.row else names.get(each.step.uuid, "")) or UNNAMED


def _titles(each: Ancestor, names: Mapping[str, str]) -> tuple[str, str]:
    return one_line(_name(each, names)), each.step.uuid[:_SHORT] if each.row else "not here"


def _dot(*lines: str) -> str:
    escaped = [one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(escaped) + '"'


def _mermaid(text: str) -> str:
    return one_line(text).translate(_MERMAID)


def _resource(name: str) -> str:
    return resources.files("disdat.ops").joinpath(name).read_text("utf-8")


def _allowed(source: str) -> str:
    """How a page's policy names the one script, or style, it lets through."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"


def _page(graph: Graph, why: Mapping[str, str]) -> Json:
    names = graph.names
    return {
        "start": graph.start,
        "nodes": [{**_node(each, graph.runs, names), "why": why.get(each.step.uuid, "")} for each in graph.found],
        "edges": [_edge(edge) for edge in graph.edges],
    }


def _edge(edge: Edge) -> Json:
    return {"from": edge.input, "to": edge.bundle, "argument": edge.argument}


def _node(each: Ancestor, runs: Mapping[str, Run], names: Mapping[str, str]) -> dict[str, Json]:
    row, bundle = each.row, each.bundle
    if row is None or bundle is None:
        return {"uuid": each.step.uuid, "name": names.get(each.step.uuid, ""), "here": False}
    ref = bundle.lineage.run
    return {
        "uuid": row.uuid,
        "name": row.name,
        "here": True,
        "processing_name": row.processing_name,
        "owner": row.owner,
        "created": _time(row.created_us),
        "committed": row.committed,
        "size_bytes": row.size_bytes,
        "files": row.file_count,
        "tags": {key: value for key, value in row.tags.items() if not is_reserved(key)},
        "params": row.params,
        "metrics": {key: str(value) for key, value in bundle.metrics.items()},
        "code": _code(bundle.lineage.code or CodeRef()),
        "started": _time(bundle.lineage.started_us),
        "stopped": _time(bundle.lineage.stopped_us),
        "run": _run(runs[ref.id]) if ref is not None and ref.id in runs else {},
    }


def _code(code: CodeRef) -> Json:
    version = f"{code.commit} with changes" if code.dirty else code.commit
    return {
        "method": code.method,
        "repository": code.repo,
        "version": version,
        "branch": code.branch,
        "digest": code.digest or "",
    }


def _run(run: Run) -> Json:
    return {
        "id": run.id,
        "by": f"{run.user}@{run.host}",
        "command": " ".join(run.argv),
        "in": run.cwd,
        "python": run.python,
        "platform": run.platform,
    }


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds")
