"""The schema is written once: rows and queries are held against it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from disdat.catalog import index, keeping, queries, rows, tables
from disdat.catalog.log import START
from disdat.catalog.queries import Filter

ROW_TYPES = {
    "events": rows.EventRow,
    "bundles": rows.BundleRow,
    "tags": rows.TagRow,
    "params": rows.TagRow,
    "metrics": rows.MetricRow,
    "inputs": rows.InputRow,
    "files": rows.FileRow,
    "objects": rows.ObjectRow,
}
BY_INDEX = {
    "name": ({"name": "a"}, "bundles_name"),
    "name and tags": ({"name": "a", "tags": {"k": "v"}}, "bundles_name"),
    "latest of all": ({"limit": 1}, "bundles_made"),
    "uuid": ({"uuid": "u"}, "bundles_uuid"),
    "uuid prefix": ({"uuid_prefix": "u"}, "bundles_uuid"),
    "processing name": ({"processing_name": "p"}, "bundles_processing_name"),
    "task key": ({"task_key": "k"}, "bundles_task_key"),
    "run": ({"run_id": "r"}, "bundles_run"),
    "tag": ({"tags": {"k": "v"}}, "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
    "tags": ({"tags": {"k": "v", "l": "w"}, "committed": True}, "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    tables.create(made)
    tables.complete(made)
    queries.define_functions(made)
    yield made
    made.close()


@pytest.mark.parametrize("table", ROW_TYPES)
def test_a_row_type_has_the_columns_of_its_table_in_their_order(table: str) -> None:
    assert list(ROW_TYPES[table]._fields) == tables.metadata.tables[table].columns.keys()  # type: ignore[attr-defined]


@pytest.mark.parametrize("table", ["subjects", "undoes", "runs"])
def test_a_pair_is_a_row_of_what_events_speak_of(table: str) -> None:
    assert len(rows.PairRow._fields) == len(tables.metadata.tables[table].columns)
    assert tables.metadata.tables[table].columns.keys()[-1] == "event"


def test_the_tables_that_follow_from_a_manifest_are_those_with_rows_of_a_bundle() -> None:
    hanging = {name for name, table in tables.metadata.tables.items() if "bundle" in table.columns}
    assert hanging == {*rows.OF_MANIFEST, "tags"}


def test_a_new_catalog_has_seen_nothing(connection: sqlite3.Connection) -> None:
    assert index.state(connection) == index.State(START, 0)
    assert connection.execute("PRAGMA user_version").fetchone() == (rows.VERSION,)
    assert connection.execute("SELECT name FROM sqlite_master WHERE sql IS NULL").fetchall() == []


@pytest.mark.parametrize("case", BY_INDEX)
def test_a_filter_is_answered_by_an_index(connection: sqlite3.Connection, case: str) -> None:
    wanted, expected = BY_INDEX[case]
    sql, values = queries.statement(Filter(**wanted))  # type: ignore[arg-type]  # a table of cases
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert expected in plan[0]
    if "tag" not in case and case not in {"uuid prefix", "task key", "run", "processing name"}:
        assert not any("TEMP B-TREE" in step for step in plan)


def test_no_statement_reads_a_whole_table_but_those_that_list_one(connection: sqlite3.Connection) -> None:
    listing = {"NAMES", "COUNTS", "DECIDED", "EVENTS", "UNREADABLE"}
    statements = {
        name: sql
        for module in (index, queries)
        for name, sql in vars(module).items()
        if isinstance(sql, str) and "SELECT" in sql and name.isupper()
    }
    assert len(statements) > 15
    for name, sql in statements.items():
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", _values(sql))]
        scans = [step for step in plan if step.startswith("SCAN") and not {"json_each", "CONSTANT"} & set(step.split())]
        assert name in listing or not scans, (name, plan)


def test_what_was_undone_is_found_by_the_ids_of_events_and_of_writes(connection: sqlite3.Connection) -> None:
    """An index of some rows is used only where the query says, in the same words, that it is about these."""
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {keeping.UNDONE}")]
    assert {name for name in ("events_id", "events_write") if any(name in step for step in plan)} == {
        "events_id",
        "events_write",
    }
    assert [step for step in plan if step.startswith("SCAN")] == ["SCAN u", "SCAN u"]


def _values(sql: str) -> list[str]:
    return ["[]"] * (1 if "?1" in sql else sql.count("?"))
