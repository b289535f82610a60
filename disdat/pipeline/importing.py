"""
In which order modules do something when they are imported: of two that set the same, the later has its way.

Pure, and of the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


def orders(starts: Sequence[str], runs: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
    """
    Each module whose statements decide an order, and the modules that do something, in that order.

    *runs* is what happens when a module is imported: modules are imported, by name, or (empty) it does something.
    """
    seen: set[str] = set()
    importing = [_Import("", iter(starts))]
    while importing:
        here = importing[-1]
        following = next(here.rest, None)
        if following is None:
            importing.pop()
            done = [name for part in here.parts for name in part]
            if here.name and here.decides():
                yield here.name, done
            if done and importing:
                importing[-1].parts.append(done)
        elif not following and here.parts[-1:] != [[here.name]]:
            here.parts.append([here.name])
        while following and following not in seen:  # a package before what is in it
            seen.add(following)
            importing.append(_Import(following, iter(runs.get(following, ()))))
            following = following.rpartition(".")[0]


@dataclass(slots=True)
class _Import:
    """A module that is being imported: what is left of it, and the modules that did something so far."""

    name: str
    rest: Iterator[str]
    parts: list[list[str]] = field(default_factory=list)

    def decides(self) -> bool:
        """Whether its statements may stand in another order: it imports several, or one after it did something."""
        own = [self.name]
        return sum(part != own for part in self.parts) > 1 or own in self.parts[:-1]
