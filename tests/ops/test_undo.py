"""Whatever was done is taken back by one more event, and that one too, as long as its bytes are there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from disdat.context import Context, Home
from disdat.core import event
from disdat.core.event import Draft
from disdat.errors import BadQuery, Conflict, InvalidInput, ObjectNotFound, RefNotFound
from disdat.ops import add, bundles, contexts, find, runs
from disdat.ops.bundles import Birth
from disdat.ops.history import log
from disdat.ops.undo import plan, undo


def seen(context: Context) -> list[tuple[object, ...]]:
    """All that users see of the bundles of a context."""
    rows = [row for name in context.catalog.names() for row in context.catalog.versions(name)]
    return [
        (row.uuid, row.name, row.tags, row.committed, row.made_us, str(bundles.value(context, row.uuid)))
        for row in rows
    ]


def newest(context: Context) -> str:
    return next(log(context)).id


CHANGES: dict[str, Callable[[Context], object]] = {
    "an addition": lambda c: bundles.write(c, 1, Birth("new")),
    "many additions": lambda c: bundles.write_many(c, [(n, Birth("old")) for n in range(5)]),
    "a removal": lambda c: bundles.remove(c, c.catalog.versions("old"), force=True),
    "a tag": lambda c: bundles.tag(c, find.resolve(c, "old"), set_to={"k": "w"}),
    "a tag that is gone": lambda c: bundles.tag(c, find.resolve(c, "old"), unset=["k"]),
    "a commit": lambda c: bundles.commit(c, [find.resolve(c, "old")]),
    "a rename": lambda c: c.catalog.commit([Draft(event.RENAME, {"uuid": c.catalog.latest("old").uuid, "name": "x"})]),  # type: ignore[union-attr]
    "a reaffirmation": lambda c: bundles.reaffirm(c, [find.resolve(c, "old@-1").uuid]),
    "a restoring": lambda c: c.catalog.commit([event.restored([c.catalog.latest("old").uuid])]),  # type: ignore[union-attr]
    "an undo": undo,
}


@pytest.fixture
def old(context: Context) -> Context:
    """Two versions of ``old``, one of which is committed, and a file."""
    for number in range(2):
        bundles.write(context, {"n": number, "array": np.arange(20_000)}, Birth("old", tags={"k": "v"}))
    bundles.commit(context, [find.resolve(context, "old@-1")])
    source = Path("file.bin")
    source.write_bytes(b"x" * 100_000)
    add.add(context, "file", [source])
    return context


@pytest.mark.parametrize("what", CHANGES)
def test_an_undo_is_as_if_the_change_had_not_been_and_an_undone_undo_as_if_it_had(old: Context, what: str) -> None:
    before = seen(old)
    CHANGES[what](old)
    after, change = seen(old), newest(old)
    for _ in range(2):
        taken_back = undo(old, change)
        assert seen(old) == before
        assert taken_back.id is not None
        undo(old, taken_back.id, force=True)  # a committed bundle is removed again
        assert seen(old) == after
    again = Home(old.home.root).context("demo")
    again.catalog.reindex()
    assert seen(again) == after


def test_undo_by_undo_everything_is_taken_back(old: Context) -> None:
    states = []
    for what in ("many additions", "a tag", "a tag that is gone", "a commit", "an addition", "a removal"):
        states.append(seen(old))
        CHANGES[what](old)
    while states:
        undo(old)
        assert seen(old) == states.pop()


def test_what_would_be_undone_can_be_seen_first(old: Context) -> None:
    bundles.remove(old, old.catalog.versions("old"), force=True)
    before = seen(old)
    planned = plan(old)
    assert planned.id is None
    assert {each.name for each in planned.back} == {"old"}
    assert seen(old) == before
    done = undo(old)
    assert (done.change, done.back, done.gone) == (planned.change, planned.back, planned.gone)


def test_what_a_change_still_says_is_undone_where_a_part_of_it_was_already(context: Context) -> None:
    context.home.ensure()
    made = bundles.write(context, 1, Birth("a"))
    tags = context.catalog.commit([event.tagged(made.uuid, set_to={key: "v"}) for key in "ab"])
    context.catalog.commit([event.undone(tags[:1])])
    partly = next(each for each in log(context) if each.id == tags[0].id)
    assert partly.counts
    assert partly.undone_by is not None
    undo(context, tags[1].id)
    assert find.resolve(context, "a").tags == {}
    with pytest.raises(Conflict, match="undone already"):
        undo(context, tags[0].id)


def test_a_change_is_named_by_the_beginning_of_its_id_in_either_case(old: Context) -> None:
    bundles.tag(old, find.resolve(old, "file"), set_to={"a": "b"})
    change = next(log(old))
    undo(old, change.short.lower())
    assert find.resolve(old, "file").tags == {}


def test_there_may_be_nothing_to_undo(context: Context) -> None:
    with pytest.raises(InvalidInput, match="nothing to undo"):
        undo(context)
    bundles.write(context, 1, Birth("a"))
    undo(context)
    with pytest.raises(InvalidInput, match="nothing to undo") as caught:
        undo(context)
    assert "dsdt log" in caught.value.hint


def test_a_change_that_is_void_is_refused_and_says_what_undid_it(old: Context) -> None:
    change, before = newest(old), seen(old)
    by = undo(old, change)
    with pytest.raises(Conflict, match="undone already") as caught:
        undo(old, change)
    assert str(by.id)[:12] in caught.value.hint
    undo(old, by.id)
    assert seen(old) == before


@pytest.mark.parametrize(
    ("named", "error"), [("zzz", RefNotFound), ("", RefNotFound), ("0", BadQuery), ("é\n", RefNotFound)]
)
def test_a_name_that_names_no_change_or_several_is_refused(old: Context, named: str, error: type[Exception]) -> None:
    before = seen(old)
    with pytest.raises(error):
        undo(old, named)
    assert seen(old) == before


def test_what_is_recorded_of_a_run_alone_is_not_undone(context: Context) -> None:
    runs.record(context, runs.of_pipeline(context))
    [recorded] = log(context, kinds=["run"])
    with pytest.raises(InvalidInput, match="nothing of bundles"):
        undo(context, recorded.id)
    with pytest.raises(InvalidInput, match="nothing to undo"):
        undo(context)


def test_a_committed_bundle_is_gone_only_by_force(context: Context) -> None:
    made = bundles.write(context, 1, Birth("a"))
    change = newest(context)
    bundles.commit(context, [find.resolve(context, "a")])
    for attempt in (plan, undo):
        with pytest.raises(Conflict, match="1 committed would be removed: a ") as caught:
            attempt(context, change)
        assert "--force" in caught.value.hint
    assert context.catalog.get(made.uuid) is not None
    undo(context, change, force=True)
    assert context.catalog.get(made.uuid) is None


def purge(context: Context) -> None:
    """Take away all bytes of the store, and of its trash."""
    for name in ("objects", "packs", "trash"):
        for path in (context.home.root / "store" / name).rglob("*"):
            if path.is_file():
                path.unlink()


def trash(context: Context) -> None:
    """Move all bytes of the store to its trash, as collection does."""
    store = context.home.root / "store"
    for name in ("objects", "packs"):
        (store / "trash").mkdir(exist_ok=True)
        if (store / name).is_dir():
            (store / name).rename(store / "trash" / name)
            (store / name).mkdir()


LARGE = {f"f{number:03}": b"%d" % number for number in range(300)}


@pytest.mark.parametrize(
    "what", ["a value in a pack", "a file of its own", "a tree of objects", "a manifest of its own"]
)
def test_what_was_purged_does_not_come_back_and_what_is_in_the_trash_does(context: Context, what: str) -> None:
    if what == "a value in a pack":
        bundles.write(context, np.arange(20), Birth("a"))
    elif what == "a file of its own":
        Path("large.bin").write_bytes(b"x" * 100_000)
        add.add(context, "a", ["large.bin"])
    elif what == "a tree of objects":
        Path("many").mkdir()
        for name, data in LARGE.items():
            Path("many", name).write_bytes(data)
        add.add(context, "a", ["many"])
    else:
        bundles.write(context, 1, Birth("a", params={"long": "p" * 40_000}))
    bundles.remove(context, context.catalog.versions("a"))
    before = seen(context)
    context.home.store.close()
    trash(context)
    fresh = Home(context.home.root).context("demo")
    kept = shutil.copytree(context.home.root, context.home.root.with_name("kept"))
    undo(fresh)
    assert len(seen(fresh)) == 1
    Home(kept).ensure()
    gone = Home(kept).context("demo")
    purge(gone)
    for attempt in (plan, undo):
        with pytest.raises(ObjectNotFound, match=r"bytes of (a|\(unnamed\)) [0-9a-f]{8} were purged"):
            attempt(gone)
    assert seen(gone) == before


def test_what_needs_no_bytes_comes_back_from_a_store_that_is_empty(context: Context) -> None:
    bundles.write(context, {"n": 1}, Birth("a"))
    bundles.remove(context, context.catalog.versions("a"))
    purge(context)
    undo(context)
    assert bundles.value(context, find.resolve(context, "a").uuid) == {"n": 1}


def test_two_who_undo_at_once_undo_two_changes(home: Path) -> None:
    """Neither undoes what the other undid already."""
    context = contexts.create(Home(home), "demo")
    for number in range(12):
        bundles.write(context, number, Birth("a"))
    ready, failed = Barrier(4), []

    def work() -> None:
        of = Home(home).context("demo")
        ready.wait()
        for _ in range(3):
            try:
                undo(of)
            except Exception as exc:  # noqa: BLE001 - told below
                failed.append(exc)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert context.catalog.counts().bundles == 0
    undone = [each.undoes for each in log(context, kinds=["undo"])]
    assert len(undone) == len(set(undone)) == 12


def test_the_past_cannot_be_undone(old: Context) -> None:
    then = old.as_of(old.home.clock_us())
    for change in (undo, lambda c: bundles.write(c, 1, Birth("a")), lambda c: c.catalog.reindex()):
        with pytest.raises(InvalidInput, match="nothing can be changed in the past"):
            change(then)
