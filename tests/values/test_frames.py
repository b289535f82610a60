"""Values of every kind inside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.errors import Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import Pickled, dump, load, text
from tests.values.strategies import HASHABLE, SCALARS, exact

OTHERS = st.sampled_from(
    [
        np.arange(3),
        np.zeros((2, 0), ">f4"),
        np.float32(1.5),
        np.array(["a", "b"], np.dtypes.StringDType()),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["i", "j"]),
        pd.Series([1.5], name="s"),
        pa.table({"a": [1, None]}),
    ]
)
ANYTHING = st.recursive(
    SCALARS | OTHERS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=12,
)


def plain(value: object) -> object:
    """The value with arrays and tables in a form that compares."""
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, repr(value.tolist())
    if isinstance(value, pd.DataFrame | pd.Series):
        return type(value).__name__, value.to_csv(), str(getattr(value, "dtypes", ""))
    if isinstance(value, pa.Table):
        return "table", str(value.schema), repr(value.to_pylist())
    if isinstance(value, dict):
        return "dict", [(exact(key), plain(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(item) for item in value]
    return exact(value)


@given(ANYTHING)
def test_values_of_every_kind_inside_each_other_come_back(tmp_path_factory, value):
    bundle = MemoryBundle(tmp_path_factory.getbasetemp())
    frames = dump(value, bundle)
    read = load(frames, bundle)
    assert plain(read) == plain(value)
    assert dump(read, bundle)[0].logical == frames[0].logical


@given(ANYTHING)
def test_a_frame_refers_only_to_frames_listed_before_it(tmp_path_factory, value):
    first, *others = dump(value, MemoryBundle(tmp_path_factory.getbasetemp()))
    known: set[str] = set()
    for frame in others:
        assert references(frame.inline.value if frame.inline else None) <= known
        known.add(frame.name)
    assert references(first.inline.value if first.inline else None) <= known
    assert len(known) == len(others)


def references(code: object) -> set[str]:
    if isinstance(code, list):
        return set().union(*map(references, code))
    if not isinstance(code, dict):
        return set()
    ((tag, content),) = code.items()
    return {content} if tag == "frame" else references(content)


@given(ANYTHING)
def test_text_changes_nothing_that_names_no_file(tmp_path_factory, value):
    bundle = MemoryBundle(tmp_path_factory.getbasetemp())
    assert dump(text(value), bundle)[0].logical == dump(value, bundle)[0].logical


def test_every_kind_of_frame_inside_one_value(bundle):
    path = bundle.root / "file.txt"
    path.write_text("x")
    value = {"t": pd.DataFrame({"a": [1]}), "n": [np.arange(2)], "f": path, "d": bundle.root / "own", "p": Pickled(int)}
    value["d"].mkdir()
    frames = dump(value, bundle)
    assert [frame.kind for frame in frames] == ["literal", "table", "array", "file", "directory", "pickle"]
    read = load(frames, bundle)
    assert read["f"].read_text() == "x"
    assert read["p"] is int


def test_the_caller_sees_which_of_many_values_was_refused():
    value = {"models": [{"weights": np.arange(3), "notes": {"author": "x", "extra": (1, open)}}]}
    with pytest.raises(Unserializable) as raised:
        dump(value, MemoryBundle(Path("/nonexistent")))
    assert raised.value.where == "value['models'][0]['notes']['extra'][1]"
