"""Renaming, copying and moving bundles, and forking contexts: events, no bytes, and nothing of a bundle lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog.log import Log
from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.core.bundle import Lineage
from disdat.core.event import Event
from disdat.errors import (
    AlreadyExists,
    BadName,
    BundleNotFound,
    ContextNotFound,
    InvalidInput,
    ObjectNotFound,
    PermissionDenied,
    StorageError,
)
from disdat.ops import bundles, contexts, find, fork, gc, lineage, maintain, moves, undo
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from tests.catalog.contexts import dump
from tests.conftest import unprivileged

AT_ONCE = Policy(0, 0)


@pytest.fixture
def one(home: Path) -> Context:
    return contexts.create(Home(home), "one")


@pytest.fixture
def two(one: Context) -> Context:
    return contexts.create(one.home, "two")


def bytes_of(root: Path) -> dict[Path, int]:
    """Every file of the store that holds bytes of bundles."""
    return {path: path.stat().st_size for part in ("objects", "packs") for path in (root / "store" / part).rglob("*")}


def said(context: Context, uuid: str) -> tuple[object, ...]:
    """All that a context says of a bundle, and its value."""
    row = find.by_uuid(context, uuid)
    value = bundles.value(context, uuid)
    content = value.tolist() if isinstance(value, np.ndarray) else value
    return row.name, row.tags, row.committed, row.manifest, row.created_us, row.params, content


def names(context: Context) -> list[str]:
    return [row.name for row in find.search(context, find.Filter())]


def collect(home: Home) -> None:
    gc.collect(home, AT_ONCE, frozenset({Step.APPLY, Step.PURGE}))


def test_a_renamed_bundle_keeps_its_place_in_time(one: Context):
    first = bundles.write(one, 1, Birth("a"))
    bundles.write(one, 2, Birth("b"))
    [row] = moves.rename(one, moves.chosen(one, ["a"]), "b")
    assert row.uuid == first.uuid
    assert [bundles.value(one, each.uuid) for each in one.catalog.versions("b")] == [2, 1]
    assert one.catalog.latest("a") is None
    assert moves.rename(one, one.catalog.versions("b"), "b") == []


def test_every_version_of_a_name_is_renamed_in_one_change(one: Context):
    for number in range(3):
        bundles.write(one, number, Birth("a"))
    before = one.catalog.check_log()
    moves.rename(one, moves.versions(one, ["a"]), "new")
    assert one.catalog.check_log() == before + 3
    assert [bundles.value(one, row.uuid) for row in one.catalog.versions("new")] == [2, 1, 0]


@pytest.mark.parametrize(("name", "error"), [("", InvalidInput), ("x@-1", BadName), ("\udc80", InvalidInput)])
def test_what_cannot_be_a_name_changes_nothing(one: Context, name: str, error: type[Exception]):
    bundles.write(one, 1, Birth("a"))
    with pytest.raises(error):
        moves.rename(one, moves.chosen(one, ["a"]), name)
    assert names(one) == ["a"]


def _everything(context: Context) -> str:
    """Make a bundle of which everything is said; its uuid."""
    source = bundles.write(context, 1, Birth("source"))
    inputs = Lineage(inputs=(bundles.dependency("source", source),))
    value, params = np.arange(30_000), {"p": "q" * 40_000}  # its manifest is an object
    made = bundles.write(context, value, Birth("made", tags={"a": "1", "b": "2"}, params=params, lineage=inputs))
    row = find.by_uuid(context, made.uuid)
    bundles.tag(context, row, set_to={"b": "3", "c": "4"}, unset=["a"])
    bundles.commit(context, [row])
    moves.rename(context, [row], "called")
    return made.uuid


def test_a_copy_is_the_same_bundle_and_no_byte_is_written(one: Context, two: Context):
    uuid = _everything(one)
    before = bytes_of(one.home.root)
    taken = moves.copy(one, two, [find.by_uuid(one, uuid)])
    assert [row.uuid for row in taken.new] == [uuid]
    assert bytes_of(one.home.root) == before
    assert said(two, uuid) == said(one, uuid)
    assert two.catalog.edges([uuid]) == one.catalog.edges([uuid])
    assert two.catalog.bundle(uuid) == one.catalog.bundle(uuid)


def test_a_copy_is_one_change_that_says_where_it_came_from(one: Context, two: Context):
    uuid = _everything(one)
    moves.copy(one, two, [find.by_uuid(one, uuid)])
    records = list(Log(two.directory / "log", disk=two.home.disk).records())
    assert len(records) == 1
    [add] = [each for each in two.catalog.events() if each.kind == "add"]
    assert add.payload["from"] == {"id": one.id, "name": "one"}


def test_lineage_reaches_inputs_that_are_there_and_names_those_that_are_not(one: Context, two: Context):
    uuid = _everything(one)
    moves.copy(one, two, [find.by_uuid(one, uuid)])
    found = lineage.lineage(two, uuid)
    assert [each.row is not None for each in found] == [True, False]
    moves.copy(one, two, moves.chosen(one, ["source"]))
    assert all(each.row for each in lineage.lineage(two, uuid))
    assert lineage.lineage(one, uuid)[1].step.uuid == lineage.lineage(two, uuid)[1].step.uuid


def test_the_run_that_made_a_bundle_goes_with_it_once(one: Context, two: Context):
    made = [bundles.write(one, number, Birth("a")) for number in range(2)]
    for each in made:
        moves.copy(one, two, [find.by_uuid(one, each.uuid)])
    assert [each.kind for each in two.catalog.events()].count("run") == 1
    run = made[0].lineage.run
    assert run is not None
    assert two.catalog.run(run.id) == one.catalog.run(run.id) is not None


def test_versions_keep_their_order(one: Context, two: Context):
    for number in range(5):
        bundles.write(one, number, Birth("a"))
    bundles.reaffirm(one, [one.catalog.versions("a")[-1].uuid])
    moves.copy(one, two, moves.versions(one, ["a"]))
    order = [row.uuid for row in one.catalog.versions("a")]
    assert [row.uuid for row in two.catalog.versions("a")] == order


def test_what_is_there_already_stays_as_it_is(one: Context, two: Context):
    uuid = _everything(one)
    row = find.by_uuid(one, uuid)
    moves.copy(one, two, [row])
    bundles.tag(two, find.by_uuid(two, uuid), set_to={"b": "theirs"})
    before = two.catalog.check_log()
    taken = moves.copy(one, two, [row])
    assert ([each.uuid for each in taken.there], taken.new) == ([uuid], ())
    assert two.catalog.check_log() == before
    assert find.by_uuid(two, uuid).tags["b"] == "theirs"


def test_a_bundle_that_was_there_once_comes_back_as_it_is_now(one: Context, two: Context):
    uuid = _everything(one)
    moves.copy(one, two, [find.by_uuid(one, uuid)])
    there = find.by_uuid(two, uuid)
    bundles.tag(two, there, set_to={"theirs": "x", "b": "theirs"})
    moves.rename(two, [there], "theirs")
    bundles.remove(two, [there], force=True)
    moves.copy(one, two, [find.by_uuid(one, uuid)])
    assert said(two, uuid) == said(one, uuid)
    before = dump(two.directory)
    two.catalog.reindex()
    assert dump(two.directory) == before


def test_a_moved_bundle_is_in_the_other_context_alone(one: Context, two: Context):
    uuid = _everything(one)
    before, of_bytes = said(one, uuid), bytes_of(one.home.root)
    moves.move(one, two, [find.by_uuid(one, uuid)])
    assert one.catalog.get(uuid) is None
    assert said(two, uuid) == before
    assert bytes_of(one.home.root) == of_bytes
    [gone] = [each for each in one.catalog.events() if each.kind == "remove"]
    assert gone.payload["to"] == {"id": two.id, "name": "two"}


def test_a_bundle_may_be_moved_to_and_fro(one: Context, two: Context):
    uuid = _everything(one)
    before = said(one, uuid)
    for _ in range(3):
        moves.move(one, two, [find.by_uuid(one, uuid)])
        moves.move(two, one, [find.by_uuid(two, uuid)])
    assert said(one, uuid) == before
    assert two.catalog.get(uuid) is None


def test_a_path_of_a_moved_bundle_is_valid_until_collection(one: Context, two: Context, tmp_path: Path):
    source = tmp_path / "large.bin"
    source.write_bytes(b"x" * 100_000)
    made = bundles.write(one, str(source), Birth("file"))
    path = Path(str(bundles.value(one, made.uuid)))
    moves.move(one, two, [find.by_uuid(one, made.uuid)])
    assert path.read_bytes() == source.read_bytes()
    collect(one.home)
    assert not path.exists()
    assert Path(str(bundles.value(two, made.uuid))).read_bytes() == source.read_bytes()
    assert maintain.verify(two).findings == ()


def test_collection_keeps_what_only_the_copy_needs(one: Context, two: Context):
    uuid = _everything(one)
    before = said(one, uuid)
    moves.copy(one, two, [find.by_uuid(one, uuid)])
    contexts.delete(one.home, "one")
    collect(two.home)
    assert said(two, uuid) == before
    assert maintain.verify(two).findings == ()


def test_a_move_that_was_interrupted_is_completed_by_moving_again(one: Context, two: Context):
    uuid = _everything(one)
    row = find.by_uuid(one, uuid)
    moves.copy(one, two, [row])
    taken = moves.move(one, two, [row])
    assert [each.uuid for each in taken.there] == [uuid]
    assert one.catalog.get(uuid) is None
    assert two.catalog.get(uuid) is not None


def test_the_plan_says_what_is_done(one: Context, two: Context):
    uuid = _everything(one)
    rows = one.catalog.rows([row.uuid for row in find.search(one, find.Filter())])
    moves.copy(one, two, [rows[uuid]])
    plan = moves.plan(one, list(rows.values()), "two")
    assert ([row.name for row in plan.new], [row.uuid for row in plan.there]) == (["source"], [uuid])
    assert moves.copy(one, two, list(rows.values())) == plan
    assert len(moves.plan(one, list(rows.values()), "nowhere").new) == 2


def test_what_was_removed_meanwhile_is_not_copied_in_part(one: Context, two: Context):
    first, second = (bundles.write(one, number, Birth("a")) for number in range(2))
    rows = [find.by_uuid(one, first.uuid), find.by_uuid(one, second.uuid)]
    bundles.remove(one, rows[:1])
    with pytest.raises(BundleNotFound):
        moves.move(one, two, rows)
    assert (names(one), names(two)) == (["a"], [])


@pytest.mark.parametrize("act", [moves.copy, moves.move])
def test_what_was_said_since_a_bundle_was_looked_up_goes_with_it(
    one: Context, two: Context, act: Callable[..., object]
):
    row = find.by_uuid(one, bundles.write(one, 1, Birth("a")).uuid)
    bundles.tag(one, row, set_to={"k": "v"})
    bundles.commit(one, [row])
    moves.rename(one, [row], "b")
    act(one, two, [row])
    there = find.by_uuid(two, row.uuid)
    assert (there.name, there.tags, there.committed) == ("b", {"k": "v"}, True)


def _once_after_copying(two: Context, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something be done by another process, once the copy is written and before the original is removed."""
    commit, to_do = two.catalog.commit, [act]

    def committed(*args: Any, **options: Any) -> list[Event]:
        made = commit(*args, **options)
        if to_do:
            to_do.pop()()
        return made

    monkeypatch.setattr(two.catalog, "commit", committed)


