"""The parts of a document that a run of the benchmarks fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping


def fill(page: str, parts: Mapping[str, str]) -> str:
    """
    *page* with what lies between ``<!-- bench:NAME -->`` and ``<!-- end of bench:NAME -->`` replaced.

    Raises:
        ValueError: The page lacks the place for a part, or has it twice.
    """
    for name, text in parts.items():
        begin, end = f"<!-- bench:{name} -->", f"<!-- end of bench:{name} -->"
        between = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
        literal = f"\n{text}\n\n".replace("\\", r"\\")
        page, places = between.subn(literal, page)
        if places != 1:
            raise ValueError(f"{places} places are marked {begin}, where there should be one")
    return page
