"""Collection takes what nobody needs, says why, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.context import Context, Home
from disdat.core import event
from disdat.core.digest import Digest
from disdat.core.reach import Fate, Tally, Verdict
from disdat.durable import Disk
from disdat.errors import Corrupt, ObjectNotFound, PermissionDenied, UnknownFormat
from disdat.ops import add, bundles, contexts, find, gc, maintain, runs, why
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.gc import ObjectPlan, Policy, Step
from disdat.store.locks import FileLock
from disdat.store.packs import PackReader
from tests.conftest import NOBODY, unprivileged

DAY_US = 86_400_000_000
NOW = Policy(0, 0)
APPLY = frozenset({Step.APPLY})
PURGE = frozenset({Step.PURGE})
BOTH = APPLY | PURGE


class Clock:
    """The time, in days that a test lets pass."""

    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def pass_days(self, days: float) -> None:
        self.us += round(days * DAY_US)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(home: Path, clock: Clock) -> Context:
    return contexts.create(Home(home, clock_us=clock), "demo")


def array(number: int) -> np.ndarray:
    """A value that is one object with a file of its own."""
    return np.arange(20_000) + number


def small(number: int) -> np.ndarray:
    """A value that is one object in a pack."""
    return np.arange(200) + number


def objects(home: Home) -> set[Digest]:
    return set(home.store.iter_digests())


def remove(context: Context, name: str) -> None:
    bundles.remove(context, context.catalog.versions(name), force=True)


def plan_of_each(home: Home, policy: Policy) -> dict[Digest, ObjectPlan]:
    found: dict[Digest, ObjectPlan] = {}
    gc.plan(home, policy, each=lambda one: found.update({one.digest: one}))
    return found


def times(root: Path) -> dict[Path, int]:
    """When everything in a home was last modified, but for what is only a cache."""
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if "state.db" not in str(path)}


def check(context: Context) -> None:
    """All bundles are whole, for a process that knows nothing."""
    assert maintain.verify(Home(context.home.root).context(context.name)).findings == ()


def test_a_plan_changes_nothing_and_says_why(context: Context, clock: Clock) -> None:
    kept = bundles.write(context, {"large": array(1), "small": small(1)}, Birth("kept"))
    gone = bundles.write(context, {"large": array(2), "small": small(2)}, Birth("gone"))
    remove(context, "gone")
    before = sorted(
        (path, path.stat().st_mtime_ns) for path in context.home.root.rglob("*") if "state.db" not in str(path)
    )
    clock.pass_days(2)
    found = plan_of_each(context.home, Policy(DAY_US, 0))
    after = sorted(
        (path, path.stat().st_mtime_ns) for path in context.home.root.rglob("*") if "state.db" not in str(path)
    )
    assert before == after
    assert found.keys() == objects(context.home)
    for one in found.values():
        assert one.owner is not None
        assert (one.owner.uuid, one.needed) in {(kept.uuid, True), (gone.uuid, False)}
        assert one.fate is (Fate.KEPT if one.needed else Fate.TRASHED)
    assert sorted(one.needed for one in found.values()) == [False, False, True, True]


def test_what_was_removed_is_kept_for_the_retention(context: Context, clock: Clock) -> None:
    bundles.write(context, array(1), Birth("gone"))
    remove(context, "gone")
    clock.pass_days(29)
    plan = gc.plan(context.home, Policy(30 * DAY_US, 0))
    assert (plan.garbage.count, plan.history) == (0, 1)
    clock.pass_days(2)
    plan = gc.plan(context.home, Policy(30 * DAY_US, 0))
    assert (plan.garbage.count, plan.history) == (1, 0)


def test_what_goes_lies_in_the_trash_for_the_grace(context: Context, clock: Clock) -> None:
    policy = Policy(0, 7 * DAY_US)
    bundles.write(context, {"large": array(1), "small": small(1)}, Birth("gone"))
    digests = objects(context.home)
    remove(context, "gone")
    gc.collect(context.home, policy, APPLY)
    assert objects(context.home) == set()
    clock.pass_days(6)
    done = gc.collect(context.home, policy, PURGE)
    assert done.purged is not None
    assert done.purged.count == 0
    assert {len(context.home.store.read(digest)) for digest in digests} != {0}, "what is read is taken back"
    gc.collect(context.home, policy, APPLY)
    clock.pass_days(6)
    assert gc.collect(context.home, policy, PURGE).plan.trashed(Verdict.WAITS).count == 2, "the grace began anew"
    clock.pass_days(2)
    done = gc.collect(context.home, policy, PURGE)
    assert done.purged is not None
    assert done.purged.count == 2
    assert not list((context.home.root / "store" / "trash").glob("gc-*")), "a note of what is gone stays"
    for digest in digests:
        with pytest.raises(ObjectNotFound):
            context.home.store.read(digest)


def test_a_removal_that_is_undone_takes_back_what_was_trashed(context: Context, clock: Clock) -> None:
    made = bundles.write(context, {"large": array(1), "small": small(1)}, Birth("back"))
    remove(context, "back")
    gc.collect(context.home, NOW, APPLY)
    clock.pass_days(100)
    last = list(context.catalog.events())[-1]
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(last.id,))])
    done = gc.collect(context.home, NOW, PURGE)
    assert done.taken_back == 2
    value = bundles.value(context, made.uuid)
    assert isinstance(value, dict)
    assert np.array_equal(value["large"], array(1))
    check(context)


def test_an_undone_bundle_is_kept_for_the_retention_of_the_undo(context: Context, clock: Clock) -> None:
    bundles.write(context, array(1), Birth("undone"))
    clock.pass_days(100)
    added = [each for each in context.catalog.events() if each.kind == event.ADD]
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(added[0].id,))])
    clock.pass_days(29)
    assert gc.plan(context.home, Policy(30 * DAY_US, 0)).garbage.count == 0
    clock.pass_days(2)
    plan = gc.plan(context.home, Policy(30 * DAY_US, 0))
    assert plan.garbage.count == 1
    assert plan.reasons[0][0] is not None


def test_bytes_that_another_context_needs_stay(context: Context) -> None:
    other = contexts.create(context.home, "other")
    bundles.write(context, array(1), Birth("gone"))
    kept = bundles.write(other, array(1), Birth("kept"))
    remove(context, "gone")
    assert gc.collect(context.home, NOW, BOTH).plan.garbage.count == 0
    assert np.array_equal(np.asarray(bundles.value(other, kept.uuid)), array(1))


def test_a_deleted_context_counts_until_it_lay_in_the_trash_for_the_grace(context: Context, clock: Clock) -> None:
    policy = Policy(0, 7 * DAY_US)
    bundles.write(context, array(1), Birth("kept"))
    contexts.create(context.home, "other")
    place = contexts.delete(context.home, "demo")
    clock.pass_days(6)
    assert gc.collect(context.home, policy, BOTH).plan.garbage.count == 0
    assert place.is_dir()
    clock.pass_days(1)
    done = gc.collect(context.home, policy, BOTH)
    assert done.plan.garbage.count == 1
    assert not place.exists()
    assert objects(context.home) == set()
    clock.pass_days(7)
    gc.collect(context.home, policy, PURGE)
    assert [path for path in (context.home.root / "store" / "trash").rglob("*") if path.is_file()] == []


def test_a_deleted_context_is_not_purged_where_another_is_not_understood(context: Context) -> None:
    contexts.create(context.home, "later").catalog.commit([event.Draft("teleport", {})])
    place = contexts.delete(context.home, "demo")
    with pytest.raises(UnknownFormat):
        gc.collect(context.home, NOW, BOTH)
    assert place.is_dir()


def test_a_deleted_context_whose_log_is_damaged_can_be_purged(context: Context) -> None:
    bundles.write(context, array(1), Birth("gone"))
    bundles.write(context, array(2), Birth("gone"))
    damaged_log(context)
    place = contexts.delete(context.home, "demo")
    home = Home(context.home.root)
    with pytest.raises(Corrupt):
        gc.collect(home, NOW, APPLY)
    gc.collect(home, NOW, BOTH)
    assert not place.exists()
    assert objects(home) == set()


def test_a_purge_that_was_cut_off_in_a_directory_goes_on(context: Context) -> None:
    place = contexts.delete(context.home, "demo")
    going = place.with_name("going-1")
    place.rename(going)
    (going / "log" / "00000001.log").unlink(missing_ok=True)
    gc.collect(context.home, NOW, PURGE)
    assert not going.exists()


def test_a_read_only_directory_in_the_trash_is_purged(context: Context) -> None:
    bundles.write(context, array(1), Birth("gone"))
    place = contexts.delete(context.home, "demo")
    inner = place / "objects" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    for directory in (inner, inner.parent, place):
        directory.chmod(0o555)
    give_to_nobody(context.home.root)
    with unprivileged():
        home = Home(context.home.root)
        done = gc.collect(home, NOW, BOTH)
        assert done.left == ()
        assert not list((home.root / "store" / "trash").glob("*-*"))
        assert objects(home) == set()


def test_a_directory_that_cannot_be_deleted_is_told_and_the_rest_goes(context: Context) -> None:
    bundles.write(context, array(1), Birth("gone"))
    place = contexts.delete(context.home, "demo")
    give_to_nobody(context.home.root)
    inner = place / "objects" / "a" / "b"
    inner.mkdir(parents=True)  # of another user, unless the test's is not root
    inner.parent.chmod(0o555)
    if os.geteuid():
        pytest.skip("needs files of two users")
    with unprivileged():
        home = Home(context.home.root)
        done = gc.collect(home, NOW, BOTH)
        assert [left.kind for left in done.left] == ["directory"]
        assert objects(home) == set()
    assert gc.collect(context.home, NOW, PURGE).left == ()
    assert not list((context.home.root / "store" / "trash").glob("*-*"))


def give_to_nobody(root: Path) -> None:
    """Let a home belong to the user that :func:`unprivileged` makes us."""
    if os.geteuid() == 0:
        for path in [root, *root.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        for path in root.parents:
            if path != Path("/") and path.stat().st_uid == 0:
                path.chmod(path.stat().st_mode | 0o111)


def test_names_that_others_left_are_passed_over(context: Context) -> None:
    bundles.write(context, array(1), Birth("kept"))
    bundles.write(context, array(2), Birth("gone"))
    remove(context, "gone")
    gc.collect(context.home, NOW, APPLY)
    store = context.home.root / "store"
    [shard] = {path.parent for path in (store / "objects" / "blake3").glob("*/*")}
    [trashed] = (store / "trash" / "objects" / "blake3").iterdir()
    strays = [shard / ".DS_Store", shard.parent / "xy", trashed / ".nfs0001", store / "trash" / "context-mine"]
    strays.append(shard / ("0" * 63))
    for path in strays:
        path.write_text("")
    assert gc.collect(Home(context.home.root), NOW, BOTH).purged is not None
    assert [path for path in trashed.iterdir() if path not in strays] == []
    assert all(path.exists() for path in strays)
    check(context)


def test_what_is_in_a_pack_written_since_the_store_was_looked_at_stays() -> None:
    assert gc.fate_in({1: Tally(dead=1, dead_bytes=1)}, 2) is Fate.KEPT
    assert gc.fate_in({1: Tally(dead=1, dead_bytes=1)}, 1) is Fate.TRASHED


def test_a_deleted_context_moved_back_is_whole(context: Context) -> None:
    made = bundles.write(context, array(1), Birth("kept"))
    place = contexts.delete(context.home, "demo")
    gc.collect(context.home, Policy(0, DAY_US), BOTH)
    place.rename(context.directory)
    again = Home(context.home.root).context("demo")
    assert np.array_equal(np.asarray(bundles.value(again, made.uuid)), array(1))
    check(again)


def test_a_stored_tree_is_needed_as_a_whole(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(300):
        path = source / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    add.add(context, "tree", [source])
    (source / "d0" / "f0").write_text("changed")
    add.add(context, "tree", [source])
    before = objects(context.home)
    assert gc.collect(context.home, NOW, BOTH).plan.garbage.count == 0
    assert objects(context.home) == before
    bundles.remove(context, [find.resolve(context, "tree@-1")])
    plan = gc.collect(context.home, NOW, BOTH).plan
    assert plan.garbage.count == 3  # the file, its directory and the root
    assert plan.staying.count == 3, "most of the pack they are in is needed"
    check(context)


def test_a_pack_of_which_little_is_needed_is_written_anew(context: Context) -> None:
    made = bundles.write_many(context, [(small(number), Birth(f"n{number}")) for number in range(10)])
    for number in range(7):
        remove(context, f"n{number}")
    done = gc.collect(context.home, NOW, BOTH)
    assert done.plan.rewritten.count == 1
    [pack] = (context.home.root / "store" / "packs").iterdir()
    with PackReader(pack) as reader:
        assert len(reader.contents) == 3
    for number in range(7, 10):
        assert np.array_equal(np.asarray(bundles.value(context, made[number].uuid)), small(number))
    check(context)
    assert gc.plan(context.home, NOW).nothing


def test_a_pack_with_damage_in_what_is_needed_stays_as_it_is(context: Context) -> None:
    made = bundles.write_many(context, [(small(number), Birth(f"n{number}")) for number in range(10)])
    for number in range(9):
        remove(context, f"n{number}")
    [pack] = (context.home.root / "store" / "packs").iterdir()
    [digest] = [frame.digest for frame in made[9].frames if frame.digest]
    with PackReader(pack) as reader:
        [entry] = [entry for entry in reader.contents if entry.digest == digest]
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[entry.offset + 5] ^= 1
    pack.write_bytes(data)
    done = gc.collect(context.home, NOW, BOTH)
    assert [left.name for left in done.left] == [pack.stem]
    assert pack.exists()


def test_a_pack_whose_index_is_damaged_stays(context: Context) -> None:
    bundles.write(context, small(1), Birth("gone"))
    remove(context, "gone")
    [pack] = (context.home.root / "store" / "packs").iterdir()
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:-3])
    for path in (context.home.root / "store").glob("state.db*"):
        path.unlink()
    home = Home(context.home.root)
    done = gc.collect(home, NOW, BOTH)
    assert [left.name for left in done.plan.left] == [pack.stem]
    assert pack.exists()


def test_a_pack_that_holds_more_than_the_index_says_stays(context: Context) -> None:
    """``state.db`` is a cache: nothing is removed on its word alone."""
    [kept, _] = bundles.write_many(context, [(small(1), Birth("kept")), (small(2), Birth("gone"))])
    remove(context, "gone")
    [digest] = [frame.digest for frame in kept.frames if frame.digest]
    store = context.home.store
    store._state.change(("DELETE FROM packed WHERE digest = ?", [(digest.raw,)]))
    done = gc.collect(context.home, NOW, BOTH)
    assert [left.why for left in done.left] == ["it holds more than was known of it"]
    assert np.array_equal(np.asarray(bundles.value(context, kept.uuid)), small(1))
    check(context)


def test_a_trashed_pack_is_not_purged_on_the_word_of_the_index_alone(context: Context) -> None:
    bundles.write_many(context, [(small(number), Birth(f"n{number}")) for number in range(10)])
    for number in range(7):
        remove(context, f"n{number}")
    gc.collect(context.home, NOW, APPLY)
    [new] = (context.home.root / "store" / "packs").iterdir()
    new.chmod(0o644)
    new.write_bytes(new.read_bytes()[:-3])  # as a disk might; state.db does not notice
    gc.collect(context.home, NOW, PURGE)
    for number in range(7, 10):
        row = find.resolve(context, f"n{number}")
        assert np.array_equal(np.asarray(bundles.value(context, row.uuid)), small(number))


@pytest.mark.parametrize("steps", [[BOTH], [APPLY, PURGE]], ids=["at once", "one after the other"])
def test_nothing_is_deleted_on_the_word_of_a_catalog_alone(context: Context, steps: list[frozenset[Step]]) -> None:
    made = bundles.write(context, {"large": array(1), "small": small(1)}, Birth("kept"))
    context.catalog.close()
    with closing(sqlite3.connect(context.directory / "catalog.db")) as database, database:
        database.execute("UPDATE objects SET digest = randomblob(32)")
    for each in steps:
        gc.collect(Home(context.home.root), NOW, each)
    value = bundles.value(context, made.uuid)
    assert isinstance(value, dict)
    assert np.array_equal(value["large"], array(1))
    assert np.array_equal(value["small"], small(1))


def test_nothing_is_deleted_where_the_log_lost_what_a_catalog_saw(context: Context) -> None:
    bundles.write(context, array(1), Birth("kept"))
    before = objects(context.home)
    context.catalog.close()
    [log] = (context.directory / "log").glob("*.log")
    data = bytearray(log.read_bytes())
    data[-1] ^= 1
    log.write_bytes(data)
    with pytest.raises(Corrupt):
        gc.collect(Home(context.home.root), NOW, BOTH)
    assert objects(context.home) == before


def trashed_pack(context: Context, data: Callable[[bytes], bytes]) -> tuple[Path, bytes]:
    """A pack in the trash that a bundle needs, changed, and what it was."""
    bundles.write(context, small(1), Birth("kept"))
    [pack] = (context.home.root / "store" / "packs").iterdir()
    place = context.home.root / "store" / "trash" / "packs" / pack.name
    place.parent.mkdir(parents=True)
    whole = pack.read_bytes()
    pack.rename(place)
    place.chmod(0o644)
    place.write_bytes(data(whole))
    return place, whole


def test_a_trashed_pack_that_cannot_be_read_stays_while_something_is_missing(context: Context) -> None:
    place, whole = trashed_pack(context, lambda data: data[:-3])
    done = gc.collect(Home(context.home.root), NOW, BOTH)
    assert done.plan.missing == 1
    place.write_bytes(whole)
    assert gc.collect(Home(context.home.root), NOW, BOTH).taken_back == 1
    check(context)


def test_a_trashed_pack_that_cannot_be_read_goes_where_nothing_is_missing(context: Context) -> None:
    place, _ = trashed_pack(context, lambda data: data[:-3])
    bundles.write(context, small(1), Birth("kept"))
    gc.collect(Home(context.home.root), NOW, BOTH)
    assert not place.exists()
    check(context)


def test_a_trashed_pack_of_a_later_version_stops_collection(context: Context) -> None:
    place, _ = trashed_pack(context, lambda data: data.replace(b"DSDTPAK1", b"DSDTPAK2"))
    with pytest.raises(UnknownFormat):
        gc.collect(Home(context.home.root), NOW, BOTH)
    assert place.exists()


def test_what_cut_off_writers_left_goes_and_what_is_being_written_stays(context: Context) -> None:
    gone = bundles.write(context, array(1), Birth("gone"))
    bundles.value(context, gone.uuid)
    staged = context.home.root / "store" / "staging" / "left"
    staged.write_bytes(b"half")
    orphan = context.objects / "00000000-0000-4000-8000-000000000000"
    (orphan / "sub").mkdir(parents=True)
    (orphan / "sub" / "file").write_bytes(b"half")
    foreign = context.objects / "notes of mine"
    foreign.mkdir()
    open_one = BundleWriter(context)
    open_one.file("file").write_bytes(b"being written")
    plan = gc.plan(context.home, NOW)
    assert [each.path for each in plan.orphans] == [orphan]
    assert [each.uuid for each in plan.open] == [open_one.uuid]
    assert plan.staged.count == 1
    gc.collect(context.home, NOW, BOTH)
    assert not staged.exists()
    assert not orphan.exists()
    assert foreign.is_dir()
    made = open_one.close(str(open_one.path / "file"), Birth("closed"))
    assert Path(str(bundles.value(context, made.uuid))).read_bytes() == b"being written"
    gc.collect(context.home, NOW, BOTH)
    assert Path(str(bundles.value(context, made.uuid))).read_bytes() == b"being written"


def test_the_directory_of_a_removed_bundle_lies_in_the_trash_for_the_grace(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"content")
    made = add.add(context, "gone", [source])
    place = Path(str(bundles.value(context, made.uuid)))
    remove(context, "gone")
    gc.collect(context.home, Policy(0, DAY_US), APPLY)
    assert not place.exists()
    [directory] = (context.home.root / "store" / "trash" / "bundles").iterdir()
    assert [path.read_bytes() for path in directory.iterdir()] == [b"content"]
    gc.collect(context.home, Policy(0, 0), PURGE)
    assert not directory.exists()


def test_the_package_set_of_a_run_is_kept_before_any_bundle_of_the_run_is_there(context: Context) -> None:
    run = runs.of_pipeline(context)
    runs.record(context, run)
    gc.collect(context.home, NOW, BOTH)
    assert run.packages is not None
    assert context.home.store.has(run.packages)
    found = why.why(context.home, run.packages, NOW)
    assert found.way is not None
    assert found.way.owner.is_run


def unknown_event(context: Context) -> None:
    context.catalog.commit([event.Draft("teleport", {})])


def unknown_feature(context: Context) -> None:
    marker = context.home.root / "format"
    marker.write_bytes(marker.read_bytes().replace(b'"writers":[]', b'"writers":["later"]'))


def unknown_note(context: Context) -> None:
    trash = context.home.root / "store" / "trash"
    trash.mkdir()
    (trash / f"gc-{event.ulid(1)}.json").write_bytes(b'{"format":2,"time":1}')


def unknown_context(context: Context) -> None:
    path = context.directory / "context.json"
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))


def damaged_log(context: Context) -> None:
    path = context.directory / "log" / "00000001.log"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    for catalog in context.directory.glob("catalog*"):
        catalog.unlink()


@pytest.mark.parametrize(
    "spoil", [unknown_event, unknown_feature, unknown_note, unknown_context, damaged_log], ids=lambda f: f.__name__
)
def test_what_is_not_understood_is_not_collected(context: Context, spoil: Callable[[Context], None]) -> None:
    bundles.write(context, array(1), Birth("gone"))
    remove(context, "gone")
    spoil(context)
    before = sorted((context.home.root / "store").rglob("*/*"))
    with pytest.raises(Corrupt):
        gc.collect(Home(context.home.root), NOW, BOTH)
    assert sorted((context.home.root / "store").rglob("*/*")) == before


def test_a_context_that_lost_its_settings_still_counts(context: Context) -> None:
    bundles.write(context, array(1), Birth("kept"))
    (context.directory / "context.json").unlink()
    home = Home(context.home.root)
    assert gc.collect(home, NOW, BOTH).plan.garbage.count == 0


@pytest.mark.parametrize("unseen", ["a link to nothing", "an empty directory", "a log that is a link to nothing"])
def test_nothing_is_collected_while_a_context_cannot_be_seen(context: Context, tmp_path: Path, unseen: str) -> None:
    other = contexts.create(context.home, "other")
    made = bundles.write(other, array(1), Birth("kept"))
    aside = tmp_path / "aside"
    place = other.directory / "log" if "log" in unseen else other.directory
    place.rename(aside)
    if "link" in unseen:
        place.symlink_to(tmp_path / "not mounted")
    else:
        place.mkdir()
    before = objects(context.home)
    with pytest.raises(Corrupt, match="nothing is collected"):
        gc.collect(Home(context.home.root), NOW, BOTH)
    assert objects(context.home) == before
    place.unlink() if place.is_symlink() else place.rmdir()
    place.symlink_to(aside)
    assert gc.collect(Home(context.home.root), NOW, BOTH).plan.garbage.count == 0
    again = Home(context.home.root).context("other")
    assert np.array_equal(np.asarray(bundles.value(again, made.uuid)), array(1))


def test_a_context_that_was_being_created_is_none(context: Context) -> None:
    for part in ("log", "objects"):
        (context.home.root / "context" / "unfinished" / part).mkdir(parents=True)
    (context.home.root / "context" / "unfinished" / ".new-1").write_text("")
    (context.home.root / "context" / "notes.txt").write_text("somebody's")
    assert gc.plan(context.home, NOW).contexts == ("demo",)


def test_a_home_that_cannot_be_written_can_be_planned_for(context: Context) -> None:
    bundles.write(context, {"large": array(1), "small": small(1)}, Birth("gone"))
    remove(context, "gone")
    context.home.store.close()
    context.catalog.close()
    for path in [context.home.root, *context.home.root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in context.home.root.parents:
        if path != Path("/") and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o111)
    worker = multiprocessing.get_context("fork").Process(target=_look_as_another, args=(context.home.root,))
    worker.start()
    worker.join()
    for path in [context.home.root, *context.home.root.rglob("*")]:
        path.chmod(0o755)
    assert worker.exitcode == 0


def _look_as_another(root: Path) -> None:
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    assert gc.plan(Home(root), NOW).garbage.count == 2
    with pytest.raises(PermissionDenied):
        gc.collect(Home(root), NOW, BOTH)


def test_an_empty_home_has_nothing_to_collect(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert gc.plan(home, NOW).nothing
    assert not home.root.exists()
    assert gc.collect(home, NOW, BOTH).plan.nothing


def test_the_shortest_way_to_an_object_is_shown(context: Context, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(300):
        path = source / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    tree = add.add(context, "tree", [source])
    [digest] = [digest for digest in objects(context.home) if context.home.store.read(digest) == b"17"]
    found = why.why(context.home, digest, NOW)
    assert found.way is not None
    assert (found.way.owner.uuid, found.way.path, len(found.way.nodes)) == (tree.uuid, "d2/f17", 2)
    alone = tmp_path / "alone"
    alone.write_text("17")
    direct = add.add(context, "direct", [alone])
    found = why.why(context.home, digest.hex, NOW)
    assert found.way is not None
    assert (found.way.owner.uuid, found.way.path, found.way.nodes) == (direct.uuid, "alone", ())
    remove(context, "direct")
    remove(context, "tree")
    found = why.why(context.home, digest, Policy(DAY_US, 0))
    assert found.way is not None
    assert found.way.owner.gone_us is not None
    found = why.why(context.home, digest, NOW)
    assert (found.way, found.fate) == (None, Fate.TRASHED)
    assert found.last is not None
    gc.collect(context.home, NOW, APPLY)
    found = why.why(context.home, digest, Policy(0, DAY_US))
    assert found.fate is None
    assert found.trashed is not None
    assert found.trashed.verdict is Verdict.WAITS
    gc.collect(context.home, NOW, PURGE)
    with pytest.raises(ObjectNotFound):
        why.why(context.home, digest, NOW)


def test_who_holds_a_contexts_lock_does_not_wait_for_the_store(context: Context) -> None:
    """A catalog that is made again reads manifests of bundles that went long ago, while collection waits for it."""
    bundles.write(context, 1, Birth("gone", params={"long": "p" * 40_000}))
    remove(context, "gone")
    bundles.write(context, 2, Birth("kept", params={"long": "q" * 40_000}))
    gc.collect(context.home, NOW, BOTH)
    alone = FileLock(context.home.root / "store" / "lock", disk=Disk())
    alone.acquire_exclusive()
    try:
        again = threading.Thread(target=context.catalog.reindex, daemon=True)
        again.start()
        again.join(20)
        assert not again.is_alive()
    finally:
        alone.release()
    assert context.catalog.names() == ["kept"]


def test_a_manifest_that_is_an_object_is_stored_before_the_contexts_lock_is_taken(context: Context) -> None:
    alone = FileLock(context.home.root / "store" / "lock", disk=Disk())
    bundles.write(context, small(1), Birth("before"))
    alone.acquire_exclusive()
    writing = threading.Thread(
        target=lambda: bundles.write(context, 1, Birth("new", params={"long": "p" * 40_000})), daemon=True
    )
    writing.start()
    try:
        for _ in range(20):
            other = Home(context.home.root).context("demo")
            for path in context.directory.glob("catalog*"):
                path.unlink()
            assert other.catalog.names() == ["before"], "the context can be asked meanwhile"
    finally:
        alone.release()
    writing.join(20)
    assert context.catalog.names() == ["before", "new"]


def _write(context: Context, name: str, contents: tuple[int, ...]) -> None:
    bundles.write(context, [array(n) if n % 2 else small(n) for n in contents], Birth(name))


STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from("abc"), st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple)),
    st.tuples(st.just("remove"), st.sampled_from("abc")),
    st.tuples(st.just("undo"), st.integers(0, 3)),
    st.tuples(st.just("apply"), st.booleans()),
    st.tuples(st.just("purge"), st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=12))
def test_after_a_collection_exactly_what_is_needed_is_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    clock = Clock()
    context = contexts.create(Home(tmp_path_factory.mktemp("home") / "home", clock_us=clock), "demo")
    for what, *given_ in steps:
        clock.pass_days(1)
        if what == "write":
            _write(context, *given_)  # type: ignore[arg-type]
        elif what == "remove":
            remove(context, str(given_[0]))
        elif what == "undo":
            undo(context, int(str(given_[0])))
        else:
            policy = Policy(3 * DAY_US if given_[0] else 0, 2 * DAY_US if given_[0] else 0)
            gc.collect(context.home, policy, APPLY if what == "apply" else PURGE)
            check(context)
    gc.collect(context.home, NOW, BOTH)
    rows = [row for name in context.catalog.names() for row in context.catalog.versions(name)]
    found = context.catalog.bundles([row.uuid for row in rows])
    needed = {frame.digest for bundle in found.values() for frame in bundle.frames if frame.digest}
    there = {digest for digest, _ in context.home.store._loose.digests()}
    assert there == {digest for digest in needed if context.home.store.size_bytes(digest) > 65_536}
    for path in context.home.store.pack_paths():
        with PackReader(path) as reader:
            live = sum(entry.length for entry in reader.contents if entry.digest in needed)
            assert live * 2 >= sum(entry.length for entry in reader.contents)
    assert needed <= objects(context.home)
    check(context)


def undo(context: Context, back: int) -> None:
    """Undo one of the last removals, unless what it would bring back was purged."""
    removals = [each for each in context.catalog.events() if each.kind == event.REMOVE]
    if back >= len(removals):
        return
    removal = removals[-1 - back]
    store = context.home.store
    adds = [
        each
        for each in context.catalog.events()
        if each.kind == event.ADD and set(each.subjects) & set(removal.subjects)
    ]
    for each in adds:
        body = each.payload["body"]
        assert isinstance(body, dict)
        for frame in body["frames"]:
            digest = frame.get("digest")
            if digest and not store.has(Digest(digest)) and store.find_in_trash(Digest(digest)) is None:
                return
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(removal.id,))])