@pytest.mark.parametrize("was_there", [False, True], ids=["new", "there once"])
def test_what_is_said_while_a_bundle_moves_goes_with_it(
    one: Context, two: Context, monkeypatch: pytest.MonkeyPatch, was_there: bool
):
    uuid = _everything(one)
    if was_there:
        moves.copy(one, two, [find.by_uuid(one, uuid)])
        bundles.tag(two, find.by_uuid(two, uuid), set_to={"old": "x"})
        bundles.remove(two, [find.by_uuid(two, uuid)], force=True)

    def speak() -> None:
        row = find.by_uuid(one, uuid)
        bundles.tag(one, row, set_to={"late": "yes"}, unset=["c"])
        moves.rename(one, [row], "late")

    _once_after_copying(two, monkeypatch, speak)
    moves.move(one, two, [find.by_uuid(one, uuid)])
    there = find.by_uuid(two, uuid)
    assert (there.name, there.tags, there.committed) == ("late", {"b": "3", "late": "yes"}, True)
    assert one.catalog.get(uuid) is None
    assert maintain.verify(two).findings == ()


def test_a_commitment_that_is_taken_back_while_a_bundle_moves_is_not_had_there(
    one: Context, two: Context, monkeypatch: pytest.MonkeyPatch
):
    row = find.by_uuid(one, bundles.write(one, 1, Birth("a")).uuid)
    bundles.commit(one, [row])
    _once_after_copying(two, monkeypatch, lambda: undo.undo(one))
    moves.move(one, two, [row])
    assert not find.by_uuid(two, row.uuid).committed
    assert one.catalog.get(row.uuid) is None


