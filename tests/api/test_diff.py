"""``api.diff``: two bundles, however they are named."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from disdat import api
from disdat.errors import BundleNotFound
from tests.api.kinds import EVERY


@pytest.fixture
def versions(ctx):
    """Two versions of a table."""
    table = pd.DataFrame({"id": [1, 2], "x": [0.5, 1.5]})
    return [api.Bundle(ctx, "data", each) for each in (table, table.assign(x=[0.5, 2.5]))]


def test_bundles_and_references_name_what_is_compared(ctx, versions):
    old, new = versions
    for words in ((old, new), ("data@-1", "data"), ("data",), (new,), (old.uuid, new.uuid[:8]), ("data@-1", new)):
        found = api.diff(ctx, *words)
        assert (found.old.uuid, found.new.uuid) == (old.uuid, new.uuid)
        (part,) = found.value.parts
        assert part.difference.rows.cells == {"x": 1}


def test_it_is_false_where_nothing_differs(ctx, versions):
    assert not api.diff(ctx, versions[0], versions[0])
    assert api.diff(ctx, "data")
    assert not api.diff(ctx, "data", atol=1)


def test_one_column_is_a_key(ctx, versions):
    assert api.diff(ctx, "data", key="x").value.parts[0].difference.rows.added_count == 1
    assert api.diff(ctx, "data", key=["id", "x"]).value.parts[0].difference.rows.key == ("id", "x")


def test_what_is_shown_is_cut_to_the_limit_and_none_keeps_all(ctx):
    for start in (0, 1):
        api.Bundle(ctx, "data", np.arange(start, start + 100))
    shown = [len(api.diff(ctx, "data", limit=limit).value.parts[0].difference.shown) for limit in (20, 3, None)]
    assert shown == [20, 3, 100]


def test_it_becomes_json(ctx, versions):
    found = json.loads(json.dumps(api.diff(ctx, "data").to_json()))
    assert found["value"]["parts"][0]["rows"]["changed"][0]["cells"] == {"x": {"old": 1.5, "new": 2.5}}


def test_no_two_values_are_too_different_to_be_compared(ctx, home):
    made = [api.Bundle(ctx, name).add_data(make()).close() for name, make in EVERY.items()]
    for old, new in itertools.pairwise(made):
        found = api.diff(ctx, old, new)
        assert bool(found.value) == (found.value.count > 0)
        json.dumps(found.to_json())
        assert not api.diff(ctx, new, new)


def test_a_bundle_that_was_removed_is_not_found(ctx, versions):
    api.rm(ctx, "data", uuid=versions[0].uuid)
    with pytest.raises(BundleNotFound):
        api.diff(ctx, versions[0], versions[1])
