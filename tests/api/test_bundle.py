"""A bundle through its life: open and described, then closed for good, or abandoned without a trace."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat import api
from disdat.config import login_name
from disdat.errors import (
    AlreadyExists,
    BundleClosed,
    BundleNotFound,
    Conflict,
    ContextNotFound,
    InvalidInput,
    Unserializable,
)
from tests.api.conftest import snapshot

LARGE = 64 << 10
"""From this size on a file and its object are one inode."""
EMPTY_MD5 = "d41d8cd98f"


def at_once(ctx):
    return api.Bundle(ctx, "data", 7, tags={"a": "b"}, params={"p": "1"})


def in_a_block(ctx):
    with api.Bundle(ctx, "data") as bundle:
        bundle.add_data(7).add_tags({"a": "b"}).add_params({"p": "1"})
    return bundle


def by_hand(ctx):
    bundle = api.Bundle(ctx, "data").open()
    bundle.add_data(7)
    bundle.add_tags({"a": "b"})
    bundle.add_params({"p": "1"})
    return bundle.close()


@pytest.mark.parametrize("make", [at_once, in_a_block, by_hand])
def test_every_style_of_making_a_bundle_stores_the_same(ctx, make):
    made = make(ctx)
    assert made.closed
    for bundle in (made, api.get(ctx, "data")):
        assert bundle.data == 7
        assert (bundle.name, bundle.tags, bundle.params) == ("data", {"a": "b"}, {"p": "1"})
        assert bundle.uuid == made.uuid
    assert len(api.search(ctx)) == 1


def test_an_open_bundle_is_seen_by_nobody(ctx):
    bundle = api.Bundle(ctx, "data").open().add_data(7)
    assert not bundle.closed
    assert bundle.data == 7
    assert api.get(ctx, "data") is None
    bundle.close()
    assert api.get(ctx, "data") == bundle


def test_data_of_none_leaves_a_bundle_open(ctx):
    bundle = api.Bundle(ctx, "data", data=None)
    assert not bundle.closed
    assert not bundle.is_presentable


@pytest.mark.parametrize("give", [lambda b: b.add_data(None), lambda b: None])
def test_none_is_stored_when_it_is_given_or_nothing_is(ctx, give):
    with api.Bundle(ctx, "data", params={"p": "1"}) as bundle:
        give(bundle)
    found = api.get(ctx, "data")
    assert found.data is None
    assert found.is_presentable
    assert found.params == {"p": "1"}


def test_everything_said_of_a_bundle_comes_back(ctx):
    source = api.Bundle(ctx, "source", 1, processing_name="made_so")
    before = time.time()
    made = api.Bundle(
        ctx,
        "data",
        2,
        "my_processing_name",
        "ada",
        {"a": "b"},
        {"p": "1"},
        {"upstream": source},
        "pkg.mod.fn",
        ("https://host/repo.git", "abc123", "main"),
        1_700_000_000.25,
        1_700_000_001.5,
    )
    for bundle in (made, api.get(ctx, "data")):
        assert (bundle.name, bundle.processing_name, bundle.owner) == ("data", "my_processing_name", "ada")
        assert bundle.dependencies == {"upstream": ("made_so", source.uuid)}
        assert (bundle.code_ref, bundle.git_info) == ("pkg.mod.fn", ("https://host/repo.git", "abc123", "main"))
        assert bundle.timing == (1_700_000_000.25, 1_700_000_001.5)
        assert before - 1 <= bundle.creation_date <= time.time() + 1
        assert (bundle.tags, bundle.params) == ({"a": "b"}, {"p": "1"})
        assert bundle.is_presentable


def test_what_nobody_said_is_empty(ctx):
    bundle = api.Bundle(ctx, data=1)
    assert (bundle.name, bundle.code_ref, bundle.git_info, bundle.timing) == ("", "", ("", "", ""), (0, 0))
    assert (bundle.tags, bundle.params, bundle.dependencies) == ({}, {}, {})
    assert bundle.owner == login_name()
    assert bundle.processing_name == f"_{EMPTY_MD5}_{EMPTY_MD5}"


def test_a_bundle_without_a_name_is_called_as_its_code(ctx):
    with api.Bundle(ctx) as bundle:
        bundle.add_code_ref("pkg.mod.fn")
    assert bundle.name == "fn"
    assert bundle.processing_name == f"pkg.mod.fn_{EMPTY_MD5}_{EMPTY_MD5}"


def test_names_may_be_set_while_it_is_open(ctx):
    with api.Bundle(ctx) as bundle:
        bundle.name, bundle.processing_name = "data", "made_so"
    assert (api.get(ctx, "data").name, api.get(ctx, "data").processing_name) == ("data", "made_so")


def test_tags_and_params_given_twice_add_up_and_the_last_word_counts(ctx):
    with api.Bundle(ctx, "data", tags={"a": "1"}, params={"p": "1"}) as bundle:
        bundle.add_tags({"a": "2", "b": "3"}).add_params({"p": "2", "q": "3"})
    assert (bundle.tags, bundle.params) == ({"a": "2", "b": "3"}, {"p": "2", "q": "3"})


def test_a_second_value_replaces_the_first_and_says_so(ctx):
    with api.Bundle(ctx, "data") as bundle:
        bundle.add_data(1)
        with pytest.warns(UserWarning, match="replaced") as caught:
            bundle.add_data(2)
    assert caught[0].filename == __file__
    assert bundle.data == 2


def test_dependencies_without_names_get_distinct_generic_ones(ctx):
    one, two, three = (api.Bundle(ctx, "source", number, processing_name=f"p{number}") for number in range(3))
    with api.Bundle(ctx, "data") as bundle:
        bundle.add_dependencies(one).add_dependencies([two, three], ["named", "too"]).add_dependencies(one)
    expected = {"_arg_0": one, "named": two, "too": three, "_arg_3": one}
    assert api.get(ctx, "data").dependencies == {
        name: (source.processing_name, source.uuid) for name, source in expected.items()
    }


def test_dependencies_that_cannot_be_told_apart_are_refused(ctx):
    source = api.Bundle(ctx, "source", 1)
    bundle = api.Bundle(ctx, "data", dependencies={"a": source})
    with pytest.raises(InvalidInput):
        bundle.add_dependencies([source], ["a"])
    with pytest.raises(InvalidInput):
        bundle.add_dependencies([source, source], ["b", "b"])
    with pytest.raises(InvalidInput):
        bundle.add_dependencies([source, source], ["b"])
    with pytest.raises(InvalidInput):
        bundle.add_dependencies(api.Bundle(ctx))
    with pytest.raises(TypeError):
        bundle.add_dependencies(source.uuid)
    assert bundle.dependencies == {"a": (source.processing_name, source.uuid)}


WRONG_TYPES = {
    "tag value": lambda b: b.add_tags({"a": 1}),
    "tag key": lambda b: b.add_tags({1: "a"}),
    "tags that are a list": lambda b: b.add_tags(["a"]),
    "params that are a list": lambda b: b.add_params(["a"]),
    "param value": lambda b: b.add_params({"a": 1}),
    "param key": lambda b: b.add_params({1: "a"}),
    "name": lambda b: setattr(b, "name", 1),
    "processing name": lambda b: setattr(b, "processing_name", b"x"),
    "code": lambda b: b.add_code_ref(len),
    "git": lambda b: b.add_git_info("repo", None, "main"),
    "time": lambda b: b.add_timing("now", "then"),
}
UNUSABLE = {
    "empty tag": lambda b: b.add_tags({"": "x"}),
    "commit by tag": lambda b: b.add_tags({"committed": "True"}),
    "root by tag": lambda b: b.add_tags({"root_task": "True"}),
    "param as tag": lambda b: b.add_tags({"__param.x": "1"}),
    "not Unicode": lambda b: b.add_tags({"a": "\udcff"}),
    "name not Unicode": lambda b: setattr(b, "name", "\udcff"),
    "param not Unicode": lambda b: b.add_params({"\udcff": "a"}),
    "no time": lambda b: b.add_timing(float("nan"), 1),
    "before time": lambda b: b.add_timing(-1, 1),
    "after time": lambda b: b.add_timing(1, 1e300),
}


@pytest.mark.parametrize(
    ("tell", "error"),
    [(tell, TypeError) for tell in WRONG_TYPES.values()] + [(tell, InvalidInput) for tell in UNUSABLE.values()],
    ids=[*WRONG_TYPES, *UNUSABLE],
)
def test_what_cannot_be_recorded_is_refused_at_once_and_changes_nothing(ctx, tell, error):
    with api.Bundle(ctx, "data", tags={"t": "1"}, params={"p": "1"}) as bundle, pytest.raises(error):
        tell(bundle)
    found = api.get(ctx, "data")
    assert (found.tags, found.params, found.code_ref, found.timing) == ({"t": "1"}, {"p": "1"}, "", (0, 0))


OPEN_ONLY = {
    "add_tags": lambda b: b.add_tags({"a": "b"}),
    "add_params": lambda b: b.add_params({"a": "b"}),
    "add_dependencies": lambda b: b.add_dependencies([]),
    "add_code_ref": lambda b: b.add_code_ref("f"),
    "add_git_info": lambda b: b.add_git_info("", "", ""),
    "add_timing": lambda b: b.add_timing(1, 2),
    "add_data": lambda b: b.add_data(2),
    "name": lambda b: setattr(b, "name", "other"),
    "processing_name": lambda b: setattr(b, "processing_name", "other"),
    "get_file": lambda b: b.get_file("x"),
    "get_directory": lambda b: b.get_directory("x"),
    "open": lambda b: b.open(),
    "close": lambda b: b.close(),
    "with": lambda b: b.__enter__(),
}


@pytest.mark.parametrize("change", OPEN_ONLY.values(), ids=OPEN_ONLY.keys())
def test_a_closed_bundle_cannot_be_changed(ctx, home, change):
    """Disdat raised AssertionError for this, so the error is one too."""
    bundle = api.Bundle(ctx, "data", 1)
    before = snapshot(home)
    for error in (BundleClosed, InvalidInput, AssertionError):
        with pytest.raises(error):
            change(bundle)
    assert (bundle.name, bundle.data) == ("data", 1)
    assert snapshot(home) == before


@pytest.mark.parametrize("change", OPEN_ONLY.values(), ids=OPEN_ONLY.keys())
def test_an_abandoned_bundle_stays_abandoned(ctx, home, change):
    before = snapshot(home)
    bundle = api.Bundle(ctx, "data").open()
    bundle.get_file("x")
    bundle.abandon()
    with pytest.raises(BundleClosed, match="abandoned"):
        change(bundle)
    assert not bundle.closed
    assert snapshot(home) == before


CLOSED_ONLY = {
    "cat": lambda b: b.cat(),
    "rm": lambda b: b.rm(),
    "commit": lambda b: b.commit(),
    "creation_date": lambda b: b.creation_date,
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("ask", CLOSED_ONLY.values(), ids=CLOSED_ONLY.keys())
def test_an_open_bundle_cannot_do_what_takes_a_stored_one(ctx, ask):
    with pytest.raises(InvalidInput, match="still open"):
        ask(api.Bundle(ctx, "data").add_data(1))


def fail_halfway(bundle):
    with bundle:
        Path(bundle.get_file("sub/file.txt")).write_text("half")
        bundle.add_data(1)
        raise ZeroDivisionError


def test_an_exception_in_the_block_leaves_nothing(ctx, home):
    before = snapshot(home)
    bundle = api.Bundle(ctx, "data", tags={"a": "b"})
    with pytest.raises(ZeroDivisionError):
        fail_halfway(bundle)
    assert snapshot(home) == before
    assert api.search(ctx) == []
    assert not bundle.closed


def test_a_value_that_cannot_be_stored_leaves_nothing(ctx, home, tmp_path):
    outside = tmp_path / "outside.bin"
    outside.write_bytes(os.urandom(2 * LARGE))
    api.Bundle(ctx, "first", bytes(LARGE))  # an object, so that the store is there
    before = snapshot(home)
    for value in ([1, {"a": object()}], [outside, object()]):
        with pytest.raises(Unserializable):
            api.Bundle(ctx, "data", value)
        bundle = api.Bundle(ctx, "data").open().add_data(value)
        Path(bundle.get_file("mine.bin")).write_bytes(os.urandom(2 * LARGE))
        with pytest.raises(Unserializable):
            bundle.close()
        assert not bundle.closed
    assert snapshot(home) == before
    assert outside.stat().st_size == 2 * LARGE


def test_the_message_names_the_place_in_the_value(ctx):
    with pytest.raises(Unserializable, match=r"\[1\]\['a'\]"):
        api.Bundle(ctx, "data", [1, {"a": object()}])


def test_closing_in_a_context_that_was_deleted_meanwhile_stores_nothing(ctx):
    bundle = api.Bundle(ctx, "data").open().add_data(1)
    api.delete_context(ctx)
    with pytest.raises(ContextNotFound):
        bundle.close()
    api.context(ctx)
    assert api.search(ctx) == []


@pytest.mark.slow
@pytest.mark.parametrize("used_before", [True, False])
def test_closing_in_a_context_that_was_made_anew_meanwhile_stores_it_there(ctx, elsewhere, used_before):
    if used_before:
        api.Bundle(ctx, "before", 1)
    bundle = api.Bundle(ctx, "data").open().add_data(2)
    elsewhere("api.delete_context('ctx'); api.context('ctx'); api.Bundle('ctx', 'other', 3)")
    bundle.close()
    assert bundle.data == 2
    assert elsewhere("print(sorted(each.name for each in api.search('ctx')))") == "['data', 'other']\n"


def test_closing_or_abandoning_inside_the_block_ends_it(ctx):
    with api.Bundle(ctx, "one") as bundle:
        bundle.add_data(1).close()
    with api.Bundle(ctx, "two") as other:
        other.abandon()
    assert [each.name for each in api.search(ctx)] == ["one"]
    bundle.abandon()
    assert bundle.data == 1


def test_a_bundle_has_the_uuid_it_is_forced_to_unless_it_is_taken(ctx):
    uuid = "12345678-1234-4234-8234-123456789abc"
    with api.Bundle(ctx, "data").open(force_uuid=uuid) as bundle:
        bundle.add_data(1)
    assert bundle.uuid == uuid
    assert api.get(ctx, None, uuid=uuid) == bundle
    with pytest.raises(AlreadyExists):
        api.Bundle(ctx).open(force_uuid=uuid)
    with pytest.raises(InvalidInput):
        api.Bundle(ctx).open(force_uuid="../../etc")
    opened = api.Bundle(ctx).open()
    with pytest.raises(InvalidInput):
        opened.open(force_uuid="22345678-1234-4234-8234-123456789abc")
    assert opened.open(force_uuid=opened.uuid) is opened


# Files


def test_a_file_written_at_a_managed_path_is_part_of_the_bundle_without_a_copy(ctx, home):
    content = os.urandom(LARGE)
    with api.Bundle(ctx, "data") as bundle:
        path = bundle.get_file("sub/large.bin")
        Path(path).write_bytes(content)
        inode = os.stat(path).st_ino
        bundle.add_data(path)
    assert bundle.data == path
    assert Path(path).read_bytes() == content
    objects = {each.stat().st_ino for each in (home / "store" / "objects").rglob("*") if each.is_file()}
    assert os.stat(path).st_ino == inode
    assert inode in objects


def test_a_managed_directory_is_part_of_the_bundle(ctx):
    with api.Bundle(ctx, "data") as bundle:
        directory = Path(bundle.get_directory("out"))
        assert directory.is_dir()
        (directory / "deep").mkdir()
        (directory / "deep" / "a.txt").write_text("a")
        bundle.add_data(str(directory))
    found = api.get(ctx, "data")
    assert (Path(found.data) / "deep" / "a.txt").read_text() == "a"
    assert found.local_dir == bundle.local_dir == str(directory.parent)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/etc/x", "a\0b"])
def test_no_managed_path_leads_out_of_the_bundle(ctx, name):
    bundle = api.Bundle(ctx, "data")
    for ask in (bundle.get_file, bundle.get_directory):
        with pytest.raises(InvalidInput):
            ask(name)
    bundle.abandon()


def test_the_directory_of_an_open_bundle_may_be_written_to(ctx):
    with api.Bundle(ctx, "data") as bundle:
        path = Path(bundle.local_dir) / "mine.txt"
        path.write_text("mine")
        bundle.add_data(path)
    assert bundle.data == path
    assert path.read_text() == "mine"


def test_a_files_content_stays_when_its_source_is_gone(ctx, tmp_path):
    for size in (10, LARGE):
        source = tmp_path / "source.bin"
        content = os.urandom(size)
        source.write_bytes(content)
        bundle = api.Bundle(ctx, "data", str(source))
        source.unlink()
        assert bundle.data != str(source)
        assert Path(bundle.data).read_bytes() == content


def test_two_files_of_one_base_name_both_survive(ctx, tmp_path):
    paths = [tmp_path / "one" / "same.txt", tmp_path / "two" / "same.txt"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    found = api.Bundle(ctx, "data", [str(path) for path in paths]).data
    assert [Path(path).read_text() for path in found] == ["one", "two"]


@pytest.mark.parametrize("name", ["a#b.txt", "a?b;c", "sp ace", "per%cent", "new\nline", "ünïcödé", "*", "-rf"])
def test_a_file_may_have_any_name(ctx, tmp_path, name):
    source = tmp_path / name
    source.write_text("content")
    bundle = api.Bundle(ctx, "data", str(source))
    source.unlink()
    assert Path(bundle.data).read_text() == "content"
    assert Path(bundle.data).name == name


def test_the_directory_of_a_closed_bundle_holds_all_its_files(ctx, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    api.Bundle(ctx, "data", [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    assert sorted(os.listdir(api.get(ctx, "data").local_dir)) == ["a.txt", "b.txt"]


def test_the_files_of_a_bundle_are_looked_at_once_however_often_its_directory_is_asked_for(ctx, tmp_path, monkeypatch):
    source = tmp_path / "a.txt"
    source.write_text("a")
    api.Bundle(ctx, "data", str(source))
    found = api.get(ctx, "data")
    [path] = Path(found.local_dir).iterdir()
    os.utime(path.parent, (1, 1))  # nothing was put there or taken away for long
    assert found.local_dir == str(path.parent)
    with monkeypatch.context() as here:
        for module in (builtins, io, os):
            here.setattr(module, "open", lambda *args, **options: pytest.fail("it is looked at again"))
        assert found.local_dir == str(path.parent)
    path.unlink()
    assert [each.read_text() for each in Path(found.local_dir).iterdir()] == ["a"], "it went, and is there again"
    shutil.rmtree(path.parent)
    assert (Path(found.local_dir) / path.name).read_text() == "a"


def test_to_ask_for_the_directory_of_a_bundle_without_files_makes_none(ctx):
    bundle = api.Bundle(ctx, "data", 1)
    assert bundle.local_dir.endswith(bundle.uuid)
    assert not Path(bundle.local_dir).exists()


# Once it is closed


@pytest.mark.parametrize("size", [4, 100_000])
def test_the_data_is_read_once_and_belongs_to_who_read_it(ctx, size):
    api.Bundle(ctx, "data", {"array": np.zeros(size), "list": [1]})
    mine, other = api.get(ctx, "data"), api.get(ctx, "data")
    assert mine.data is mine.data
    mine.data["array"][0] = 1
    mine.data["list"].append(2)
    for untouched in (other.data, mine.cat(), api.cat(ctx, "data")):
        assert not untouched["array"].any()
        assert untouched["list"] == [1]


def test_what_is_changed_after_closing_is_not_stored(ctx):
    value = {"array": np.zeros(4), "list": [1]}
    bundle = api.Bundle(ctx, "data", value)
    value["array"][0] = 1
    value["list"].append(2)
    assert bundle.data["array"].tolist() == [0, 0, 0, 0]
    assert bundle.data["list"] == [1]


def test_tags_are_those_of_the_moment(ctx):
    bundle = api.Bundle(ctx, "data", 1, tags={"a": "1"})
    api.tag(ctx, "data", {"b": "2"})
    assert bundle.tags == {"a": "1", "b": "2"}
    bundle.commit()
    assert bundle.tags == {"a": "1", "b": "2", "committed": "True"}
    api.untag(ctx, "data", "a")
    assert bundle.tags == {"b": "2", "committed": "True"}


def test_a_mapping_that_was_handed_out_changes_nothing(ctx):
    with api.Bundle(ctx, "data", tags={"a": "1"}, params={"p": "1"}) as bundle:
        bundle.tags["b"] = bundle.params["q"] = "2"
    bundle.tags["b"] = bundle.params["q"] = "2"
    assert (bundle.tags, bundle.params) == ({"a": "1"}, {"p": "1"})


def test_committing_and_removing_return_the_bundle(ctx):
    bundle = api.Bundle(ctx, "data", 1)
    assert bundle.commit().commit() is bundle
    with pytest.raises(Conflict):
        bundle.rm()
    assert bundle.rm(force=True) is bundle
    assert api.get(ctx, "data") is None


def test_a_removed_bundle_is_not_found_but_still_says_who_it_was(ctx):
    bundle = api.Bundle(ctx, "data", 1)
    bundle.rm()
    for ask in (bundle.cat, bundle.commit, bundle.rm, lambda: bundle.tags):
        with pytest.raises(BundleNotFound):
            ask()
    assert bundle.name == "data"
    assert bundle.uuid in repr(bundle)
    assert "removed" in bundle._repr_html_()


def test_two_bundles_are_equal_if_they_are_the_same_one_of_the_same_context(home):
    for name in ("one", "two"):
        api.context(name)
    bundle = api.Bundle("one", "data", 1)
    assert bundle == api.get("one", "data")
    assert len({bundle, api.get("one", "data"), api.get("one", None, uuid=bundle.uuid)}) == 1
    with api.Bundle("two", "data").open(force_uuid=bundle.uuid) as twin:
        twin.add_data(1)
    assert bundle != twin
    assert bundle != api.Bundle("one", "data", 1)
    assert bundle != bundle.uuid


def test_a_pickled_bundle_is_a_reference(ctx, elsewhere, tmp_path):
    bundle = api.Bundle(ctx, "data", np.arange(100_000))
    pickled = pickle.dumps(bundle)
    assert len(pickled) < 500
    assert pickle.loads(pickled) == bundle
    (tmp_path / "pickle").write_bytes(pickled)
    program = f"import pickle; print(pickle.load(open({str(tmp_path / 'pickle')!r}, 'rb')).data.sum())"
    assert elsewhere(f"import os; os.environ['DISDAT_HOME'] = '/nowhere'\n{program}") == "4999950000\n"
    bundle.rm()
    with pytest.raises(BundleNotFound):
        pickle.loads(pickled)


def test_a_bundle_shows_what_it_is_and_escapes_it(ctx):
    bundle = api.Bundle(ctx, "<data>", tags={"<b>": "1"})
    assert repr(bundle) == f"<Bundle '<data>' {bundle.uuid} in ctx, open>"
    bundle.add_data(1).close()
    assert repr(bundle).startswith(f"<Bundle '<data>' {bundle.uuid} in ctx, closed 20")
    assert "&lt;data&gt;" in bundle._repr_html_()
    assert "<b>" not in bundle._repr_html_()


def test_a_notebook_shows_the_first_rows_sizes_and_inputs(ctx):
    source = api.Bundle(ctx, "raw<", [1, "<i>"])
    table = pd.DataFrame({"<col>": range(10_000), "text": ["<script>"] * 10_000})
    shown = api.Bundle(ctx, "table", table, dependencies={"source": source})._repr_html_()
    assert "source: raw&lt;" in shown
    assert "10,000 × 2" in shown
    assert "<th>&lt;col&gt;</th>" in shown
    assert shown.count("&lt;script&gt;") == 5
    assert "<script>" not in shown
    assert "<pre>[1, &#x27;&lt;i&gt;&#x27;]</pre>" in source._repr_html_()


def test_a_notebook_shows_a_bundle_of_every_kind(ctx, tmp_path):
    (tmp_path / "a").write_text("a", "utf-8")
    for number, data in enumerate((None, tmp_path / "a", np.arange(9), {"a": [np.arange(9)] * 20}, "x" * 10_000)):
        bundle = api.Bundle(ctx, f"b{number}", data)
        if not bundle.closed:
            bundle.close()
        shown = bundle._repr_html_()
        assert bundle.uuid in shown
        assert len(shown) < 5000
