"""A tree is the shape of a directory: any name a file system takes, none that leads out of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical, digest, tree
from disdat.core.digest import Digest
from disdat.core.tree import Entry, Tree, TreeRef
from disdat.errors import Corrupt, InvalidInput, UnknownFormat

A, B = digest.of_bytes(b"a"), digest.of_bytes(b"b")

parts = st.binary(min_size=1, max_size=8).filter(lambda raw: not {0, ord("/")} & set(raw) and raw not in {b".", b".."})
raw_paths = st.lists(parts, min_size=1, max_size=4).map(b"/".join)
entries = st.builds(Entry, st.sampled_from([A, B]), st.integers(0, 10**12), st.booleans())


def is_tree(paths: Mapping[str, Entry]) -> bool:
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


trees = st.dictionaries(raw_paths.map(tree.encode_path), entries, max_size=8).filter(is_tree).map(Tree)


def many(count: int, directory: str = "") -> dict[str, Entry]:
    return {f"{directory}f{i:05d}": Entry(A, i) for i in range(count)}


@given(raw_paths)
def test_any_path_a_file_system_takes_comes_back_byte_by_byte(raw: bytes) -> None:
    path = tree.encode_path(raw)
    assert tree.decode_path(path) == raw
    tree.check_path(path)
    path.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"a b/c.txt", "a b/c.txt"),
        ("é/日本".encode(), "é/日本"),
        ("e\u0301".encode(), "e\u0301"),
        (b"100%", "100%25"),
        (b"%41", "%2541"),
        (b"\xff\xfe", "%FF%FE"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
        (b"new\nline\\", "new\nline\\"),
    ],
)
def test_paths_are_written_like_this(raw: bytes, path: str) -> None:
    """Nothing is normalised: a composed and a decomposed accent are two names."""
    assert tree.encode_path(raw) == path


HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "../x",
    "a/../../x",
    "./a",
    "a/./b",
    "a\0b",
    "%2E%2E/x",
    "a%2Fb",
    "%2Fetc",
    "%00",
    "%ff",
    "%FG",
    "%",
    "50%",
    "%41",
    "%C3%A9",
    "\ud800",
    "a/\udcff",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_could_lead_elsewhere_or_has_two_spellings_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="path"):
        Tree({path: Entry(A, 1)})


@pytest.mark.parametrize("path", HOSTILE)
def test_a_stored_tree_with_such_a_path_is_corrupt(path: str) -> None:
    data = canonical.encode({"format": 1, "entries": [{"name": path, "digest": A, "size": 1}]})
    with pytest.raises(Corrupt):
        tree.from_nodes(digest.of_bytes(data), lambda _: data)


def test_a_file_is_no_directory() -> None:
    for paths in (("a", "a/b"), ("x/y", "x/y/z/w"), ("a", "a.b", "a/b")):
        with pytest.raises(InvalidInput, match="is a file and has paths below it"):
            Tree(dict.fromkeys(paths, Entry(A, 1)))
    assert len(Tree(dict.fromkeys(("a.b", "a", "a b/c", "a0"), Entry(A, 1)))) == 4


def test_a_path_occurs_once() -> None:
    twice: list[canonical.Json] = [{"name": "a", "digest": A, "size": 1}, {"name": "a", "digest": B, "size": 2}]
    with pytest.raises(InvalidInput, match="twice"):
        tree.from_json(twice)


@given(trees)
def test_a_tree_iterates_in_the_order_of_its_paths_bytes(made: Tree) -> None:
    assert [path.encode() for path in made] == sorted(path.encode() for path in made)
    assert made.size_bytes == sum(entry.size_bytes for entry in made.values())


@given(trees)
def test_a_tree_comes_back_from_json_and_from_nodes(made: Tree) -> None:
    assert tree.from_json(canonical.decode(canonical.encode(tree.to_json(made)))) == made
    ref, nodes = tree.to_nodes(made)
    assert tree.from_nodes(ref.root, nodes.__getitem__) == made
    assert (ref.file_count, ref.size_bytes) == (len(made), made.size_bytes)
    assert all(digest.of_bytes(data) == name for name, data in nodes.items())


@given(trees, st.randoms(use_true_random=False))
def test_equal_trees_are_equal_objects_however_they_were_filled(made: Tree, chance: object) -> None:
    items = list(made.items())
    chance.shuffle(items)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    again = Tree(items)
    assert (again, hash(again)) == (made, hash(made))
    assert tree.to_nodes(again) == tree.to_nodes(made)
    assert tree.tree_logical(again) == tree.tree_logical(made)


@given(trees)
def test_the_trees_below_a_directory_are_its_files(made: Tree) -> None:
    assert made.below("") is made
    for path in made:
        head, _, last = path.rpartition("/")
        assert made.below(head)[last] == made[path]
    assert len(made.below("no such directory")) == 0


@pytest.mark.parametrize("count", [0, 1, 256, 257, 4096, 4097, 9000])
def test_trees_of_every_size_come_back(count: int) -> None:
    made = Tree(many(count) | many(3, "below/below/"))
    ref, nodes = tree.to_nodes(made)
    assert tree.from_nodes(ref.root, nodes.__getitem__) == made
    assert list(nodes)[-1] == ref.root, "children before parents"


def test_a_crowded_directory_is_split_by_the_hash_of_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its parts again, so that no node grows large."""
    monkeypatch.setattr(tree, "SHARD_ENTRIES", 4)
    made = Tree(many(3000))
    ref, nodes = tree.to_nodes(made)
    assert tree.from_nodes(ref.root, nodes.__getitem__) == made
    root = canonical.decode(nodes[ref.root])
    assert isinstance(root, dict)
    assert set(root) == {"format", "shards"}
    for data in nodes.values():
        node = canonical.decode(data)
        assert isinstance(node, dict)
        assert len(node.get("entries", ())) <= 4
    shard = canonical.decode(nodes[Digest(root["shards"]["00"])])
    names = [path for path in made if digest.of_bytes(path.encode()).hex.startswith("00")]
    assert sum(1 for _ in tree.from_nodes(Digest(root["shards"]["00"]), nodes.__getitem__)) == len(names)
    assert isinstance(shard, dict)


