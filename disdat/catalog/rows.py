"""The rows of a catalog's tables, and those that a bundle amounts to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias, cast

from disdat.core.bundle import ROOT_TASK, Bundle
from disdat.core.digest import Digest
from disdat.core.tree import TreeRef
from disdat.errors import Corrupt

VERSION = 1
"""Of the tables and of what is put into them; a catalog of another version is folded again from the log."""

START_STATE = (1, 0, 0)

Value: TypeAlias = "str | int | float | bytes | None"

_INTEGER_LIMIT = 1 << 63


class EventRow(NamedTuple):
    """A row of ``events``."""

    number: int
    id: str
    time_us: int
    kind: str
    write: str | None
    segment: int
    offset: int
    length: int


class BundleRow(NamedTuple):
    """A row of ``bundles``."""

    id: int
    uuid: str
    name: str
    processing_name: str
    owner: str
    created_us: int
    made_us: int
    committed: int
    root_task: int
    tainted: int
    task_key: str | None
    run: str | None
    event: int
    manifest: str
    size_bytes: int
    file_count: int
    tags: str
    params: str


class TagRow(NamedTuple):
    """A row of ``tags`` or ``params``."""

    key: str
    value: str
    bundle: int


class MetricRow(NamedTuple):
    """A row of ``metrics``."""

    key: str
    value: float
    bundle: int


class InputRow(NamedTuple):
    """A row of ``inputs``."""

    bundle: int
    number: int
    argument: str
    uuid: str


class FileRow(NamedTuple):
    """A row of ``files``."""

    path: str
    bundle: int
    digest: bytes


class ObjectRow(NamedTuple):
    """A row of ``objects``."""

    digest: bytes
    bundle: int


class PairRow(NamedTuple):
    """A row of ``subjects``, ``undoes`` or ``runs``: what an event speaks of, and the event."""

    what: str
    event: int


OF_MANIFEST = ("params", "metrics", "inputs", "files", "objects")
"""The tables whose rows follow from a bundle's manifest alone."""

Rows: TypeAlias = "dict[str, list[tuple[Value, ...]]]"
"""Rows by table."""


class Standing(NamedTuple):
    """What the events say of a bundle beyond its manifest."""

    event: int
    """The number of the event that added it."""
    manifest: Digest
    manifest_is_object: bool
    name: str
    tags: Mapping[str, str]
    made_us: int
    committed: bool


def bundle_rows(number: int, bundle: Bundle, standing: Standing) -> Rows:
    """The rows of one bundle with the id *number*; Corrupt if its manifest holds what no row can."""
    try:
        rows = _bundle_rows(number, bundle, standing)
        _check(rows)
    except (TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise Corrupt(f"the manifest of {bundle.uuid} cannot be indexed: {exc}") from exc
    return rows


def _bundle_rows(number: int, bundle: Bundle, standing: Standing) -> Rows:
    lineage = bundle.lineage
    row = BundleRow(
        id=number,
        uuid=bundle.uuid,
        name=standing.name,
        processing_name=bundle.processing_name,
        owner=bundle.owner,
        created_us=bundle.created_us,
        made_us=standing.made_us,
        committed=int(standing.committed),
        root_task=int(standing.tags.get(ROOT_TASK) == "True"),
        tainted=int(lineage.tainted),
        task_key=lineage.task.digest if lineage.task else None,
        run=lineage.run.id if lineage.run else None,
        event=standing.event,
        manifest=standing.manifest,
        size_bytes=bundle.size_bytes,
        file_count=bundle.file_count,
        tags=_json(standing.tags),
        params=_json(bundle.params),
    )
    rows: Rows = {"bundles": [row], "tags": tag_rows(number, standing.tags)}
    return rows | manifest_rows(number, bundle, standing.manifest if standing.manifest_is_object else None)


def tag_rows(number: int, tags: Mapping[str, str]) -> list[tuple[Value, ...]]:
    """The rows of ``tags`` of one bundle."""
    return [TagRow(key, value, number) for key, value in tags.items()]


def manifest_rows(number: int, bundle: Bundle, manifest: Digest | None) -> Rows:
    """The rows of one bundle in the tables :data:`OF_MANIFEST`; *manifest* where that is an object."""
    inline = {} if isinstance(bundle.tree, TreeRef) else bundle.tree
    digests = _digests(bundle) | ({manifest} if manifest else set())
    return {
        "params": [TagRow(key, value, number) for key, value in bundle.params.items()],
        "metrics": [MetricRow(key, float(value), number) for key, value in bundle.metrics.items()],
        "inputs": [InputRow(number, i, each.argument, each.uuid) for i, each in enumerate(bundle.lineage.inputs)],
        "files": [FileRow(path, number, entry.digest.raw) for path, entry in inline.items()],
        "objects": [ObjectRow(digest.raw, number) for digest in sorted(digests)],
    }


def insert(table: str, columns: int, *, verb: str = "INSERT") -> str:
    """The statement that adds a whole row of *columns* values, in the order of the table."""
    return f"{verb} INTO {table} VALUES ({', '.join('?' * columns)})"


def merged(parts: Iterable[Rows]) -> Rows:
    """All rows of *parts*, by table."""
    together: Rows = {}
    for part in parts:
        for table, rows in part.items():
            together.setdefault(table, []).extend(rows)
    return together


def texts(encoded: str) -> dict[str, str]:
    """The tags or params a row of ``bundles`` shows."""
    return cast("dict[str, str]", json.loads(encoded)) if encoded else {}


def _digests(bundle: Bundle) -> set[Digest]:
    found = {frame.digest for frame in bundle.frames if frame.digest is not None}
    if isinstance(bundle.tree, TreeRef):
        found.add(bundle.tree.root)
    else:
        found.update(entry.digest for entry in bundle.tree.values())
    run = bundle.lineage.run
    if run is not None and run.packages is not None:
        found.add(run.packages)
    return found


def _json(texts: Mapping[str, str]) -> str:
    return json.dumps(dict(texts)) if texts else ""


def _check(rows: Rows) -> None:
    """Raise if SQLite cannot hold a value; no bundle that was made here has one."""
    for of_table in rows.values():
        for row in of_table:
            for value in row:
                if isinstance(value, str):
                    value.isascii() or value.encode("utf-8")
                elif isinstance(value, int) and not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
                    raise ValueError(f"{value} is out of range")
                elif value is not None and not isinstance(value, (int, float, bytes)):
                    raise TypeError(f"{value!r} is neither text nor a number")
