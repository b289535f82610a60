"""Where a bundle came from, and what came of it: the bundles around one, as far as the context knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from disdat.catalog.queries import Edge, Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Lineage, Run
from disdat.core.canonical import Json
from disdat.core.graph import Edges, Step, ancestors

YIELDED = "yields"
"""What people are shown as the argument of a task that was yielded, which has none of its own."""
_TOGETHER = 200
"""So many manifests are in memory at once, where only their times are wanted."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One step of lineage; :attr:`row` and :attr:`bundle` are None where the bundle is not in this context."""

    step: Step
    row: Row | None
    bundle: Bundle | None


@dataclass(frozen=True, slots=True)
class Graph:
    """What a walk from one bundle found: the bundles, that one first, and all that they read of each other."""

    found: Sequence[Ancestor]
    edges: Sequence[Edge]
    """Of each bundle in the order in which its manifest has its inputs; what it yielded is :data:`YIELDED`."""
    is_down: bool = False
    """Whether it leads to what was made from the bundle, not to what it was made from."""
    runs: Mapping[str, Run] = field(default_factory=dict)
    """The records of the runs that made them, by id."""

    @property
    def start(self) -> str:
        """The uuid of the bundle the walk began at."""
        return self.found[0].step.uuid

    @property
    def names(self) -> dict[str, str]:
        """What those who read a bundle call it, by its uuid, whether it is here or not."""
        known = [each.bundle.lineage.inputs for each in self.found if each.bundle is not None]
        return {given.uuid: given.name for inputs in known for given in inputs}

    @property
    def missing(self) -> list[str]:
        """The uuids of those that are not in the context."""
        return [each.step.uuid for each in self.found if each.row is None]


def lineage(context: Context, uuid: str, *, max_depth: int | None = None) -> list[Ancestor]:
    """The bundle and its ancestors, breadth first, each once; one catalog query per depth and one for the rows."""
    return _walk(context, uuid, context.catalog.edges, max_depth)


def descendants(context: Context, uuid: str, *, max_depth: int | None = None) -> list[Ancestor]:
    """The bundle and all that was made from it, breadth first, each once."""

    def readers(uuids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for edge in context.catalog.used_by(*uuids):
            found.setdefault(edge.input, []).append((edge.argument, edge.bundle))
        return found

    return _walk(context, uuid, readers, max_depth)


def upstream(context: Context, uuid: str, *, max_depth: int | None = None) -> Graph:
    """What a bundle was made from, what that was made from, and so on; *max_depth* steps far."""
    return _graph(context, lineage(context, uuid, max_depth=max_depth), is_down=False)


def downstream(context: Context, uuid: str, *, max_depth: int | None = None) -> Graph:
    """What was made from a bundle, what was made from that, and so on; *max_depth* steps far."""
    return _graph(context, descendants(context, uuid, max_depth=max_depth), is_down=True)


def why(context: Context, graph: Graph) -> dict[str, str]:
    """Why runs made the bundles of a graph, by their uuids, as far as that is known here."""
    uuids = {each.step.uuid for each in graph.found}
    decided = (each for run_id in graph.runs for each in context.catalog.decisions(run_id))
    return {
        str(each["bundle"]): str(each["why"])
        for each in decided
        if each["decision"] == "made" and each["bundle"] in uuids
    }


def yielded(of: Lineage) -> set[str]:
    """The arguments of a bundle's inputs that are tasks its own task yielded."""
    told = (cast("Mapping[str, Json]", each) for each in of.observed)
    return {str(each.get("argument")) for each in told if each.get("kind") == "task"}


def _walk(context: Context, uuid: str, edges: Edges, max_depth: int | None) -> list[Ancestor]:
    catalog = context.catalog
    steps = ancestors(uuid, edges, max_depth=max_depth)
    uuids = [step.uuid for step in steps]
    rows, bundles = catalog.rows(uuids), catalog.bundles(uuids)
    return [Ancestor(step, rows.get(step.uuid), bundles.get(step.uuid)) for step in steps]


def _graph(context: Context, found: Sequence[Ancestor], *, is_down: bool) -> Graph:
    catalog = context.catalog
    known = {each.step.uuid for each in found}
    yields = {each.step.uuid: yielded(each.bundle.lineage) for each in found if each.bundle is not None}
    edges = [
        replace(edge, argument=YIELDED) if edge.argument in yields.get(edge.bundle, ()) else edge
        for edge in catalog.inputs_of(*known)
        if edge.input in known
    ]
    order = {each.step.uuid: number for number, each in enumerate(found)}
    refs = [each.bundle.lineage.run for each in found if each.bundle is not None]
    recorded = {run_id: catalog.run(run_id) for run_id in {ref.id for ref in refs if ref is not None}}
    return Graph(
        found,
        sorted(edges, key=lambda edge: order[edge.bundle]),  # stable: each one's inputs keep their order
        is_down,
        {run_id: run for run_id, run in recorded.items() if run is not None},
    )


def seconds(context: Context, uuids: Sequence[str]) -> float:
    """How long it took to make some bundles, as far as that is recorded."""
    return sum(_seconds(context, uuids[first : first + _TOGETHER]) for first in range(0, len(uuids), _TOGETHER))


def _seconds(context: Context, uuids: Sequence[str]) -> float:
    spans = [(each.lineage.started_us, each.lineage.stopped_us) for each in context.catalog.bundles(uuids).values()]
    return sum(stop - start for start, stop in spans if start is not None and stop is not None) / 1_000_000
