"""
Dates as people type them: ISO 8601, or Disdat's ``MM-DD-[YY]YY[ HH:MM:SS]``, local time unless they name a zone.

Or so long ago: ``10m``, ``2h``, ``3d``.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from disdat import configtext
from disdat.errors import BadQuery

_DISDAT_FORMATS = ("%m-%d-%Y %H:%M:%S", "%m-%d-%Y", "%m-%d-%y %H:%M:%S", "%m-%d-%y")
_WHOLE_SECOND = re.compile(r"\d\d:\d\d:\d\d(?![.,\d])")


def parse(text: str) -> int:
    """
    The moment *text* names, in µs since the epoch; a date without a time is its first moment, ``2h`` two hours ago.

    Raises:
        BadQuery: *text* is no date in any form.
    """
    ago_us = _ago_us(text)
    if ago_us is not None:
        return time.time_ns() // 1000 - ago_us
    try:
        moment = _disdat(text) or _iso(text)
        if moment is not None:
            return to_us(moment)
    except (ValueError, OverflowError) as exc:  # within a day of where Python's dates begin or end
        raise BadQuery(f"the date {text!r} is too far away", hint="write one between 0002 and 9998") from exc
    raise BadQuery(
        f"cannot read the date {text!r}",
        hint="write 2026-03-01, 2026-03-01T09:00 or 03-01-2026 [09:00:00]; local time unless it names a zone; "
        "or 10m, 2h or 3d: so long ago",
    )


def parse_last(text: str) -> int:
    """As :func:`parse`, but of a whole second the last µs: what is listed as of then was made in the course of it."""
    return parse(text) + (999_999 if _WHOLE_SECOND.search(text) else 0)


def to_us(moment: datetime) -> int:
    """
    A datetime as µs since the epoch; a naive one is local time.

    Where the clocks are set back, the first of the two hours; an hour that they leave out is the one after it.
    """
    if moment.utcoffset() is None:
        # Not astimezone(), for which a time that is left out comes an hour earlier, before times that were there.
        return round(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def local(time_us: int) -> datetime:
    """The moment as an aware datetime of the local time zone."""
    return from_us(time_us).astimezone()


def from_us(time_us: int) -> datetime:
    """The moment as an aware UTC datetime, exact to the microsecond."""
    seconds, micros = divmod(time_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def _ago_us(text: str) -> int | None:
    """How many µs a time is, such as ``2h``; None of a bare number, which may be the beginning of a date or a uuid."""
    if text.strip()[-1:].isdigit():
        return None
    try:
        return configtext.duration_s(text) * 1_000_000
    except ValueError:
        return None


def _disdat(text: str) -> datetime | None:
    for pattern in _DISDAT_FORMATS:
        try:
            return datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - local time, as :func:`to_us` reads it
        except ValueError:
            continue
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None
