"""Publications are gathered while others publish, fetch and gather: whoever comes, whenever, misses none."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import fetching, find, push
from disdat.remote import compaction, snapshots
from disdat.store.backend import KeyNotFound
from tests.faults import sharing
from tests.faults.processes import child
from tests.faults.sharing import Remote, state
from tests.servers.faults import Delay, Duplicate, LoseReply, Rule

pytestmark = pytest.mark.slow

MOST = 60
BELOW = "context/shared/"


SECOND_US = 1_000_000


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was gathered is deleted at once, though it is not a day old."""
    monkeypatch.setattr(snapshots, "GRACE_US", -60 * SECOND_US)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was gathered is deleted when it is some seconds old."""
    monkeypatch.setattr(snapshots, "GRACE_US", 2 * SECOND_US)


def compact(context: Context) -> None:
    with context.remote.mirror() as mirror:
        compaction.compact(mirror)


def publish(context: Context, name: str) -> str:
    """Push a bundle whose value lies in its event; its uuid."""
    uuid = sharing.add(context, name, name)
    push.push(context, [find.by_uuid(context, uuid)])
    return uuid


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("arrives", [False, True])
def test_a_compaction_killed_at_any_request_loses_nothing_and_the_next_completes_it(
    remote: Remote, tmp_path: Path, arrives: bool
) -> None:
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    for number in range(4):
        publish(ann, f"first{number}")
    for number in range(1, MOST):
        was_killed = sharing.kill_at(remote.proxy, number, bob, compact, arrives=arrives)
        if number % 4 == 0 or not was_killed:
            late = remote.joined(tmp_path / f"late{number}")
            sharing.fetch_all(late)
            assert state(late) == state(ann)
        if not was_killed:
            break
    assert not was_killed
    assert remote.keys(f"{BELOW}events/") == []
    assert len(remote.keys(f"{BELOW}snapshots/")) == 1
    sharing.fetch_all(bob)
    assert state(bob) == state(ann)


Act = Callable[[Callable[[str], None]], None]


def again_and_again(root: Path, seconds: float, act: Callable[[Context, Callable[[str], None]], None]) -> Act:
    def run(say: Callable[[str], None]) -> None:
        context = Home(root).context(sharing.CONTEXT)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            act(context, say)

    return run


def compacting(context: Context, say: Callable[[str], None]) -> None:
    try:
        compact(context)
        say("compacted")
    except KeyNotFound:
        say("another went by")


def pushing(context: Context, say: Callable[[str], None]) -> None:
    say(f"published {publish(context, 'p')}")


def arriving(context: Context, say: Callable[[str], None]) -> None:
    """Somebody whose mirror is new each time sees all that was seen before."""
    before = context.catalog.counts().bundles
    context.remote.known.close()
    for path in context.directory.glob("mirror.db*"):
        path.unlink()
    assert not fetching.fetch(context).refused
    assert context.catalog.counts().bundles >= before
    say("fetched")


def compact_at_once(remote: Remote, tmp_path: Path, seconds: float) -> None:
    acts = {"ann": pushing, "bob": pushing, "cat": compacting, "dan": compacting, "eve": arriving}
    for who in acts:
        remote.joined(tmp_path / who)
    faults = (LoseReply(), Duplicate(), Delay(200))
    remote.proxy.add(*(Rule(fault, probability=0.02, seed=seed) for seed, fault in enumerate(faults)))
    with ExitStack() as stack:
        reading = [
            stack.enter_context(child(again_and_again(tmp_path / who, seconds, act)))[1] for who, act in acts.items()
        ]
        said = [line for each in reading for line in sharing.all_of(each).decode().splitlines()]
    remote.proxy.reset()
    assert not [line for line in said if line.startswith("failed")]
    published = {line.partition(" ")[2] for line in said if line.startswith("published")}
    assert said.count("compacted") > 2
    for who in (*acts, "late"):
        context = remote.joined(tmp_path / who)
        fetching.fetch(context)
        assert context.catalog.known(sorted(published)) == published


@pytest.mark.usefixtures("soon")
def test_two_compact_at_once_beside_pushes_and_fetches(remote: Remote, tmp_path: Path) -> None:
    compact_at_once(remote, tmp_path, 5)


@pytest.mark.soak
@pytest.mark.usefixtures("soon")
def test_two_compact_at_once_beside_pushes_and_fetches_for_a_minute(remote: Remote, tmp_path: Path) -> None:
    compact_at_once(remote, tmp_path, 60)