def test_what_is_said_of_the_copy_while_the_original_is_looked_at_again_stays(
    one: Context, two: Context, monkeypatch: pytest.MonkeyPatch
):
    row = find.by_uuid(one, bundles.write(one, 1, Birth("a")).uuid)

    def speak() -> None:
        bundles.tag(one, row, set_to={"k": "source"})
        bundles.tag(two, find.by_uuid(two, row.uuid), set_to={"theirs": "target"})

    _once_after_copying(two, monkeypatch, speak)
    moves.move(one, two, [row])
    assert find.by_uuid(two, row.uuid).tags == {"k": "source", "theirs": "target"}


@pytest.mark.parametrize("act", [moves.copy, moves.move])
def test_to_the_same_context_by_another_name_nothing_goes(one: Context, act: Callable[..., object]):
    row = find.by_uuid(one, bundles.write(one, 1, Birth("a")).uuid)
    (one.home.root / "context" / "again").symlink_to(one.directory)
    with pytest.raises(InvalidInput, match="already"):
        act(one, one.home.context("again"), [row])
    assert names(one) == ["a"]


def _of_the_past(one: Context) -> tuple[Context, Row]:
    """A context as of when a bundle was there which was removed since."""
    source = one.home.root.with_name("large.bin")
    source.write_bytes(b"x" * 100_000)
    made = bundles.write(one, str(source), Birth("a"))
    row = find.by_uuid(one, made.uuid)
    bundles.remove(one, [row])
    return one.as_of(row.made_us), row


