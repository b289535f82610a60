"""How values look as text."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.cli import render
from disdat.errors import StorageError


@given(st.text(alphabet=st.characters()))
def test_one_line_is_one_line_that_can_be_seen(text):
    """Whatever the text; and text that is one already stays as it is."""
    shown = render.one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert render.one_line(shown) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_549, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (20_000_000_000, "20.0 GB"),
        (3 * 10**15, "3.0 PB"),
    ],
)
def test_sizes_are_shown_for_people(size_bytes, shown):
    assert render.size(size_bytes) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0 files"), (1, "1 file"), (1024, "1,024 files")])
def test_what_is_counted_has_its_plural(number, shown):
    assert render.count(number, "file") == shown


def test_tables_are_as_wide_as_their_widest_cells():
    assert render.table([["a", "1", ""], ["long", "", "x"]]) == ["a     1", "long     x"]
    assert render.table([]) == []


def test_empty_fields_are_left_out():
    assert render.fields([("a", "1"), ("empty", ""), ("long name", "2")]) == ["a:          1", "long name:  2"]


def test_json_is_ascii():
    [text] = render.as_json({"größe": ["\udcff", "\n"]})
    assert text.isascii()
    assert json.loads(text) == {"größe": ["\udcff", "\n"]}


def test_an_output_that_cannot_be_written_is_a_storage_error(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(StorageError, match="cannot write the output: No space left on device"):
        render.out(["line"])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (8.24, "8.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_time_is_in_its_two_largest_units(seconds: float, shown: str):
    assert render.duration(seconds) == shown
