"""What bundles need of the store is told, however many files they have."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from disdat.core import manifest, tree
from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry, Tree, TreeRef
from disdat.ops import needs
from disdat.store.objects import ObjectStore
from tests.catalog.contexts import bundle

HERE = Entry(of_bytes(b"here"), 4)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "store")
    put(store, b"here")
    return store


def put(store: ObjectStore, *data: bytes) -> None:
    with store.batch() as batch:
        for each in data:
            batch.put(each)
        batch.seal()


def of_tree(name: str, of: Tree | TreeRef) -> tuple[str, Digest, bytes]:
    """A bundle of these files, as it is asked about."""
    made = bundle(name, tree=of)
    data = manifest.encode(made)
    return made.uuid, of_bytes(data), data


def stored(store: ObjectStore, files: dict[str, Entry]) -> TreeRef:
    ref, nodes = tree.to_nodes(Tree(files))
    put(store, *nodes.values())
    return ref


def many(count: int) -> dict[str, Entry]:
    return {f"{n // 1000}/{n % 1000}": HERE for n in range(count)}


def test_what_is_lost_is_told_of_each_bundle(store: ObjectStore) -> None:
    """Be it a file, of which others have none lost, or a node of its tree."""
    gone = Entry(of_bytes(b"gone"), 4)
    cases: dict[str, Tree | TreeRef] = {
        "here": Tree({"a": HERE}),
        "gone": Tree({"a": HERE, "b": gone}),
        "many": stored(store, many(3000)),
        "one of many": stored(store, {**many(3000), "2/other": gone}),
    }
    asked = {name: of_tree(name, files) for name, files in cases.items()}
    lost = {asked[name][0] for name in ("gone", "one of many")}
    assert needs.lost(store, asked.values()) == lost
    assert needs.lost(store, reversed(asked.values())) == lost


def test_a_tree_whose_nodes_are_lost_is_lost(store: ObjectStore) -> None:
    ref, nodes = tree.to_nodes(Tree(many(3000)))
    asked = of_tree("a", ref)
    for lacking in nodes:
        other = ObjectStore(store.root.with_name(lacking.hex))
        put(other, b"here", *(data for digest, data in nodes.items() if digest != lacking))
        assert needs.lost(other, [asked]) == {asked[0]}
        put(other, nodes[lacking])
        assert needs.lost(other, [asked]) == set()


@pytest.mark.slow
def test_memory_does_not_grow_with_how_many_files_there_are(store: ObjectStore) -> None:
    peaks = []
    for count in (10_000, 80_000):
        asked = [of_tree(f"{count}", stored(store, many(count)))]
        tracemalloc.start()
        assert needs.lost(store, asked) == set()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] < 10_000_000
