"""A mistyped name leads to the one that was meant."""

from __future__ import annotations

import pytest

from disdat.core import similar


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("rwa", ["raw", "model"], "raw"),
        ("t2", ["t1", "other"], "t1"),
        ("T1", ["t1"], "t1"),
        ("my.first.bundel", ["my.second.bundle", "my.first.bundle"], "my.first.bundle"),
        ("nothing", ["raw", "model", ""], None),
        ("raw", ["raw"], None),
        ("", ["raw"], None),
        ("raw", [], None),
    ],
)
def test_the_name_most_like_it_is_meant(word: str, names: list[str], meant: str | None) -> None:
    assert similar.closest(word, names) == meant
    hint = similar.hint(word, names, otherwise="look")
    assert hint == ("look" if meant is None else f"did you mean {meant!r}?")
