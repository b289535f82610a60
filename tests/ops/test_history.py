"""What happened is listed change by change, the newest first, and no faster than it is asked for."""

from __future__ import annotations

import functools
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disdat.catalog import history as known
from disdat.catalog.log import Log
from disdat.context import Context, Home
from disdat.core import event
from disdat.core.event import Draft
from disdat.durable import Disk
from disdat.errors import BadQuery, BundleNotFound
from disdat.ops import bundles, contexts, find, undo
from disdat.ops.bundles import Birth
from disdat.ops.history import Change, log
from tests.conftest import examples


def deeds(context: Context, *words: Any, **filters: Any) -> list[dict[str, int]]:
    return [dict(change.bundles) for change in log(context, *words, **filters)]


@pytest.fixture
def busy(context: Context) -> Context:
    """Two bundles of a name and one of another, tagged, committed, renamed and removed."""
    bundles.write(context, 1, Birth("a"))
    bundles.write_many(context, [(2, Birth("a")), (3, Birth("b"))])
    bundles.tag(context, find.resolve(context, "a"), set_to={"k": "v"}, unset=())
    bundles.commit(context, [find.resolve(context, "b")])
    bundles.remove(context, context.catalog.versions("a"))
    return context


def test_each_change_says_what_was_done_to_which_bundles(busy: Context) -> None:
    assert deeds(busy) == [{"remove": 2}, {"commit": 1}, {"tag": 1}, {"add": 2}, {"add": 1}]
    removed, committed, tagged, *_ = log(busy)
    assert [each.name for each in removed.mentions] == ["a", "a"]
    assert [each.name for each in committed.mentions] == ["b"]
    assert tagged.mentions[0].said == {"set": {"k": "v"}, "unset": []}
    assert {change.actor for change in log(busy)} == {removed.actor}
    times = [change.time_us for change in log(busy)]
    assert times == sorted(times, reverse=True)


def test_of_a_large_change_only_so_many_bundles_are_named_as_are_asked_for(context: Context) -> None:
    bundles.write_many(context, [(number, Birth(f"n{number}")) for number in range(10)])
    [change] = log(context, mentioned=3)
    assert dict(change.bundles) == {"add": 10}
    assert [each.name for each in change.mentions] == ["n0", "n1", "n2"]
    [whole] = log(context)
    assert len(whole.mentions) == 10


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"reference": "b"}, [{"commit": 1}, {"add": 2}]),
        ({"reference": "a"}, [{"remove": 2}, {"tag": 1}, {"add": 2}, {"add": 1}]),
        ({"kinds": ["tag", "commit"]}, [{"commit": 1}, {"tag": 1}]),
        ({"kinds": ["run"]}, [{"add": 1}]),
        ({"reference": "a", "kinds": ["remove"]}, [{"remove": 2}]),
        ({"actor": "nobody-known"}, []),
    ],
    ids=str,
)
def test_only_what_passes_every_filter_is_listed(
    busy: Context, filters: dict[str, Any], expected: list[dict[str, int]]
) -> None:
    """A name finds the bundles that were removed too; a change that recorded a run is found by what else it did."""
    assert deeds(busy, **filters) == expected


def test_changes_are_found_by_who_made_them_and_when(busy: Context) -> None:
    changes = list(log(busy))
    user, _, host = changes[0].actor.partition("@")
    for actor in (user, f"{user}@{host}"):
        assert list(log(busy, actor=actor)) == changes
    assert not list(log(busy, actor=host))
    middle = changes[2].time_us
    assert list(log(busy, since_us=middle)) == changes[:3]
    assert list(log(busy, until_us=middle)) == changes[2:]
    assert list(log(busy, since_us=middle, until_us=middle)) == [changes[2]]


def test_a_removed_bundle_is_found_by_its_uuid(busy: Context) -> None:
    removed = next(log(busy)).mentions[0].uuid
    assert {"remove": 2} in deeds(busy, uuid=removed[:8])
    assert deeds(busy, "a", uuid=removed) == deeds(busy, uuid=removed)
    with pytest.raises(BundleNotFound):
        log(busy, uuid="00000000")
    with pytest.raises(BadQuery):
        log(busy, uuid="xyz")


def test_what_never_was_is_not_found(busy: Context) -> None:
    with pytest.raises(BundleNotFound):
        log(busy, "nothing")
    with pytest.raises(BadQuery, match="no kind"):
        log(busy, kinds=["deed"])


def test_a_change_that_was_undone_says_so(busy: Context) -> None:
    taken_back = undo.undo(busy)
    undoing, removal, *_ = log(busy)
    assert (undoing.id, undoing.undoes, undoing.counts) == (taken_back.id, (removal.id,), True)
    assert (removal.counts, removal.undone_by) == (False, undoing.id)
    assert {each.name for each in undoing.mentions} == {"a"}
    undo.undo(busy, undoing.id)
    again, undoing, removal, *_ = log(busy)
    assert (again.undoes, undoing.undone_by) == ((undoing.id,), again.id)
    assert (undoing.counts, removal.counts, removal.undone_by) == (False, True, None)