def test_the_past_cannot_be_moved_or_forked_and_nothing_is_changed(one: Context, two: Context):
    past, row = _of_the_past(one)
    before = two.catalog.check_log()
    for act in (lambda: moves.move(past, two, [row]), lambda: fork.fork(past, "three")):
        with pytest.raises(InvalidInput, match="nothing can be changed in the past"):
            act()
    assert two.catalog.check_log() == before
    assert one.home.context_names() == ["one", "two"]


def test_what_was_there_in_the_past_is_copied_while_its_bytes_are(one: Context, two: Context):
    past, row = _of_the_past(one)
    moves.copy(past, two, [row])
    assert Path(str(bundles.value(two, row.uuid))).stat().st_size == 100_000


def test_what_was_purged_since_is_not_copied_and_nothing_is_changed(one: Context, two: Context):
    kept = bundles.write(one, 1, Birth("kept"))
    past, row = _of_the_past(one)
    collect(one.home)
    with pytest.raises(ObjectNotFound, match="1 of 2 cannot be copied"):
        moves.copy(past, two, [row, find.by_uuid(past, kept.uuid)])
    assert names(two) == []
    moves.copy(past, two, [find.by_uuid(past, kept.uuid)])
    assert names(two) == ["kept"]


@pytest.mark.parametrize("act", [moves.copy, moves.move])
def test_to_the_same_context_or_another_home_nothing_goes(one: Context, tmp_path: Path, act: Callable[..., object]):
    made = bundles.write(one, 1, Birth("a"))
    row = find.by_uuid(one, made.uuid)
    with pytest.raises(InvalidInput, match="already"):
        act(one, one, [row])
    other = contexts.create(Home(tmp_path / "other"), "two")
    with pytest.raises(InvalidInput, match="different homes"):
        act(one, other, [row])


