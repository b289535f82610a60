"""A ref is moved by one of those who would, whatever becomes of the replies; the others are told that it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from disdat.core import event
from disdat.errors import Corrupt, RefMoved, Unavailable
from disdat.remote import refs
from disdat.remote.refs import Ref
from disdat.store.backend import Backend
from tests.remote.conftest import Opened
from tests.servers.faults import Answer, CutReply, Delay, Duplicate, LoseReply, Rule
from tests.servers.proxy import Proxy

FAULTS = (LoseReply(), CutReply(after=3), Duplicate(), Answer(409), Answer(500), Delay(30))
TRIES = 20


def move(backend: Backend, name: str, *, expected: str | None, target: str) -> Ref | None:
    """Move a ref as somebody does who asks again where nobody answered; None where another one moved it."""
    write_id = event.ulid(0)
    for _ in range(TRIES):
        try:
            return refs.move(backend, "shared", name, expected=expected, target=target, write_id=write_id)
        except RefMoved:
            return None
        except Unavailable:
            continue
    raise AssertionError(f"nobody answered {TRIES} times")


def race(opened: Opened, rounds: int) -> None:
    """Let two move a ref at once, again and again."""
    backends = {who: opened() for who in ("ann", "bob")}
    reader = opened()
    start = threading.Barrier(len(backends), timeout=20)

    def mover(who: str, target: str, expected: str | None) -> Callable[[], Ref | None]:
        def act() -> Ref | None:
            start.wait()
            return move(backends[who], "main", expected=expected, target=target)

        return act

    now: str | None = None
    with ThreadPoolExecutor(len(backends)) as pool:
        for number in range(rounds):
            moved = [pool.submit(mover(who, f"{who} {number}", now)) for who in backends]
            [won] = [ref for each in moved if (ref := each.result()) is not None]
            found = refs.read(reader, "shared", "main")
            assert found is not None
            assert found.target == won.target
            assert found.write_id == won.write_id
            now = won.target


def test_of_two_who_move_a_ref_one_does(opened: Opened) -> None:
    race(opened, 10)


@pytest.mark.slow
def test_of_two_who_move_a_ref_one_does_though_replies_are_lost(through_proxy: Opened, proxy: Proxy) -> None:
    proxy.add(*(Rule(fault, path="/refs/", probability=0.05, seed=seed) for seed, fault in enumerate(FAULTS)))
    race(through_proxy, 40)
    assert {request.fault for request in proxy.requests()} > {"LoseReply", "Duplicate"}


def test_who_asks_again_succeeds_though_others_moved_it_since(opened: Opened) -> None:
    backend = opened()
    write_id = event.ulid(0)
    refs.move(backend, "shared", "r", expected=None, target="a", write_id=write_id)
    for number in range(refs.RECENT - 1):
        before = "a" if number == 0 else f"b{number - 1}"
        refs.move(backend, "shared", "r", expected=before, target=f"b{number}", write_id=event.ulid(0))
    refs.move(backend, "shared", "r", expected=None, target="a", write_id=write_id)
    with pytest.raises(RefMoved) as caught:
        refs.move(backend, "shared", "r", expected=None, target="a", write_id=event.ulid(0))
    assert (caught.value.expected, caught.value.found) == (None, f"b{refs.RECENT - 2}")


def test_refs_of_other_names_and_contexts_are_others(opened: Opened) -> None:
    backend = opened()
    refs.move(backend, "shared", "r", expected=None, target="a", write_id=event.ulid(0))
    assert refs.read(backend, "shared", "s") is None
    assert refs.read(backend, "other", "r") is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format":2,"target":"x","write":"w","recent":[]}', b"\xff"])
def test_a_damaged_ref_is_named(opened: Opened, data: bytes) -> None:
    backend = opened()
    backend.put("context/shared/refs/r", data)
    with pytest.raises(Corrupt, match="refs/r"):
        refs.read(backend, "shared", "r")
