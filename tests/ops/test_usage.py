"""What removing would free is what is freed when it is removed and collected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.context import Context, Home
from disdat.errors import BundleNotFound
from disdat.ops import add, bundles, contexts, gc, runs, usage
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step

NOW = Policy(0, 0)
LARGE, SMALL = 20_000, 200

names = st.sampled_from("abc")
contents = st.lists(st.integers(0, 4), min_size=1, max_size=3)


def stored(context: Context) -> int:
    return sum(size for _, size in context.home.store.sizes())


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(names, contents), min_size=1, max_size=6),
    st.lists(contents, max_size=2),
    st.sets(names, min_size=1),
)
def test_what_is_said_to_be_freed_is_what_is_freed(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[str, list[int]]],
    elsewhere: list[list[int]],
    chosen: set[str],
) -> None:
    home = Home(tmp_path_factory.mktemp("home") / "home")
    context, other = contexts.create(home, "demo"), contexts.create(home, "other")
    bundles.write_many(context, [([np.arange(SMALL) + n for n in of_one], Birth(name)) for name, of_one in made])
    for name, of_one in made:
        bundles.write(context, [np.arange(LARGE) + n for n in of_one], Birth(name))
    for of_one in elsewhere:
        bundles.write(other, [np.arange(LARGE) + n for n in of_one], Birth("x"))
    there = sorted(chosen & {name for name, _ in made})
    if not there:
        return
    report = usage.usage(context, there, NOW)
    assert sum(entry.versions for entry in report.entries) == 2 * sum(name in there for name, _ in made)
    before = stored(context)
    for entry in report.entries[:1] if len(there) == 1 else ():
        assert entry.frees_bytes == report.frees_bytes
    bundles.remove(context, [row for name in there for row in context.catalog.versions(name)])
    gc.collect(home, NOW, frozenset(Step))
    assert before - stored(context) == report.frees_bytes


def test_versions_that_share_a_tree_free_what_is_their_own(home: Path, tmp_path: Path) -> None:
    context = contexts.create(Home(home), "demo")
    source = tmp_path / "source"
    for number in range(300):
        path = source / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number:010}")
    first = add.add(context, "tree", [source])
    (source / "d0" / "f0").write_text("another one")
    second = add.add(context, "tree", [source])
    report = usage.usage(context, [], NOW, versions=True)
    unique = {entry.uuid: entry.unique_bytes for entry in report.entries}
    store = context.home.store
    own = store.size_bytes
    nodes = [digest for digest in store.iter_digests() if store.read(digest).startswith(b'{"')]
    assert len(nodes) == 6, "two roots, four directories"
    assert 0 < unique[first.uuid] < sum(map(own, nodes))
    assert unique[second.uuid] == unique[first.uuid] + 1  # of the file that changed
    assert report.unique_bytes == report.frees_bytes == sum(size for _, size in store.sizes())
    [together] = usage.usage(context, ["tree"], NOW).entries
    assert together.frees_bytes == report.frees_bytes


def test_what_is_in_a_pack_that_is_needed_is_freed_when_less_than_half_of_it_is(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    bundles.write_many(context, [(np.arange(200) + n, Birth(f"n{n}")) for n in range(10)])
    [size] = {size for _, size in context.home.store.sizes()}
    of_each = {entry.name: entry for entry in usage.usage(context, [], NOW).entries}
    assert {(entry.unique_bytes, entry.frees_bytes) for entry in of_each.values()} == {(size, 0)}
    several = usage.usage(context, [f"n{n}" for n in range(7)], NOW)
    assert several.unique_bytes == several.frees_bytes == 7 * size
    bundles.remove(context, [row for n in range(5) for row in context.catalog.versions(f"n{n}")])
    gc.collect(context.home, NOW, frozenset(Step))
    before = stored(context)
    [one] = usage.usage(context, ["n9"], NOW).entries
    assert one.frees_bytes == 6 * size, "with it goes what nobody needed before"
    bundles.remove(context, context.catalog.versions("n9"))
    gc.collect(context.home, NOW, frozenset(Step))
    assert before - stored(context) == one.frees_bytes


def test_the_package_set_of_a_run_is_not_freed_with_its_bundles(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    run = runs.of_pipeline(context)
    runs.record(context, run)
    bundles.write(context, np.arange(LARGE), Birth("made", run=run))
    before = stored(context)
    report = usage.usage(context, [], NOW)
    assert run.packages is not None
    assert report.unique_bytes == before - context.home.store.size_bytes(run.packages)
    bundles.remove(context, context.catalog.versions("made"))
    gc.collect(context.home, NOW, frozenset(Step))
    assert before - stored(context) == report.frees_bytes


def test_a_name_that_is_not_there_is_an_error(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    with pytest.raises(BundleNotFound):
        usage.usage(context, ["nothing"], NOW)
    assert usage.usage(context, [], NOW).entries == ()