@pytest.mark.parametrize("shut", ["one", "two"])
def test_a_context_that_may_not_be_written_refuses_a_move_and_nothing_is_changed(one: Context, two: Context, shut: str):
    made = bundles.write(one, 1, Birth("a"))
    row = find.by_uuid(one, made.uuid)
    assert names(two) == []
    for path in (*one.home.root.parents, Path.home()):
        path.chmod(path.stat().st_mode | 0o055)
    for path in [one.home.root, *one.home.root.rglob("*")]:
        os.chmod(path, 0o777)
    (one.home.root / "context" / shut).chmod(0o555)
    (one.home.root / "context" / shut / "lock").chmod(0o444)
    with unprivileged(), pytest.raises(PermissionDenied):
        moves.move(Home(one.home.root).context("one"), Home(one.home.root).context("two"), [row])
    assert (names(one), names(two)) == (["a"], [])


def test_a_context_is_made_only_where_it_is_asked_for(one: Context):
    with pytest.raises(ContextNotFound):
        contexts.named(one.home, "new")
    made = moves.found_or_made(one.home, "new")
    assert moves.found_or_made(one.home, "new") is made


# Forks


def test_a_fork_has_everything_and_both_go_on_alone(one: Context):
    uuid = _everything(one)
    bundles.remove(one, moves.chosen(one, ["source"]))
    before = bytes_of(one.home.root)
    made = fork.fork(one, "two")
    assert bytes_of(one.home.root) == before
    assert said(made, uuid) == said(one, uuid)
    assert [each.id for each in made.catalog.events()] == [each.id for each in one.catalog.events()]
    bundles.write(one, 1, Birth("only one"))
    bundles.write(made, 2, Birth("only two"))
    assert names(one) == ["only one", "called"]
    assert names(made) == ["only two", "called"]
    for context in (one, made):
        assert maintain.verify(context).findings == ()
        rows = dump(context.directory)
        assert maintain.reindex(context) == 2
        assert dump(context.directory) == rows


def test_a_fork_says_what_it_was_forked_from(one: Context):
    contexts.create(one.home, "far/near")
    made = fork.fork(one.home.context("near"), "two")
    assert made.remote_name == "two"
    assert made.id != one.home.context("near").id
    forked = made.settings["forked"]
    assert isinstance(forked, dict)
    assert (forked["id"], forked["name"]) == (one.home.context("near").id, "near")


def test_a_fork_outlives_what_it_was_forked_from(one: Context):
    uuid = _everything(one)
    before = said(one, uuid)
    made = fork.fork(one, "two")
    contexts.delete(one.home, "one")
    collect(made.home)
    assert said(made, uuid) == before
    assert maintain.verify(made).findings == ()
    made.catalog.reindex()
    assert said(made, uuid) == before


def test_full_segments_are_shared_and_the_last_is_not(one: Context, monkeypatch: pytest.MonkeyPatch):
    log = Log(one.directory / "log", disk=one.home.disk, segment_bytes=2000)
    one.catalog._log = one.catalog._indexed._log = log
    for number in range(20):
        bundles.write(one, number, Birth("a"))
    made = fork.fork(one, "two")
    segments = sorted(path.name for path in (one.directory / "log").iterdir())
    assert len(segments) > 3
    shared = [os.path.samefile(one.directory / "log" / name, made.directory / "log" / name) for name in segments]
    assert shared == [True] * (len(segments) - 1) + [False]
    bundles.write(made, 20, Birth("a"))
    assert maintain.verify(one).findings == maintain.verify(made).findings == ()
    assert len(one.catalog.versions("a")) == 20


def test_a_fork_of_an_empty_context_is_empty(one: Context):
    made = fork.fork(one, "two")
    assert names(made) == []
    bundles.write(made, 1, Birth("a"))
    assert (names(one), names(made)) == ([], ["a"])


def test_a_torn_tail_and_a_lost_catalog_are_mended_first(one: Context):
    bundles.write(one, 1, Birth("a"))
    one.catalog.close()
    for path in one.directory.glob("catalog*"):
        path.unlink()
    with (one.directory / "log" / "00000001.log").open("ab") as log:
        log.write(b"REC1 torn")
    made = fork.fork(one, "two")
    assert names(made) == ["a"]
    assert maintain.verify(made).findings == ()


def test_a_damaged_catalog_is_made_again_first(one: Context):
    bundles.write(one, 1, Birth("a"))
    one.catalog.close()
    (one.directory / "catalog.db").write_bytes(b"no database" * 1000)
    assert names(fork.fork(one, "two")) == ["a"]


