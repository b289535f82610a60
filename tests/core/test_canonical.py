"""One value has one sequence of bytes, whoever writes it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)

PINNED = {
    "null": (None, b"null"),
    "keys by code point": (
        {"b": 1, "a": 2, "B": 3, "é": 4, "😀": 5},
        rb'{"B":3,"a":2,"b":1,"\u00e9":4,"\ud83d\ude00":5}',
    ),
    "no white space": ([1, [2, {}], {"a": []}], b'[1,[2,{}],{"a":[]}]'),
    "floats tell themselves from integers": ([1, 1.0, -0.0, 1e16, 1e-7, 0.1], b"[1,1.0,-0.0,1e+16,1e-07,0.1]"),
    "integers of any size": ([10**30, -1], b"[1000000000000000000000000000000,-1]"),
    "escapes": ('"\\/\b\f\n\r\t\x00\x1f\x7f', rb'"\"\\/\b\f\n\r\t\u0000\u001f\u007f"'),
    "a lone surrogate": ("\ud800", rb'"\ud800"'),
    "tuples are arrays": ((1, (2,)), b"[1,[2]]"),
}


@pytest.mark.parametrize("case", PINNED)
def test_the_bytes_are_these(case: str) -> None:
    value, expected = PINNED[case]
    assert canonical.encode(value) == expected  # type: ignore[arg-type]  # a table of cases


@given(values)
def test_what_is_written_is_read_back_equal_and_of_the_same_types(value: canonical.Json) -> None:
    data = canonical.encode(value)
    assert repr(canonical.decode(data)) == repr(json.loads(data))
    assert canonical.decode(data) == value
    assert canonical.encode(canonical.decode(data)) == data
    assert data.isascii()


@given(st.dictionaries(st.text(), st.integers()), st.randoms(use_true_random=False))
def test_the_order_in_which_a_mapping_was_filled_does_not_show(value: dict[str, int], chance: object) -> None:
    keys = list(value)
    chance.shuffle(keys)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    assert canonical.encode({key: value[key] for key in keys}) == canonical.encode(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical.encode([number])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"\xff",
        '"é"'.encode("latin-1"),
        "[1]".encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1 2",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.decode(data)


def test_text_is_read_as_bytes_are() -> None:
    assert canonical.decode('{"a":[1.5,"é"]}') == canonical.decode('{"a":[1.5,"é"]}'.encode()) == {"a": [1.5, "é"]}
