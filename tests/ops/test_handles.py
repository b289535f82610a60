"""Handles: a bundle to read, as tasks are given it."""

from __future__ import annotations

import pickle

import pytest

from disdat.context import Context
from disdat.errors import BundleNotFound
from disdat.ops import bundles, find, handles
from disdat.ops.bundles import Birth


def make(context: Context) -> handles.BundleHandle:
    made = bundles.write(context, [1, {"a": 2}], Birth(name="it", tags={"k": "v"}, params={"n": "3"}, owner="me"))
    return handles.of(context, made.uuid)


def test_a_handle_tells_what_the_bundle_is(context: Context):
    handle = make(context)
    row = find.need(context, "it")
    assert (handle.uuid, handle.name, handle.owner) == (row.uuid, "it", "me")
    assert handle.processing_name == row.processing_name
    assert handle.params == {"n": "3"}
    assert handle.data == [1, {"a": 2}]
    assert handle.creation_date == row.created_us / 1_000_000


def test_its_tags_are_those_of_the_moment(context: Context):
    handle = make(context)
    assert handle.tags == {"k": "v"}
    bundles.tag(context, find.need(context, "it"), set_to={"late": "1"}, unset=["k"])
    bundles.commit(context, [find.need(context, "it")])
    assert handle.tags == {"late": "1", "committed": "True"}


def test_handles_of_one_bundle_are_equal_and_pickle_as_that_bundle(context: Context):
    handle = make(context)
    again = pickle.loads(pickle.dumps(handle))
    assert again == handle == handles.of(context, handle.uuid)
    assert hash(again) == hash(handle)
    assert again.data == handle.data
    assert handle != make(context)


def test_a_bundle_that_was_removed_is_told(context: Context):
    handle = make(context)
    bundles.remove(context, [find.need(context, "it")])
    with pytest.raises(BundleNotFound):
        _ = handle.tags
    with pytest.raises(BundleNotFound):
        handles.of(context, handle.uuid)
