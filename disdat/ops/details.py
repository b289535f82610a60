"""Everything that is recorded of one bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from disdat import values
from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import canonical
from disdat.core.bundle import Bundle, Frame, Run
from disdat.core.digest import Digest
from disdat.core.tree import Tree
from disdat.errors import Corrupt, ObjectNotFound
from disdat.ops import elsewhere, presence
from disdat.ops.reading import BundleSource
from disdat.remote.known import Presence

if TYPE_CHECKING:  # 100 ms that only tables need
    import pyarrow as pa
    from pyarrow import parquet

HEAD_ROWS = 5
HEAD_COLUMNS = 8
_CELL_CHARS = 24
_SMALL_JSON_BYTES = 400


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its type as pandas or Arrow names it, whichever has it (empty where it cannot be read)."""

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
    heads: Mapping[str, Sequence[Sequence[str]]]
    """The first :data:`HEAD_ROWS` rows of each such frame, cut to :data:`HEAD_COLUMNS` columns and to short texts."""
    literal: str | None
    """The value as Python prints it, where it is a small literal."""
    why: str
    """Why the run made it; empty where that is not known."""
    presence: Presence
    """Whether its bytes are here."""
    contents: Mapping[str, Digest]
    """Of its files of weak identity those that were read here, with the digests of their bytes."""


def of(context: Context, row: Row) -> Details:
    """
    The details of a bundle; of its bytes, reads only what tells the types and first rows of a table.

    Of what is on a remote only, the directories of a large tree are fetched, and no values and files.
    """
    bundle = context.catalog.bundle(row.uuid)
    ref, source = bundle.lineage.run, BundleSource(context, bundle)
    away = _on_remote_only(context, bundle)
    tables = {frame.name: _table(source, frame, away) for frame in bundle.frames if frame.kind == "table"}
    return Details(
        row=row,
        bundle=bundle,
        files=source.tree,
        directory=context.bundle_directory(row.uuid),
        run=context.catalog.run(ref.id) if ref else None,
        columns={name: columns for name, (columns, _) in tables.items()},
        heads={name: head for name, (_, head) in tables.items()},
        literal=_literal(context, bundle),
        why=_why(context, ref.id, row.uuid) if ref else "",
        presence=presence.of_rows(context, [row.uuid])[row.uuid],
        contents=_contents(context, source.tree),
    )


def _contents(context: Context, files: Tree) -> dict[str, Digest]:
    store = context.home.store
    weak = {path: entry.digest for path, entry in files.items() if entry.weak is not None}
    return {path: content for path, digest in weak.items() if (content := store.content(digest)) != digest}


def _on_remote_only(context: Context, bundle: Bundle) -> set[Digest]:
    values = {frame.digest for frame in bundle.frames if frame.digest is not None}
    return elsewhere.on_remote(context, values - context.home.store.has_many(values))


def _why(context: Context, run_id: str, uuid: str) -> str:
    decided = (each for each in context.catalog.decisions(run_id) if each["bundle"] == uuid)
    return next((str(each["why"]) for each in decided if each["decision"] == "made"), "")


def _literal(context: Context, bundle: Bundle) -> str | None:
    if len(bundle.frames) != 1 or (box := bundle.frames[0].inline) is None:
        return None
    if len(canonical.encode(box.value)) > _SMALL_JSON_BYTES:
        return None
    return repr(values.load(bundle.frames, BundleSource(context, bundle)))


def _table(source: BundleSource, frame: Frame, away: Set[Digest]) -> tuple[list[Column], Sequence[Sequence[str]]]:
    from disdat.values import tablefile  # 100 ms that only tables need

    names = cast("Sequence[str]", frame.details.get("columns", ()))
    files = cast("Sequence[str]", frame.details.get("files", ()))
    types: Mapping[str, str] = {}
    head: Sequence[Sequence[str]] = ()
    if frame.digest in away:
        return [Column(name, "", name in files) for name in names], head
    # What is known without the bytes is shown all the same.
    with suppress(Corrupt, ObjectNotFound, ValueError, KeyError), tablefile.opened(frame, source) as table:
        types = tablefile.type_names(frame, table.schema_arrow, tablefile.fields(frame, table))
        head = _head(table, names[:HEAD_COLUMNS])
    return [Column(name, types.get(name, ""), name in files) for name in names], head


def _head(table: parquet.ParquetFile, names: Sequence[str]) -> Sequence[Sequence[str]]:
    batch = next(table.iter_batches(HEAD_ROWS, columns=list(names)), None)
    if batch is None or not names:
        return ()
    return list(zip(*([_cell(each) for each in batch.column(name)] for name in names), strict=True))


def _cell(scalar: pa.Scalar) -> str:
    text = str(scalar) if scalar.is_valid else ""
    return text if len(text) <= _CELL_CHARS else f"{text[: _CELL_CHARS - 1]}…"
