"""Whose bytes are here is known after whatever happened; what is on the remote only is nowhere called lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import InvalidInput, Unavailable
from disdat.ops import (
    bundles,
    checkout,
    contexts,
    delocalizing,
    details,
    diff,
    fetching,
    find,
    fork,
    gc,
    holding,
    localizing,
    maintain,
    moves,
    presence,
    pull,
    push,
    remotes,
    undo,
    usage,
)
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from disdat.remote.known import Presence

NOW = Policy(0, 0)
LARGE = 100_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/remote"


@pytest.fixture
def ann(tmp_path: Path, url: str) -> Context:
    return bound(Home(tmp_path / "ann"), "work", url)


@pytest.fixture
def bob(tmp_path: Path, url: str) -> Context:
    return bound(Home(tmp_path / "bob"), "work", url)


def bound(home: Home, name: str, url: str) -> Context:
    return remotes.bind(contexts.create(home, name), "shared", url, layout="packed").context


def shared(ann: Context, name: str, value: object) -> Row:
    """Add a bundle and push it."""
    made = bundles.write(ann, value, Birth(name=name))
    bundles.commit(ann, [find.by_uuid(ann, made.uuid)])
    row = find.by_uuid(ann, made.uuid)
    push.push(ann, [row])
    return row


def directory(place: Path, name: str, *, small: int = 3, text: str = "") -> Path:
    made = place / name
    made.mkdir()
    (made / "large").write_bytes(b"large" * LARGE)
    for number in range(small):
        (made / f"small{number}").write_text(f"small {number}{text}")
    return made


def same(value: object, array: object) -> bool:
    return isinstance(value, np.ndarray) and np.array_equal(value, np.asarray(array))


def state(context: Context, row: Row) -> Presence:
    return presence.of_rows(context, [row.uuid])[row.uuid]


def forget(context: Context) -> Context:
    """Lose what is known of the remote; the context as another process opens it."""
    context.remote.known.close()
    for path in context.directory.glob("mirror.db*"):
        path.unlink()
    return Home(context.home.root).context(context.name)


def test_without_a_remote_all_is_here(home: Path) -> None:
    context = contexts.create(Home(home), "alone")
    made = bundles.write(context, np.arange(LARGE), Birth(name="array"))
    assert presence.of_rows(context, [made.uuid]) == {made.uuid: Presence.LOCAL}


def test_what_is_fetched_is_remote_until_it_comes(ann: Context, bob: Context, tmp_path: Path) -> None:
    array = shared(ann, "array", np.arange(LARGE))
    files = shared(ann, "files", directory(tmp_path, "d"))
    inline = shared(ann, "inline", 7)
    fetching.fetch(bob)
    assert [state(bob, row) for row in (array, files, inline)] == [Presence.REMOTE, Presence.REMOTE, Presence.LOCAL]
    bundles.value(bob, array.uuid)
    assert state(bob, array) is Presence.LOCAL
    localizing.localize(bob, [find.by_uuid(bob, files.uuid)], ["d/large"])
    assert state(bob, files) is Presence.PARTIAL
    pull.pull(bob, "files", with_bytes=True)
    assert state(bob, files) is Presence.LOCAL


def test_of_a_large_tree_the_directories_alone_are_nothing(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, "files", directory(tmp_path, "d", small=300))
    fetching.fetch(bob)
    assert state(bob, row) is Presence.REMOTE
    details.of(bob, find.by_uuid(bob, row.uuid))
    assert state(bob, row) is Presence.REMOTE
    localizing.localize(bob, [find.by_uuid(bob, row.uuid)], ["d/small5"])
    assert state(bob, row) is Presence.PARTIAL


def test_bytes_that_come_by_another_context_are_here(ann: Context, bob: Context) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    assert state(bob, row) is Presence.REMOTE
    other = contexts.create(bob.home, "other")
    bundles.write(other, np.arange(LARGE), Birth(name="the same"))
    assert state(bob, row) is Presence.LOCAL


def test_bytes_that_were_here_before_the_fetch_are_seen(ann: Context, bob: Context) -> None:
    bundles.write(contexts.create(bob.home, "other"), np.arange(LARGE), Birth(name="the same"))
    row = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    assert state(bob, row) is Presence.LOCAL


def test_a_lost_mirror_is_made_up_for_by_looking(ann: Context, bob: Context, tmp_path: Path) -> None:
    away, here = (shared(ann, name, np.arange(LARGE) + at) for at, name in enumerate(("away", "here")))
    some = shared(ann, "some", directory(tmp_path, "d"))
    fetching.fetch(bob)
    localizing.localize(bob, [find.by_uuid(bob, here.uuid)])
    localizing.localize(bob, [find.by_uuid(bob, some.uuid)], ["d/large"])
    shutil.move(tmp_path / "remote", tmp_path / "moved")
    again = forget(bob)
    expected = [Presence.REMOTE, Presence.LOCAL, Presence.PARTIAL]
    assert list(presence.kept(again, [away.uuid, here.uuid, some.uuid]).values()) == expected
    shutil.move(tmp_path / "moved", tmp_path / "remote")
    assert same(bundles.value(again, away.uuid), np.arange(LARGE))


def test_of_very_many_what_is_noted_counts(ann: Context, bob: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    bundles.write(contexts.create(bob.home, "other"), np.arange(LARGE), Birth(name="the same"))
    monkeypatch.setattr(presence, "MOST_LOOKED_AT", 0)
    assert state(bob, row) is Presence.REMOTE


def test_verify_counts_what_is_on_the_remote_only(ann: Context, bob: Context, tmp_path: Path) -> None:
    shared(ann, "files", directory(tmp_path, "d"))
    fetching.fetch(bob)
    report = maintain.verify(bob)
    assert (report.remote_only, report.findings, report.objects) == (4, (), 0)
    assert maintain.verify(bob, reference="files").remote_only == 4
    assert maintain.verify(forget(bob)).remote_only == 4, "what is known of the remote is fetched again"


def test_what_is_neither_here_nor_there_is_lost(ann: Context, bob: Context) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    mine = bundles.write(bob, np.arange(LARGE) + 1, Birth(name="mine"))
    fetching.fetch(bob)
    [digest] = bob.home.store.iter_digests()
    bob.home.store.loose_path(digest).unlink()
    report = maintain.verify(bob)
    assert [finding.digest for finding in report.findings] == [digest]
    assert [use.uuid for use in report.findings[0].uses] == [mine.uuid]
    assert report.remote_only == 1
    assert state(bob, row) is Presence.REMOTE


def test_collection_neither_refuses_nor_calls_it_lost(ann: Context, bob: Context, tmp_path: Path) -> None:
    shared(ann, "files", directory(tmp_path, "d", small=300))
    array = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    bundles.write(bob, np.arange(LARGE) + 1, Birth(name="mine"))
    found = gc.plan(bob.home, NOW)
    assert (found.missing, found.garbage.count) == (0, 0)
    gc.collect(bob.home, NOW, frozenset(Step))
    assert len(list(bob.home.store.iter_digests())) == 1
    bundles.value(bob, array.uuid)
    gc.collect(bob.home, NOW, frozenset(Step))
    assert state(bob, array) is Presence.LOCAL


def test_collection_of_a_deleted_context_does_neither(ann: Context, bob: Context, tmp_path: Path) -> None:
    shared(ann, "files", directory(tmp_path, "d", small=300))
    fetching.fetch(bob)
    contexts.delete(bob.home, "work")
    assert gc.plan(Home(bob.home.root), NOW).missing == 0


def test_only_what_is_here_takes_space(ann: Context, bob: Context, tmp_path: Path) -> None:
    files = shared(ann, "files", directory(tmp_path, "d"))
    many = shared(ann, "many", directory(tmp_path, "e", small=300, text="!"))
    fetching.fetch(bob)
    assert [(each.size_bytes, each.unique_bytes) for each in usage.usage(bob, [], NOW).entries] == [(0, 0), (0, 0)]
    localizing.localize(bob, [find.by_uuid(bob, files.uuid)], ["d/small0"])
    sizes = {each.name: each.size_bytes for each in usage.usage(bob, [], NOW).entries}
    assert sizes == {"files": len("small 0"), "many": 0}
    assert state(bob, many) is Presence.REMOTE


def test_what_was_removed_comes_back_by_undo(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, "files", directory(tmp_path, "d", small=300))
    fetching.fetch(bob)
    bundles.remove(bob, [find.by_uuid(bob, row.uuid)], force=True)
    assert [each.uuid for each in undo.plan(bob).back] == [row.uuid]
    undo.undo(bob)
    assert len(list(bundles.value(bob, row.uuid).iterdir())) == 301  # type: ignore[attr-defined]  # it is a path


def test_a_copy_goes_only_where_the_bytes_can_be_had(ann: Context, bob: Context, url: str) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    there = find.by_uuid(bob, row.uuid)
    alone = contexts.create(bob.home, "alone")
    for act in (moves.copy, moves.move):
        with pytest.raises(InvalidInput, match="not here") as caught:
            act(bob, alone, [there])
        assert "dsdt pull -l array" in str(caught.value.hint)
    for target in ("alone", "new"):
        with pytest.raises(InvalidInput, match="not here"):
            moves.plan(bob, [there], target)
    like = bound(bob.home, "like", url)
    moves.copy(bob, like, [there])
    assert state(like, row) is Presence.REMOTE
    assert same(bundles.value(like, row.uuid), np.arange(LARGE))
    moves.copy(bob, alone, [there])
    assert same(bundles.value(alone, row.uuid), np.arange(LARGE))


def test_a_fork_can_read_what_its_origin_can(ann: Context, bob: Context) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    here = fork.fork(ann, "here")
    assert here.binding is None
    fetching.fetch(bob)
    forked = fork.fork(bob, "forked")
    assert forked.binding == bob.binding
    assert state(forked, row) is Presence.REMOTE
    assert same(bundles.value(forked, row.uuid), np.arange(LARGE))


def test_a_checkout_brings_what_it_writes(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, "files", directory(tmp_path, "d", small=300))
    fetching.fetch(bob)
    checkout.checkout(bob, "files", tmp_path / "out", ["d/small3"])
    assert (tmp_path / "out" / "d" / "small3").read_text() == "small 3"
    assert len(presence.absent(bob, bob.catalog.bundle(row.uuid))) == 300
    checkout.checkout(bob, "files", tmp_path / "out", link=True)
    assert len(os.listdir(tmp_path / "out" / "d")) == 301


def test_a_comparison_brings_what_differs(ann: Context, bob: Context, tmp_path: Path) -> None:
    shared(ann, "files", directory(tmp_path, "d", small=300))
    shared(ann, "table", pd.DataFrame({"a": [1, 2]}))
    (tmp_path / "d" / "small4").write_text("another")
    shared(ann, "files", tmp_path / "d")
    shared(ann, "table", pd.DataFrame({"a": [1, 3]}))
    fetching.fetch(bob)
    assert diff.diff(bob, "files")
    assert diff.diff(bob, "table")
    newest = bob.catalog.versions("files")[0]
    assert state(bob, newest) is Presence.REMOTE, "files differ by their digests"


def test_to_show_a_bundle_no_values_are_moved(ann: Context, bob: Context) -> None:
    row = shared(ann, "table", pd.DataFrame({"a": range(LARGE)}))
    fetching.fetch(bob)
    shown = details.of(bob, find.by_uuid(bob, row.uuid))
    assert shown.presence is Presence.REMOTE
    assert [(each.name, each.type) for each in shown.columns[""]] == [("a", "")]
    assert list(bob.home.store.iter_digests()) == []
    bundles.value(bob, row.uuid)
    assert details.of(bob, find.by_uuid(bob, row.uuid)).columns[""][0].type == "int64"


def test_a_remote_that_does_not_answer_is_named_and_nothing_is_gone(
    ann: Context, bob: Context, tmp_path: Path, url: str
) -> None:
    row = shared(ann, "array", np.arange(LARGE))
    fetching.fetch(bob)
    (tmp_path / "remote").rename(tmp_path / "away")
    with pytest.raises(Unavailable) as caught:
        bundles.value(bob, row.uuid)
    assert url in str(caught.value)
    (tmp_path / "away").rename(tmp_path / "remote")
    assert same(bundles.value(bob, row.uuid), np.arange(LARGE))


def test_what_was_not_pushed_is_not_on_the_remote(ann: Context, bob: Context) -> None:
    pushed = shared(ann, "pushed", 1)
    mine = bundles.write(ann, 2, Birth(name="mine"))
    uuids = [pushed.uuid, mine.uuid]
    assert holding.unpublished(ann, uuids) == {mine.uuid}
    assert holding.unpublished(contexts.create(ann.home, "alone"), uuids) == set(uuids)
    fetching.fetch(bob)
    assert holding.unpublished(bob, [pushed.uuid]) == set()


def test_what_is_undone_there_is_not_on_the_remote(ann: Context, bob: Context) -> None:
    """A copy of it that is here is the only one, though what first added it was published."""
    row = shared(ann, "array", np.arange(LARGE))
    other = contexts.create(ann.home, "other")
    moves.copy(ann, other, [row])
    last = next(each for each in ann.catalog.events() if row.uuid in each.subjects and each.kind == "add")
    undo.undo(ann, last.id, force=True)
    moves.copy(other, ann, [row])
    assert row.uuid in ann.catalog.rows([row.uuid])
    again = find.by_uuid(ann, row.uuid)
    published = holding.unpublished(ann, [row.uuid])
    push.push(ann, [again])
    assert holding.unpublished(ann, [row.uuid]) == set()
    assert published == set(), "the undo itself was not published, so others still see it"
    assert delocalizing.delocalize(ann, [again]).kept == 1
