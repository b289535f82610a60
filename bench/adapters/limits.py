"""What this machine does with no framework, in this project's own interpreter: one contender per way of doing it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from bench import material
from bench.meter import Meter, resident_mb
from bench.spec import Spec, Work

BUFFER_BYTES = 1 << 20
RECORD_BYTES = 1024
CALLS = 200
SCHEMA = """
    PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
    CREATE TABLE bundle(uuid TEXT PRIMARY KEY, name TEXT, time_us INTEGER, meta TEXT) WITHOUT ROWID;
    CREATE INDEX bundle_name ON bundle(name, time_us);
    CREATE TABLE tag(uuid TEXT, key TEXT, value TEXT);
    CREATE INDEX tag_key ON tag(key, value);
    CREATE INDEX tag_uuid ON tag(uuid);
"""
ADD_BUNDLE = "INSERT INTO bundle VALUES (?, ?, ?, ?)"
ADD_TAG = "INSERT INTO tag VALUES (?, ?, ?)"


def startup(meter: Meter, spec: Spec) -> None:
    for _ in range(spec.sizes["times"]):
        meter.run("bare", [sys.executable, "-c", "pass"])
        meter.run("ls", [sys.executable, "-c", "import sqlalchemy, click"])


def add(meter: Meter, spec: Spec) -> None:
    """``cp``; with ``+sync`` in the contender's name also what makes the copy durable."""
    copy = Path("copy")
    with meter.op("add", **spec.amount):
        subprocess.run(["cp", "-r", spec.data, copy], check=True)
        if spec.contender == "cp+sync":
            what = [material.first_file(copy)] if spec.variant == "big" else ["-f", copy]
            subprocess.run(["sync", *what], check=True)


def checkout(meter: Meter, spec: Spec) -> None:
    with meter.op("checkout", **spec.amount):
        subprocess.run(["cp", "-r", spec.data, "copy"], check=True)


def readd(meter: Meter, spec: Spec) -> None:
    with meter.op("readd", **spec.amount):
        for path in material.below(Path(spec.data)):
            _hash(path)


def create(meter: Meter, spec: Spec) -> None:
    """One small record appended and made durable: nothing that is durable is cheaper."""
    with Path("log").open("ab", buffering=0) as file:
        with meter.op("create", count=spec.sizes["singles"]):
            for _ in range(spec.sizes["singles"]):
                file.write(bytes(RECORD_BYTES))
                os.fdatasync(file.fileno())
        with meter.op("create_batch", count=spec.sizes["batch"]):
            file.write(bytes(RECORD_BYTES * spec.sizes["batch"]))
            os.fdatasync(file.fileno())


def prepare_rows(_: Meter, spec: Spec) -> None:
    with Path("rows.jsonl").open("w", encoding="utf-8") as file:
        values = material.small_values(spec.sizes["bundles"], names=spec.sizes["names"], tags=spec.sizes["tags"])
        for number, (name, tags, value) in enumerate(values):
            row = {"uuid": str(uuid.uuid4()), "name": name, "time_us": number, "tags": tags, "value": value}
            file.write(json.dumps(row) + "\n")
    _fill(Path("rows.db"))


def catalog(meter: Meter, spec: Spec) -> None:
    """Plain SQLite, rows as they come."""
    database = sqlite3.connect("rows.db")
    questions: list[tuple[str, int, str]] = [
        ("by_name", CALLS, f"SELECT * FROM bundle WHERE name = '{material.WANTED_NAME}' ORDER BY time_us DESC"),
        ("by_tag", CALLS // 10, "SELECT b.* FROM bundle b JOIN tag USING (uuid) WHERE key = 'k' AND value = '1'"),
        ("latest", CALLS, f"SELECT * FROM bundle WHERE name = '{material.WANTED_NAME}' ORDER BY time_us DESC LIMIT 1"),
    ]
    if spec.variant != "million":
        questions.append(("list", 3, "SELECT * FROM bundle ORDER BY time_us DESC"))
    for op, calls, question in questions:
        assert database.execute(question).fetchall()
        with meter.op(op, count=calls):
            for _ in range(calls):
                database.execute(question).fetchall()


def reindex(meter: Meter, spec: Spec) -> None:
    """Each line decoded, a row and its tags inserted."""
    Path("again.db").unlink(missing_ok=True)
    with meter.op("reindex", count=spec.sizes["bundles"]):
        _fill(Path("again.db"))


def prepare_frame(_: Meter, spec: Spec) -> None:
    import pyarrow as pa  # only this workload needs it
    import pyarrow.parquet as pq  # likewise

    for name, rows in (("frame", spec.sizes["rows"]), ("small", 10)):
        pq.write_table(pa.Table.from_pandas(material.frame(rows)), f"{name}.parquet", compression="zstd")


def frame(meter: Meter, spec: Spec) -> None:
    """pyarrow's Parquet with zstd; with ``+sync`` in the contender's name also made durable."""
    import pyarrow as pa  # only this workload needs it
    import pyarrow.parquet as pq  # likewise

    def store(name: str, rows_of: Callable[[], pa.Table]) -> None:
        pq.write_table(rows_of(), name, compression="zstd")
        if spec.contender == "parquet+sync":
            subprocess.run(["sync", name], check=True)

    if spec.variant == "load":
        pq.read_table("small.parquet").to_pandas()
        with meter.op("load"):
            pq.read_table("frame.parquet").to_pandas()
        return
    store("small.parquet", lambda: pa.Table.from_pandas(material.frame(10)))
    table = material.frame(spec.sizes["rows"])
    meter.value("MB before", resident_mb())
    with meter.op("store"):
        store("frame.parquet", lambda: pa.Table.from_pandas(table))


def _hash(path: Path) -> bytes:
    import blake3  # only this workload needs it

    hasher, buffer = blake3.blake3(max_threads=1), memoryview(bytearray(BUFFER_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            hasher.update(buffer[:size])
    return hasher.digest()


def _fill(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(SCHEMA)
    database.execute("BEGIN")
    with Path("rows.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            database.execute(ADD_BUNDLE, (row["uuid"], row["name"], row["time_us"], json.dumps(row["value"])))
            database.executemany(ADD_TAG, [(row["uuid"], key, text) for key, text in row["tags"].items()])
    database.execute("COMMIT")
    database.close()


WORK: dict[str, Work] = {
    "startup": startup,
    "add": add,
    "readd": readd,
    "checkout": checkout,
    "create": create,
    "catalog": catalog,
    "reindex": reindex,
    "frame": frame,
}
PREPARE: dict[str, Work] = {"catalog": prepare_rows, "reindex": prepare_rows, "frame": prepare_frame}
