"""Clocks that are wrong, copies of homes and of buckets, mirrors that are lost: all still see what was published."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home, now_us
from disdat.ops import bundles, contexts, fetching, find, push, remotes
from disdat.ops.bundles import Birth
from tests.faults import sharing
from tests.faults.processes import child
from tests.faults.sharing import Remote, state
from tests.servers.faults import HoldRequest, Rule
from tests.servers.s3 import S3Server

HOUR_US = 3_600_000_000
AHEAD_US = [0, HOUR_US, -HOUR_US, 40 * 60_000_000]
MOST = 100
PUBLISHING = Rule(HoldRequest(), method="PUT", path="/events/", times=1)


def ahead(by_us: int) -> Callable[[], int]:
    return lambda: now_us() + by_us


@pytest.fixture
def join(tmp_path: Path) -> Callable[..., Context]:
    """Makes contexts in homes of their own that share a directory."""

    def join(who: str, *, by_us: int = 0, url: str = f"file://{tmp_path}/remote") -> Context:
        home = Home(tmp_path / who, clock_us=ahead(by_us))
        made = home.context("work") if home.context_names() else contexts.create(home, "work")
        return remotes.bind(made, "shared", url, layout="packed").context

    return join


def agree(all_of_them: list[Context]) -> None:
    for each in all_of_them:
        sharing.push_all(each)
    for each in all_of_them:
        sharing.fetch_all(each)
        assert state(each) == state(all_of_them[0])


def test_clocks_an_hour_apart_hide_nothing(join: Callable[..., Context]) -> None:
    everybody = [join(f"home{number}", by_us=by_us) for number, by_us in enumerate(AHEAD_US)]
    for turn in range(3):
        for number, each in enumerate(everybody):
            sharing.add(each, f"n{number}.{turn}", turn)
            sharing.push_all(each)
            for other in everybody:
                sharing.fetch_all(other)
                assert f"n{number}.{turn}" in state(other)
    agree(everybody)


def test_who_changes_last_what_he_saw_decides_whatever_his_clock_says(join: Callable[..., Context]) -> None:
    everybody = [join(f"home{number}", by_us=by_us) for number, by_us in enumerate(AHEAD_US)]
    sharing.add(everybody[0], "n", 1)
    sharing.push_all(everybody[0])
    for number, each in enumerate([*everybody, *reversed(everybody)]):
        sharing.fetch_all(each)
        bundles.tag(each, find.need(each, "n"), set_to={"by": str(number)})
        sharing.push_all(each)
        for other in everybody:
            sharing.fetch_all(other)
            assert find.need(other, "n").tags == {"by": str(number)}


def test_a_home_that_was_copied_is_another_writer(join: Callable[..., Context], tmp_path: Path) -> None:
    ann = join("ann")
    sharing.add(ann, "before", 0)
    sharing.push_all(ann)
    sharing.add(ann, "not pushed yet", 1)
    shutil.copytree(tmp_path / "ann", tmp_path / "copy", symlinks=True)
    copy = Home(tmp_path / "copy").context("work")
    assert copy.id == ann.id
    for turn in range(3):
        for each, name in ((ann, "ann"), (copy, "copy")):
            sharing.add(each, f"{name}{turn}", name)
            sharing.push_all(each)
    assert copy.home.id != ann.home.id
    bob = join("bob")
    agree([ann, copy, bob])
    assert len(state(bob)) == 8
    for each in (ann, copy, bob):
        assert each.remote.known.gaps() == ""


def test_a_copy_of_a_bucket_is_the_same_remote_elsewhere(join: Callable[..., Context], tmp_path: Path) -> None:
    ann, bob = join("ann"), join("bob")
    for turn in range(3):
        sharing.add(ann, f"n{turn}", "x" * 40_000 + str(turn))
        sharing.push_all(ann)
    sharing.fetch_all(bob)
    _copy_as_new(tmp_path / "remote", tmp_path / "elsewhere")
    url = f"file://{tmp_path}/elsewhere"
    moved = join("ann", url=url)
    sharing.add(moved, "later", 1)
    assert [row.name for row in push.push(moved, push.selected(moved)).sent] == ["later"]
    late = join("late", url=url)
    agree([moved, late])
    sharing.check_whole(late)
    assert "later" not in state(bob)
    agree([join("bob", url=url), late])


def _copy_as_new(source: Path, target: Path) -> None:
    """As a program copies a bucket: what is copied is of now."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(source))


def lose_mirror(context: Context) -> None:
    for path in context.directory.glob("mirror.db*"):
        path.unlink()


