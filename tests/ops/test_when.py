"""Dates are read as people write them, in local time, and kept exactly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.errors import BadQuery
from disdat.ops import when


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "as_iso"),
    [
        ("2026-03-01", "2026-03-01T00:00:00"),
        ("2026-03-01T09:30", "2026-03-01T09:30:00"),
        ("2026-03-01 09:30:15.000001", "2026-03-01T09:30:15.000001"),
        ("03-01-2026", "2026-03-01T00:00:00"),
        ("03-01-2026 09:30:15", "2026-03-01T09:30:15"),
        (" 03-01-2026 ", "2026-03-01T00:00:00"),
        ("03-01-26", "2026-03-01T00:00:00"),
        ("11-22-26 07:02:11", "2026-11-22T07:02:11"),
    ],
)
def test_a_date_without_a_zone_is_local_time(zone: str, text: str, as_iso: str) -> None:
    assert when.local(when.parse(text)).replace(tzinfo=None).isoformat() == as_iso


def test_a_date_with_a_zone_is_that_moment_everywhere(zone: str) -> None:
    assert when.parse("2026-03-01T09:00+01:00") == when.parse("2026-03-01T08:00:00Z") == 1_772_352_000_000_000


@pytest.mark.parametrize("text", ["", "yesterday", "13-01-2026", "2026-02-30", "13-01-26", "1-2", "2026-03-01T25:00"])
def test_what_is_no_date_is_refused_with_the_forms_to_use(text: str) -> None:
    with pytest.raises(BadQuery, match="cannot read the date") as caught:
        when.parse(text)
    assert "2026-03-01" in caught.value.hint


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_a_date_beyond_what_can_be_counted_is_refused(zone: str, text: str) -> None:
    with pytest.raises(BadQuery, match="too far away"):
        when.parse(text)


@pytest.mark.parametrize(
    ("text", "more_us"),
    [
        ("11-22-26 07:02:11", 999_999),
        ("2026-11-22T07:02:11+05:30", 999_999),
        ("2026-11-22 07:02:11.000000", 0),
        ("2026-11-22T07:02+05:30", 0),
        ("2026-11-22", 0),
    ],
)
def test_the_last_moment_of_a_whole_second_is_its_end(text: str, more_us: int) -> None:
    assert when.parse_last(text) - when.parse(text) == more_us


NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # Hypothesis wants its bounds naive


@given(st.datetimes(min_value=NAIVE_EPOCH, timezones=st.just(UTC)))
def test_a_moment_survives_to_the_microsecond(moment: datetime) -> None:
    assert when.from_us(when.to_us(moment)) == moment


def test_an_hour_that_the_clocks_leave_out_is_the_one_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with :meth:`datetime.timestamp`. In Berlin, 29 March 2026 has no time from 02:00 to 03:00."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        left_out = [when.parse("2026-03-29T02:30"), when.parse("03-29-2026 02:30:00")]
        assert left_out == [when.parse("2026-03-29T03:30")] * 2 == [when.parse("2026-03-29T01:30Z")] * 2
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("text", "ago_s"), [("10m", 600), ("2h", 7200), (" 1.5 h ", 5400), ("3d", 259_200), ("0s", 0)])
def test_a_time_with_a_unit_is_so_long_ago(text: str, ago_s: int) -> None:
    before_us = time.time_ns() // 1000
    found_us = when.parse(text) + ago_s * 1_000_000
    assert before_us <= found_us <= time.time_ns() // 1000
    assert abs(when.parse_last(text) - when.parse(text)) < 1_000_000
