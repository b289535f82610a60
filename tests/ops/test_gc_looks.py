"""A look at what is needed follows contexts that are deleted, and holds no row of what was removed in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.keeping import Keeping
from disdat.context import Context, Home
from disdat.errors import Corrupt
from disdat.ops import bundles, contexts, everywhere, gc
from disdat.ops.bundles import Birth
from disdat.ops.everywhere import Asked, Asking
from disdat.ops.gc import Policy, Step
from disdat.store.trash import Trash

NOW = Policy(0, 0)
MONTH = Policy(30 * 86_400_000_000, 7 * 86_400_000_000)


@contextmanager
def asked(home: Home, *, settled: bool = False) -> Iterator[list[Asked]]:
    with everywhere.contexts(Asking.of(home, home.store.collector(clock_us=home.clock_us), settled=settled)) as found:
        yield found


@pytest.fixture
def context(home: Path) -> Context:
    made = contexts.create(Home(home), "demo")
    bundles.write(made, np.arange(200), Birth("kept"))
    contexts.create(made.home, "other")
    return made


def names(found: list[Asked]) -> list[list[str]]:
    return everywhere.ask_all(found, lambda _, keeping: [each.name for each in keeping.present()])


def test_a_context_that_is_deleted_after_it_was_listed_is_asked_in_the_trash(context: Context) -> None:
    with asked(context.home) as found:
        contexts.delete(context.home, "demo")
        contexts.create(context.home, "demo")
        assert names(found) == [["kept"], []]
        assert [each.is_deleted for each in found] == [True, False]
        assert found[0].present([]) == set()


def test_a_context_that_is_deleted_while_it_is_asked_is_asked_again(context: Context) -> None:
    def look(each: Asked, keeping: Keeping) -> list[str]:
        if each.name == "demo" and not each.is_deleted:
            contexts.delete(context.home, "demo")
            raise Corrupt("as what lies where it was is found")
        return [bundle.name for bundle in keeping.present()]

    with asked(context.home) as found:
        assert everywhere.ask_all(found, look) == [["kept"], []]


def test_a_context_that_is_purged_meanwhile_is_left_out(context: Context) -> None:
    with asked(context.home) as found:
        contexts.delete(context.home, "demo")
        gc.collect(Home(context.home.root), NOW, frozenset({Step.PURGE}))
        assert names(found) == [[]]


class Purging(Trash):
    """A trash whose contexts are purged by someone else as soon as they are listed."""

    def contexts(self) -> list[tuple[Path, int]]:
        listed = super().contexts()
        for path, _ in listed:
            path.rename(self.going_path(path))
        return listed


def test_a_context_that_is_purged_while_the_trash_is_listed_is_left_out(context: Context) -> None:
    home = context.home
    contexts.delete(home, "demo")
    peek = home.store.collector(clock_us=home.clock_us).peek()
    with everywhere.contexts(Asking(home, peek, Purging(home.root / "store" / "trash", disk=home.disk))) as found:
        assert names(found) == [[]]


def test_nothing_is_left_out_for_who_deletes(context: Context, tmp_path: Path) -> None:
    with asked(context.home, settled=True) as found:
        context.directory.rename(tmp_path / "aside")
        with pytest.raises((Corrupt, OSError, LookupError)):
            names(found)


def peak_bytes(home: Home) -> int:
    """The most memory that Python objects took at once in a plan."""
    gc.plan(home, MONTH)
    tracemalloc.start()
    try:
        gc.plan(home, MONTH)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_the_memory_of_a_plan_does_not_grow_with_what_was_removed(context: Context) -> None:
    def remove(count: int) -> None:
        made = bundles.write_many(context, [(float(number), Birth("gone")) for number in range(count)])
        bundles.remove(context, list(context.catalog.rows([each.uuid for each in made]).values()))

    remove(300)
    few = peak_bytes(context.home)
    remove(2000)
    assert peak_bytes(context.home) - few < 2000 * 20
    assert gc.plan(context.home, MONTH).history == 2300


@pytest.mark.slow
def test_the_memory_of_a_plan_does_not_grow_with_the_trash(context: Context) -> None:
    trash = context.home.root / "store" / "trash" / "objects" / "blake3"
    for shard in range(64):
        (trash / f"{shard:02x}").mkdir(parents=True)

    def fill(start: int, end: int) -> None:
        for number in range(start, end):
            (trash / f"{number % 64:02x}" / f"{number % 64:02x}{number:062x}").write_bytes(b"")

    fill(0, 3000)
    few = peak_bytes(context.home)
    fill(3000, 9000)
    assert peak_bytes(context.home) - few < 6000 * 20
    assert gc.plan(context.home, MONTH).in_trash.count == 9000
