"""Events of others are taken over in any order and any portions: what comes of it is the fold of all of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog.catalog import Catalog
from disdat.catalog.log import Log, Place
from disdat.core import event
from disdat.core.event import Draft, Event
from disdat.durable import Disk
from disdat.errors import Corrupt
from tests.catalog.contexts import HOME, START_US, Clock, add, add_now, bundle, committed, dump, open_catalog, removed
from tests.conftest import examples

NOTE = Draft(event.FETCH, {"remote": "r", "publications": ["p"]})
OTHER = "01HOME0000000000000000000B"


def tagged(uuid: str, **tags: str) -> Draft:
    return event.tagged(uuid, set_to=tags)


def a_history(directory: Path, *, writer: str) -> list[Event]:
    """Return the events of a context of somebody else: bundles, tags, removals, and undoes of them."""
    theirs = open_catalog(directory, writer=writer, now_us=Clock(START_US + 5_000_000))
    uuids = [add_now(theirs, f"n{number % 3}") for number in range(6)]
    theirs.commit([tagged(uuids[0], a="1"), committed(*uuids[:3])])
    [gone] = theirs.commit([removed(uuids[1])])
    theirs.commit([event.undone([gone])])
    theirs.commit([removed(uuids[2])])
    [tag] = theirs.commit([tagged(uuids[3], b="2")])
    theirs.commit([event.undone([tag])])
    theirs.commit([tagged(uuids[4], c="3")])
    return list(theirs.events())


def expected(events: Sequence[Event]) -> set[str]:
    return set(event.fold(events))


def here(catalog: Catalog) -> set[str]:
    return {row.uuid for page in catalog.pages() for row in page}


def test_what_others_did_is_here_and_so_after_reindex(tmp_path: Path) -> None:
    events = a_history(tmp_path / "theirs", writer=OTHER)
    mine = open_catalog(tmp_path / "mine")
    own = add(mine, bundle("own"))
    mine.receive(events, note=NOTE)
    assert here(mine) == expected(events) | set(own)
    before = dump(tmp_path / "mine")
    mine.reindex()
    assert dump(tmp_path / "mine") == before
    assert mine.check_log() == len(events) + 2


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_any_order_and_portions_come_to_the_same(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("orders")
    source = random.Random(seed)
    events = a_history(tmp_path / "theirs", writer=OTHER)
    mine = open_catalog(tmp_path / "mine")
    shuffled = source.sample(events, len(events)) + source.sample(events, 4)
    while shuffled:
        count = source.randint(1, 5)
        mine.receive(shuffled[:count], note=NOTE)
        del shuffled[:count]
        if source.random() < 0.3:
            add_now(mine, "between")
    others = expected(events)
    assert here(mine) - {row.uuid for row in mine.versions("between")} == others
    theirs = open_catalog(tmp_path / "theirs", writer=OTHER)
    assert {u: row.tags for u, row in mine.rows(sorted(others)).items()} == {
        u: row.tags for u, row in theirs.rows(sorted(others)).items()
    }
    mine.check_log()


class CountingLog(Log):
    """Counts the events that are read by their places."""

    count = 0

    def read(self, places: Iterable[Place]) -> Iterator[Event]:
        for each in super().read(places):
            self.count += 1
            yield each


def test_what_speaks_of_many_bundles_is_read_once_for_all_of_them(tmp_path: Path) -> None:
    """So what a commit of a thousand takes does not grow with the square of that, where it comes before them."""
    theirs = open_catalog(tmp_path / "theirs", writer=OTHER)
    uuids = add(theirs, *(bundle(f"n{number}") for number in range(20)))
    theirs.commit([committed(*uuids)])
    *adds, commit = theirs.events()
    log = CountingLog(tmp_path / "mine" / "log", disk=Disk())
    mine = open_catalog(tmp_path / "mine", log=log)
    mine.receive([commit], note=NOTE)
    mine.receive(adds, note=NOTE)
    assert log.count <= 2
    assert all(row.committed for row in mine.rows(uuids).values())


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    events = a_history(tmp_path / "theirs", writer=OTHER)
    mine = open_catalog(tmp_path / "mine")
    mine.receive(events, note=NOTE)
    log = sorted((tmp_path / "mine" / "log").iterdir())
    size = log[-1].stat().st_size
    mine.receive(events[::-1], note=NOTE)
    assert log[-1].stat().st_size == size
    assert mine.check_log() == len(events) + 1


def test_events_of_our_own_home_in_another_context_do_not_count_for_ours(tmp_path: Path) -> None:
    """Two contexts of one home number their events by themselves."""
    events = a_history(tmp_path / "theirs", writer=HOME)
    mine = open_catalog(tmp_path / "mine")
    add(mine, bundle("one"))
    mine.receive(events, note=NOTE)
    add(mine, bundle("two"))
    [last] = mine.commit([committed(*add(mine, bundle("three")))])
    assert last.seq == 5  # one, the fetch, two, three, this
    assert mine.check_log() == len(events) + 5
    mine.reindex()
    assert mine.commit([committed(last.subjects[0])])[0].seq == 6


def test_what_waits_to_be_indexed_comes_first(tmp_path: Path) -> None:
    events = a_history(tmp_path / "theirs", writer=OTHER)
    mine = open_catalog(tmp_path / "mine")
    own = [uuid for number in range(5) for uuid in add(mine, bundle(f"own{number}"))]
    mine.receive(events, note=NOTE)
    own += [uuid for number in range(5) for uuid in add(mine, bundle(f"later{number}"))]
    assert here(mine) == expected(events) | set(own)
    fresh = open_catalog(tmp_path / "mine")
    assert here(fresh) == here(mine)


def test_what_we_do_next_is_later_than_what_came(tmp_path: Path) -> None:
    theirs = open_catalog(tmp_path / "theirs", writer=OTHER, now_us=Clock(START_US + 3600 * 1_000_000))
    uuid = add_now(theirs, "n")
    theirs.commit([tagged(uuid, a="theirs")])
    mine = open_catalog(tmp_path / "mine")
    mine.receive(list(theirs.events()), note=NOTE)
    mine.commit([tagged(uuid, a="mine")])
    assert mine.rows([uuid])[uuid].tags == {"a": "mine"}
    theirs.receive(list(mine.events()), note=NOTE)
    assert theirs.rows([uuid])[uuid].tags == {"a": "mine"}


def test_a_bundle_that_cannot_be_read_hinders_no_other(tmp_path: Path) -> None:
    good, bad = bundle("good"), bundle("bad")
    theirs = open_catalog(tmp_path / "theirs", writer=OTHER)
    add(theirs, good)
    events = list(theirs.events())
    body = {"uuid": bad.uuid, "manifest": f"blake3:{'0' * 64}"}
    events.append(Event(event.ulid(START_US), START_US, OTHER, 9, event.ADD, body))
    mine = open_catalog(tmp_path / "mine")
    mine.receive(events, note=NOTE)
    assert here(mine) == {good.uuid}
    assert list(mine.unreadable()) == [bad.uuid]


def test_a_damaged_record_of_what_came_is_found(tmp_path: Path) -> None:
    events = a_history(tmp_path / "theirs", writer=OTHER)
    mine = open_catalog(tmp_path / "mine")
    mine.receive(events, note=NOTE)
    add(mine, bundle("after"))
    mine.close()
    [segment] = (tmp_path / "mine" / "log").glob("*.log")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(Corrupt):
        open_catalog(tmp_path / "mine").check_log()
