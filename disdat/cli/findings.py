"""How what is wrong is told: what, where, of which bundles, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from disdat.cli import listing, render
from disdat.ops.findings import Use

_SHOWN_USES = 5


def lines(wrong: str, where: tuple[str, str], uses: Sequence[Use], remedy: str) -> Iterator[str]:
    """Yield the lines of one finding; *where* is a word of up to four letters, and the place."""
    label, place = where
    yield render.one_line(wrong)
    yield f"  {label + ':':<5} {render.one_line(place)}"
    for use in uses[:_SHOWN_USES]:
        path = f" {render.one_line(use.path)}" if use.path else ""
        yield f"  of:   {listing.shown_name(use.name)} {use.uuid}{path}"
    if len(uses) > _SHOWN_USES:
        yield f"        and {len(uses) - _SHOWN_USES:,} more"
    yield f"  do:   {render.one_line(remedy)}"
