"""What goes into a bundle comes out equal and of the same type, in this process and in another one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import disdat
from disdat import api
from disdat.common import BadLinkError
from disdat.errors import PathNotFound, Unserializable
from tests.api import kinds

ROOT = Path(__file__).resolve().parents[2]

READER = """
import json
from disdat import api
from tests.api import kinds
found = {name: kinds.same(api.get("ctx", name).data, kinds.expected(name)) for name in kinds.EVERY}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def read_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """For every kind, whether another process read what this one stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISDAT_HOME", str(tmp_path_factory.mktemp("values") / "home"))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.chdir(tmp_path_factory.mktemp("work"))
        api.context("ctx")
        for name, make in kinds.EVERY.items():
            api.Bundle("ctx", name).add_data(make()).close()
        done = subprocess.run([sys.executable, "-c", READER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", kinds.EVERY)
def test_another_process_reads_what_was_stored(read_elsewhere, name):
    assert read_elsewhere[name]


@pytest.mark.parametrize("name", kinds.EVERY)
def test_the_same_value_of_the_same_type_comes_back(ctx, name):
    with api.Bundle(ctx, name) as bundle:
        bundle.add_data(kinds.EVERY[name]())
    found = bundle.data
    assert kinds.same(found, kinds.expected(name)), repr(found)


def test_no_two_kinds_are_the_same():
    """Else the tests above could not tell them apart."""
    values = [kinds.expected(name) for name in kinds.EVERY]
    assert [(i, j) for i, one in enumerate(values) for j in range(i) if kinds.same(one, values[j])] == []


def paths_of(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "a.txt", tmp_path / "sub" / "b.bin"]
    made[1].parent.mkdir()
    made[0].write_text("text")
    made[1].write_bytes(os.urandom(100_000))
    return made


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("container", [list, tuple, lambda each: dict(enumerate(each))])
def test_paths_come_back_as_paths_to_equal_content(ctx, tmp_path, kind, container):
    paths = paths_of(tmp_path)
    contents = [path.read_bytes() for path in paths]
    given = container([kind(path) for path in paths])
    api.Bundle(ctx, "data", given)
    for path in paths:
        path.unlink()
    found = api.get(ctx, "data").data
    assert type(found) is type(given)
    each = list(found.values() if isinstance(found, dict) else found)
    assert [type(path) for path in each] == [type(kind("x"))] * 2
    assert [Path(path).read_bytes() for path in each] == contents


def test_a_path_alone_and_one_deep_inside_come_back_as_paths(ctx, tmp_path):
    one, two = paths_of(tmp_path)
    for given, pick in ((str(one), lambda v: v), ({"deep": [1, (two,)]}, lambda v: v["deep"][1][0])):
        source = Path(pick(given))
        found = pick(api.Bundle(ctx, "data", given).data)
        assert type(found) is type(pick(given))
        assert Path(found) != source
        assert Path(found).read_bytes() == source.read_bytes()


def test_a_directory_keeps_its_tree(ctx, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    paths_of(tree)
    found = api.Bundle(ctx, "data", tree).data
    assert isinstance(found, Path)
    assert (found / "a.txt").read_text() == "text"
    assert (found / "sub" / "b.bin").stat().st_size == 100_000


def test_a_column_of_files_comes_back_as_paths(ctx, tmp_path):
    paths = paths_of(tmp_path)
    contents = [path.read_bytes() for path in paths]
    api.Bundle(ctx, "data", pd.DataFrame({"n": [1, 2], "file": [str(path) for path in paths]}))
    for path in paths:
        path.unlink()
    found = api.get(ctx, "data").data
    assert found["n"].tolist() == [1, 2]
    assert [Path(path).read_bytes() for path in found["file"]] == contents


def test_a_text_that_names_nothing_is_text(ctx):
    assert api.Bundle(ctx, "data", "no/such/file").data == "no/such/file"


def test_a_path_that_names_nothing_cannot_be_stored(ctx):
    with pytest.raises((PathNotFound, Unserializable)):
        api.Bundle(ctx, "data", Path("no/such/file"))
    assert api.search(ctx) == []


@pytest.mark.parametrize("link", ["s3://bucket", "s3://no bucket/key", "file:///no/such/file"])
def test_a_link_that_cannot_be_followed_is_refused(ctx, link):
    for value in (link, [link], {"a": link}):
        with pytest.raises(BadLinkError):
            api.Bundle(ctx, "data", value)
    assert api.search(ctx) == []
    assert api.Bundle(ctx, "data", disdat.text(link)).data == link


def test_a_link_to_a_file_stores_the_file(ctx, tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("content")
    found = api.Bundle(ctx, "data", source.as_uri()).data
    source.unlink()
    assert Path(found).read_text() == "content"


@pytest.mark.parametrize("value", [object(), [1, {"a": lambda: 0}], np.array([object()]), iter([1])])
def test_what_no_kind_covers_is_refused_and_names_its_place(ctx, value):
    with pytest.raises(Unserializable) as caught:
        api.Bundle(ctx, "data", value)
    assert caught.value.where.startswith("value")
    assert isinstance(caught.value, TypeError)
    assert api.search(ctx) == []


def test_a_pickle_from_another_home_is_not_loaded(ctx, home, tmp_path, monkeypatch):
    """Whoever can write a home could otherwise run code in the process that reads it."""
    api.Bundle(ctx, "data", kinds.EVERY["pickled"]())
    shutil.copytree(home, tmp_path / "copy", symlinks=True)
    monkeypatch.setenv("DISDAT_HOME", str(tmp_path / "copy"))
    api.Bundle(ctx, "other", 1)  # from its first write on, a copied home is another one
    with pytest.raises(Exception, match="pickle"):
        api.cat(ctx, "data")
    assert api.cat(ctx, "other") == 1
