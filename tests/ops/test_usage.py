"""What removing would free is what is freed when it is removed and collected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.context import Context, Home
from disdat.errors import BundleNotFound
from disdat.ops import add, bundles, contexts, gc, usage
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step

NOW = Policy(0, 0)
LARGE = 20_000

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
    for name, of_one in made:
        bundles.write(context, [np.arange(LARGE) + n for n in of_one], Birth(name))
    for of_one in elsewhere:
        bundles.write(other, [np.arange(LARGE) + n for n in of_one], Birth("x"))
    there = sorted(chosen & {name for name, _ in made})
    if not there:
        return
    report = usage.usage(context, there, NOW)
    assert sum(entry.versions for entry in report.entries) == sum(name in there for name, _ in made)
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
    frees = {entry.uuid: entry.frees_bytes for entry in report.entries}
    store = context.home.store
    own = store.size_bytes
    nodes = [digest for digest in store.iter_digests() if store.read(digest).startswith(b'{"')]
    assert len(nodes) == 6, "two roots, four directories"
    assert 0 < frees[first.uuid] < sum(map(own, nodes))
    assert frees[second.uuid] == frees[first.uuid] + 1  # of the file that changed
    assert report.frees_bytes == sum(size for _, size in store.sizes())
    [together] = usage.usage(context, ["tree"], NOW).entries
    assert together.frees_bytes == report.frees_bytes


def test_a_name_that_is_not_there_is_an_error(home: Path) -> None:
    context = contexts.create(Home(home), "demo")
    with pytest.raises(BundleNotFound):
        usage.usage(context, ["nothing"], NOW)
    assert usage.usage(context, [], NOW).entries == ()
