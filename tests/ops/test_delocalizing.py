"""Bytes are dropped here only when the remote is proved to have them and nobody else needs them, and come back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import (
    Corrupt,
    DigestMismatch,
    DisdatError,
    InvalidInput,
    NotConfigured,
    NotFound,
    ObjectNotFound,
    PathNotFound,
    Unavailable,
)
from disdat.ops import (
    bundles,
    contexts,
    delocalizing,
    fetching,
    find,
    gc,
    localizing,
    maintain,
    moves,
    presence,
    push,
    remotes,
)
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from disdat.remote.known import Presence
from disdat.store import drop
from disdat.testing.faults import Crash, FailingDisk
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

LARGE = 100_000


@pytest.fixture
def context(tmp_path: Path, url: str) -> Context:
    return bound(Home(tmp_path / "home"), "work", url)


@pytest.fixture
def nearby(tmp_path: Path) -> Context:
    """A context that is bound to a directory."""
    return bound(Home(tmp_path / "home"), "work", f"file://{tmp_path}/remote")


def bound(home: Home, name: str, url: str) -> Context:
    return remotes.bind(contexts.create(home, name), "shared", url, layout="packed").context


def add(context: Context, name: str, value: object) -> Row:
    """Add a bundle and commit it."""
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return find.by_uuid(context, made.uuid)


def files(context: Context, name: str, place: Path, *, large: int = 2, small: int = 3, first: int = 0) -> Row:
    """Add a directory of files, and push it."""
    directory = place / f"files-{name}" / "in"
    directory.mkdir(parents=True)
    for number in range(first, first + large):
        (directory / f"large{number}").write_bytes(b"%d " % number * LARGE)
    for number in range(first, first + small):
        (directory / f"small{number}").write_text(f"small {number}")
    row = add(context, name, directory)
    push.push(context, [row])
    return row


def contents(context: Context, row: Row) -> dict[str, bytes]:
    """Give what the files of a bundle hold."""
    value = bundles.value(context, row.uuid)
    assert isinstance(value, Path)
    return {path.name: path.read_bytes() for path in value.iterdir()}


def same(value: object, array: object) -> bool:
    return isinstance(value, np.ndarray) and np.array_equal(value, np.asarray(array))


def state(context: Context, row: Row) -> Presence:
    return presence.of_rows(context, [row.uuid])[row.uuid]


def remote_files(place: Path, below: str) -> list[Path]:
    return sorted(path for path in (place / "remote" / below).rglob("*") if path.is_file())


def test_what_is_dropped_comes_back_when_it_is_read(context: Context, tmp_path: Path) -> None:
    row = files(context, "data", tmp_path)
    before = contents(context, row)
    done = delocalizing.delocalize(context, [row])
    assert (done.objects, done.kept, done.bytes_left) == (5, 0, 0)
    assert done.bytes_freed >= 2 * LARGE
    assert state(context, row) is Presence.REMOTE
    assert list(context.home.store.iter_digests()) == []
    assert not context.bundle_directory(row.uuid).exists()
    assert contents(context, row) == before
    assert state(context, row) is Presence.LOCAL
    assert not maintain.verify(context).findings


def test_values_of_every_kind_come_back(context: Context, tmp_path: Path) -> None:
    values = {"array": np.arange(50_000), "text": "long " * 20_000, "small": 1}
    row = add(context, "values", values)
    push.push(context, [row])
    delocalizing.delocalize(context, [row])
    again = bundles.value(context, row.uuid)
    assert isinstance(again, dict)
    assert same(again.pop("array"), values.pop("array"))
    assert again == values


def test_a_large_tree_keeps_its_directories(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "many", tmp_path, large=1, small=300)
    delocalizing.delocalize(nearby, [row])
    assert state(nearby, row) is Presence.REMOTE
    report = maintain.verify(nearby)
    assert report.remote_only == 301
    assert not report.findings
    localizing.localize(nearby, [row], ["in/small7"])
    assert state(nearby, row) is Presence.PARTIAL
    assert len(contents(nearby, row)) == 301


def test_a_dry_run_drops_nothing(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    planned = delocalizing.plan(nearby, [row])
    assert state(nearby, row) is Presence.LOCAL
    done = delocalizing.delocalize(nearby, [row])
    assert (planned.objects, planned.bytes_freed) == (done.objects, sum(map(len, contents(nearby, row).values())))


def test_doing_it_again_drops_nothing_more(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    delocalizing.delocalize(nearby, [row])
    again = delocalizing.delocalize(nearby, [row])
    assert (again.objects, again.bytes_freed) == (0, 0)
    assert state(nearby, row) is Presence.REMOTE


def test_what_was_not_pushed_stays(nearby: Context, tmp_path: Path) -> None:
    row = add(nearby, "mine", np.arange(LARGE))
    for act in (delocalizing.delocalize, delocalizing.plan):
        with pytest.raises(InvalidInput, match="was not pushed"):
            act(nearby, [row])
    assert state(nearby, row) is Presence.LOCAL


def test_a_context_without_a_remote_drops_nothing(home: Path) -> None:
    alone = contexts.create(Home(home), "alone")
    row = add(alone, "data", np.arange(LARGE))
    with pytest.raises(NotConfigured, match="no remote"):
        delocalizing.delocalize(alone, [row])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:15])


@pytest.mark.parametrize("below", ["objects", "packs"])
@pytest.mark.parametrize(
    ("damage", "error"), [(flip, DigestMismatch), (cut, DigestMismatch), (Path.unlink, ObjectNotFound)]
)
def test_a_remote_that_is_damaged_gets_nothing_dropped(
    nearby: Context, tmp_path: Path, below: str, damage: Callable[[Path], None], error: type[DisdatError]
) -> None:
    row = files(nearby, "data", tmp_path)
    before = sorted(nearby.home.store.iter_digests())
    damage(remote_files(tmp_path, below)[0])
    with pytest.raises((error, NotFound) if error is ObjectNotFound else error, match="nothing was dropped"):
        delocalizing.delocalize(nearby, [row])
    assert sorted(nearby.home.store.iter_digests()) == before
    shutil.rmtree(tmp_path / "remote")
    assert len(contents(nearby, row)) == 5


def test_damage_that_a_checksum_shows_is_named(context: Context, tmp_path: Path) -> None:
    row = files(context, "data", tmp_path, large=1, small=0)
    backend = context.remote.backend
    [stored] = list(backend.list("objects/"))
    backend.put(stored.key, b"x" * stored.size_bytes)
    with pytest.raises(DigestMismatch, match=stored.key):
        delocalizing.delocalize(context, [row])
    assert state(context, row) is Presence.LOCAL


def test_where_there_are_checksums_nothing_is_read_back(
    ministack: S3Server, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in ministack.at(proxy.endpoint).environment().items():
        monkeypatch.setenv(name, text)
    context = bound(Home(tmp_path / "home"), "work", f"s3://{ministack.fresh_bucket()}/some")
    row = files(context, "data", tmp_path)
    proxy.reset()
    assert delocalizing.delocalize(context, [row]).objects == 5
    asked = [(each.method, each.target) for each in proxy.requests() if re.search("/(objects|packs)/", each.target)]
    assert {method for method, _ in asked} == {"HEAD"}
    assert len(asked) == 3, "two objects and a pack"


def test_a_remote_that_does_not_answer_gets_nothing_dropped(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    (tmp_path / "remote").rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="remote"):
        delocalizing.delocalize(nearby, [row])
    assert state(nearby, row) is Presence.LOCAL


def test_damage_here_is_healed_by_dropping_it(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path, large=1, small=0)
    before = contents(nearby, row)
    shutil.rmtree(nearby.bundle_directory(row.uuid))
    [digest] = nearby.home.store.iter_digests()
    path = nearby.home.store.loose_path(digest)
    path.chmod(0o644)
    flip(path)
    delocalizing.delocalize(nearby, [row])
    assert contents(nearby, row) == before


def test_what_another_context_needs_is_kept_and_said(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    before = contents(nearby, row)
    other = contexts.create(nearby.home, "other")
    moves.copy(nearby, other, [row])
    done = delocalizing.delocalize(nearby, [row])
    assert (done.objects, done.kept) == (0, 5)
    assert done.kept_for == (f"data {row.uuid[:8]} in other",)
    assert presence.kept(nearby, [row.uuid]) == {row.uuid: Presence.REMOTE}
    shutil.rmtree(tmp_path / "remote")
    assert contents(other, row) == before
    assert not maintain.verify(other).findings


def test_of_two_contexts_with_the_remote_the_last_one_drops(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    other = bound(nearby.home, "other", f"file://{tmp_path}/remote")
    fetching.fetch(other)
    assert state(other, row) is Presence.LOCAL
    assert delocalizing.delocalize(nearby, [row]).kept == 5
    assert delocalizing.delocalize(other, [row]).objects == 5
    assert state(other, row) is state(nearby, row) is Presence.REMOTE


def test_of_two_bundles_with_the_same_bytes_the_last_one_drops(nearby: Context, tmp_path: Path) -> None:
    first, second = (files(nearby, name, tmp_path) for name in ("first", "second"))
    done = delocalizing.delocalize(nearby, [first])
    assert (done.kept, done.kept_for) == (5, (f"second {second.uuid[:8]} in work",))
    assert delocalizing.delocalize(nearby, [second]).objects == 5
    assert contents(nearby, first) == contents(nearby, second)


def test_what_a_removed_bundle_may_want_back_is_kept_for_the_retention(
    nearby: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = files(nearby, "data", tmp_path)
    other = contexts.create(nearby.home, "other")
    moves.copy(nearby, other, [row])
    bundles.remove(other, [row], force=True)
    done = delocalizing.delocalize(nearby, [row])
    assert done.kept_for == (f"data {row.uuid[:8]} in other, which was removed",)
    monkeypatch.setenv("DISDAT_GC_RETENTION", "0")
    assert delocalizing.delocalize(nearby, [row]).objects == 5


def test_what_was_removed_here_and_is_published_keeps_nothing(nearby: Context, tmp_path: Path) -> None:
    first, second = (files(nearby, name, tmp_path) for name in ("first", "second"))
    bundles.remove(nearby, [first], force=True)
    assert delocalizing.delocalize(nearby, [second]).objects == 5


def test_who_comes_to_need_the_bytes_meanwhile_has_them(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    other = contexts.create(nearby.home, "other")
    copied: list[bool] = []

    def meanwhile(_: int, __: int) -> None:
        if not copied:
            copied.append(True)
            moves.copy(nearby, other, [row])

    done = delocalizing.delocalize(nearby, [row], progress=meanwhile)
    assert copied
    assert (done.objects, done.kept) == (0, 5)
    shutil.rmtree(tmp_path / "remote")
    assert len(contents(other, row)) == 5


def test_who_needs_it_no_more_meanwhile_keeps_nothing(nearby: Context, tmp_path: Path) -> None:
    first = files(nearby, "first", tmp_path, large=1, small=0)
    second = files(nearby, "second", tmp_path, large=2, small=0)
    done: list[delocalizing.Delocalized] = []

    def meanwhile(_: int, __: int) -> None:
        if not done:
            done.append(delocalizing.delocalize(nearby, [first]))

    assert delocalizing.delocalize(nearby, [second], progress=meanwhile).objects == 2
    assert state(nearby, first) is state(nearby, second) is Presence.REMOTE


def test_files_go_one_by_one_and_come_so(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    contents(nearby, row)
    done = delocalizing.delocalize(nearby, [row], ["in/large1", "in/small0"])
    assert done.objects == 2
    assert state(nearby, row) is Presence.PARTIAL
    seen = {path.name for path in (nearby.bundle_directory(row.uuid) / "in").iterdir()}
    assert seen == {"large0", "small1", "small2"}
    assert localizing.localize(nearby, [row], ["in/large1"]).objects == 1
    assert state(nearby, row) is Presence.PARTIAL
    assert localizing.localize(nearby, [row], ["in"]).objects == 1
    assert state(nearby, row) is Presence.LOCAL


def test_a_file_whose_bytes_another_file_has_stays(nearby: Context, tmp_path: Path) -> None:
    directory = tmp_path / "twins"
    directory.mkdir()
    for name in ("a", "b"):
        (directory / name).write_bytes(b"twin" * LARGE)
    row = add(nearby, "twins", directory)
    push.push(nearby, [row])
    assert delocalizing.delocalize(nearby, [row], ["twins/a"]).objects == 0
    shutil.rmtree(tmp_path / "remote")
    assert set(contents(nearby, row)) == {"a", "b"}


def test_a_path_that_is_not_there_is_told(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    for act in (delocalizing.delocalize, delocalizing.plan, localizing.localize):
        with pytest.raises(PathNotFound, match="absent"):
            act(nearby, [row], ["in/absent"])
        with pytest.raises(InvalidInput, match="one bundle"):
            act(nearby, [row, row], ["in"])


def test_a_file_that_somebody_changed_stays_as_it_is(nearby: Context, tmp_path: Path) -> None:
    row = files(nearby, "data", tmp_path)
    contents(nearby, row)
    for name in ("large0", "small0"):
        path = nearby.bundle_directory(row.uuid) / "in" / name
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    delocalizing.delocalize(nearby, [row])
    left = {path.name: path.read_bytes() for path in (nearby.bundle_directory(row.uuid) / "in").iterdir()}
    assert set(left) == {"large0", "small0"}
    assert all(data.endswith(b"!") for data in left.values())
    assert not any(data.endswith(b"!") for data in contents(nearby, row).values())


def test_what_lies_in_a_pack_of_which_most_is_needed_is_left(
    nearby: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundles.write_many(nearby, [(np.arange(2000) + number, Birth(f"n{number}")) for number in range(4)])
    rows = [find.by_uuid(nearby, each.uuid) for each in made]
    bundles.commit(nearby, rows)
    push.push(nearby, rows)
    monkeypatch.setattr(drop, "CHEAP_BYTES", 0)
    left = delocalizing.delocalize(nearby, rows[:1])
    assert (left.objects, left.bytes_freed) == (0, 0)
    assert left.bytes_left > 0
    monkeypatch.undo()
    done = delocalizing.delocalize(nearby, rows[:1])
    assert (done.objects, done.bytes_left) == (1, 0)
    shutil.rmtree(tmp_path / "remote")
    for number, row in enumerate(rows[1:], 1):
        assert same(bundles.value(nearby, row.uuid), np.arange(2000) + number)


def test_collection_leaves_alone_what_is_kept(nearby: Context, tmp_path: Path) -> None:
    first = files(nearby, "first", tmp_path)
    second = files(nearby, "second", tmp_path, first=5, small=300)
    delocalizing.delocalize(nearby, [second])
    before = contents(nearby, first)
    gc.collect(nearby.home, Policy(0, 0), frozenset(Step))
    assert gc.plan(nearby.home, Policy(0, 0)).missing == 0
    assert state(nearby, second) is Presence.REMOTE
    shutil.copytree(tmp_path / "remote", tmp_path / "copy")
    shutil.rmtree(tmp_path / "remote")
    assert contents(nearby, first) == before
    (tmp_path / "copy").rename(tmp_path / "remote")
    assert len(contents(nearby, second)) == 302


def test_killed_at_any_step_it_loses_nothing_and_goes_on(nearby: Context, tmp_path: Path) -> None:
    dropped = files(nearby, "dropped", tmp_path)
    kept = files(nearby, "kept", tmp_path, first=1)
    alone = contexts.create(nearby.home, "alone")
    array = add(alone, "array", np.arange(LARGE))
    before = contents(nearby, dropped), contents(nearby, kept)
    at, reached = 0, True
    while reached:
        at += 1
        root = tmp_path / "attempt"
        shutil.copytree(nearby.home.root, root, symlinks=True)
        Home(root).ensure()
        failing = FailingDisk(at, error=Crash)
        with suppress(Crash):
            delocalizing.delocalize(Home(root, disk=failing).context("work"), [dropped])
        reached = failing.reached
        again = Home(root).context("work")
        assert not maintain.verify(again).findings
        delocalizing.delocalize(again, [dropped])
        assert state(again, dropped) is Presence.PARTIAL, "what the other bundle shares with it is here"
        assert (contents(again, dropped), contents(again, kept)) == before
        assert same(bundles.value(Home(root).context("alone"), array.uuid), np.arange(LARGE))
        shutil.rmtree(root)
    assert at > 8


def test_a_manifest_that_cannot_be_read_stops_it(nearby: Context, tmp_path: Path) -> None:
    """Nobody knows what a bundle needs whose tree is damaged."""
    row = files(nearby, "data", tmp_path)
    alone = contexts.create(nearby.home, "alone")
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / str(number)).write_text(str(number))
    add(alone, "many", many)
    tree = alone.catalog.bundle(alone.catalog.versions("many")[0].uuid).tree
    for pack in nearby.home.store.pack_paths(holding=[tree.root]):  # type: ignore[union-attr]  # it has 300 files
        pack.unlink()
    nearby.home.store.close()
    with pytest.raises((ObjectNotFound, Corrupt)):
        delocalizing.delocalize(Home(nearby.home.root).context("work"), [row])
    assert state(nearby, row) is Presence.LOCAL
