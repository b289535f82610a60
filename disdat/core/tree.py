"""
Trees: the shape of a directory, as relative path → entry.

Above :data:`INLINE_ENTRIES` a tree is stored as objects, one per directory, so that a change of one file
rewrites one path from root to leaf; a directory of more than :data:`SHARD_ENTRIES` names is split by the
hash of the name. ``docs/format.md`` has the bytes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from blake3 import blake3

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest, logical, of_bytes
from disdat.core.weak import Weak
from disdat.errors import Corrupt, InvalidInput, UnknownFormat

INLINE_ENTRIES = 256
SHARD_ENTRIES = 4096
NODE_FORMAT = 1

_Node = Mapping[str, Json]

_ESCAPED = re.compile(r"%([0-9A-F]{2})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its bytes by digest, its size, whether it may be executed."""

    digest: Digest
    size_bytes: int
    executable: bool = False
    weak: Weak | None = field(default=None, compare=False)
    """What the digest is made of, where nobody had read the bytes when it was made."""

    @property
    def mode(self) -> int:
        """The permission bits a read-only copy of the file has."""
        return 0o555 if self.executable else 0o444


@dataclass(frozen=True, slots=True)
class TreeRef:
    """A tree stored as objects: the digest of its root node, and what lies below."""

    root: Digest
    file_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Directory:
    files: Mapping[str, Entry]
    directories: Mapping[str, Digest]


_Files = list[tuple[str, Entry]]


@dataclass(frozen=True, slots=True)
class Links:
    """What one node of a stored tree names: other nodes and files, each with its name; a shard's is empty."""

    nodes: list[tuple[str, Digest]]
    files: list[tuple[str, Digest]]


class Tree(Mapping[str, Entry]):
    """
    An immutable mapping of encoded relative path (see :func:`encode_path`) → :class:`Entry`.

    Iterates in the order of the paths' bytes. InvalidInput for a path that is empty, absolute, has an
    empty, ``.`` or ``..`` part, or is both a file and a directory.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Entry] | Iterable[tuple[str, Entry]] = ()) -> None:
        pairs: Iterable[tuple[str, Entry]] = entries.items() if isinstance(entries, Mapping) else entries
        items = sorted(pairs, key=lambda item: item[0])
        self._entries = dict(items)
        if len(self._entries) < len(items):
            raise InvalidInput("a path occurs twice")
        for path in self._entries:
            check_path(path)
        if files := parents(self._entries) & self._entries.keys():
            raise InvalidInput(f"{min(files)!r} is a file and has paths below it")

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> ItemsView[str, Entry]:
        return self._entries.items()  # Mapping's would look each path up

    def __repr__(self) -> str:
        return f"Tree({len(self)} files, {self.size_bytes} bytes)"

    def __hash__(self) -> int:
        return hash(tuple(self._entries.items()))

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self._entries.values())

    def below(self, directory: str) -> Tree:
        """The entries below *directory*, their paths relative to it; ``""`` is the whole tree."""
        if not directory:
            return self
        prefix = directory + "/"
        return Tree((p[len(prefix) :], e) for p, e in self._entries.items() if p.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Diff:
    """How two trees differ: what only the new one has, what only the old one has, old and new of what changed."""

    added: Tree
    removed: Tree
    changed: Mapping[str, tuple[Entry, Entry]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def encode_path(raw: bytes) -> str:
    """A path's bytes as text: UTF-8, with ``%`` and every byte that is not UTF-8 as ``%XX``. Nothing is normalised."""
    if raw.isascii() and b"%" not in raw:
        return raw.decode("ascii")
    text = raw.decode("utf-8", "surrogateescape").replace("%", "%25")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def decode_path(path: str) -> bytes:
    """The bytes :func:`encode_path` was given."""
    return b"".join(
        bytes.fromhex(part) if i % 2 else part.encode("utf-8") for i, part in enumerate(_ESCAPED.split(path))
    )


def check_path(path: str) -> None:
    """Refuse a path that could lie outside the directory it is relative to."""
    if ("%" in path or not path.isascii()) and not _is_encoded(path):
        raise InvalidInput(f"not an encoded path: {path!r}")
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise InvalidInput(f"not a path inside a bundle: {path!r}")


def file_logical(name: str, entry: Entry) -> LogicalDigest:
    """``file1``: relative name, executable bit and bytes of one file."""
    hasher = blake3(b"file1")
    _hash_file(hasher, name, entry)
    return logical("file1", hasher.digest())


