"""Literals of every kind, nested, and when two are the same."""

from __future__ import annotations

import math
import zoneinfo
from datetime import timedelta, timezone
from decimal import Decimal

from hypothesis import strategies as st

ZONES = st.one_of(
    st.none(),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).map(
        lambda name: timezone(timedelta(1, -1), name)
    ),
)
HASHABLE_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**60, max_value=2**300),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_categories=[])),
    st.binary(),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.dates(),
    st.times(timezones=st.none() | ZONES.filter(lambda zone: not isinstance(zone, zoneinfo.ZoneInfo))),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
SCALARS = st.one_of(
    HASHABLE_SCALARS,
    st.just(math.nan),
    st.binary().map(bytearray),
    st.sampled_from([Decimal("NaN"), Decimal("sNaN123"), Decimal("-Infinity"), Decimal("1.00"), Decimal("1E+9")]),
)
HASHABLE = st.recursive(
    HASHABLE_SCALARS,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
    ),
    max_leaves=20,
)


def exact(value: object) -> object:
    """A form of a literal in which two are equal exactly if the literals are the same in every type and bit."""
    if isinstance(value, dict):
        return "dict", [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(exact(item)) for item in value)
    if isinstance(value, list | tuple):
        return type(value).__name__, [exact(item) for item in value]
    fold = getattr(value, "fold", None)
    zone = getattr(value, "tzinfo", None)
    return type(value).__name__, repr(value), fold, type(zone).__name__, repr(zone)