def test_a_mirror_may_be_lost_between_any_two_steps(join: Callable[..., Context]) -> None:
    ann, bob = join("ann"), join("bob")
    for turn in range(3):
        sharing.add(ann, f"n{turn}", "x" * 40_000 + str(turn))
        lose_mirror(ann)
        assert [row.name for row in push.push(ann, push.selected(ann)).sent] == [f"n{turn}"]
        lose_mirror(ann)
        assert push.push(ann, push.selected(ann)).sent == ()
        lose_mirror(bob)
        assert len(fetching.fetch(bob).new) == 1
        lose_mirror(bob)
        sharing.localize_all(bob)
        lose_mirror(bob)
        assert fetching.fetch(bob).new == ()
        sharing.check_whole(bob)
    assert ann.remote.known.gaps() == ""
    assert state(bob) == state(ann)


@pytest.mark.slow
def test_a_mirror_may_be_lost_at_any_request_of_a_push_and_of_a_fetch(remote: Remote, tmp_path: Path) -> None:
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    for act, who in ((sharing.push_all, ann), (sharing.fetch_all, bob)):
        for number in range(1, MOST):
            sharing.add(ann, f"{who.home.root.name}{number}", "x" * 40_000 + str(number))
            if who is bob:
                sharing.push_all(ann)
            remote.proxy.reset()
            remote.proxy.fail_nth(number, HoldRequest())
            root = who.home.root
            with child(lambda _: act(Home(root).context(sharing.CONTEXT))) as (pid, reading):  # noqa: B023
                held = sharing.until_held_or_ended(remote.proxy, pid)
                lose_mirror(who)
                remote.proxy.release()
                assert not sharing.all_of(reading)
            remote.proxy.reset()
            sharing.push_all(ann)
            sharing.fetch_all(bob)
            assert state(bob) == state(ann)
            if not held:
                break
        assert not held
    sharing.check_whole(bob)


@pytest.mark.slow
def test_a_publication_that_is_twenty_minutes_on_its_way_is_seen_by_who_looked_meanwhile(
    remote: Remote, tmp_path: Path
) -> None:
    """It arrives older than what others have seen, so who sent it publishes it again."""
    on_its_way = threading.Event()
    ann = remote.joined(tmp_path / "ann", clock_us=lambda: now_us() - on_its_way.is_set() * 20 * 60_000_000)
    bob, cat = remote.joined(tmp_path / "bob"), remote.joined(tmp_path / "cat")
    sharing.add(ann, "late", "x" * 40_000)
    remote.proxy.add(Rule(HoldRequest(), method="PUT", path="/packs/", times=1), PUBLISHING)
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(sharing.push_all, ann)
        remote.proxy.until_held()  # by now it knows how late it is there
        on_its_way.set()
        remote.proxy.release()
        remote.proxy.until_held()
        sharing.add(bob, "meanwhile", 1)
        sharing.push_all(bob)
        sharing.fetch_all(cat)
        assert state(cat).keys() == {"meanwhile"}
        on_its_way.clear()
        remote.proxy.release()
        pushing.result()
    assert len(remote.keys("context/shared/events/")) == 3
    for each in (cat, bob, remote.joined(tmp_path / "new")):
        sharing.fetch_all(each)
        assert state(each).keys() == {"late", "meanwhile"}
        sharing.check_whole(each)
    sharing.push_all(ann)
    assert len(remote.keys("context/shared/events/")) == 3


@pytest.mark.slow
def test_a_publication_that_arrives_after_the_next_push_changes_nothing(remote: Remote, tmp_path: Path) -> None:
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    sharing.add(ann, "first", "x" * 40_000)
    remote.proxy.add(PUBLISHING)
    root = ann.home.root
    with child(lambda _: sharing.push_all(Home(root).context(sharing.CONTEXT))):
        remote.proxy.until_held()
    sharing.add(ann, "second", "y" * 40_000)
    sharing.push_all(ann)
    sharing.fetch_all(bob)
    before = state(bob)
    assert before.keys() == {"first", "second"}
    remote.proxy.release()
    while len(remote.keys("context/shared/events/")) < 2:
        time.sleep(0.01)
    for each in (bob, ann, remote.joined(tmp_path / "new")):
        sharing.fetch_all(each)
        assert state(each) == before
        sharing.check_whole(each)
    sharing.add(ann, "third", 3)
    sharing.push_all(ann)
    sharing.fetch_all(bob)
    assert state(bob) == state(ann)


@pytest.mark.slow
def test_what_says_more_than_a_publication_holds_is_pushed_and_fetched(
    ministack: S3Server, monkeypatch: pytest.MonkeyPatch, join: Callable[..., Context]
) -> None:
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    url = f"s3://{ministack.fresh_bucket()}"
    ann, bob = join("ann", url=url), join("bob", url=url)
    made = bundles.write_many(ann, [("x" * 9000 + str(number), Birth(f"n{number}")) for number in range(300)])
    bundles.commit(ann, find.search(ann, Filter()))
    assert len(push.push(ann, push.selected(ann)).sent) == len(made)
    assert len(fetching.fetch(bob).new) == len(made)
    assert state(bob) == state(ann)
    assert bundles.value(bob, made[7].uuid) == "x" * 9000 + "7"
