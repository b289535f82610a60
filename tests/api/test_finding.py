"""Finding, changing and removing bundles: names are exact text, and nothing is removed that was not named."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from disdat import api
from disdat.common import CatNoBundleError
from disdat.errors import BadQuery, BundleNotFound, Conflict, InvalidInput

STRANGE_NAMES = [
    "",
    "human_name",
    "uuid",
    "'; DROP TABLE bundles; --",
    '"',
    "%",
    "_",
    "*",
    "my.*",
    "my.data",
    "my_data",
    "MY.DATA",
    "[a-z]",
    "/regex/",
    "a@b",
    "name@2026",
    "new\nline",
    "tab\t",
    "nul\0nul",
    "ünïcödé \U0001f40d",
    " ",
    "x" * 5000,
]


def values(bundles):
    return [bundle.data for bundle in bundles]


@pytest.fixture
def strange(ctx):
    """A bundle under every strange name, whose value is the name."""
    for name in STRANGE_NAMES:
        api.Bundle(ctx, name, name)
    return ctx


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=repr)
def test_a_name_is_text_and_finds_itself_alone(strange, name):
    assert api.get(strange, name).data == name
    assert api.cat(strange, name) == name
    assert values(api.search(strange, name)) == [name]
    api.commit(strange, name)
    api.tag(strange, name, {"tagged": "1"})
    assert [each.name for each in api.search(strange, is_committed=True)] == [name]
    assert [each.name for each in api.search(strange, tags={"tagged": "1"})] == [name]
    api.rm(strange, name, rm_all=True, force=True)
    assert sorted(values(api.search(strange))) == sorted(set(STRANGE_NAMES) - {name})


@pytest.mark.parametrize("name", ["%", "*", "my", "data", ".*", "nobody"])
def test_a_name_nobody_has_finds_nothing(ctx, name):
    for made in ("my.data", "my_data"):
        api.Bundle(ctx, made, 1)
    assert api.get(ctx, name) is None
    assert api.search(ctx, name) == []
    api.rm(ctx, name, rm_all=True)
    assert len(api.search(ctx)) == 2


def test_tag_values_and_keys_are_text_too(ctx):
    tags = {"'": '"', "a'b": "%", "sp ace": "c:d", "ü": "\n"}
    api.Bundle(ctx, "data", 1, tags=tags)
    api.Bundle(ctx, "data", 2, tags={"a'b": "x"})
    for key, text in tags.items():
        assert values(api.search(ctx, tags={key: text})) == [1]
    assert api.search(ctx, tags={"a'b": "%x"}) == []


@pytest.mark.parametrize(
    "ask",
    [
        api.get,
        lambda ctx, text: api.get(ctx, None, uuid=text),
        lambda ctx, text: api.get(ctx, None, tags={"a": text}),
        api.search,
        lambda ctx, text: api.search(ctx, tags={text: "a"}),
        api.cat,
        api.rm,
        api.commit,
    ],
)
def test_what_is_searched_for_must_be_text(ctx, ask):
    with pytest.raises(InvalidInput):
        ask(ctx, "\udcff")
    with pytest.raises(TypeError):
        ask(ctx, 7)


# get


def test_get_gives_the_latest_version(ctx):
    made = [api.Bundle(ctx, "data", number) for number in range(3)]
    assert api.get(ctx, "data") == made[-1]
    assert api.get(ctx, "data").data == 2


def test_get_gives_none_where_there_is_nothing(ctx):
    assert api.get(ctx, "data") is None
    assert api.get(ctx, None) is None
    assert api.get(ctx, None, "00000000-0000-4000-8000-000000000000") is None


def test_a_uuid_wins_over_the_name(ctx):
    first = api.Bundle(ctx, "data", 1)
    api.Bundle(ctx, "data", 2)
    assert api.get(ctx, "data", first.uuid) == first
    assert api.get(ctx, None, uuid=first.uuid).data == 1
    assert api.get(ctx, None, uuid=first.uuid[:8]) is None


def test_get_without_a_name_gives_the_latest_of_all(ctx):
    for name in ("one", "two"):
        api.Bundle(ctx, name, name)
    assert api.get(ctx, None).data == "two"


def test_get_gives_the_latest_that_has_every_tag(ctx):
    api.Bundle(ctx, "data", 1, tags={"a": "1", "b": "1"})
    api.Bundle(ctx, "data", 2, tags={"a": "1"})
    assert api.get(ctx, "data", tags={"a": "1"}).data == 2
    assert api.get(ctx, "data", None, {"a": "1", "b": "1"}).data == 1
    assert api.get(ctx, "data", tags={"a": "2"}) is None


# search


def test_search_lists_the_newest_first(ctx):
    for number in range(5):
        api.Bundle(ctx, f"data{number % 2}", number)
    assert values(api.search(ctx)) == [4, 3, 2, 1, 0]
    assert values(api.search(ctx, "data0")) == [4, 2, 0]


def test_search_reads_no_data(ctx, home):
    """A bundle whose bytes are gone is listed like any other."""
    api.Bundle(ctx, "data", b"x" * 200_000)
    for path in (home / "store" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.unlink()
    [found] = api.search(ctx)
    assert (found.name, found.params, found.tags) == ("data", {}, {})


def test_a_compiled_pattern_is_searched_in_the_names(ctx):
    for name in ("my.data", "my_data", "other", "MY.DATA"):
        api.Bundle(ctx, name, name)
    assert values(api.search(ctx, re.compile(r"^my\."))) == ["my.data"]
    assert values(api.search(ctx, re.compile(r"data$", re.IGNORECASE))) == ["MY.DATA", "my_data", "my.data"]


def test_search_by_processing_name_and_by_what_is_committed(ctx):
    api.Bundle(ctx, "data", 1, processing_name="p1").commit()
    api.Bundle(ctx, "data", 2, processing_name="p2")
    assert values(api.search(ctx, processing_name="p1")) == [1]
    assert values(api.search(ctx, is_committed=True)) == [1]
    assert values(api.search(ctx, is_committed=False)) == [2]
    assert values(api.search(ctx, "data", "p2", None, False)) == [2]


def test_bundles_made_by_hand_are_no_roots(ctx):
    api.Bundle(ctx, "data", 1)
    assert api.search(ctx, find_roots=True) == []
    assert values(api.search(ctx, find_intermediates=True)) == [1]
    assert values(api.search(ctx, find_roots=True, find_intermediates=True)) == [1]


def test_search_leaves_its_arguments_as_they_are(ctx):
    tags = {"a": "1"}
    api.Bundle(ctx, "data", 1, tags=tags)
    assert api.search(ctx, tags=tags, find_roots=True) == []
    assert tags == {"a": "1"}


def test_dates_are_inclusive_and_given_as_datetimes_or_text(ctx):
    made = [api.Bundle(ctx, "data", number) for number in range(3)]
    moments = [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(b.creation_date * 1e6)) for b in made]
    assert values(api.search(ctx, after=moments[1])) == [2, 1]
    assert values(api.search(ctx, before=moments[1])) == [1, 0]
    assert values(api.search(ctx, before=moments[1].isoformat(), after=moments[1].isoformat())) == [1]
    local = moments[1].astimezone().replace(tzinfo=None)
    assert values(api.search(ctx, before=local, after=local)) == [1]


@pytest.mark.parametrize("form", ["%m-%d-%Y", "%Y-%m-%d", "%m-%d-%Y %H:%M:%S", "%Y-%m-%dT%H:%M"])
def test_dates_are_local_time(ctx, form, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    api.Bundle(ctx, "data", 1)
    now = datetime.now().astimezone()
    assert values(api.search(ctx, after=(now - timedelta(days=1)).strftime(form))) == [1]
    assert api.search(ctx, before=(now - timedelta(days=1)).strftime(form)) == []
    assert api.search(ctx, after=(now + timedelta(days=1)).strftime(form)) == []


@pytest.mark.parametrize("date", ["yesterday", "", "13-41-2026", "2026-13-01"])
def test_a_date_that_cannot_be_read_is_an_error(ctx, date):
    with pytest.raises(BadQuery):
        api.search(ctx, before=date)
    with pytest.raises(ValueError, match="date"):
        api.search(ctx, after=date)


# cat


def test_cat_gives_the_latest_value_or_says_there_is_none(ctx):
    api.Bundle(ctx, "data", 1)
    api.Bundle(ctx, "data", {"a": 2})
    assert api.cat(ctx, "data") == {"a": 2}
    with pytest.raises(CatNoBundleError, match="nobody"):
        api.cat(ctx, "nobody")


# rm


@pytest.fixture
def versions(ctx):
    for number in range(4):
        api.Bundle(ctx, "data", number, tags={"even": str(number % 2 == 0)})
    api.Bundle(ctx, "other", "other")
    return ctx


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ({}, [2, 1, 0]),
        ({"rm_all": True}, []),
        ({"rm_old_only": True}, [3]),
        ({"tags": {"even": "True"}}, [3, 1, 0]),
        ({"tags": {"even": "True"}, "rm_all": True}, [3, 1]),
        ({"tags": {"even": "True"}, "rm_old_only": True}, [3, 2, 1]),
    ],
    ids=str,
)
def test_what_is_removed_is_what_was_named(versions, which, left):
    api.rm(versions, "data", **which)
    assert values(api.search(versions, "data")) == left
    assert api.cat(versions, "other") == "other"


def test_a_uuid_removes_one_bundle(versions):
    second = api.search(versions, "data")[1]
    api.rm(versions, uuid=second.uuid)
    assert values(api.search(versions, "data")) == [3, 1, 0]
    api.rm(versions, uuid=second.uuid)
    api.rm(versions, uuid="3")
    assert len(api.search(versions, "data")) == 3


@pytest.mark.parametrize("which", [{}, {"rm_all": True}, {"rm_old_only": True}], ids=str)
def test_naming_nothing_removes_nothing(versions, which):
    with pytest.raises(BadQuery):
        api.rm(versions, **which)
    assert len(api.search(versions)) == 5


def test_all_and_old_exclude_each_other(versions):
    with pytest.raises(InvalidInput):
        api.rm(versions, "data", rm_all=True, rm_old_only=True)
    assert len(api.search(versions)) == 5


def test_a_committed_bundle_is_removed_by_force_only(versions):
    api.commit(versions, "data")
    with pytest.raises(Conflict):
        api.rm(versions, "data", rm_all=True)
    assert len(api.search(versions, "data")) == 4
    api.rm(versions, "data", rm_all=True, force=True)
    assert api.search(versions, "data") == []


# commit, tag, untag


def test_commit_marks_the_latest_match(versions):
    api.commit(versions, "data", {"even": "True"})
    api.commit(versions, None, uuid=api.get(versions, "other").uuid)
    assert values(api.search(versions, is_committed=True)) == ["other", 2]
    assert api.get(versions, "data", tags={"even": "True"}).tags == {"even": "True", "committed": "True"}


def test_committing_twice_is_fine_and_committing_nothing_is_an_error(versions):
    api.commit(versions, "data")
    api.commit(versions, "data")
    assert len(api.search(versions, is_committed=True)) == 1
    with pytest.raises(BundleNotFound):
        api.commit(versions, "nobody")


@pytest.mark.parametrize(
    "change",
    [
        lambda ctx: api.commit(ctx, None),
        lambda ctx: api.tag(ctx, None, {"a": "b"}),
        lambda ctx: api.untag(ctx, None, "even"),
    ],
)
def test_naming_nothing_changes_nothing(versions, change):
    with pytest.raises(BadQuery):
        change(versions)
    assert api.search(versions, is_committed=True) == []


def test_tags_are_set_and_taken_off_after_the_fact(versions):
    api.tag(versions, "data", {"a": "1", "even": "maybe"})
    assert api.get(versions, "data").tags == {"a": "1", "even": "maybe"}
    api.untag(versions, "data", ["a"])
    assert api.get(versions, "data").tags == {"even": "maybe"}
    first = api.search(versions, "data")[-1]
    api.tag(versions, None, {"first": "yes"}, uuid=first.uuid)
    assert values(api.search(versions, tags={"first": "yes"})) == [0]
    api.untag(versions, None, "first", first.uuid)
    assert api.search(versions, tags={"first": "yes"}) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda ctx: api.tag(ctx, "data", {"committed": "True"}), InvalidInput),
        (lambda ctx: api.tag(ctx, "data", {"__param.x": "1"}), InvalidInput),
        (lambda ctx: api.tag(ctx, "data", {"": "1"}), InvalidInput),
        (lambda ctx: api.tag(ctx, "data", {"a": 1}), TypeError),
        (lambda ctx: api.tag(ctx, "data", {"a": "\udcff"}), InvalidInput),
        (lambda ctx: api.tag(ctx, "nobody", {"a": "1"}), BundleNotFound),
        (lambda ctx: api.untag(ctx, "data", "committed"), InvalidInput),
        (lambda ctx: api.untag(ctx, "data", ["even", "nothing"]), InvalidInput),
        (lambda ctx: api.untag(ctx, "nobody", "even"), BundleNotFound),
    ],
)
def test_what_cannot_be_tagged_changes_nothing(versions, change, error):
    api.commit(versions, "data")
    with pytest.raises(error):
        change(versions)
    assert api.get(versions, "data").tags == {"even": "False", "committed": "True"}


# lineage


def test_lineage_lists_every_ancestor_once_breadth_first(ctx):
    root = api.Bundle(ctx, "root", 0)
    left = api.Bundle(ctx, "left", 1, dependencies={"root": root})
    right = api.Bundle(ctx, "right", 2, dependencies={"root": root})
    top = api.Bundle(ctx, "top", 3, dependencies={"l": left, "r": right})
    found = api.lineage(ctx, top.uuid)
    assert found == [(0, top.uuid, top), (1, left.uuid, left), (1, right.uuid, right), (2, root.uuid, root)]
    assert [depth for depth, _, _ in api.lineage(ctx, top.uuid, 1)] == [0, 1, 1]
    assert [depth for depth, _, _ in api.lineage(ctx, top.uuid, max_depth=0)] == [0]


def test_lineage_names_an_ancestor_that_is_not_here(home):
    for name in ("one", "two"):
        api.context(name)
    source = api.Bundle("one", "source", 1)
    made = api.Bundle("two", "made", 2, dependencies={"source": source})
    assert api.lineage("two", made.uuid) == [(0, made.uuid, made), (1, source.uuid, None)]


def test_the_lineage_of_an_unknown_bundle_is_empty(ctx):
    assert api.lineage(ctx, "00000000-0000-4000-8000-000000000000") == []
