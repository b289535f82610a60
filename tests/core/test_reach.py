"""What is needed, and what becomes of what is not: decisions over values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import event, reach
from disdat.core.reach import Fate, Tally, Verdict

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("gone_us", "retention_us", "expected"),
    [
        (None, 0, True),
        (100, 0, False),
        (100, 1, True),
        (100 - DAY_US, DAY_US, False),
        (100 - DAY_US + 1, DAY_US, True),
        (200, 1, True),  # the clock went back: rather keep it
        (200, 0, False),
    ],
)
def test_a_bundle_counts_while_it_is_present_and_for_the_retention(
    gone_us: int | None, retention_us: int, expected: bool
) -> None:
    assert reach.is_root(gone_us, now_us=100, retention_us=retention_us) is expected


@pytest.mark.parametrize(
    ("tally", "fate"),
    [
        (Tally(live=1, live_bytes=10), Fate.KEPT),
        (Tally(live=1, live_bytes=50, dead=1, dead_bytes=50), Fate.KEPT),
        (Tally(live=1, live_bytes=49, dead=1, dead_bytes=50), Fate.REWRITTEN),
        (Tally(live=1, live_bytes=0, dead=1, dead_bytes=1), Fate.REWRITTEN),
        (Tally(live=1, live_bytes=0, dead=1, dead_bytes=0), Fate.KEPT),
        (Tally(dead=1, dead_bytes=50), Fate.TRASHED),
        (Tally(dead=1, dead_bytes=0), Fate.TRASHED),
    ],
)
def test_a_pack_is_written_anew_when_less_than_half_of_it_is_needed(tally: Tally, fate: Fate) -> None:
    assert tally.fate is fate


@pytest.mark.parametrize(
    ("needed", "since_us", "grace_us", "expected"),
    [
        (True, 0, 10, Verdict.TAKEN_BACK),
        (True, 0, 0, Verdict.TAKEN_BACK),
        (False, 91, 10, Verdict.WAITS),
        (False, 90, 10, Verdict.PURGED),
        (False, 200, 10, Verdict.WAITS),  # the clock went back
        (False, 200, 0, Verdict.PURGED),
    ],
)
def test_trash_is_purged_after_the_grace_and_never_while_it_is_needed(
    needed: bool, since_us: int, grace_us: int, expected: Verdict
) -> None:
    assert reach.verdict(needed=needed, since_us=since_us, now_us=100, grace_us=grace_us) is expected


def test_an_undo_speaks_of_what_it_undoes_over_any_number_of_undoes() -> None:
    speaks = {1: ["a"], 2: ["b", "c"]}
    found = reach.spoken_of({3: [1], 4: [3, 2], 5: [5]}, lambda numbers: {n: speaks[n] for n in numbers if n in speaks})
    assert found == {3: {"a"}, 4: {"a", "b", "c"}, 5: set()}


raws = st.binary(min_size=1, max_size=2)


@given(
    st.lists(st.tuples(raws, st.integers(0, 3), st.integers(0, 9)), unique_by=lambda each: each[:2]),
    st.dictionaries(raws, st.integers(1, 5)),
)
def test_what_is_here_is_matched_with_who_needs_it(
    here: list[tuple[bytes, int, int]], needed: dict[bytes, int]
) -> None:
    absent: list[bytes] = []
    found = list(reach.matched(sorted(here), sorted(needed.items()), absent=absent.append))
    assert found == [(raw, place, size, needed.get(raw)) for raw, place, size in sorted(here)]
    assert absent == sorted(needed.keys() - {raw for raw, _, _ in here})


@given(st.integers(0, (1 << 48) * 1000 - 1))
def test_the_time_of_a_ulid_is_read_to_the_millisecond(time_us: int) -> None:
    assert event.ulid_time_us(event.ulid(time_us)) == time_us // 1000 * 1000


@pytest.mark.parametrize("text", ["", "context", "0" * 25, "U" * 26])
def test_what_is_no_ulid_has_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"ULID|substring"):
        event.ulid_time_us(text)
