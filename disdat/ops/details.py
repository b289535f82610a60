"""Everything that is recorded of one bundle."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle, Frame, Run
from disdat.core.tree import Tree
from disdat.errors import Corrupt, ObjectNotFound
from disdat.ops.reading import BundleSource


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its type as Arrow names what is stored (empty where the bytes cannot be read)."""

    name: str
    type: str
    has_files: bool


@dataclass(frozen=True, slots=True)
class Details:
    """One bundle: what the context says of it, its manifest, its files, and the run it was made in, if known."""

    row: Row
    bundle: Bundle
    files: Tree
    directory: Path
    run: Run | None
    columns: Mapping[str, Sequence[Column]]
    """The columns of each frame that is a table, by the frame's name."""


def of(context: Context, row: Row) -> Details:
    """The details of a bundle; of its bytes, reads only what tells the types of a table's columns."""
    bundle = context.catalog.bundle(row.uuid)
    ref = bundle.lineage.run
    return Details(
        row=row,
        bundle=bundle,
        files=BundleSource(context, bundle).tree,
        directory=context.bundle_directory(row.uuid),
        run=context.catalog.run(ref.id) if ref else None,
        columns={frame.name: _columns(context, frame) for frame in bundle.frames if frame.kind == "table"},
    )


def _columns(context: Context, frame: Frame) -> list[Column]:
    names = cast("Sequence[str]", frame.details.get("columns", ()))
    files = cast("Sequence[str]", frame.details.get("files", ()))
    try:
        types = _types(context, frame)
    except (Corrupt, ObjectNotFound):  # what is known without the bytes is shown all the same
        types = {}
    return [Column(name, types.get(name, ""), name in files) for name in names]


def _types(context: Context, frame: Frame) -> dict[str, str]:
    from pyarrow import parquet  # 100 ms that only tables need

    assert frame.digest is not None
    path, offset, size_bytes = context.home.store.open_path(frame.digest)
    with path.open("rb") as file:
        file.seek(offset)
        # An object in a pack is small; one of its own is a whole file, of which only the end is read.
        schema = parquet.read_schema(io.BytesIO(file.read(size_bytes)) if path.suffix == ".pack" else file)
    return {field.name: str(field.type) for field in schema}
