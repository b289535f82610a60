"""What is removed on the remote is gone for everybody, by exact names only, and an undo brings it back for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import BadQuery, BundleNotFound, DisdatError, InvalidInput, NotConfigured
from disdat.ops import bundles, contexts, fetching, find, history, presence, pull, push, remotes, rmr, undo
from disdat.ops.bundles import Birth
from disdat.remote.known import Presence
from disdat.remote.mirror import Mirror


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Context]:
    """Make a context of a home of its own, bound to the remote."""

    def made(who: str) -> Context:
        context = contexts.create(Home(tmp_path / who), "work")
        return remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout="packed").context

    return made


@pytest.fixture
def ann(make: Callable[[str], Context]) -> Context:
    return make("ann")


@pytest.fixture
def bob(make: Callable[[str], Context]) -> Context:
    return make("bob")


def add(context: Context, name: str, value: object) -> Row:
    """Add a bundle, commit and push it."""
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    push.push(context, push.selected(context, name))
    return find.by_uuid(context, made.uuid)


def remove(context: Context, *references: str) -> None:
    rmr.remove(context, rmr.selected(context, references))


def names(context: Context) -> list[str]:
    fetching.fetch(context)
    return context.catalog.names()


def test_what_is_removed_is_gone_for_everybody_and_at_once(ann: Context, bob: Context) -> None:
    add(ann, "kept", 1)
    add(ann, "gone", 2)
    assert names(bob) == ["gone", "kept"]
    remove(ann, "gone")
    assert ann.catalog.names() == ["kept"]
    assert names(bob) == ["kept"]
    assert not push.push(bob, push.selected(bob)).sent
    assert names(ann) == ["kept"]


def test_an_undo_that_is_pushed_brings_it_back_for_everybody(ann: Context, bob: Context) -> None:
    row = add(ann, "n", np.arange(100_000))
    names(bob)
    remove(ann, "n")
    names(bob)
    undone = undo.undo(bob, next(history.log(bob)).id)  # by its id, as it was done elsewhere
    assert [each.uuid for each in undone.back] == [row.uuid]
    assert presence.of_rows(bob, [row.uuid]) == {row.uuid: Presence.REMOTE}
    assert names(ann) == []
    push.push(bob, push.selected(bob))
    assert names(ann) == ["n"]
    assert (bundles.value(ann, row.uuid) == np.arange(100_000)).all()


def test_an_undo_is_pushed_with_the_bundle_that_is_named(ann: Context, bob: Context) -> None:
    add(ann, "n", 1)
    remove(ann, "n")
    undo.undo(ann)
    push.push(ann, push.selected(ann, "n"))
    assert names(bob) == ["n"]


def test_a_removal_here_and_one_for_all_are_two(ann: Context, bob: Context) -> None:
    row = add(ann, "n", 1)
    names(bob)
    bundles.remove(bob, [find.by_uuid(bob, row.uuid)], force=True)
    remove(bob, row.uuid)  # it is not here any more
    assert names(ann) == []
    push.push(ann, push.selected(ann))
    assert names(bob) == []


def test_a_removal_is_later_than_all_that_is_known_of_a_bundle(ann: Context, bob: Context) -> None:
    row = add(ann, "n", 1)
    ann.home.clock_us = lambda: 0  # a clock that is far behind
    remove(ann, "n")
    assert ann.catalog.get(row.uuid) is None
    assert names(bob) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_removal_cut_off_is_made_or_not(
    ann: Context, bob: Context, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Killed after it was published, and before it was recorded here, the next fetch brings it."""
    add(ann, "n", 1)
    store = Mirror._store

    def killed(self: Mirror, made: object) -> int | None:
        if moment == "after":
            store(self, made)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Mirror, "_store", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(ann, "n")
    assert ann.catalog.names() == ["n"]
    assert (names(ann) == names(bob) == []) is (moment == "after")


def test_a_receipt_cut_off_is_made_good_by_the_next_fetch(ann: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    add(ann, "n", 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(ann.catalog), "receive", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(ann, "n")
    assert ann.catalog.names() == ["n"]
    assert names(ann) == []


def test_only_exact_references_remove(ann: Context) -> None:
    rows = [add(ann, "n", number) for number in range(3)]
    newest = rows[-1].uuid
    cases: list[tuple[list[str], type[DisdatError]]] = [
        ([], BadQuery),
        ([newest[:8]], BadQuery),
        ([f"n@{newest[:8]}"], BadQuery),
        (["m"], BundleNotFound),
        (["n", "m"], BundleNotFound),
        (["n*"], BundleNotFound),
        (["00000000-0000-4000-8000-000000000000"], BundleNotFound),
    ]
    for references, error in cases:
        with pytest.raises(error):
            remove(ann, *references)
    assert len(ann.catalog.versions("n")) == 3
    remove(ann, "n", newest, f"n@{newest}")
    remove(ann, "n@-1")
    assert [row.uuid for row in ann.catalog.versions("n")] == [rows[1].uuid]


def test_tags_narrow_what_is_meant(ann: Context) -> None:
    rows = [add(ann, "n", number) for number in range(2)]
    bundles.tag(ann, rows[0], set_to={"bad": "yes"})
    rmr.remove(ann, rmr.selected(ann, ["n"], tags={"bad": "yes"}))
    assert [row.uuid for row in ann.catalog.versions("n")] == [rows[1].uuid]
    with pytest.raises(BundleNotFound):
        rmr.selected(ann, ["n"], tags={"bad": "yes"})


def test_what_was_never_pushed_is_refused(ann: Context, tmp_path: Path) -> None:
    bundles.write(ann, 1, Birth(name="draft"))
    with pytest.raises(InvalidInput, match="never pushed"):
        remove(ann, "draft")
    unbound = contexts.create(Home(tmp_path / "cat"), "work")
    bundles.write(unbound, 1, Birth(name="n"))
    with pytest.raises(NotConfigured):
        remove(unbound, "n")


def test_who_pulls_a_name_that_was_removed_for_all_is_told_so(ann: Context, bob: Context) -> None:
    add(ann, "n", 1)
    remove(ann, "n")
    with pytest.raises(BundleNotFound, match="has no bundle 'n'"):
        pull.pull(bob, "n")
