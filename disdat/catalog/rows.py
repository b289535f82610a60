"""The rows of a catalog's tables, and those that a bundle amounts to."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from disdat.catalog.log import Place
from disdat.core.digest import Digest
from disdat.core.reserved import ROOT_TASK
from disdat.errors import Corrupt

VERSION = 4
"""Of the tables and of what is put into them; a catalog of another version is folded again from the log."""

START_STATE = (1, 0, 0)

Fields: TypeAlias = "Mapping[str, Any]"
"""
A decoded manifest. Rows are made from it as it stands: a Bundle takes four times as long to make. What is wrong with it
in other respects is said by whoever reads the bundle.
"""

Blob: TypeAlias = "bytes | bytearray"
"""Written as a bytearray: Python's sqlite3 takes a µs longer for bytes, and as much for None, so no row holds that."""

Value: TypeAlias = "str | int | float | Blob"

_INTEGER_LIMIT = 1 << 63
_NOTHING: Fields = {}
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""Made once: making one takes longer than encoding the tags of a bundle."""


class EventRow(NamedTuple):
    """A row of ``events``."""

    number: int
    id: str
    time_us: int
    kind: str
    write: str
    segment: int
    offset: int
    length: int
    came: int
    """Whether it was fetched, or says that it copied what had been."""

    @property
    def write_key(self) -> str:
        """What tells the change it is of from others; see :attr:`Event.write_key`."""
        return self.write or self.id

    @property
    def place(self) -> Place:
        """Where the log has it."""
        return Place(self.segment, self.offset, self.length)


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
    task_key: str
    run: str
    event: int
    manifest: Blob
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
    digest: Blob


class ObjectRow(NamedTuple):
    """A row of ``objects``."""

    digest: Blob
    bundle: int


class PairRow(NamedTuple):
    """A row of ``subjects``, ``undoes`` or ``runs``: what an event speaks of, and the event."""

    what: str
    event: int


OF_MANIFEST = ("params", "metrics", "inputs", "files", "objects")
"""The tables whose rows follow from a bundle's manifest alone."""

DELETE = {
    "params": "DELETE FROM params WHERE key = ? AND value = ? AND bundle = ?",
    "metrics": "DELETE FROM metrics WHERE key = ? AND value = ? AND bundle = ?",
    "inputs": "DELETE FROM inputs WHERE bundle = ? AND number = ? AND argument = ? AND uuid = ?",
    "files": "DELETE FROM files WHERE path = ? AND bundle = ? AND digest = ?",
    "objects": "DELETE FROM objects WHERE digest = ? AND bundle = ?",
    "tags": "DELETE FROM tags WHERE key = ? AND value = ? AND bundle = ?",
}
"""What deletes one row of a table that hangs on a bundle, given all its columns."""

Rows: TypeAlias = "dict[str, list[tuple[Value, ...]]]"
"""Rows by table."""


class Standing(NamedTuple):
    """What the events say of a bundle beyond its manifest."""

    event: int
    """The number of the event that added it."""
    manifest: str
    manifest_is_object: bool
    name: str
    tags: Mapping[str, str]
    made_us: int
    committed: bool


def bundle_rows(number: int, fields: Fields, standing: Standing) -> Rows:
    """The rows of the bundle of this manifest, with the id *number*; Corrupt if it holds what no row can."""
    try:
        rows: Rows = {"bundles": [_bundle_row(number, fields, standing)], "tags": tag_rows(number, standing.tags)}
        return rows | manifest_rows(number, fields, standing.manifest if standing.manifest_is_object else None)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise Corrupt(f"the manifest of {fields['uuid']} cannot be indexed: {exc!r}") from exc


def tag_rows(number: int, tags: Mapping[str, str]) -> list[tuple[Value, ...]]:
    """The rows of ``tags``, or ``params``, of one bundle."""
    _check_texts(*tags, *tags.values())
    return [TagRow(key, value, number) for key, value in tags.items()]


def manifest_rows(number: int, fields: Fields, manifest: str | None) -> Rows:
    """The rows of one bundle in the tables :data:`OF_MANIFEST`; *manifest* is its digest where that is an object."""
    found: Rows = {}
    if params := fields.get("params"):
        found["params"] = tag_rows(number, params)
    if metrics := fields.get("metrics"):
        _check_texts(*metrics)
        found["metrics"] = [MetricRow(key, float(value), number) for key, value in metrics.items()]
    if inputs := fields.get("inputs"):
        _check_texts(*(text for each in inputs for text in (each["argument"], each["uuid"])))
        found["inputs"] = [InputRow(number, i, each["argument"], each["uuid"]) for i, each in enumerate(inputs)]
    if entries := fields.get("tree", _NOTHING).get("entries"):
        _check_texts(*(each["name"] for each in entries))
        found["files"] = [FileRow(each["name"], number, _raw(each["digest"])) for each in entries]
    if digests := named_objects(fields, manifest):
        found["objects"] = [ObjectRow(_raw(digest), number) for digest in sorted(digests)]
    return found


@functools.cache
def insert(table: str, columns: int) -> str:
    """The statement that adds a whole row of *columns* values, in the order of the table."""
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


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


def _bundle_row(number: int, fields: Fields, standing: Standing) -> BundleRow:
    tree = fields.get("tree", _NOTHING)
    entries = tree.get("entries", ())
    size_bytes = tree.get("size", 0)
    if entries:
        size_bytes += sum([each["size"] for each in entries])
    size_bytes += sum([frame.get("size", 0) for frame in fields.get("frames", ()) if "path" not in frame])
    row = BundleRow(
        number,
        fields["uuid"],
        standing.name,
        fields.get("processing_name", ""),
        fields.get("owner", ""),
        fields["created"],
        standing.made_us,
        int(standing.committed),
        int(standing.tags.get(ROOT_TASK) == "True"),
        int(bool(fields.get("tainted"))),
        fields["task"]["digest"] if "task" in fields else "",
        fields["run"]["id"] if "run" in fields else "",
        standing.event,
        _raw(standing.manifest),
        size_bytes,
        int(tree.get("files", len(entries))),
        _json(standing.tags),
        _json(fields.get("params", _NOTHING)),
    )
    _check_texts(row.uuid, row.name, row.processing_name, row.owner, row.task_key, row.run)
    _check_numbers(row.created_us, row.made_us, row.size_bytes, row.file_count)
    return row


def named_objects(fields: Fields, manifest: str | None) -> set[str]:
    """The objects a manifest names, and itself where it is one."""
    found = {frame["digest"] for frame in fields.get("frames", ()) if "digest" in frame}
    if tree := fields.get("tree"):
        found.update([each["digest"] for each in tree.get("entries", ())])
        if "root" in tree:
            found.add(tree["root"])
    if "packages" in fields.get("run", _NOTHING):
        found.add(fields["run"]["packages"])
    if manifest:
        found.add(manifest)
    return found


def _raw(digest: str) -> bytearray:
    return bytearray.fromhex(Digest.parse(digest).hex)


def _json(texts: Mapping[str, str]) -> str:
    return _ENCODER.encode(texts) if texts else ""


def _check_texts(*texts: str) -> None:
    """Raise if one is no text, or none that SQLite can hold; no bundle that was made here has such a one."""
    "".join(texts).encode("utf-8")


def _check_numbers(*numbers: int) -> None:
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number < _INTEGER_LIMIT:
            raise ValueError(f"{number!r} is out of range")
