"""Whatever three homes do, in whatever order they push and fetch: once all did, they see the same."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog.queries import Filter, Row
from disdat.context import Context, Home
from disdat.durable import Disk
from disdat.errors import DisdatError
from disdat.ops import bundles, contexts, fetching, find, moves, pull, push, remotes, rmr, undo
from disdat.ops.bundles import Birth
from disdat.ops.history import log

HOMES = 3
SAID = ["tag", "untag", "rename"]
VERBS = ["add", "add", *SAID, "rm", "rmr", "undo", "push", "push", "fetch", "fetch", "pull"]
UNDONE = ("tag", "rename", "remove")

Step = tuple[int, str, int]
step = st.tuples(st.integers(0, HOMES - 1), st.sampled_from(VERBS), st.integers(0, 5))
steps = st.lists(step, max_size=40)
many_steps = st.lists(step, min_size=20, max_size=60)
"""Where nothing is said of the least, most are of five or so."""


class Unsynced(Disk):
    """No power cut is tested here."""

    def sync(self, file: object) -> None:
        pass

    def sync_path(self, path: Path) -> None:
        pass

    def sync_dir(self, path: Path) -> None:
        pass


@dataclass
class Somebody:
    """A context in a home of its own, and what was removed in it and nowhere else."""

    context: Context
    removed: set[str] = field(default_factory=set)
    said: int = 0

    def do(self, verb: str, number: int) -> None:
        getattr(self, verb)(number)

    def rows(self) -> list[Row]:
        return sorted(find.search(self.context, Filter()), key=lambda row: row.uuid)

    def some(self, number: int) -> Row | None:
        rows = self.rows()
        return rows[number % len(rows)] if rows else None

    def add(self, number: int) -> None:
        made = bundles.write(self.context, number, Birth(name=f"n{number}"))
        bundles.commit(self.context, [find.by_uuid(self.context, made.uuid)])

    def tag(self, number: int) -> None:
        self.said += 1
        if row := self.some(number):
            bundles.tag(self.context, row, set_to={f"k{number % 2}": f"{self.context.home.root.name}{self.said}"})

    def untag(self, number: int) -> None:
        row = self.some(number)
        if row is not None and f"k{number % 2}" in row.tags:
            bundles.tag(self.context, row, unset=[f"k{number % 2}"])

    def rename(self, number: int) -> None:
        self.said += 1
        if row := self.some(number):
            moves.rename(self.context, [row], f"{self.context.home.root.name}{self.said}")

    def rm(self, number: int) -> None:
        if row := self.some(number):
            bundles.remove(self.context, [row], force=True)
            self.removed.add(row.uuid)

    def rmr(self, number: int) -> None:
        if row := self.some(number):
            with suppress(DisdatError):  # it was never pushed
                rmr.remove(self.context, rmr.selected(self.context, [row.uuid]))

    def undo(self, number: int) -> None:
        before = {row.uuid for row in self.rows()}
        own = [each for each in log(self.context, kinds=UNDONE) if each.counts]
        if own:
            meant = own[number % len(own)]
            with suppress(DisdatError):  # it was undone already, or made by what cannot be undone
                undo.undo(self.context, meant.id, force=True)
                # What was fetched at once is undone at once: with a removal, what was removed, though it was not here.
                self.removed |= {each.uuid for each in meant.mentions if each.kind == "add"}
        after = {row.uuid for row in self.rows()}
        self.removed = (self.removed | (before - after)) - (after - before)

    def push(self, _: int) -> None:
        push.push(self.context, push.selected(self.context))

    def fetch(self, _: int) -> None:
        before = {row.uuid for row in self.rows()}
        fetching.fetch(self.context)
        back = {row.uuid for row in self.rows()} & self.removed - before
        assert not back, "what was removed here is back"

    def pull(self, number: int) -> None:
        with suppress(DisdatError):  # nobody has such a name
            pull.pull(self.context, f"n{number}", every_version=True)
        self.removed -= {row.uuid for row in self.rows()}

    def seen(self) -> dict[str, tuple[str, dict[str, str], bool]]:
        return {row.uuid: (row.name, dict(row.tags), row.committed) for row in self.rows()}


def check(root: Path, story: list[Step]) -> None:
    url = f"memory://{secrets.token_hex(8)}"
    everybody = []
    for who in range(HOMES):
        context = contexts.create(Home(root / f"h{who}-", disk=Unsynced()), "work")
        everybody.append(Somebody(remotes.bind(context, "shared", url, layout="packed").context))
    for who, verb, number in story:
        everybody[who].do(verb, number)
    for verb in ("push", "fetch", "push", "fetch"):
        for each in everybody:
            each.do(verb, 0)
    whole = {uuid: what for each in everybody for uuid, what in each.seen().items()}
    for each in everybody:
        assert each.seen() == {uuid: what for uuid, what in whole.items() if uuid not in each.removed}
    for each in everybody:
        before = each.seen()
        each.context.catalog.reindex()
        assert each.seen() == before
        each.context.catalog.close()
        each.context.remote.known.close()


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=steps)
def test_all_see_the_same_once_all_pushed_and_fetched(story: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as root:
        check(Path(root), story)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=many_steps)
def test_all_see_the_same_once_all_pushed_and_fetched_at_length(story: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as root:
        check(Path(root), story)


def test_what_was_removed_here_comes_back_only_when_it_is_asked_for(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    ann, bob, cat = (
        Somebody(remotes.bind(contexts.create(Home(tmp_path / who), "work"), "shared", url, layout="packed").context)
        for who in ("ann", "bob", "cat")
    )
    ann.add(1)
    ann.push(0)
    for each in (bob, cat):
        each.fetch(0)
        each.rm(0)
    for number in range(3):
        ann.tag(0)
        ann.push(0)
        bob.fetch(0)
        assert bob.seen() == {}, number
    bob.pull(1)
    assert bob.seen() == ann.seen()
    bob.push(0)
    cat.fetch(0)
    assert cat.seen() == {}, "what one has back is back for another who removed it"