def test_a_short_id_names_one_change_however_close_others_are(context: Context) -> None:
    stuck = Home(context.home.root, clock_us=lambda: 1_760_000_000_000_000).context("demo")
    for number in range(40):
        bundles.write(stuck, number, Birth("n"))
    changes = list(log(stuck))
    assert len({change.short for change in changes}) == 40
    assert [dict(change.bundles) for change in changes] == [{"add": 1}] * 40
    assert [change.time_us for change in changes] == sorted((c.time_us for c in changes), reverse=True)
    for change in changes:
        assert undo.plan(stuck, change.short).change.id == change.id


@settings(max_examples=examples(30), deadline=None)
@given(sizes=st.lists(st.sampled_from([1, 2, 3, 40]), max_size=60), first=st.integers(0, 70))
def test_every_change_is_listed_once_however_many_there_are(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], first: int
) -> None:
    """Whatever is read at once, and wherever one stops."""
    context = contexts.create(Home(tmp_path_factory.mktemp("home")), "demo")
    context.home.ensure()
    made = []
    for number, size in enumerate(sizes):
        drafts = [Draft(event.TAG, {"uuid": f"u{number}-{each}", "set": {}}) for each in range(size)]
        made.append(context.catalog.commit(drafts)[0].id)
    found = list(log(context, mentioned=1))
    assert [change.id for change in found] == made[::-1]
    assert [change.bundles["tag"] for change in found] == sizes[::-1]
    assert [change.id for change in islice(log(context, mentioned=1), first)] == made[::-1][:first]
    context.catalog.close()


def test_the_newest_changes_cost_the_same_however_many_there_are(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in events that are read from the log: some more where several are of one millisecond."""
    read = []

    class Counting(Log):
        def read(self, places: Any) -> Any:
            for each in super().read(places):
                read.append(each)
                yield each

    counts = []
    context.catalog._log = Counting(context.directory / "log", disk=Disk())
    for _ in range(2):
        for number in range(150):
            bundles.write(context, number, Birth("n"))
        read.clear()
        assert len(list(islice(log(context, mentioned=3), 20))) == 20
        counts.append(len(read))
    assert 0 < max(counts) < 50


def test_a_change_of_a_kind_to_come_is_listed_by_its_name(context: Context) -> None:
    context.home.ensure()
    context.catalog.commit([Draft("to-come", {"uuid": 7})])
    [change] = log(context)
    assert (dict(change.bundles), change.mentions, change.counts) == ({"to-come": 0}, (), True)


def test_records_are_told_apart_in_another_segment(tmp_path: Path) -> None:
    context = contexts.create(Home(tmp_path / "home"), "demo")
    context.catalog._log = context.catalog._indexed._log = Log(context.directory / "log", disk=Disk(), segment_bytes=1)
    for number in range(3):
        bundles.write_many(context, [(number, Birth("n")), (number, Birth("n"))])
    assert deeds(context) == [{"add": 2}] * 3
    rows = known.ask(context.catalog, lambda of: of.newest(known.Kinds(frozenset(), False), count=100))
    assert len({row.segment for row in rows}) == 3


def test_a_context_as_of_a_moment_has_the_history_up_to_it(busy: Context) -> None:
    changes: list[Change] = list(log(busy))
    undo.undo(busy)
    for number, change in enumerate(changes):
        then = busy.as_of(change.time_us + 10)
        assert [each.id for each in log(then)] == [each.id for each in changes[number:]]
        assert all(each.counts for each in log(then))
    assert [each.counts for each in log(busy, "a", kinds=["undo"])] == [True]


@pytest.mark.parametrize("mentioned", [0, None])
def test_a_long_chain_of_undos_costs_each_link_the_same(context: Context, mentioned: int | None) -> None:
    """Whether one counts depends on all after it, and what it speaks of on all before it."""
    counts = []
    for length in (100, 200):
        chained = contexts.create(context.home, f"chain-{length}")
        bundles.write(chained, 1, Birth("a"))
        made = [next(log(chained)).id]
        segments = Log(chained.directory / "log", disk=Disk())
        for number in range(length):
            undoing = event.Event(
                id=event.ulid(event.ulid_time_us(made[0]) + 1000 * (number + 1)),
                time_us=event.ulid_time_us(made[0]) + 1000 * (number + 1),
                writer="w",
                seq=number + 1,
                kind=event.UNDO,
                undoes=(made[-1],),
            )
            segments.append(segments.end(), [undoing])
            made.append(undoing.id)
        assert chained.catalog.counts().bundles == 1
        statements: list[str] = []
        known.ask(chained.catalog, functools.partial(_trace, statements))
        changes = list(log(chained, mentioned=mentioned))
        assert [change.id for change in changes] == made[::-1]
        assert [change.counts for change in changes] == [number % 2 == 0 for number in range(length + 1)]
        assert [change.undone_by for change in changes[1::2]] == made[:0:-2]
        assert {change.bundles["undo"] for change in changes[:-1]} == {1}
        counts.append(len(statements))
    assert counts[1] < 2.2 * counts[0]
    assert counts[1] < 20 * 200


def _trace(statements: list[str], of: known.History) -> None:
    of._connection.set_trace_callback(statements.append)