def test_a_change_of_one_file_rewrites_one_path_from_leaf_to_root() -> None:
    files = {f"{a}/{b}/f": Entry(A, 1) for a in range(10) for b in range(10)}
    _, before = tree.to_nodes(Tree(files))
    _, after = tree.to_nodes(Tree(files | {"3/4/f": Entry(B, 1)}))
    assert len(set(after) - set(before)) == 3
    _, crowded = tree.to_nodes(Tree(many(5000)))
    _, changed = tree.to_nodes(Tree(many(5000) | {"f00077": Entry(B, 1)}))
    assert len(set(changed) - set(crowded)) == 2


def test_the_bytes_of_a_node_are_these() -> None:
    """Frozen: they must never change."""
    made = Tree({"b": Entry(B, 2, executable=True), "a/x": Entry(A, 1)})
    ref, nodes = tree.to_nodes(made)
    below = f'{{"entries":[{{"digest":"{A}","name":"x","size":1}}],"format":1}}'.encode()
    root = (
        f'{{"entries":[{{"files":1,"name":"a","size":1,"tree":"{digest.of_bytes(below)}"}},'
        f'{{"digest":"{B}","mode":"x","name":"b","size":2}}],"format":1}}'
    ).encode()
    assert list(nodes.values()) == [below, root]
    assert ref == TreeRef(digest.of_bytes(root), 2, 3)


def test_logical_digests_are_these() -> None:
    """Frozen: they must never change."""
    entry = Entry(A, 1)
    assert tree.file_logical("a.txt", entry) == (
        "file1:blake3:5452dc6e930b0dabd182e09901fb19d9a5b383dd14d13242dfaf917dc1750288"
    )
    assert tree.tree_logical(Tree({"a.txt": entry, "d/é": Entry(B, 2, executable=True)})) == (
        "tree1:blake3:d1fc410847f09161f522efbf72a2898ba8a85bd03e751ca759ba1dd82094e449"
    )


def test_logical_digests_tell_names_bits_and_bytes_apart_but_not_where_a_name_ends() -> None:
    variants = [
        tree.file_logical("a", Entry(A, 1)),
        tree.file_logical("b", Entry(A, 1)),
        tree.file_logical("a", Entry(B, 1)),
        tree.file_logical("a", Entry(A, 1, executable=True)),
        tree.tree_logical(Tree({"a": Entry(A, 1)})),
        tree.tree_logical(Tree({})),
        tree.tree_logical(Tree({"a": Entry(A, 1), "b": Entry(A, 1)})),
        tree.tree_logical(Tree({"a/b": Entry(A, 1)})),
    ]
    assert len(set(variants)) == len(variants)
    assert tree.file_logical("a", Entry(A, 1)) == tree.file_logical("a", Entry(A, 999)), "the digest says the size"


