"""The rows of a catalog are the fold of the log's events, in whatever order and portions these came."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog import tables
from disdat.catalog.catalog import Catalog
from disdat.catalog.log import START, Log
from disdat.catalog.queries import Filter
from disdat.core import digest, event, manifest
from disdat.core.bundle import Bundle
from disdat.core.event import Event
from disdat.durable import Disk
from tests.catalog.contexts import START_US, Store, added, dump, open_catalog, rich_bundle

UUIDS = [f"0000000{i}-0000-4000-8000-000000000000" for i in range(4)]
IDS = [event.ulid(START_US, entropy=i) for i in range(12)]

uuids = st.sampled_from(UUIDS)
some = st.lists(uuids, min_size=1, max_size=3)
texts = st.sampled_from(["", "k", "l", "é\n"])
tags = st.dictionaries(texts, texts, max_size=2)


def manifest_of(uuid: str, variant: int) -> Bundle:
    """One of two bundles somebody might add under one uuid."""
    return rich_bundle(f"name{variant}", uuid=uuid, inputs=UUIDS[:variant], tags={"k": str(variant)})


def payload(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    bundles = st.builds(manifest_of, uuids, st.integers(0, 1))
    adds = bundles.map(lambda made: dict(added(made).payload))
    objects = bundles.map(lambda made: {"uuid": made.uuid, "manifest": digest.of_json(manifest.to_json(made))})
    kinds: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        event.ADD: adds | objects,
        event.REMOVE: some.map(lambda found: {"uuids": found}),
        event.RESTORE: some.map(lambda found: {"uuids": found}),
        event.COMMIT: some.map(lambda found: {"uuids": found}),
        event.REAFFIRM: some.map(lambda found: {"uuids": found, "run": "r"}),
        event.TAG: st.builds(
            lambda u, s, n: {"uuid": u, "set": s, "unset": n}, uuids, tags, st.lists(texts, max_size=1)
        ),
        event.RENAME: st.builds(lambda u, n: {"uuid": u, "name": n}, uuids, texts),
        event.UNDO: st.just({}),
        "strange": uuids.map(lambda u: {"uuid": u}),
    }
    return kinds[kind]


KINDS = [
    event.ADD,
    event.ADD,
    event.REMOVE,
    event.RESTORE,
    event.COMMIT,
    event.REAFFIRM,
    event.TAG,
    event.RENAME,
    event.UNDO,
    "strange",
]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events with ids of their own, that may undo one another and be written twice, in any order."""
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=len(IDS)))
    made = []
    for number, id_ in enumerate(ids):
        kind = draw(st.sampled_from(KINDS))
        undoes = draw(st.lists(st.sampled_from(IDS), max_size=2)) if kind == event.UNDO or draw(st.booleans()) else []
        made.append(
            Event(
                id=id_,
                time_us=START_US + draw(st.integers(0, 6)),
                writer=draw(st.sampled_from(["w", "x"])),
                seq=number + 1,
                kind=kind,
                payload=draw(payload(kind)),
                write_id=draw(st.sampled_from([id_, id_, id_, "w1", IDS[0]])),
                undoes=tuple(undoes),
            )
        )
    return made


def store() -> Store:
    found = Store()
    for uuid in UUIDS[:3]:  # the manifests of one bundle are lost
        for variant in (0, 1):
            found.put(manifest.encode(manifest_of(uuid, variant)))
    return found


def append(directory: Path, events: list[Event]) -> None:
    log = Log(directory / "log", disk=Disk())
    log.append(log.end(), events)


def check_equal_to_fold(catalog: Catalog, events: list[Event]) -> None:
    """The states of core, seen through the catalog."""
    states = event.fold(events)
    readable = {uuid: state for uuid, state in states.items() if state.body is not None or uuid != UUIDS[3]}
    found = {row.uuid: row for row in catalog.search(Filter())}
    assert set(found) == set(readable)
    assert set(catalog.unreadable()) == set(states) - set(readable)
    for uuid, state in readable.items():
        row, born = found[uuid], catalog.bundle(uuid)
        assert row.tags == state.tags(born.tags)
        assert row.name == (born.name if state.name is None else state.name)
        assert (row.made_us, row.committed, row.manifest) == (state.made_us, state.committed, state.manifest)
        assert [edge.input for edge in catalog.inputs_of(uuid)] == [each.uuid for each in born.lineage.inputs]
        for key, value in row.tags.items():
            assert uuid in {each.uuid for each in catalog.search(Filter(tags={key: value}))}
    newest = [row.uuid for row in sorted(found.values(), key=lambda row: (row.made_us, row.uuid), reverse=True)]
    assert [row.uuid for row in catalog.search(Filter())] == newest


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=histories(), data=st.data())
def test_the_catalog_is_the_fold_however_the_events_come(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    """
    In portions, each indexed before the next is there; all at once; and after a reindex.

    The same rows in each case, row by row, and those that the fold of the set of events says.
    """
    portioned, whole = (tmp_path_factory.mktemp("context") for _ in range(2))
    catalog, rest = open_catalog(portioned, fetch=store().fetch), list(events)
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        append(portioned, rest[:count])
        rest = rest[count:]
        catalog.counts()
    check_equal_to_fold(catalog, events)
    if events:
        (whole / "log").mkdir()
        (whole / "log" / "00000001.log").write_bytes((portioned / "log" / "00000001.log").read_bytes())
        open_catalog(whole, fetch=store().fetch).counts()
        assert dump(portioned) == dump(whole)
    before = dump(portioned) if events else None
    catalog.reindex()
    assert before in (None, dump(portioned))
    catalog.close()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=histories(), data=st.data())
def test_an_event_that_comes_twice_counts_once(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("context")
    catalog = open_catalog(directory, fetch=store().fetch)
    again = data.draw(st.permutations(events))
    for portion in ([*events, *events[:2]], again):
        if portion:
            append(directory, list(portion))
            catalog.counts()
    check_equal_to_fold(catalog, events)
    assert len(list(catalog.events())) == len(events)
    catalog.close()


def test_a_catalog_that_was_made_again_has_every_index(tmp_path: Path) -> None:
    """Those that only questions need are made last, when the tables are filled."""
    catalog = open_catalog(tmp_path / "context")
    catalog.reindex()
    with closing(sqlite3.connect(tmp_path / "context" / "catalog.db")) as connection:
        made = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql <> ''")
        }
    assert made == {index.name for table in tables.metadata.sorted_tables for index in table.indexes}
    catalog.close()


def test_events_are_indexed_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle may be added in one portion and changed in another."""
    monkeypatch.setattr("disdat.catalog.index.PORTION_EVENTS", 1)
    made = [rich_bundle() for _ in range(5)]
    directory = tmp_path / "context"
    end = START
    log = Log(directory / "log", disk=Disk())
    for number, each in enumerate(made):
        add = added(each)
        tag = event.tagged(each.uuid, set_to={"n": str(number)})
        for kind, seq in ((add, 2 * number + 1), (tag, 2 * number + 2)):
            id_ = event.ulid(START_US + seq)
            end = log.append(end, [Event(id_, START_US + seq, "w", seq, kind.kind, kind.payload)]).end
    catalog = open_catalog(directory)
    assert [row.tags["n"] for row in catalog.search(Filter())] == ["4", "3", "2", "1", "0"]