def test_readers_of_the_catalog_are_not_in_the_way(one: Context):
    bundles.write(one, 1, Birth("a"))
    with one.catalog._indexed.database.connection() as lent:
        reader = lent.connection
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM bundles").fetchone()
        bundles.write(Home(one.home.root).context("one"), 2, Birth("b"))
        assert names(fork.fork(Home(one.home.root).context("one"), "two")) == ["b", "a"]
        reader.execute("COMMIT")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".new", "x" * 201])
def test_a_fork_needs_a_name_a_context_can_have(one: Context, name: str):
    with pytest.raises(BadName):
        fork.fork(one, name)
    assert one.home.context_names() == ["one"]


def test_a_name_that_is_taken_is_refused(one: Context, two: Context):
    with pytest.raises(AlreadyExists):
        fork.fork(one, "two")
    (one.home.root / "context" / "other").mkdir()
    (one.home.root / "context" / "other" / "mine.txt").touch()
    with pytest.raises(StorageError, match="something else"):
        fork.fork(one, "other")
    assert sorted(path.name for path in (one.home.root / "context").iterdir()) == ["one", "other", "two"]


def test_what_a_killed_maker_of_a_context_left_is_not_in_the_way(one: Context):
    for name in ("log", "objects"):
        (one.home.root / "context" / "two" / name).mkdir(parents=True)
    assert names(fork.fork(one, "two")) == []


def test_what_a_killed_fork_left_is_nobodys_and_goes_with_the_next(one: Context):
    bundles.write(one, 1, Birth("a"))
    left = one.home.root / "context" / ".new-01"
    shutil.copytree(one.directory, left, symlinks=True)
    assert one.home.context_names() == ["one"]
    fork.fork(one, "two")
    assert left.exists(), "it may be just being made"
    os.utime(left, (1, 1))
    fork.fork(one, "three")
    assert not left.exists()


def test_a_home_that_may_not_be_written_refuses_a_fork(one: Context):
    bundles.write(one, 1, Birth("a"))
    one.catalog.close()
    for path in (*one.home.root.parents, Path.home()):
        path.chmod(path.stat().st_mode | 0o055)
    with unprivileged(), pytest.raises(PermissionDenied):
        fork.fork(Home(one.home.root).context("one"), "two")
    assert one.home.context_names() == ["one"]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["write", "tag", "rename", "remove", "copy", "move"]), st.integers(0, 1), st.integers(0, 9)
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_after_anything_a_copy_is_what_its_original_was(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int, int]]
):
    """Whatever was done before, in whatever order, to the bundles of either context."""
    home = Home(tmp_path_factory.mktemp("home") / "home")
    sides = [contexts.create(home, "one"), contexts.create(home, "two")]
    for act, side, pick in acts:
        here, there = sides[side], sides[1 - side]
        rows = find.search(here, find.Filter())
        if act == "write":
            bundles.write(here, pick, Birth(f"n{pick % 3}", tags={"t": str(pick)}))
        elif rows:
            row = rows[pick % len(rows)]
            _do(act, here, there, row)
    for here, there in (sides, sides[::-1]):
        for row in find.search(here, find.Filter()):
            if there.catalog.get(row.uuid) is None:
                moves.copy(here, there, [row])
                was_committed = row.committed or there.catalog.get(row.uuid).committed
                assert said(there, row.uuid)[:2] == said(here, row.uuid)[:2]
                assert said(there, row.uuid)[3:] == said(here, row.uuid)[3:]
                assert was_committed == there.catalog.get(row.uuid).committed
        there.catalog.counts()
        rows_before = dump(there.directory)
        there.catalog.reindex()
        assert dump(there.directory) == rows_before


def _do(act: str, here: Context, there: Context, row: find.Row) -> None:
    if act == "tag":
        bundles.tag(here, row, set_to={f"k{row.made_us % 2}": row.uuid}, unset=sorted(row.tags)[:1])
    elif act == "rename":
        moves.rename(here, [row], row.name + "'")
    elif act == "remove":
        bundles.remove(here, [row], force=True)
    elif act == "copy":
        moves.copy(here, there, [row])
    else:
        moves.move(here, there, [row])
