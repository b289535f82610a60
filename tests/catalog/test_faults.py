"""A change that is cut short at any step is made or not made, and the next one goes on from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from disdat.catalog.catalog import Catalog
from disdat.catalog.queries import Filter
from disdat.core import event
from disdat.errors import Corrupt, StorageError
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk, crash_states
from tests.catalog.contexts import Store, add, add_now, bundle, dump, open_catalog, removed, rich_bundle

BORN = "00000000-0000-4000-8000-00000000000a"
NEXT = "00000000-0000-4000-8000-00000000000b"


def prepared(directory: Path) -> Path:
    """A context with one bundle."""
    catalog = open_catalog(directory)
    add(catalog, rich_bundle(uuid=BORN))
    catalog.close()
    return directory


CHANGES: dict[str, Callable[[Catalog], object]] = {
    "add": lambda catalog: add(catalog, bundle(uuid=NEXT), rich_bundle()),
    "tag": lambda catalog: catalog.commit([event.tagged(BORN, set_to={"k": "v"})]),
    "remove": lambda catalog: catalog.commit([removed(BORN)]),
}


def summary(catalog: Catalog) -> list[tuple[str, str]]:
    return sorted((row.name, repr(row.tags)) for row in catalog.search(Filter()))


def outcomes(directory: Path, change: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What there is before and after a change that nothing disturbs."""
    catalog = open_catalog(prepared(directory))
    before = summary(catalog)
    CHANGES[change](catalog)
    return before, summary(catalog)


@pytest.mark.parametrize("error", [None, Crash])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_change_that_fails_at_any_step_is_made_or_not_made(
    tmp_path: Path, change: str, error: type[BaseException] | None, fresh: bool
) -> None:
    """Whether the disk refuses, or the process dies; where commit returns, the change is made."""
    before, after = outcomes(tmp_path / "undisturbed", change)
    at = 0
    while True:
        at += 1
        directory = prepared(tmp_path / f"context{at}")
        if fresh:
            (directory / "catalog.db").unlink()
        disk = FailingDisk(at, error=error) if error else FailingDisk(at)
        returned = False
        try:
            CHANGES[change](open_catalog(directory, disk=disk))
            returned = True
        except (StorageError, Crash):
            assert disk.reached
        found = summary(open_catalog(directory))
        assert found in ((after,) if returned else (before, after))
        catalog = open_catalog(directory)
        add_now(catalog, "afterwards")
        assert len(catalog.search(Filter(name="afterwards"))) == 1
        rows = dump(directory)
        catalog.reindex()
        assert dump(directory) == rows
        if not disk.reached:
            break
    assert at >= 3


def test_the_first_change_of_a_context_may_fail_at_any_step(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        directory = tmp_path / f"context{at}"
        disk = FailingDisk(at)
        try:
            add(open_catalog(directory, disk=disk), bundle("first"))
        except StorageError:
            assert disk.reached
        found = [row.name for row in open_catalog(directory).search(Filter())]
        assert found in (["first"], [])
        add_now(open_catalog(directory), "second")
        if not disk.reached:
            assert found == ["first"]
            break
    assert at >= 7


@pytest.mark.parametrize("change", CHANGES)
def test_a_power_cut_after_any_step_leaves_the_old_state_or_the_new_one(tmp_path: Path, change: str) -> None:
    """With all that was written on the disk, and with only what was synced; once acknowledged, the new one."""
    before, after = outcomes(tmp_path / "undisturbed", change)
    directory = prepared(tmp_path / "context")
    initial = tmp_path / "initial"
    _copy(directory, initial)
    disk = RecordingDisk(directory)
    CHANGES[change](open_catalog(directory, disk=disk))
    names = [call.name for call in disk.calls]
    assert names[:2] == ["write", "sync"]
    synced = names.index("sync")
    for number, (what, state) in enumerate(crash_states(initial, disk.calls, tmp_path)):
        found = summary(open_catalog(state))
        assert found in (before, after), what
        if number // 2 > synced:
            assert found == after, what


def test_a_commit_is_one_write_one_sync_and_then_the_catalog(tmp_path: Path) -> None:
    directory = prepared(tmp_path / "context")
    disk = RecordingDisk(directory)
    add(open_catalog(directory, disk=disk), bundle("a"), bundle("b"))
    calls = [(call.name, call.path) for call in disk.calls if call.name not in {"found", "sql_commit"}]
    assert calls == [("write", "log/00000001.log"), ("sync", "log/00000001.log")]
    assert [call.name for call in disk.calls][-1] == "sql_commit"


def test_the_first_segment_is_durable_before_its_first_record(tmp_path: Path) -> None:
    directory = tmp_path / "context"
    directory.mkdir()
    disk = RecordingDisk(directory)
    add(open_catalog(directory, disk=disk), bundle())
    calls = [str(call) for call in disk.calls if call.name != "sql_commit"]
    assert calls == [
        "mkdir log",
        "sync_dir .",
        "create log/00000001.log",
        "write log/00000001.log",
        "sync log/00000001.log",
        "sync_dir log",
        "write log/00000001.log",
        "sync log/00000001.log",
    ]


def test_a_log_shorter_than_the_catalog_saw_it_is_damage(tmp_path: Path) -> None:
    """What was acknowledged and is gone is not passed over in silence."""
    directory = prepared(tmp_path / "context")
    segment = directory / "log" / "00000001.log"
    whole = segment.read_bytes()
    for size in (len(whole) - 1, 16, 0):
        segment.write_bytes(whole[:size])
        catalog = open_catalog(directory)
        for act in (catalog.counts, catalog.reindex, lambda: add_now(catalog)):  # noqa: B023
            with pytest.raises(Corrupt, match=r"00000001\.log"):
                act()
        assert segment.read_bytes() == whole[:size]
    segment.write_bytes(whole)
    assert open_catalog(directory).counts().bundles == 1


def test_without_the_catalog_a_log_cut_in_its_last_record_is_the_log_without_it(tmp_path: Path) -> None:
    directory = prepared(tmp_path / "context")
    add_now(open_catalog(directory), "last")
    segment = directory / "log" / "00000001.log"
    segment.write_bytes(segment.read_bytes()[:-1])
    (directory / "catalog.db").unlink()
    catalog = open_catalog(directory)
    assert [row.uuid for row in catalog.search(Filter())] == [BORN]
    assert len(list((directory / "log").glob("cut-*"))) == 1
    add_now(catalog)
    catalog.check_log()


def test_a_full_disk_under_the_catalog_does_not_undo_what_the_log_holds(tmp_path: Path) -> None:
    """The change is acknowledged, and found as soon as there is space."""
    directory = prepared(tmp_path / "context")
    catalog = open_catalog(directory, fetch=Store().fetch)
    with catalog._indexed.database.connection() as lent:  # SQLite's own way to be out of space
        [(pages,)] = lent.connection.execute("PRAGMA page_count")
        lent.connection.execute(f"PRAGMA max_page_count = {pages}")
    uuids = add(catalog, *(rich_bundle() for _ in range(200)))
    with closing(sqlite3.connect(directory / "catalog.db")) as connection:
        assert connection.execute("SELECT count(*) FROM bundles").fetchone() == (1,)
    assert set(uuids) < {row.uuid for row in catalog.search(Filter())}
    assert catalog.counts().bundles == 201


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and not path.name.startswith("catalog"):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
