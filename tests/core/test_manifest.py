"""A manifest is a bundle as bytes: one encoding each, read back equal, refused where it is no manifest."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical, digest, manifest
from disdat.core.bundle import Bundle, CodeRef, Dependency, Frame, Inline, Lineage, Run, RunRef, TaskKey
from disdat.core.digest import Digest, LogicalDigest, logical
from disdat.core.tree import Entry, Tree, TreeRef
from disdat.errors import Corrupt, UnknownFormat

A, B = digest.of_bytes(b"a"), digest.of_bytes(b"b")
UUID = "0b6a1d3c-1111-4222-8333-123456789abc"
HOME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

texts = st.text(max_size=8)
digests = st.sampled_from([A, B])
logicals = digests.map(lambda each: logical("file1", each.raw))
numbers = st.integers(0, 2**53)
mappings = st.dictionaries(texts, texts, max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
frames = st.builds(
    Frame,
    name=texts,
    kind=st.sampled_from(["literal", "table", "file", "a kind to come"]),
    logical=logicals,
    form=texts,
    media_type=texts,
    dtype=texts,
    shape=st.none() | st.lists(numbers, max_size=3).map(tuple),
    inline=st.none() | st.builds(Inline, json_values),
    digest=st.none() | digests,
    size_bytes=numbers,
    path=st.sampled_from([None, "", "a/b"]),
    details=json_objects,
)
trees = st.dictionaries(
    st.sampled_from(["a", "b/c", "b/d", "é%25"]), st.builds(Entry, digests, numbers, st.booleans()), max_size=4
).map(Tree)
codes = st.builds(
    CodeRef,
    method=texts,
    repo=texts,
    commit=texts,
    branch=texts,
    dirty=st.none() | st.booleans(),
    digest=st.none() | digests,
    committed=texts,
).filter(lambda code: code != CodeRef())  # which says nothing, and is not written
lineages = st.builds(
    Lineage,
    inputs=st.lists(
        st.builds(
            Dependency,
            argument=texts,
            uuid=texts,
            name=texts,
            processing_name=texts,
            manifest=st.none() | digests,
            logical=st.none() | logicals,
        ),
        max_size=2,
    ).map(tuple),
    code=st.none() | codes,
    started_us=st.none() | numbers,
    stopped_us=st.none() | numbers,
    run=st.none() | st.builds(RunRef, id=texts, environment=digests, packages=st.none() | digests, task=texts),
    task=st.none() | st.builds(TaskKey, algorithm=texts, digest=digests, components=json_objects),
    observed=st.lists(json_objects, max_size=2).map(tuple),
    tainted=st.booleans(),
)
bundles = st.builds(
    Bundle,
    uuid=st.uuids().map(str),
    name=texts,
    processing_name=texts,
    owner=texts,
    created_us=numbers,
    creator=texts,
    home=texts,
    frames=st.lists(frames, max_size=3).map(tuple),
    tree=trees | st.builds(TreeRef, digests, numbers, numbers),
    tags=mappings,
    params=mappings,
    metrics=st.dictionaries(texts, st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    parents=st.lists(texts, max_size=2).map(tuple),
    lineage=lineages,
    extra=st.dictionaries(st.sampled_from(["later", "origin", "signature"]), json_values, max_size=2),
)
runs = st.builds(
    Run,
    id=texts,
    user=texts,
    host=texts,
    argv=st.lists(texts, max_size=3).map(tuple),
    cwd=texts,
    started_us=numbers,
    python=texts,
    platform=texts,
    pid=numbers,
    packages=st.none() | digests,
)


def smallest() -> Bundle:
    return Bundle(UUID, "", "", "", 1_760_000_000_000_000, "disdat 2.0.0", HOME)


@given(bundles)
def test_a_bundle_comes_back_equal_from_one_encoding(made: Bundle) -> None:
    data = manifest.encode(made)
    again = manifest.decode(data)
    assert again == made
    assert manifest.encode(again) == data


@given(runs)
def test_a_run_comes_back_equal(made: Run) -> None:
    record = canonical.encode(manifest.run_to_json(made))
    again = manifest.run_from_json(canonical.decode(record))  # type: ignore[arg-type]  # it is an object
    assert again == made
    assert canonical.encode(manifest.run_to_json(again)) == record


def test_a_default_is_not_written() -> None:
    """Frozen: it must never change."""
    expected = (
        f'{{"created":1760000000000000,"creator":"disdat 2.0.0","format":1,"home":"{HOME}","uuid":"{UUID}"}}'.encode()
    )
    assert manifest.encode(smallest()) == expected


def test_the_bytes_of_a_full_manifest_are_these() -> None:
    """Frozen: they must never change, since their digest names the bundle."""
    data = manifest.encode(full())
    assert digest.of_bytes(data) == "blake3:ddd7956ae1d66c8b59c8bade7a6a6f24300386b9c39165aa45eda031b12e216f"
    assert canonical.decode(data) == FULL


def full() -> Bundle:
    """A bundle with every field set."""
    return Bundle(
        uuid=UUID,
        name="name",
        processing_name="processing",
        owner="me",
        created_us=1_760_000_000_000_000,
        creator="disdat 2.0.0",
        home=HOME,
        frames=(
            Frame("", "literal", LogicalDigest(f"literal1:{A}"), inline=Inline(None)),
            Frame(
                "t",
                "table",
                LogicalDigest(f"table1:{A}"),
                "dataframe",
                "application/x",
                "",
                (2, 3),
                None,
                B,
                9,
                None,
                {"x": 1},
            ),
            Frame("d", "directory", LogicalDigest(f"tree1:{A}"), path=""),
        ),
        tree=Tree({"a/b": Entry(A, 1, executable=True)}),
        tags={"k": "v"},
        params={"p": "1"},
        metrics={"m": 0.5, "n": 2},
        parents=("parent",),
        lineage=Lineage(
            inputs=(Dependency("x", "u", "n", "pn", A, LogicalDigest(f"file1:{B}")), Dependency("y", "w")),
            code=CodeRef("module.f", "repo", "c0ffee", "main", False, A),
            started_us=1,
            stopped_us=0,
            run=RunRef("run", A, B, "task"),
            task=TaskKey("task1", A, {"code": B}),
            observed=({"kind": "file"},),
            tainted=True,
        ),
        extra={"later": [1]},
    )


FULL = {
    "format": 1,
    "uuid": UUID,
    "name": "name",
    "processing_name": "processing",
    "owner": "me",
    "created": 1_760_000_000_000_000,
    "creator": "disdat 2.0.0",
    "home": HOME,
    "frames": [
        {"name": "", "kind": "literal", "logical": f"literal1:{A}", "inline": None},
        {
            "name": "t",
            "kind": "table",
            "logical": f"table1:{A}",
            "form": "dataframe",
            "media_type": "application/x",
            "shape": [2, 3],
            "digest": B,
            "size": 9,
            "details": {"x": 1},
        },
        {"name": "d", "kind": "directory", "logical": f"tree1:{A}", "path": ""},
    ],
    "tree": {"entries": [{"name": "a/b", "digest": A, "size": 1, "mode": "x"}]},
    "tags": {"k": "v"},
    "params": {"p": "1"},
    "metrics": {"m": 0.5, "n": 2},
    "parents": ["parent"],
    "inputs": [
        {"argument": "x", "uuid": "u", "name": "n", "processing_name": "pn", "manifest": A, "logical": f"file1:{B}"},
        {"argument": "y", "uuid": "w"},
    ],
    "observed": [{"kind": "file"}],
    "code": {"method": "module.f", "repo": "repo", "commit": "c0ffee", "branch": "main", "dirty": False, "digest": A},
    "started": 1,
    "stopped": 0,
    "run": {"id": "run", "environment": A, "packages": B, "task": "task"},
    "task": {"algorithm": "task1", "digest": A, "components": {"code": B}},
    "tainted": True,
    "later": [1],
}


def test_fields_to_come_are_kept() -> None:
    fields = {**manifest.to_json(smallest()), "signature": {"by": "me"}, "external": []}
    again = manifest.from_json(fields)
    assert again.extra == {"signature": {"by": "me"}, "external": []}
    assert manifest.to_json(again) == fields


def test_a_later_format_and_a_feature_to_come_are_refused_by_name() -> None:
    for change, message in (({"format": 2}, "format 2"), ({"requires": ["holograms"]}, "holograms")):
        with pytest.raises(UnknownFormat, match=message):
            manifest.decode(canonical.encode({**manifest.to_json(smallest()), **change}))


LOGICAL = f"file1:{A}"
BROKEN: dict[str, dict[str, Any]] = {
    "a uuid that leads out of a directory": {"uuid": "../../x"},
    "a uuid that is a number": {"uuid": 1},
    "a frame that is text": {"frames": ["x"]},
    "frames that are a number": {"frames": 1},
    "a frame without kind": {"frames": [{"name": "", "logical": LOGICAL}]},
    "a frame without logical digest": {"frames": [{"name": "", "kind": "k"}]},
    "a frame whose digest is none": {"frames": [{"name": "", "kind": "k", "logical": LOGICAL, "digest": "../x"}]},
    "a frame of a negative size": {"frames": [{"name": "", "kind": "k", "logical": LOGICAL, "size": -1}]},
    "a frame whose shape is a number": {"frames": [{"name": "", "kind": "k", "logical": LOGICAL, "shape": 3}]},
    "a file outside": {"tree": {"entries": [{"name": "../x", "digest": A, "size": 1}]}},
    "an absolute file": {"tree": {"entries": [{"name": "/etc/passwd", "digest": A, "size": 1}]}},
    "a file twice": {"tree": {"entries": [{"name": "x", "digest": A, "size": 1}] * 2}},
    "a tree that is a list": {"tree": []},
    "a root that is none": {"tree": {"root": "x", "files": 1, "size": 1}},
    "a root without counts": {"tree": {"root": A}},
    "tags that are a list": {"tags": ["k"]},
    "a tag that is a number": {"tags": {"k": 1}},
    "a parameter that is null": {"params": {"k": None}},
    "inputs that are text": {"inputs": "ab"},
    "an input without uuid": {"inputs": [{"argument": "x"}]},
    "an input whose manifest is none": {"inputs": [{"argument": "x", "uuid": "u", "manifest": "x"}]},
    "a run without environment": {"run": {"id": "r"}},
    "a task without digest": {"task": {"algorithm": "a", "components": {}}},
    "code that is text": {"code": "module.f"},
    "requires that is a number": {"requires": 1},
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_manifest_is_corrupt(what: str) -> None:
    with pytest.raises(Corrupt):
        manifest.decode(canonical.encode({**manifest.to_json(smallest()), **BROKEN[what]}))


@pytest.mark.parametrize("missing", ["format", "uuid", "created", "creator", "home"])
def test_a_manifest_without_what_is_always_there_is_corrupt(missing: str) -> None:
    fields = {key: value for key, value in manifest.to_json(smallest()).items() if key != missing}
    with pytest.raises(Corrupt):
        manifest.decode(canonical.encode(fields))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"{}", b"\xff\xff", b"[" * 100_000, b"{"])
def test_bytes_that_are_no_manifest_are_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        manifest.decode(data)


def test_the_documented_fields_are_those_that_are_written() -> None:
    """docs/format.md names every field of a manifest and of a frame."""
    page = Path(__file__).parents[2] / "docs" / "format.md"
    text = page.read_text("utf-8").split("## Manifest")[1].split("## Trees")[0]
    manifest_text, frame_text = text.split("**Frame**")
    documented = {name for line in manifest_text.splitlines() if line.startswith("| `") for name in _names(line)}
    assert documented == {*FULL, "requires"} - {"later"}
    in_frames = {name for line in frame_text.splitlines() if line.startswith("| `") for name in _names(line)}
    assert in_frames == {field.name for field in dataclasses.fields(Frame)} - {"size_bytes"} | {"size"}


def _names(line: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", line.split("|")[1])


def test_sizes_are_of_stored_values_and_files_each_counted_once_per_use() -> None:
    made = full()
    assert (made.size_bytes, made.file_count) == (10, 1)
    large = dataclasses.replace(made, tree=TreeRef(Digest(A), 300, 5000))
    assert (large.size_bytes, large.file_count) == (5009, 300)
    assert made.logical == f"literal1:{A}"
    assert smallest().logical is None