def tree_logical(tree: Mapping[str, Entry]) -> LogicalDigest:
    """``tree1``: every file of a directory, in the order of the paths."""
    hasher = blake3(b"tree1")
    hasher.update(len(tree).to_bytes(8, "little"))
    for path, entry in tree.items():
        _hash_file(hasher, path, entry)
    return logical("tree1", hasher.digest())


def to_nodes(tree: Tree) -> tuple[TreeRef, dict[Digest, bytes]]:
    """The tree as objects: its root, and every node's bytes by digest, children before parents."""
    nodes: dict[Digest, bytes] = {}
    root = _directory_node(list(tree.items()), nodes)
    return root, nodes


def from_nodes(root: Digest, fetch: Callable[[Digest], bytes]) -> Tree:
    """
    The tree whose root node is *root*; *fetch* gives a node's verified bytes.

    Raises:
        Corrupt: A node is not a node, or its paths leave the tree.
        UnknownFormat: A node was written by a later version.
    """
    try:
        return Tree(_walk(root, "", fetch))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise Corrupt(f"{root} is not a tree: {exc}") from exc


def links(digest: Digest, data: bytes) -> Links:
    """
    What the node *digest*, of the bytes *data*, names itself: for who walks trees that share nodes.

    Raises:
        Corrupt: It is not a node; UnknownFormat if a later version wrote it.
    """
    try:
        node = _node(digest, lambda _: data)
        if "shards" in node:
            return Links([("", child) for child in _shards(node).values()], [])
        items = [(str(item["name"]), str(item.get("tree", "")), item) for item in _items(node, lambda _: data)]
        nodes = [(name, Digest.parse(child)) for name, child, _ in items if child]
        return Links(nodes, [(name, Digest.parse(str(item["digest"]))) for name, child, item in items if not child])
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"{digest} is not a tree: {exc}") from exc


def diff(old: Tree, new: Tree) -> Diff:
    """How *new* differs from *old*. Where a file became a directory, it is removed and what lies below is added."""
    before, after = old._entries, new._entries
    return Diff(
        added=Tree({path: entry for path, entry in after.items() if path not in before}),
        removed=Tree({path: entry for path, entry in before.items() if path not in after}),
        changed={p: (was, after[p]) for p, was in before.items() if p in after and after[p] != was},
    )


def diff_nodes(old_root: Digest, new_root: Digest, fetch: Callable[[Digest], bytes]) -> Diff:
    """
    What :func:`diff` gives for the trees with these root nodes, reading only nodes that are not in both.

    Raises:
        Corrupt: A node is not a node, or its paths leave the tree.
        UnknownFormat: A node was written by a later version.
    """
    old: _Files = []
    new: _Files = []
    try:
        _unequal(old_root, new_root, "", fetch, (old, new))
        return diff(Tree(old), Tree(new))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise Corrupt(f"{old_root} or {new_root} is not a tree: {exc}") from exc


def to_json(tree: Mapping[str, Entry]) -> list[Json]:
    """The entries as they stand in a manifest or a node, in order."""
    return [_entry_json(path, entry) for path, entry in tree.items()]


def from_json(entries: Json) -> Tree:
    """The tree whose entries :func:`to_json` wrote."""
    return Tree(_entry(cast("Mapping[str, Json]", item)) for item in cast("list[Json]", entries))


def _is_encoded(path: str) -> bool:
    try:
        return encode_path(decode_path(path)) == path
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _hash_file(hasher: blake3, name: str, entry: Entry) -> None:
    raw = name.encode("utf-8")
    hasher.update(b"%b%b%c%b" % (len(raw).to_bytes(8, "little"), raw, entry.executable, entry.digest.raw))


def parents(paths: Iterable[str]) -> set[str]:
    """Every directory one of *paths* lies in; without the root."""
    found: set[str] = set()
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory and directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return found


def _entry_json(name: str, entry: Entry) -> dict[str, Json]:
    item: dict[str, Json] = {"name": name, "digest": entry.digest, "size": entry.size_bytes}
    if entry.executable:
        item["mode"] = "x"
    if entry.weak is not None:
        item["weak"] = entry.weak.to_json()
    return item


def _entry(item: Mapping[str, Json]) -> tuple[str, Entry]:
    digest, size_bytes = Digest.parse(str(item["digest"])), item["size"]
    if not isinstance(size_bytes, int) or size_bytes < 0:
        raise InvalidInput(f"not a size: {size_bytes!r}")
    weak = Weak.from_json(item["weak"]) if "weak" in item else None
    if weak is not None:
        weak.check_names(digest, size_bytes)
    return str(item["name"]), Entry(digest, size_bytes, item.get("mode") == "x", weak)


