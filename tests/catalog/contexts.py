"""Contexts to try a catalog on: bundles of any kind, and a clock that a test moves."""

from __future__ import annotations

import sqlite3
import uuid as uuids
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from disdat.catalog.catalog import Catalog
from disdat.catalog.indexed import Moment
from disdat.core import digest, event, manifest
from disdat.core.bundle import Bundle, Dependency, Frame, Inline, Lineage, RunRef, TaskKey
from disdat.core.digest import Digest, LogicalDigest
from disdat.core.event import Draft
from disdat.core.tree import Entry, Tree
from disdat.durable import Disk
from disdat.errors import ObjectNotFound

HOME = "01HOME0000000000000000000A"
START_US = 1_760_000_000_000_000
LITERAL = LogicalDigest(f"literal1:blake3:{'a' * 64}")
ENVIRONMENT = digest.of_bytes(b"environment")
PACKAGES = digest.of_bytes(b"packages")


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def open_catalog(directory: Path, *, disk: Disk | None = None, **options: Any) -> Catalog:
    """The catalog of a context in *directory*, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    return Catalog(directory, **{"writer": HOME, "now_us": Clock(), "disk": disk, **options})


def bundle(name: str = "a", *, created_us: int = START_US, uuid: str | None = None, **fields: Any) -> Bundle:
    """A bundle whose value is one literal."""
    frame = Frame("", "literal", LITERAL, inline=Inline(1))
    defaults: dict[str, Any] = {
        "uuid": uuid or str(uuids.uuid4()),
        "name": name,
        "processing_name": "",
        "owner": "me",
        "created_us": created_us,
        "creator": "disdat 2.0.0",
        "home": HOME,
        "frames": (frame,),
    }
    return Bundle(**(defaults | fields))


def rich_bundle(name: str = "rich", *, inputs: Sequence[str] = (), **fields: Any) -> Bundle:
    """A bundle with a row in every table."""
    table = Frame("table", "table", LogicalDigest(f"table1:{digest.of_bytes(b't')}"), digest=digest.of_bytes(b"t"))
    lineage = Lineage(
        inputs=tuple(Dependency(f"argument{i}", uuid) for i, uuid in enumerate(inputs)),
        run=RunRef("01RUN", ENVIRONMENT, PACKAGES),
        task=TaskKey("task1", digest.of_bytes(b"key"), {}),
    )
    files = Tree({"a/b.txt": Entry(digest.of_bytes(b"b"), 1), "c.txt": Entry(digest.of_bytes(b"c"), 2)})
    return bundle(
        name,
        **{
            "frames": (Frame("", "literal", LITERAL, inline=Inline(1)), table),
            "tree": files,
            "tags": {"kind": "rich", "root_task": "True"},
            "params": {"x": "1"},
            "metrics": {"accuracy": 0.5},
            "processing_name": "task_x_1",
            "lineage": lineage,
            **fields,
        },
    )


def added(made: Bundle) -> Draft:
    """The change that adds a bundle, its manifest inline."""
    body = manifest.to_json(made)
    return event.added(made.uuid, digest.of_json(body), body)


def add(catalog: Catalog, *made: Bundle) -> list[str]:
    """Add bundles in one change; their uuids."""
    catalog.commit([added(each) for each in made])
    return [each.uuid for each in made]


def add_now(catalog: Catalog, name: str = "a", **fields: Any) -> str:
    """Add a bundle that is created at the time of the event that adds it; its uuid."""
    made: list[Bundle] = []

    def drafts(moment: Moment) -> list[Draft]:
        made[:] = [bundle(name, created_us=moment.time_us(), **fields)]
        return [added(made[0])]

    catalog.commit(drafts)
    return made[0].uuid


def removed(*uuids_: str) -> Draft:
    return Draft(event.REMOVE, {"uuids": list(uuids_)})


def committed(*uuids_: str) -> Draft:
    return Draft(event.COMMIT, {"uuids": list(uuids_)})


def reaffirmed(*uuids_: str) -> Draft:
    return Draft(event.REAFFIRM, {"uuids": list(uuids_), "run": "01RUN"})


def renamed(uuid: str, name: str) -> Draft:
    return Draft(event.RENAME, {"uuid": uuid, "name": name})


def undone(*ids: str) -> Draft:
    return Draft(event.UNDO, {}, undoes=ids)


class Store:
    """Objects by digest, in memory."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}

    def put(self, data: bytes) -> Digest:
        name = digest.of_bytes(data)
        self.objects[name] = data
        return name

    def fetch(self, name: Digest) -> bytes:
        if name not in self.objects:
            raise ObjectNotFound(f"no object {name}")
        return self.objects[name]


def dump(directory: Path) -> Mapping[str, list[tuple[Any, ...]]]:
    """Every row of a catalog, with bundles named by uuid and events by id, so that two catalogs can be compared."""
    connection = sqlite3.connect(directory / "catalog.db")
    try:
        return dump_of(connection)
    finally:
        connection.close()


def dump_of(connection: sqlite3.Connection) -> Mapping[str, list[tuple[Any, ...]]]:
    """As :func:`dump`, of what a connection shows."""
    queries = {
        "state": "SELECT * FROM state",
        "writers": "SELECT * FROM writers",
        "events": "SELECT id, time_us, kind, write, segment, offset, length FROM events",
        "subjects": "SELECT s.uuid, e.id FROM subjects s JOIN events e ON e.number = s.event",
        "undoes": "SELECT u.target, e.id FROM undoes u JOIN events e ON e.number = u.event",
        "runs": "SELECT r.run, e.id FROM runs r JOIN events e ON e.number = r.event",
        "bundles": "SELECT b.*, e.id FROM bundles b JOIN events e ON e.number = b.event",
        "unreadable": "SELECT * FROM unreadable",
        "tags": "SELECT b.uuid, key, value FROM tags t LEFT JOIN bundles b ON b.id = t.bundle",
        "params": "SELECT b.uuid, key, value FROM params p LEFT JOIN bundles b ON b.id = p.bundle",
        "metrics": "SELECT b.uuid, key, value FROM metrics m LEFT JOIN bundles b ON b.id = m.bundle",
        "inputs": "SELECT b.uuid, number, argument, i.uuid FROM inputs i LEFT JOIN bundles b ON b.id = i.bundle",
        "files": "SELECT b.uuid, path, digest FROM files f LEFT JOIN bundles b ON b.id = f.bundle",
        "objects": "SELECT b.uuid, digest FROM objects o LEFT JOIN bundles b ON b.id = o.bundle",
    }
    found = {table: connection.execute(sql).fetchall() for table, sql in queries.items()}
    columns = [column[1] for column in connection.execute("PRAGMA table_info(bundles)")]
    numbered = [columns.index("id"), columns.index("event")]
    found["bundles"] = [tuple(v for i, v in enumerate(row) if i not in numbered) for row in found["bundles"]]
    return {table: sorted(rows, key=repr) for table, rows in found.items()}
