"""What one pushes the other pulls: values, files, tags, removals; the same through a directory, memory and S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import BundleNotFound, Conflict, InvalidInput, NotConfigured, ObjectNotFound, Unavailable
from disdat.ops import (
    bundles,
    contexts,
    fetching,
    find,
    history,
    localizing,
    maintain,
    presence,
    pull,
    push,
    remotes,
    undo,
)
from disdat.ops.bundles import Birth
from disdat.remote.known import Presence
from tests.ops.conftest import place_of


@pytest.fixture(
    params=["directory", "memory", *(pytest.param(server, marks=pytest.mark.slow) for server in ("ministack", "moto"))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a remote, of every kind there is a server for."""
    return place_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A directory that both can reach."""
    return f"file://{tmp_path}/remote"


def add(context: Context, name: str, value: object) -> Row:
    """Add a bundle and commit it."""
    made = bundles.write(context, value, Birth(name=name))
    row = find.by_uuid(context, made.uuid)
    bundles.commit(context, [row])
    return find.by_uuid(context, made.uuid)


def files(context: Context, name: str, tmp_path: Path, count: int = 3, size: int = 100_000) -> Row:
    """Add a bundle of files."""
    directory = tmp_path / f"files-{name}"
    directory.mkdir()
    for number in range(count):
        (directory / f"{number}.bin").write_bytes(bytes([number % 251]) * size)
    return add(context, name, directory)


def value(context: Context, name: str) -> object:
    """Give the latest value of a name."""
    return bundles.value(context, find.need(context, name).uuid)


def test_a_colleague_gets_what_was_pushed(ann: Context, bob: Context, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(50_000), "b": np.linspace(0, 1, 50_000)})
    add(ann, "scalars", {"x": 1, "y": [2.5, "three"]})
    add(ann, "table", frame)
    files(ann, "files", tmp_path)
    done = push.push(ann, push.selected(ann))
    assert [row.name for row in done.sent] == ["files", "table", "scalars"]
    assert done.objects > 0 < done.bytes_sent
    pulled = pull.pull(bob)
    assert {row.name for row in pulled.rows} == {"scalars", "table", "files"}
    assert value(bob, "scalars") == {"x": 1, "y": [2.5, "three"]}
    pd.testing.assert_frame_equal(value(bob, "table"), frame)
    directory = value(bob, "files")
    assert isinstance(directory, Path)
    assert sorted(path.stat().st_size for path in directory.iterdir()) == [100_000] * 3
    assert not maintain.verify(bob).findings


def test_fetching_moves_no_bytes_and_reading_does(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = files(ann, "files", tmp_path)
    push.push(ann, push.selected(ann))
    fetched = fetching.fetch(bob)
    assert fetched.new == (row.uuid,)
    assert list(bob.home.store.iter_digests()) == []
    assert presence.of_rows(bob, [row.uuid]) == {row.uuid: Presence.REMOTE}
    localized = localizing.localize(bob, [find.by_uuid(bob, row.uuid)])
    assert localized.bytes_received == 300_000
    assert presence.of_rows(bob, [row.uuid]) == {row.uuid: Presence.LOCAL}
    assert localizing.localize(bob, [find.by_uuid(bob, row.uuid)]).objects == 0


def test_pushing_again_sends_nothing(ann: Context, tmp_path: Path) -> None:
    files(ann, "files", tmp_path)
    first = push.push(ann, push.selected(ann))
    again = push.push(ann, push.selected(ann))
    assert again.sent == ()
    assert [row.uuid for row in again.skipped] == [row.uuid for row in first.sent]


def test_only_what_is_new_is_sent(ann: Context, tmp_path: Path) -> None:
    files(ann, "one", tmp_path, count=3)
    push.push(ann, push.selected(ann))
    files(ann, "two", tmp_path, count=4)
    done = push.push(ann, push.selected(ann))
    assert [row.name for row in done.sent] == ["two"]
    assert done.objects == 1


def test_only_committed_bundles_are_pushed(ann: Context) -> None:
    bundles.write(ann, 1, Birth(name="draft"))
    with pytest.raises(InvalidInput, match="not committed"):
        push.selected(ann, "draft")
    assert push.selected(ann) == []
    with pytest.raises(BundleNotFound):
        push.selected(ann, "absent")


def test_a_name_means_its_newest_version(ann: Context, bob: Context) -> None:
    for number in range(3):
        add(ann, "n", number)
    push.push(ann, push.selected(ann, "n"))
    pull.pull(bob)
    assert [bundles.value(bob, row.uuid) for row in bob.catalog.versions("n")] == [2]
    push.push(ann, push.selected(ann, "n", every_version=True))
    pull.pull(bob)
    assert [bundles.value(bob, row.uuid) for row in bob.catalog.versions("n")] == [2, 1, 0]


def test_a_dry_run_tells_and_sends_nothing(ann: Context, bob: Context, tmp_path: Path) -> None:
    files(ann, "files", tmp_path)
    planned = push.plan(ann, push.selected(ann))
    assert [row.name for row in planned.sent] == ["files"]
    assert fetching.fetch(bob).new == ()
    assert push.push(ann, push.selected(ann)).objects == planned.objects


def test_tags_and_names_follow(ann: Context, bob: Context) -> None:
    row = add(ann, "n", 1)
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    bundles.tag(bob, find.by_uuid(bob, row.uuid), set_to={"checked": "yes"})
    push.push(bob, push.selected(bob))
    fetching.fetch(ann)
    assert find.by_uuid(ann, row.uuid).tags == {"checked": "yes"}
    undo.undo(bob)
    assert [each.uuid for each in push.push(bob, push.selected(bob)).sent] == [row.uuid]
    fetching.fetch(ann)
    assert find.by_uuid(ann, row.uuid).tags == {}


def test_undo_takes_back_what_was_done_here_not_what_others_did(ann: Context, bob: Context) -> None:
    row = add(ann, "theirs", 1)
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    with pytest.raises(InvalidInput, match="nothing to undo"):
        undo.undo(bob)
    mine = bundles.write(bob, 2, Birth(name="mine"))
    bundles.tag(ann, row, set_to={"a": "b"})
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    assert [each.uuid for each in undo.undo(bob).gone] == [mine.uuid]
    assert find.by_uuid(bob, row.uuid).tags == {"a": "b"}
    assert {change.actor for change in history.log(bob)} == {change.actor for change in history.log(ann)}


def test_what_is_removed_here_is_not_brought_back_by_fetching(ann: Context, bob: Context) -> None:
    row = add(ann, "n", 1)
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    bundles.remove(bob, [find.by_uuid(bob, row.uuid)], force=True)
    bundles.tag(ann, row, set_to={"a": "b"})
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    assert bob.catalog.rows([row.uuid]) == {}
    push.push(bob, push.selected(bob))
    fetching.fetch(ann)
    assert row.uuid in ann.catalog.rows([row.uuid])
    assert [each.uuid for each in pull.pull(bob, "n").rows] == [row.uuid]


def test_many_contexts_of_one_home_share_a_remote(ann: Context, url: str) -> None:
    other = remotes.bind(contexts.create(ann.home, "other"), "shared", url, layout="packed").context
    add(ann, "a", 1)
    add(other, "b", 2)
    push.push(ann, push.selected(ann))
    push.push(other, push.selected(other))
    fetching.fetch(ann)
    assert sorted(ann.catalog.names()) == sorted(other.catalog.names()) == ["a", "b"]
    add(ann, "c", 3)
    for each in (ann, other):
        assert not maintain.verify(each).findings
        assert each.catalog.reindex() == len(each.catalog.names())


def test_a_context_without_a_remote_says_how_to_get_one(home: Path) -> None:
    context = contexts.create(Home(home), "alone")
    for act in (fetching.fetch, pull.pull):
        with pytest.raises(NotConfigured, match="no remote"):
            act(context)
    with pytest.raises(NotConfigured, match="no remote"):
        push.push(context, [])


def test_a_name_that_is_not_there_says_what_is(ann: Context, bob: Context) -> None:
    with pytest.raises(BundleNotFound, match="has no bundle 'awesome'") as caught:
        pull.pull(bob, "awesome")
    assert "nothing is published" in caught.value.hint
    add(ann, "awesome_data", 1)
    push.push(ann, push.selected(ann))
    with pytest.raises(BundleNotFound) as caught:
        pull.pull(bob, "awesome")
    assert "awesome_data" in caught.value.hint


def test_bytes_that_are_gone_there_are_told(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = files(ann, "files", tmp_path, count=1)
    push.push(ann, push.selected(ann))
    fetching.fetch(bob)
    backend = ann.remote.backend
    backend.delete_many([each.key for each in backend.list("objects/")])
    with pytest.raises(ObjectNotFound, match="neither here nor at"):
        localizing.localize(bob, [find.by_uuid(bob, row.uuid)])


def test_another_store_at_the_url_is_refused(home: Path, directory: str, tmp_path: Path) -> None:
    ann = remotes.bind(contexts.create(Home(home), "ann"), "x", directory, layout="packed").context
    (tmp_path / "remote").rename(tmp_path / "moved")
    with pytest.raises(Unavailable, match="is empty"):
        fetching.fetch(ann)
    other = contexts.create(ann.home, "other")
    remotes.bind(other, "x", directory, layout="packed")
    with pytest.raises(Conflict, match="another store"):
        fetching.fetch(ann)


def test_a_directory_with_other_things_is_left_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="not empty"):
        remotes.bind(contexts.create(Home(home), "c"), "c", f"file://{tmp_path}/theirs", layout="packed")
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["notes.txt"]


def test_plain_files_lie_as_people_see_them(make: Callable[..., Context], tmp_path: Path, bob: Context) -> None:
    cat = make("cat", layout="plain")
    row = files(cat, "files", tmp_path, size=1000)
    push.push(cat, push.selected(cat))
    lying = f"context/shared/files/{row.uuid}/files-files/"
    assert cat.remote.backend.list_below(lying) == ["0.bin", "1.bin", "2.bin"]
    assert cat.remote.backend.get(lying + "1.bin") == b"\1" * 1000
    pull.pull(bob, "files", with_bytes=True)
    directory = value(bob, "files")
    assert isinstance(directory, Path)
    assert (directory / "1.bin").read_bytes() == b"\1" * 1000


def test_a_clone_begins_with_all_there_is(ann: Context, tmp_path: Path, url: str) -> None:
    for number in range(5):
        add(ann, f"n{number}", number)
    push.push(ann, push.selected(ann))
    cloned = remotes.clone(Home(tmp_path / "new"), url, remotes.meant(url, "mine"), layout="packed")
    assert len(cloned.fetched.new) == 5
    assert value(cloned.bound.context, "n3") == 3
