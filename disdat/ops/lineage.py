"""Where a bundle came from: every bundle it was made from, as far back as the context knows."""

from __future__ import annotations

from dataclasses import dataclass

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.graph import Step, ancestors


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One step of lineage; :attr:`row` and :attr:`bundle` are None where the bundle is not in this context."""

    step: Step
    row: Row | None
    bundle: Bundle | None


def lineage(context: Context, uuid: str, *, max_depth: int | None = None) -> list[Ancestor]:
    """The bundle and its ancestors, breadth first, each once; one catalog query per depth and one for the rows."""
    catalog = context.catalog
    steps = ancestors(uuid, catalog.edges, max_depth=max_depth)
    uuids = [step.uuid for step in steps]
    rows, bundles = catalog.rows(uuids), catalog.bundles(uuids)
    return [Ancestor(step, rows.get(step.uuid), bundles.get(step.uuid)) for step in steps]