def assert_differs(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> None:
    """Both ways of comparing say the same, and what they say leads from *old* to *new* and is no more than that."""
    (before, nodes), (after, more) = tree.to_nodes(Tree(old)), tree.to_nodes(Tree(new))
    found = tree.diff(Tree(old), Tree(new))
    assert tree.diff_nodes(before.root, after.root, (nodes | more).__getitem__) == found
    kept = {path: entry for path, entry in old.items() if path not in found.removed}
    assert kept | dict(found.added) | {path: now for path, (_, now) in found.changed.items()} == dict(new)
    assert all(was == old[path] and was != now for path, (was, now) in found.changed.items())
    assert not found.added.keys() & old.keys()
    assert not found.removed.keys() & new.keys()
    assert bool(found) == (Tree(old) != Tree(new))


@given(trees, trees)
def test_a_diff_leads_from_one_tree_to_the_other(old: Tree, new: Tree) -> None:
    assert_differs(old, new)
    assert not tree.diff(old, Tree(dict(old)))


few = st.dictionaries(st.sampled_from(["a", "a/b", "a/c", "b", "b/a/a", "c/a", "c/b"]), entries).filter(is_tree)


@given(few, few)
def test_a_file_may_become_a_directory_and_a_directory_a_file(old: dict[str, Entry], new: dict[str, Entry]) -> None:
    assert_differs(old, new)


@given(
    st.sets(st.integers(0, 40), max_size=40), st.sets(st.integers(0, 40), max_size=40), st.sampled_from(["", "below/"])
)
def test_crowded_directories_are_compared_however_they_are_split(old: set[int], new: set[int], where: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "SHARD_ENTRIES", 4)
        assert_differs({f"{where}{i}": Entry(A, i) for i in old}, {f"{where}{i}": Entry(B, i % 3) for i in new})


def test_comparing_reads_only_the_nodes_that_differ() -> None:
    files = many(9000) | {f"{a}/{b}/f": Entry(A, 20 * a + b) for a in range(20) for b in range(20)}
    before, nodes = tree.to_nodes(Tree(files))
    after, more = tree.to_nodes(Tree(files | {"f00077": Entry(B, 1), "3/4/f": Entry(B, 1)}))
    read: list[Digest] = []

    def fetch(name: Digest) -> bytes:
        read.append(name)
        return (nodes | more)[name]

    found = tree.diff_nodes(before.root, after.root, fetch)
    assert set(found.changed) == {"f00077", "3/4/f"}
    assert sorted(read) == sorted(nodes.keys() ^ more.keys()), "each node that is not in both, once"
    read.clear()
    assert not tree.diff_nodes(before.root, before.root, fetch)
    assert read == []


BROKEN: list[canonical.Json] = [
    [],
    "text",
    {"format": 1},
    {"format": 1, "entries": [{"digest": A, "size": 1}]},
    {"format": 1, "entries": [{"name": "a", "digest": "x", "size": 1}]},
    {"format": 1, "entries": [{"name": "a", "digest": A, "size": -1}]},
    {"format": 1, "entries": [{"name": "a", "digest": A, "size": "1"}]},
    {"format": 1, "entries": [{"name": "a", "digest": A}]},
    {"format": 1, "entries": [{"name": "a/b", "digest": A, "size": 1}]},
    {"format": 1, "entries": [{"name": "a", "digest": A, "size": 1}] * 2},
    {"format": 1, "entries": [{"name": "a", "tree": "x", "files": 1, "size": 1}]},
    {"format": 1, "entries": ["a"]},
    {"format": 1, "entries": 1},
    {"format": 1, "shards": {"00": "x"}},
    {"format": 1, "shards": []},
]


@pytest.mark.parametrize("node", BROKEN, ids=repr)
def test_what_is_no_node_is_corrupt(node: canonical.Json) -> None:
    data = canonical.encode(node)
    with pytest.raises(Corrupt):
        tree.from_nodes(digest.of_bytes(data), lambda _: data)


@pytest.mark.parametrize("node", BROKEN, ids=repr)
def test_what_is_no_node_is_compared_with_nothing(node: canonical.Json) -> None:
    empty, nodes = tree.to_nodes(Tree({}))
    data = canonical.encode(node)
    nodes[digest.of_bytes(data)] = data
    for roots in ((empty.root, digest.of_bytes(data)), (digest.of_bytes(data), empty.root)):
        with pytest.raises(Corrupt):
            tree.diff_nodes(*roots, nodes.__getitem__)


def test_bytes_that_are_no_json_are_corrupt_and_a_later_format_is_unknown() -> None:
    with pytest.raises(Corrupt):
        tree.from_nodes(A, lambda _: b"\xff")
    later = canonical.encode({"format": 2, "entries": []})
    with pytest.raises(UnknownFormat, match="format 2"):
        tree.from_nodes(A, lambda _: later)


def test_a_tree_without_end_is_corrupt() -> None:
    """Nobody can make one that names itself, but a reader must not hang or die on a deep one."""
    data = canonical.encode({"format": 1, "entries": [{"name": "a", "tree": A, "files": 1, "size": 1}]})
    with pytest.raises(Corrupt):
        tree.from_nodes(A, lambda _: data)


def test_the_mode_of_a_file_is_read_only_and_keeps_its_executable_bit() -> None:
    assert (Entry(A, 1).mode, Entry(A, 1, executable=True).mode) == (0o444, 0o555)
