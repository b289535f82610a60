"""What is cut at any single request leaves what was there or what was to be, and the next one completes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from disdat.context import Context
from disdat.errors import DisdatError
from tests.faults import sharing
from tests.faults.sharing import Remote, state
from tests.servers.faults import Answer, CutReply, CutRequest, Fault, LoseReply
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.slow

MOST = 100
"""More requests than anything here makes."""
Attempt = Callable[[Proxy, int, Context, sharing.Act], bool]
"""Acts on a context, with a fault at one of the requests; whether there were so many."""


def failing(fault: Fault) -> Attempt:
    def attempt(proxy: Proxy, nth: int, context: Context, act: sharing.Act) -> bool:
        proxy.reset()
        proxy.fail_nth(nth, fault)
        try:
            act(context)
        except DisdatError:
            assert proxy.count() >= nth, "it failed before anything went wrong"
        reached = proxy.count() >= nth
        proxy.reset()
        return reached

    return attempt


def killing(*, arrives: bool) -> Attempt:
    def attempt(proxy: Proxy, nth: int, context: Context, act: sharing.Act) -> bool:
        return sharing.kill_at(proxy, nth, context, act, arrives=arrives)

    return attempt


ATTEMPTS = {
    "refused": failing(Answer(403)),
    "lost reply": failing(LoseReply()),
    "cut request": failing(CutRequest(after=100)),
    "kill": killing(arrives=False),
    "kill, and it arrives": killing(arrives=True),
}
MORE = {"broken": failing(Answer(400)), "cut reply": failing(CutReply(after=10)), "busy": failing(Answer(503))}
CUT = [
    *(pytest.param(attempt, id=name) for name, attempt in ATTEMPTS.items()),
    *(pytest.param(attempt, id=name, marks=pytest.mark.soak) for name, attempt in MORE.items()),
]


@dataclass(frozen=True, slots=True)
class Pair:
    """Ann, who has pushed bundles of every kind, and Bob, who fetched them."""

    ann: Context
    bob: Context


@pytest.fixture
def pair(remote: Remote, tmp_path: Path) -> Pair:
    sharing.fill(tmp_path / "ann", tmp_path / "files")
    pair = Pair(remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob"))
    sharing.push_all(pair.ann)
    sharing.fetch_all(pair.bob)
    assert state(pair.bob) == state(pair.ann)
    return pair


def rounds() -> Iterator[int]:
    return iter(range(1, MOST))


@pytest.mark.parametrize("attempt", CUT)
def test_a_push_cut_at_any_request_shows_old_or_new_and_the_next_completes_it_with_the_same_packs(
    remote: Remote, pair: Pair, tmp_path: Path, attempt: Attempt
) -> None:
    for number in rounds():
        before, packs = state(pair.ann), set(remote.keys("packs/"))
        sharing.change_and_add(pair.ann, number)
        was_cut = attempt(remote.proxy, number, pair.ann, sharing.push_all)
        sharing.fetch_all(pair.bob)
        seen = state(pair.bob)
        assert seen in (before, state(pair.ann)), "a push was seen by halves"
        if seen != before:
            sharing.localize_all(pair.bob)
        sharing.push_all(pair.ann)
        sharing.fetch_all(pair.bob)
        assert state(pair.bob) == state(pair.ann)
        assert len(set(remote.keys("packs/")) - packs) == 1, "the next push made other packs"
        if not was_cut:
            break
    assert not was_cut
    late = remote.joined(tmp_path / "late")
    sharing.fetch_all(late)
    for each in (pair.bob, late):
        assert state(each) == state(pair.ann)
        sharing.check_whole(each)


@pytest.mark.parametrize("attempt", CUT)
def test_a_fetch_cut_at_any_request_shows_old_or_new_and_the_next_completes_it(
    remote: Remote, pair: Pair, attempt: Attempt
) -> None:
    for number in rounds():
        before = state(pair.ann)
        sharing.change_and_add(pair.ann, number)
        sharing.push_all(pair.ann)
        was_cut = attempt(remote.proxy, number, pair.bob, sharing.fetch_all)
        assert state(pair.bob) in (before, state(pair.ann))
        sharing.fetch_all(pair.bob)
        assert state(pair.bob) == state(pair.ann)
        if not was_cut:
            break
    assert not was_cut
    sharing.check_whole(pair.bob)


@pytest.mark.parametrize("attempt", CUT)
def test_a_localize_cut_at_any_request_leaves_nothing_partial_and_the_next_completes_it(
    remote: Remote, pair: Pair, attempt: Attempt
) -> None:
    for number in rounds():
        sharing.change_and_add(pair.ann, number)
        sharing.push_all(pair.ann)
        sharing.fetch_all(pair.bob)
        was_cut = attempt(remote.proxy, number, pair.bob, sharing.localize_all)
        for digest in list(pair.bob.home.store.iter_digests()):
            pair.bob.home.store.verify(digest)
        sharing.check_whole(pair.bob)
        if not was_cut:
            break
    assert not was_cut


def test_a_kill_leaves_leases_that_end_by_themselves_and_stop_nobody(remote: Remote, pair: Pair) -> None:
    sharing.change_and_add(pair.ann, 0)
    for nth in itertools.count(1):
        assert sharing.kill_at(remote.proxy, nth, pair.ann, sharing.push_all, arrives=True)
        if remote.keys("leases/"):
            break
    sharing.push_all(pair.ann)
    sharing.fetch_all(pair.bob)
    assert state(pair.bob) == state(pair.ann)
    assert len(remote.keys("leases/")) == 1
