"""Adding files and directories a user already has."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from disdat import api
from disdat.errors import InvalidInput, PathNotFound
from tests.api.conftest import snapshot


@pytest.fixture
def source(tmp_path):
    """A directory with files at several depths."""
    root = tmp_path / "source"
    for place, size in {"a.txt": 3, "sub/a.txt": 70_000, "sub/deep/c.bin": 0}.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(os.urandom(size))
    return root


def test_a_single_file_keeps_its_content_and_presents_as_its_path(ctx, source):
    path = source / "sub" / "a.txt"
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    bundle = api.add(ctx, "data", str(path), tags={"a": "b"})
    path.unlink()
    for found in (bundle, api.get(ctx, "data")):
        assert isinstance(found.data, str)
        assert hashlib.md5(Path(found.data).read_bytes()).hexdigest() == md5
        assert Path(found.data).name == "a.txt"
        assert found.tags == {"a": "b"}
    assert api.cat(ctx, "data") == bundle.data


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_directory_keeps_its_structure(ctx, source, as_given):
    contents = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    bundle = api.add(ctx, "data", as_given(source))
    root = Path(bundle.local_dir)
    assert {Path(path).relative_to(root): Path(path).read_bytes() for path in bundle.data} == contents


def test_several_paths_make_one_bundle_in_which_equal_names_stay_apart(ctx, source):
    given = [source / "a.txt", source / "sub"]
    bundle = api.add(ctx, "data", (path for path in given))
    root = Path(bundle.local_dir)
    assert {str(Path(path).relative_to(root)) for path in bundle.data} == {"a.txt", "sub/a.txt", "sub/deep/c.bin"}


def test_each_add_is_a_version(ctx, source):
    path = source / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        api.add(ctx, "data", path)
    assert [Path(bundle.data).read_text() for bundle in api.search(ctx, "data")] == ["two", "one"]


def test_what_was_added_names_where_it_came_from(ctx, source, monkeypatch):
    monkeypatch.chdir(source)
    bundle = api.add(ctx, "data", "sub")
    assert (bundle.code_ref, bundle.params) == ("add", {"path": "sub"})


@pytest.mark.parametrize("error", [PathNotFound, AssertionError, FileNotFoundError])
def test_a_missing_path_leaves_no_bundle(ctx, source, home, error):
    before = snapshot(home)
    for paths in ("nowhere", [source, "nowhere"]):
        with pytest.raises(error, match="nowhere"):
            api.add(ctx, "data", paths)
    assert snapshot(home) == before
    assert api.get(ctx, "data") is None


@pytest.mark.parametrize("paths", [[], ()])
def test_adding_nothing_is_an_error(ctx, paths):
    with pytest.raises(InvalidInput):
        api.add(ctx, "data", paths)


@pytest.mark.parametrize(("tags", "error"), [({"a": 1}, TypeError), ({"committed": "True"}, InvalidInput)])
def test_bad_tags_add_nothing(ctx, source, tags, error):
    with pytest.raises(error):
        api.add(ctx, "data", source, tags)
    assert api.search(ctx) == []
