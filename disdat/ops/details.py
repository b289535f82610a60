"""Everything that is recorded of one bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Run
from disdat.core.tree import Tree
from disdat.ops.reading import BundleSource


@dataclass(frozen=True, slots=True)
class Details:
    """One bundle: what the context says of it, its manifest, its files, and the run it was made in, if known."""

    row: Row
    bundle: Bundle
    files: Tree
    directory: Path
    run: Run | None


def of(context: Context, row: Row) -> Details:
    """The details of a bundle; reads its manifest, never its bytes."""
    bundle = context.catalog.bundle(row.uuid)
    ref = bundle.lineage.run
    return Details(
        row=row,
        bundle=bundle,
        files=BundleSource(context, bundle).tree,
        directory=context.bundle_directory(row.uuid),
        run=context.catalog.run(ref.id) if ref else None,
    )
