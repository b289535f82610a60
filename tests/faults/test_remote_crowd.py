"""Many processes push to one remote context while the way there fails as it likes: what is acknowledged is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.errors import DisdatError, Unavailable
from disdat.ops import bundles, fetching, find, maintain, push
from disdat.ops.bundles import Birth
from tests.catalog.contexts import dump
from tests.faults import sharing
from tests.faults.processes import child
from tests.faults.sharing import Remote
from tests.servers.faults import Answer, CutReply, CutRequest, Delay, Duplicate, LoseReply, Rule

FAULTS = (Answer(500), Answer(503), Delay(400), LoseReply(), Duplicate(), CutRequest(after=10), CutReply(after=10))
RULES = [
    Rule(Answer(409), method="PUT", path="/events/", probability=0.1, seed=100),
    *(Rule(fault, probability=0.02, seed=seed) for seed, fault in enumerate(FAULTS)),
]
OF_STATE = ("bundles", "tags", "params", "metrics", "inputs", "files", "objects", "unreadable")
"""The tables of a catalog that say what is seen."""


def add_pair(context: Context, name: str) -> list[str]:
    """Add two bundles that are pushed together: one has small bytes of its own, one large ones."""
    items = [(np.arange(2000) + len(name), Birth(f"{name}.a")), (f"{name} " * 20_000, Birth(f"{name}.b"))]
    uuids = [made.uuid for made in bundles.write_many(context, items)]
    bundles.commit(context, [find.by_uuid(context, uuid) for uuid in uuids])
    return uuids


def pushing(root: Path, name: str, seconds: float) -> Callable[[Callable[[str], None]], None]:
    """Push pair after pair, saying which were acknowledged."""

    def act(say: Callable[[str], None]) -> None:
        context = Home(root).context(name)
        end_s = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end_s:
            number += 1
            uuids = add_pair(context, f"{root.name}.{name}.{number}")
            try:
                push.push(context, [find.by_uuid(context, uuid) for uuid in uuids])
            except DisdatError as exc:
                say(f"not {exc}".replace("\n", " "))
            else:
                say(" ".join(["done", *uuids]))

    return act


def check_pairs(context: Context) -> None:
    """What was pushed together is seen together."""
    names = {row.name for row in find.search(context, Filter())}
    assert {other(name) for name in names} == names, "half of a push is seen"


def other(name: str) -> str:
    """The other one of a pair."""
    stem, _, half = name.rpartition(".")
    return f"{stem}.{'b' if half == 'a' else 'a'}"


def seen(context: Context) -> dict[str, list[tuple[object, ...]]]:
    """All that a catalog says of bundles."""
    context.catalog.counts()  # it may wait to be indexed
    return {table: rows for table, rows in dump(context.directory).items() if table in OF_STATE}


def push_at_once(remote: Remote, tmp_path: Path, *, writers: int, seconds: float) -> None:
    places = [(tmp_path / f"home{number // 2}", f"c{number % 2}") for number in range(writers)]
    contexts = [remote.joined(root, name=name) for root, name in places]
    watching = remote.joined(tmp_path / "watching")
    remote.proxy.add(*RULES)
    with ExitStack() as stack:
        reading = [stack.enter_context(child(pushing(root, name, seconds)))[1] for root, name in places]
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            fetch_as_may_be(watching)
            check_pairs(watching)
        said = [line.split() for each in reading for line in sharing.all_of(each).decode().splitlines()]
    remote.proxy.reset()
    acknowledged = {uuid for words in said if words[0] == "done" for uuid in words[1:]}
    assert len(acknowledged) >= 2 * writers, said
    assert not [words for words in said if words[0] not in ("done", "not")], said
    late = remote.joined(tmp_path / "late")
    for each in (late, watching):
        sharing.fetch_all(each)
        check_pairs(each)
        assert acknowledged <= {row.uuid for row in find.search(each, Filter())}, "what was acknowledged is lost"
    sharing.localize_all(late)
    assert maintain.verify(late).findings == ()
    check_all_agree([*contexts, watching, late])


def fetch_as_may_be(context: Context) -> None:
    with suppress(Unavailable):
        fetching.fetch(context)


def check_all_agree(contexts: list[Context]) -> None:
    """Once all have pushed and fetched all, every catalog says the same."""
    for each in contexts:
        sharing.push_all(each)
    for each in contexts:
        sharing.fetch_all(each)
    first, *others = map(seen, contexts)
    for each in others:
        assert each == first
    for each in contexts:
        assert each.remote.known.gaps() == ""


@pytest.mark.slow
def test_what_writers_push_at_once_through_faults_is_all_there(remote: Remote, tmp_path: Path) -> None:
    push_at_once(remote, tmp_path, writers=4, seconds=5)


@pytest.mark.soak
def test_what_many_writers_push_for_a_minute_through_faults_is_all_there(remote: Remote, tmp_path: Path) -> None:
    push_at_once(remote, tmp_path, writers=16, seconds=60)
