"""A catalog as of a moment is the fold of the events up to it, row by row, for any history and every moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog.asof import CatalogThen, began_us
from disdat.catalog.catalog import Catalog
from disdat.catalog.queries import Filter
from disdat.core import event
from disdat.core.event import Event
from disdat.errors import Corrupt, InvalidInput
from tests.catalog.contexts import (
    START_US,
    Clock,
    add,
    added,
    bundle,
    committed,
    dump_of,
    open_catalog,
    removed,
    renamed,
    rich_bundle,
    undone,
)
from tests.catalog.test_index import append, check_equal_to_fold, histories, store
from tests.conftest import examples

T = TypeVar("T")

HOUR_US = 3_600_000_000
OF_THE_LOG = {"state", "writers", "subjects"}
"""What says how the catalog came to be and not what holds: a catalog that saw more knows more of it."""


def shown(catalog: Catalog) -> Mapping[str, list[tuple[Any, ...]]]:
    """All that a catalog shows, but for where its log has it."""
    found = dict(catalog._read(dump_of))
    found["events"] = [row[:4] for row in found["events"]]
    return {table: rows for table, rows in found.items() if table not in OF_THE_LOG}


def check_as_of(directory: Path, scratch: Path, events: list[Event], known: int, moments: list[int]) -> None:
    """Hold a catalog as of moments against one that saw no later event: when *known* came, and when the rest did."""
    catalog = open_catalog(directory, fetch=store().fetch)
    for portion, so_far in ((events[:known], events[:known]), (events[known:], events)):
        for each in portion:  # each a change of its own
            append(directory, [each])
        for number, moment in enumerate(moments):
            then = [each for each in so_far if each.time_us <= moment]
            whole = scratch / f"{len(so_far)}-{number}"
            whole.mkdir(exist_ok=True)
            if then and not (whole / "log").exists():
                append(whole, then)
            expected = open_catalog(whole, fetch=store().fetch)
            found = CatalogThen(catalog, moment)
            assert shown(found) == shown(expected)
            check_equal_to_fold(found, then)
            expected.close()
        check_equal_to_fold(catalog, so_far)
    catalog.close()


MOMENTS = st.lists(st.integers(START_US - 1, START_US + 7), min_size=1, max_size=3)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=histories(), known=st.integers(0, 12), moments=MOMENTS)
def test_a_catalog_as_of_any_moment_is_the_fold_of_what_had_happened(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], known: int, moments: list[int]
) -> None:
    """Also where it is asked for one moment after another, and events come in between."""
    check_as_of(tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("then"), events, known, moments)


@pytest.mark.soak
@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=histories(), known=st.integers(0, 12), moments=MOMENTS)
def test_a_catalog_as_of_any_moment_of_thousands_of_histories_is_the_fold_of_what_had_happened(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], known: int, moments: list[int]
) -> None:
    check_as_of(tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("then"), events, known, moments)


def lived(directory: Path) -> tuple[Catalog, Clock]:
    """A catalog with a history of some hours."""
    clock = Clock()
    catalog = open_catalog(directory, now_us=clock)
    first, second = rich_bundle("first"), rich_bundle("second", inputs=["00000000-0000-4000-8000-000000000000"])
    add(catalog, first, second, bundle("third"))
    for change in (
        [event.tagged(first.uuid, set_to={"k": "v"})],
        [removed(first.uuid)],
        [renamed(second.uuid, "another")],
        [added(rich_bundle("late", inputs=[second.uuid]))],
    ):
        clock.now_us += HOUR_US
        made = catalog.commit(change)
    clock.now_us += HOUR_US
    catalog.commit([undone(made[0].id)])
    return catalog, clock


def test_what_is_asked_as_of_a_moment_is_asked_of_today_too(tmp_path: Path) -> None:
    """The names that a question finds the past under are gone after it."""
    catalog, clock = lived(tmp_path / "context")
    before = shown(catalog)
    names = [
        [row.name for row in CatalogThen(catalog, START_US + hour * HOUR_US + HOUR_US // 2).search(Filter())]
        for hour in range(-1, 6)
    ]
    all_three = ["first", "second", "third"]
    assert [sorted(each) for each in names] == [
        [],
        all_three,
        all_three,
        ["second", "third"],
        ["another", "third"],
        ["another", "late", "third"],
        ["another", "third"],
    ]
    assert shown(catalog) == before
    catalog.commit([removed(*(row.uuid for row in catalog.search(Filter())))])
    assert CatalogThen(catalog, clock.now_us - 1).counts().bundles == 3
    assert catalog.counts().bundles == 0
    catalog.close()


def test_an_event_that_comes_late_counts_as_of_its_own_time(tmp_path: Path) -> None:
    """As one that was made elsewhere, and fetched."""
    catalog, _ = lived(tmp_path / "context")
    then = CatalogThen(catalog, START_US + HOUR_US)
    third = then.latest("third")
    assert third is not None
    late = event.tagged(third.uuid, set_to={"late": "yes"})
    append(tmp_path / "context", [Event(event.ulid(START_US + 99), START_US + 99, "w", 1, late.kind, late.payload)])
    assert then.rows([third.uuid])[third.uuid].tags == {"late": "yes"}
    assert CatalogThen(catalog, START_US + 98).rows([third.uuid])[third.uuid].tags == {}
    catalog.close()


def test_a_question_that_fails_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    catalog, _ = lived(tmp_path / "context")
    before = shown(catalog)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT count(*) FROM bundles").fetchone()
        raise InvalidInput("a question that fails")

    with pytest.raises(InvalidInput, match="a question that fails"):
        CatalogThen(catalog, START_US)._read(fail)
    assert shown(catalog) == before
    catalog.close()


@pytest.mark.parametrize("reading_only", [False, True])
def test_a_past_that_cannot_be_told_leaves_today_as_it_is(tmp_path: Path, reading_only: bool) -> None:
    """Nothing is left of a correction that failed half-way, and it fails in the same way again."""
    directory = tmp_path / "context"
    catalog, clock = lived(directory)
    before = shown(catalog)
    catalog.close()
    log = directory / "log" / "00000001.log"
    whole = log.read_bytes()
    reader = Reader(directory, writer="w", now_us=clock, fetch=store().fetch) if reading_only else catalog
    assert shown(reader) == before
    log.write_bytes(whole.replace(b'"kind":"add"', b'"kind";"add"'))
    moment = CatalogThen(reader, START_US + 2)
    for _ in range(2):
        with pytest.raises(Corrupt):
            moment.names()
        assert reader.names() == sorted({row.name for row in reader.search(Filter())})
    assert shown(reader) == before
    log.write_bytes(whole)
    assert moment.names()
    reader.close()


@pytest.mark.parametrize(
    "late",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["today is asked first", "another moment is asked first"],
)
def test_of_a_change_all_is_shown_or_nothing(tmp_path: Path, late: bool) -> None:
    catalog, clock = lived(tmp_path / "context")
    clock.now_us += HOUR_US
    made = [
        bundle(f"one of many {number}") for number in range(600)
    ]  # of more events than a millisecond has microseconds
    written = catalog.commit([draft for each in made for draft in (added(each), committed(each.uuid))])
    again = catalog.commit([removed(made[0].uuid), event.tagged(made[1].uuid, set_to={"k": "v"})])
    first, last = written[0].time_us, written[-1].time_us
    before = shown(CatalogThen(catalog, first - 1))
    after = shown(CatalogThen(catalog, last))
    assert len(after["bundles"]) == len(before["bundles"]) + 600
    for moment in (first, first + 1, first + 998, first + 999, first + 1000, last - 1):
        if late:
            CatalogThen(catalog, last).names()
        assert shown(CatalogThen(catalog, moment)) == before
    for moment in (last + 1, again[0].time_us):
        assert shown(CatalogThen(catalog, moment)) == after
    assert shown(CatalogThen(catalog, again[-1].time_us)) == shown(catalog)
    catalog.close()


def test_at_every_microsecond_of_a_change_there_are_all_its_events_or_none(tmp_path: Path) -> None:
    catalog, _ = lived(tmp_path / "context")
    before = len(catalog.search(Filter()))
    written = catalog.commit([added(bundle(f"one of many {number}")) for number in range(30)])
    counts = [
        CatalogThen(catalog, moment).counts().bundles
        for moment in range(written[0].time_us - 1, written[-1].time_us + 2)
    ]
    assert counts == [before] * 30 + [before + 30] * 2
    catalog.close()


def test_the_past_refuses_to_be_changed(tmp_path: Path) -> None:
    catalog, _ = lived(tmp_path / "context")
    then = CatalogThen(catalog, START_US)
    for change in (lambda: then.commit([added(bundle())]), then.reindex):
        with pytest.raises(InvalidInput, match="nothing can be changed in the past"):
            change()
    catalog.close()


def test_a_context_began_with_its_first_event(tmp_path: Path) -> None:
    catalog, _ = lived(tmp_path / "context")
    assert began_us(catalog) == START_US
    assert began_us(open_catalog(tmp_path / "empty")) is None
    catalog.close()


class Reader(Catalog):
    """The catalog as who may not write to it has it."""

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return self._snapshot.read(query)


@pytest.mark.parametrize("behind", [False, True], ids=["the file itself", "a copy that follows the log"])
def test_who_may_not_write_sees_the_past_too(tmp_path: Path, behind: bool) -> None:
    """A file that is up to date is read as it is; else a copy in memory, which goes on when the log does."""
    directory = tmp_path / "context"
    catalog, clock = lived(directory)
    moments = [START_US + hour * HOUR_US for hour in range(6)]
    expected = [shown(CatalogThen(catalog, moment)) for moment in moments]
    catalog.close()
    if behind:
        for path in directory.glob("catalog*"):
            path.unlink()
    reader = Reader(directory, writer="w", now_us=clock, fetch=store().fetch)
    assert [shown(CatalogThen(reader, moment)) for moment in moments] == expected
    writer = open_catalog(directory, now_us=clock)
    writer.commit([removed(*(row.uuid for row in writer.search(Filter())))])
    writer.close()
    assert [shown(CatalogThen(reader, moment)) for moment in moments] == expected
    assert reader.counts().bundles == 0
    reader.close()
