"""Pushing everything leaves nothing unpublished, and looks only at what something happened to since the last time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog.queries import Filter, Row
from disdat.context import Context, Home
from disdat.errors import Conflict, InvalidInput, RefNotFound
from disdat.ops import bundles, contexts, fetching, find, fork, pending, pull, push, remotes, undo
from disdat.ops.bundles import Birth
from tests.conftest import examples


def bound(root: Path, url: str, name: str = "work") -> Context:
    """A context of a home of its own, bound to the remote."""
    return remotes.bind(contexts.create(Home(root), name), "shared", url, layout="packed").context


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/remote"


@pytest.fixture
def ann(tmp_path: Path, url: str) -> Context:
    return bound(tmp_path / "ann", url)


def add(context: Context, name: str, *, commit: bool = True) -> Row:
    row = find.by_uuid(context, bundles.write(context, {"of": name}, Birth(name)).uuid)
    if commit:
        bundles.commit(context, [row])
    return find.by_uuid(context, row.uuid)


def looked_at(context: Context) -> list[str]:
    return [row.name for row in pending.look(context).rows]


def left(context: Context) -> tuple[Row, ...]:
    """What a push of all bundles, one by one, would find to publish."""
    return push.plan(context, push.selected(context)).sent


def test_only_what_something_happened_to_is_looked_at(ann: Context) -> None:
    assert looked_at(ann) == []
    first, second = add(ann, "first"), add(ann, "second")
    assert looked_at(ann) == ["second", "first"]
    assert push.push_all(ann).sent == (second, first)
    assert looked_at(ann) == []
    bundles.tag(ann, first, set_to={"k": "v"})
    add(ann, "draft", commit=False)
    assert looked_at(ann) == ["first"]
    assert [row.name for row in push.push_all(ann).sent] == ["first"]
    again = push.push_all(ann)
    assert (again.sent, again.skipped) == ((), ())


def test_what_is_committed_later_is_pushed_then(ann: Context) -> None:
    draft = add(ann, "draft", commit=False)
    add(ann, "other")
    push.push_all(ann)
    bundles.commit(ann, [draft])
    assert [row.name for row in push.push_all(ann).sent] == ["draft"]
    assert not left(ann)


def test_a_push_of_a_name_says_nothing_of_all(ann: Context) -> None:
    add(ann, "one")
    add(ann, "two")
    push.push(ann, push.selected(ann, "two"))
    assert [row.name for row in push.push_all(ann).sent] == ["one"]


def test_a_push_that_failed_says_nothing(ann: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    row = find.by_uuid(ann, bundles.write(ann, tmp_path / "file", Birth("lost")).uuid)
    bundles.commit(ann, [row])
    [kept] = (ann.home.root / "store" / "objects").rglob("?" * 64)
    away = kept.rename(tmp_path / "away")
    with pytest.raises(Exception, match="not"):
        push.push_all(ann)
    away.rename(kept)
    assert [each.name for each in push.push_all(ann).sent] == ["lost"]


def test_another_remote_is_told_everything(ann: Context, tmp_path: Path) -> None:
    add(ann, "one")
    push.push_all(ann)
    elsewhere = remotes.bind(ann, "shared", f"file://{tmp_path}/elsewhere", layout="packed").context
    assert [row.name for row in push.push_all(elsewhere).sent] == ["one"]


def test_what_was_noted_of_another_log_counts_for_nothing(ann: Context) -> None:
    """As after the log was replaced by what it was earlier: event numbers then mean others."""
    add(ann, "one")
    push.push_all(ann)
    noted = ann.remote.known.fact("pushed")
    assert noted is not None
    number, id_, repeated = noted.split(" ")
    for other in (f"{int(number) - 1} {id_} {repeated}", f"{int(number) + 99} {id_} {repeated}"):
        ann.remote.known.note({"pushed": other})
        assert looked_at(ann) == ["one"]


def test_an_undo_of_what_only_a_fork_publishes_is_published_once_it_did(ann: Context) -> None:
    """Nothing happened here meanwhile: others got to know what was undone here before they did."""
    row = add(ann, "shared")
    bundles.tag(ann, row, set_to={"wrong": "yes"})
    forked = remotes.bind(fork.fork(ann, "forked"), "shared", ann.remote.binding.url, layout="packed").context
    undo.undo(forked)
    push.push_all(forked)
    assert looked_at(forked) == []
    push.push_all(ann)
    assert find.by_uuid(ann, row.uuid).tags == {"wrong": "yes"}
    fetching.fetch(forked)
    assert push.push_all(forked).sent
    fetching.fetch(ann)
    assert find.by_uuid(ann, row.uuid).tags == {}


def _anything(context: Context, rng: random.Random) -> None:
    """Do something that a user may."""
    rows = find.search(context, Filter())
    row = rng.choice(rows) if rows else None
    acts: Mapping[str, Callable[[], object]] = {
        "add": lambda: add(context, f"n{rng.randrange(3)}", commit=rng.random() < 0.5),
        "undo": lambda: undo.undo(context, force=True),
        "fetch": lambda: fetching.fetch(context),
        "reindex": context.catalog.reindex,
    }
    if row is not None:
        acts = {
            **acts,
            "commit": lambda: bundles.commit(context, [row]),
            "tag": lambda: bundles.tag(context, row, set_to={"k": str(rng.randrange(3))}),
            "remove": lambda: bundles.remove(context, [row], force=True),
            "push one": lambda: push.push(context, [row] if row.committed else []),
            "push": lambda: push.push_all(context),
            "pull": lambda: pull.pull(context),
        }
    with suppress(Conflict, InvalidInput, RefNotFound):  # there is nothing to undo, say
        acts[rng.choice(sorted(acts))]()


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_push_of_all_leaves_nothing_whatever_happened(tmp_path: Path, seed: int) -> None:
    """In three contexts of one remote, two of which have history in common."""
    place = Path(mkdtemp(dir=tmp_path))  # an example may be tried again
    url = f"file://{place}/remote"
    rng = random.Random(seed)
    ann, bob = bound(place / "ann", url), bound(place / "bob", url)
    for _ in range(4):
        _anything(ann, rng)
    forked = remotes.bind(fork.fork(ann, "forked"), "shared", url, layout="packed").context
    for _ in range(6):
        for _ in range(5):
            _anything(rng.choice([ann, bob, forked]), rng)
        for context in (ann, bob, forked):
            push.push_all(context)
            assert not left(context)
