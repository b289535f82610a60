"""Time as it is kept, whatever the clock and its zone do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.ops import add, bundles, contexts, find, when
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt

DAY_US = 86_400_000_000
START_US = 1_772_352_000_000_000


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = START_US

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ticking(home: Path, clock: Clock) -> Context:
    """A context that lives by *clock*."""
    return contexts.create(Home(home, clock_us=clock), "demo")


def write(context: Context, value: int) -> str:
    return bundles.write(context, value, Birth("n")).uuid


def test_what_is_made_later_is_later_though_the_clock_was_set_back(ticking: Context, clock: Clock) -> None:
    uuids = [write(ticking, 0)]
    clock.now -= DAY_US
    uuids += [write(ticking, value) for value in range(1, 4)]
    rows = find.search(ticking, Filter())
    assert [row.uuid for row in rows] == uuids[::-1]
    created = [row.created_us for row in rows]
    assert created == sorted(set(created), reverse=True)
    assert find.need(ticking, "n").uuid == uuids[-1]
    assert find.resolve(ticking, "n@-1").uuid == uuids[-2]


def test_another_process_with_the_right_clock_is_later_too(home: Path, ticking: Context, clock: Clock) -> None:
    """The catalog's newest event counts, whoever wrote it; a home that is opened anew has seen it too."""
    first = write(ticking, 0)
    slow = Home(home, clock_us=lambda: START_US - 400 * DAY_US).context("demo")
    second = write(slow, 1)
    third = write(Home(home, clock_us=clock).context("demo"), 2)
    assert [row.uuid for row in find.search(ticking, Filter())] == [third, second, first]


def test_tags_and_removals_hold_though_the_clock_was_set_back(ticking: Context, clock: Clock) -> None:
    uuids = [write(ticking, value) for value in range(2)]
    bundles.tag(ticking, find.need(ticking, uuid=uuids[0]), set_to={"k": "early"})
    clock.now -= DAY_US
    bundles.tag(ticking, find.need(ticking, uuid=uuids[0]), set_to={"k": "late"})
    assert find.need(ticking, uuid=uuids[0]).tags["k"] == "late"
    bundles.remove(ticking, [find.need(ticking, uuid=uuids[1])])
    assert find.need(ticking, "n").uuid == uuids[0]
    bundles.tag(ticking, find.need(ticking, uuid=uuids[0]), unset=["k"])
    ticking.catalog.reindex()
    [row] = find.search(ticking, Filter())
    assert (row.uuid, "k" in row.tags) == (uuids[0], False)


def test_a_file_is_read_again_though_the_clock_was_set_back(ticking: Context, clock: Clock) -> None:
    path = Path("a.txt")
    path.write_text("before", "utf-8")
    add.add(ticking, "n", [path])
    clock.now -= DAY_US
    path.write_text("after!", "utf-8")
    made = add.add(ticking, "n", [path])
    assert Path(str(bundles.value(ticking, made.uuid))).read_text("utf-8") == "after!"


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def enter(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield enter
    monkeypatch.undo()
    time.tzset()


def utc_us(*fields: int) -> int:
    return when.to_us(datetime(*fields, tzinfo=UTC))  # type: ignore[misc,arg-type]  # fields are those of a datetime


AUTUMN = [utc_us(2026, 10, 25, 0, 30), utc_us(2026, 10, 25, 1, 30), utc_us(2026, 10, 25, 2, 30)]
"""In Berlin 02:30 summer time, 02:30 winter time, 03:30."""


def test_an_hour_that_comes_twice_is_listed_in_the_order_it_was(
    demo: Dsdt, home: Path, in_zone: Callable[[str], None]
) -> None:
    in_zone("Europe/Berlin")
    for number, moment in enumerate(AUTUMN):
        bundles.write(Home(home, clock_us=lambda now=moment: now).context("demo"), number, Birth(f"n{number}"))
    assert demo("ls").lines == ["n2", "n1", "n0"]
    shown = [line.split("\t")[3].strip() for line in demo("ls", "-v").lines[1:]]
    assert shown == ["10-25-26 03:30:00", "10-25-26 02:30:00", "10-25-26 02:30:00"]
    assert [row["created"][11:16] for row in demo.json("ls")] == ["02:30", "01:30", "00:30"]
    assert demo("ls", "-A", "2026-10-25T03:00").lines == ["n2"]
    assert demo("ls", "-A", "2026-10-25T02:00", "-B", "2026-10-25T04:00").lines == ["n2", "n1", "n0"]
    assert demo("ls", "-A", "2026-10-25T02:30+01:00").lines == ["n2", "n1"]
    assert demo("ls", "-B", "2026-10-25T02:30:00+02:00").lines == ["n0"]
    assert demo("ls", "-A", "2026-10-25", "-B", "10-26-2026").lines == ["n2", "n1", "n0"]


def test_an_hour_that_is_left_out_can_be_named_and_days_stay_whole(
    demo: Dsdt, home: Path, in_zone: Callable[[str], None]
) -> None:
    """At 02:00 on 29 March 2026 Berlin goes on with 03:00."""
    in_zone("Europe/Berlin")
    moments = {"before": utc_us(2026, 3, 29, 0, 59, 59), "after": utc_us(2026, 3, 29, 1, 0, 0)}
    for name, moment in moments.items():
        bundles.write(Home(home, clock_us=lambda now=moment: now).context("demo"), 0, Birth(name))
    assert [line.split("\t")[3].strip() for line in demo("ls", "-v").lines[1:]] == [
        "03-29-26 03:00:00",
        "03-29-26 01:59:59",
    ]
    assert demo("ls", "-A", "2026-03-29T03:00").lines == ["after"]
    assert demo("ls", "-B", "2026-03-29T02:30").lines == ["after", "before"]
    assert demo("ls", "-B", "2026-03-29T01:59:59").lines == ["before"]
    assert demo("ls", "-A", "2026-03-29", "-B", "2026-03-30").lines == ["after", "before"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Marquesas", "America/St_Johns", "Asia/Kathmandu"])
def test_what_a_listing_shows_finds_the_bundle_in_any_zone(
    demo: Dsdt, in_zone: Callable[[str], None], home: Path, zone: str
) -> None:
    in_zone(zone)
    bundles.write(Home(home).context("demo"), 0, Birth("n"))
    shown = demo("ls", "-v").lines[1].split("\t")[3].strip()
    assert demo("ls", "-A", shown, "-B", shown).lines == ["n"]
