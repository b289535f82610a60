"""The exact digest: what a bundle counts by as an input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.context import Home
from disdat.core.bundle import Bundle
from disdat.ops import bundles, contexts
from disdat.ops.bundles import Birth

Store = Callable[[object], Bundle]


@pytest.fixture(name="stored")
def stored_(tmp_path: Path) -> Store:
    context = contexts.create(Home(tmp_path / "home"), "c")
    return lambda value: bundles.write(context, value, Birth(name="v"))


def frame(dtype: str = "int64", **attrs: object) -> pd.DataFrame:
    made = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, dtype=dtype)
    made.attrs.update(attrs)
    return made


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (frame(), frame("object")),
        (frame(), frame("Int64")),
        (frame(), frame(unit="C")),
        (frame(unit="C"), frame(unit="F")),
        ({"t": frame()}, {"t": frame("object")}),
        (frame(), frame().rename_axis(columns="kind")),
        (pd.Series(["x"], dtype="str"), pd.Series(["x"], dtype="object")),
        (np.array([1, 2], dtype="<i8"), np.array([1, 2], dtype=">i8")),
        (Path(__file__), str(Path(__file__))),
    ],
    ids=["object", "nullable", "attrs", "other attrs", "inside", "names", "texts", "order", "path"],
)
def test_values_that_read_back_as_other_types_are_unlike(stored: Store, one: object, other: object) -> None:
    assert stored(one).exact != stored(other).exact


@pytest.mark.parametrize("value", [frame(unit="C"), {"t": frame(), "n": 1}, np.arange(3), [1, "a"]], ids=repr)
def test_a_value_that_is_made_again_is_like_itself(stored: Store, value: object) -> None:
    assert stored(value).exact == stored(value).exact is not None


def test_nothing_has_no_digest(stored: Store) -> None:
    assert Bundle("u", "n", "p", "o", 1, "c", "h").exact is None
