"""Trees as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

_T = TypeVar("_T")


class Strokes(NamedTuple):
    """What leads to a branch, to the last one of a stem, and past those that follow."""

    branch: str
    last: str
    past: str


LINES = Strokes("├── ", "└── ", "│   ")
ASCII = Strokes("|-- ", "`-- ", "|   ")


@dataclass(frozen=True, slots=True)
class Twig(Generic[_T]):
    """A line of a tree: what stands before *each* on it, and whether it was shown above, with its branches."""

    before: str
    each: _T
    is_again: bool

    def line(self, label: str) -> str:
        """The line, with what *each* is called."""
        return f"{self.before}{label}{' (above)' if self.is_again else ''}"


def branches(
    root: _T, below: Callable[[_T], Sequence[tuple[str, _T]]], *, strokes: Strokes = LINES
) -> Iterator[Twig[_T]]:
    """
    The lines of a tree: *root*, and what is *below* each, with what it is called there.

    The branches of what is met again are not repeated. However deep it is, nothing recurses.
    """
    seen: set[_T] = set()
    waiting = [("", "", "", root)]
    while waiting:
        indent, stroke, name, each = waiting.pop()
        is_again = each in seen
        yield Twig(f"{indent}{stroke}{f'{name}: ' if name else ''}", each, is_again)
        if is_again:
            continue
        seen.add(each)
        inner, found = indent + _continued(stroke, strokes), below(each)
        ends = [strokes.branch] * (len(found) - 1) + [strokes.last]
        waiting += reversed([(inner, end, name, child) for end, (name, child) in zip(ends, found, strict=False)])


def _continued(stroke: str, strokes: Strokes) -> str:
    """What stands below a stroke, before the branches of what it leads to."""
    if not stroke:
        return ""
    return strokes.past if stroke == strokes.branch else " " * len(strokes.past)