def _directory_node(files: _Files, nodes: dict[Digest, bytes]) -> TreeRef:
    below: dict[str, _Files] = defaultdict(list)
    items: dict[str, dict[str, Json]] = {}
    for path, entry in files:
        name, slash, rest = path.partition("/")
        if slash:
            below[name].append((rest, entry))
        else:
            items[name] = _entry_json(name, entry)
    for name, inner in below.items():
        items[name] = {"name": name, **_ref_json(_directory_node(inner, nodes))}
    digest = _items_node(items, 0, nodes)
    return TreeRef(digest, len(files), sum(entry.size_bytes for _, entry in files))


def _items_node(items: Mapping[str, dict[str, Json]], depth: int, nodes: dict[Digest, bytes]) -> Digest:
    if len(items) <= SHARD_ENTRIES:
        return _put(nodes, {"entries": [items[name] for name in sorted(items)]})
    shards: dict[int, dict[str, dict[str, Json]]] = defaultdict(dict)
    for name, item in items.items():
        shards[blake3(name.encode("utf-8")).digest()[depth]][name] = item
    children: dict[str, Json] = {f"{k:02x}": _items_node(shards[k], depth + 1, nodes) for k in sorted(shards)}
    return _put(nodes, {"shards": children})


def _put(nodes: dict[Digest, bytes], body: dict[str, Json]) -> Digest:
    data = canonical.encode({"format": NODE_FORMAT, **body})
    digest = of_bytes(data)
    nodes[digest] = data
    return digest


def _ref_json(ref: TreeRef) -> dict[str, Json]:
    return {"tree": ref.root, "files": ref.file_count, "size": ref.size_bytes}


def _walk(digest: Digest, prefix: str, fetch: Callable[[Digest], bytes]) -> Iterator[tuple[str, Entry]]:
    for item in _items(_node(digest, fetch), fetch):
        path = prefix + _name(item)
        if "tree" in item:
            yield from _walk(Digest.parse(str(item["tree"])), path + "/", fetch)
        else:
            yield path, _entry(item)[1]


def _unequal(
    old: Digest | None, new: Digest | None, prefix: str, fetch: Callable[[Digest], bytes], sides: tuple[_Files, _Files]
) -> None:
    """Add the files of two directories to *sides*, but for files, directories and shards that are equal in both."""
    if old == new:
        return
    if old is None or new is None:
        for files, digest in zip(sides, (old, new), strict=True):
            files.extend(_walk(digest, prefix, fetch) if digest else ())
        return
    was, now = _node(old, fetch), _node(new, fetch)
    if "shards" in was and "shards" in now:
        shards, others = _shards(was), _shards(now)
        for key in shards.keys() | others.keys():
            _unequal(shards.get(key), others.get(key), prefix, fetch, sides)
        return
    before, after = _directory(was, fetch), _directory(now, fetch)
    for name in before.files.keys() | after.files.keys():
        pair = before.files.get(name), after.files.get(name)
        for files, entry in zip(sides, pair, strict=True):
            if entry and pair[0] != pair[1]:
                files.append((prefix + name, entry))
    for name in before.directories.keys() | after.directories.keys():
        _unequal(before.directories.get(name), after.directories.get(name), f"{prefix}{name}/", fetch, sides)


def _directory(node: _Node, fetch: Callable[[Digest], bytes]) -> _Directory:
    items = list(_items(node, fetch))
    directories = {_name(item): Digest.parse(str(item["tree"])) for item in items if "tree" in item}
    files = {_name(item): _entry(item)[1] for item in items if "tree" not in item}
    if len(directories.keys() | files.keys()) < len(items):
        raise InvalidInput("a name occurs twice")
    return _Directory(files, directories)


def _name(item: _Node) -> str:
    name = str(item["name"])
    if "/" in name:
        raise InvalidInput(f"{name!r} is not a name")
    return name


def _node(digest: Digest, fetch: Callable[[Digest], bytes]) -> _Node:
    node = canonical.decode(fetch(digest))
    if not isinstance(node, dict):
        raise Corrupt(f"{digest} is not a tree node")
    if node.get("format") != NODE_FORMAT:
        raise UnknownFormat(f"tree node {digest}", found=node.get("format"), supported=NODE_FORMAT)
    return node


def _shards(node: _Node) -> dict[str, Digest]:
    return {key: Digest.parse(child) for key, child in cast("Mapping[str, str]", node["shards"]).items()}


def _items(node: _Node, fetch: Callable[[Digest], bytes]) -> Iterator[_Node]:
    """The files and directories of one directory, its shards put together."""
    if "shards" in node:
        for child in _shards(node).values():
            yield from _items(_node(child, fetch), fetch)
    else:
        yield from cast("list[_Node]", node["entries"])
