"""Text that others chose, as it can stand on a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core.printable import brief


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Train(gamma=0.1, kernel=rbf)", "Train(gamma=0.1, kernel=rbf)"),
        (f"Load(digest={'0123456789abcdef' * 4}, n=3)", "Load(digest=0123456789ab...89abcdef, n=3)"),
        ("Say(text=one\ntwo)", "Say(text=one\\ntwo)"),
        (f"Say(text={'word ' * 50})", f"Say(text={'word ' * 11}...d{' word' * 6} )"),
    ],
)
def test_of_long_words_and_of_a_long_text_the_ends_are_told(text: str, told: str):
    assert brief(text) == told


@given(st.text(max_size=400))
def test_it_fits_a_line_and_what_is_short_is_whole(text: str):
    told = brief(text)
    assert told.isprintable()
    assert len(told) <= 100
    assert told == text or len(text) > 32 or not text.isprintable()
