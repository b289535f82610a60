"""What is published of bundles is what others need to know, and they are told which bundles it is about."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.core import event
from disdat.core.canonical import Json
from disdat.core.event import Event
from disdat.core.publication import Said
from disdat.ops import bundles, contexts, fetching, find, pull, push, remotes, undo, unpublished
from disdat.ops.bundles import Birth
from tests.catalog import contexts as made

UUID = "11111111-1111-4111-8111-111111111111"


def events(*said: str) -> list[Event]:
    """Events about a bundle, in order: ``a`` adds it, and so on; ``u2`` undoes the one with number 2, from 0."""
    body = made.added(made.bundle(uuid=UUID)).payload
    payloads: Mapping[str, tuple[str, Mapping[str, Json]]] = {
        "a": (event.ADD, body),
        "t": (event.TAG, {"uuid": UUID, "set": {"k": "v"}}),
        "r": (event.REMOVE, {"uuids": [UUID]}),
        "b": (event.RESTORE, {"uuids": [UUID]}),
        "u": (event.UNDO, {}),
    }
    found: list[Event] = []
    for number, what in enumerate(said):
        kind, payload = payloads[what[0]]
        undoes = tuple(found[int(each)].id for each in what[1:])
        found.append(Event(event.ulid(number * 1000), number * 1000, "h", number, kind, payload, undoes=undoes))
    return found


@pytest.mark.parametrize(
    ("said", "published", "expected"),
    [
        ("a t", "", "0 1"),
        ("a t", "0", "1"),
        ("a t", "0 1", ""),
        ("a r", "0", ""),  # what is removed here is not removed for others
        ("a t u1", "", "0"),  # they never saw what was undone
        ("a t u1", "0 1", "2"),
        ("a t u1 u2", "0 1", ""),
        ("a t u1 u2", "0 1 2", "3"),
        ("a r b", "0", ""),  # who removed it too would have it again
        ("a r b", "0 1", "2"),
        ("a r u1 r b", "0 1 2", ""),
        ("a r u1", "0 1", "2"),
        ("a r u1", "0", ""),
    ],
)
def test_others_are_told_what_they_need_to_know(said: str, published: str, expected: str) -> None:
    all_of_them = events(*said.split())
    known = {all_of_them[int(each)].write_key for each in published.split()}
    found = unpublished.chosen(all_of_them, known)
    assert [each.seq for each in found] == [int(each) for each in expected.split()]


@pytest.fixture
def url() -> str:
    return f"memory://{secrets.token_hex(8)}"


@pytest.fixture
def ann(tmp_path: Path, url: str) -> Context:
    return joined(tmp_path / "ann", url)


@pytest.fixture
def bob(tmp_path: Path, url: str) -> Context:
    return joined(tmp_path / "bob", url)


def joined(root: Path, url: str) -> Context:
    return remotes.bind(contexts.create(Home(root), "work"), "shared", url, layout="packed").context


def add(context: Context, name: str) -> Row:
    made = bundles.write(context, name, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return find.by_uuid(context, made.uuid)


def push_all(context: Context) -> list[str]:
    """Push, and give the names of what was sent."""
    return [row.name for row in push.push(context, push.selected(context)).sent]


def test_of_an_undo_only_the_bundle_it_speaks_of_was_sent(ann: Context, bob: Context) -> None:
    rows = {name: add(ann, name) for name in ("one", "two", "three")}
    bundles.tag(ann, rows["two"], set_to={"a": "b"})
    assert set(push_all(ann)) == set(rows)
    undo.undo(ann)
    fetching.fetch(bob)
    assert find.need(bob, "two").tags == {"a": "b"}
    assert push_all(ann) == ["two"]
    fetching.fetch(bob)
    assert find.need(bob, "two").tags == {}


def test_a_fetch_tells_what_an_undo_took_and_brought_back(ann: Context, bob: Context) -> None:
    row = add(ann, "n")
    push_all(ann)
    assert fetching.fetch(bob).new == (row.uuid,)
    with ann.remote.mirror() as mirror:
        gone = [Event(event.ulid(us := mirror.now_us()), us, "h", 1, event.REMOVE, {"uuids": [row.uuid]})]
        mirror.publish(Said(events=gone))
    fetched = fetching.fetch(bob)
    assert (fetched.new, fetched.gone) == ((), (row.uuid,))
    with ann.remote.mirror() as mirror:
        us = mirror.now_us() + 1
        back = [Event(event.ulid(us), us, "h", 2, event.UNDO, {}, undoes=(gone[0].id,))]
        mirror.publish(Said(events=back))
    fetched = fetching.fetch(bob)
    assert (fetched.new, fetched.gone) == ((row.uuid,), ())


def test_what_was_removed_by_two_comes_back_to_who_asked(ann: Context, bob: Context, tmp_path: Path, url: str) -> None:
    cat = joined(tmp_path / "cat", url)
    row = add(ann, "n")
    push_all(ann)
    for each in (bob, cat):
        fetching.fetch(each)
        bundles.remove(each, [find.by_uuid(each, row.uuid)], force=True)
    pull.pull(bob, "n")
    assert find.need(bob, "n").uuid == row.uuid
    push_all(bob)
    assert fetching.fetch(cat).new == ()
    assert cat.catalog.rows([row.uuid]) == {}
