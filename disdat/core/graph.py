"""Walks over lineage, given a function that looks edges up for many bundles at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Edges = Callable[[Sequence[str]], Mapping[str, Sequence[tuple[str, str]]]]
"""For some uuids: each one's neighbours, as (argument, uuid). A uuid that is not known may be left out."""


@dataclass(frozen=True, slots=True)
class Step:
    """One bundle met on a walk: how far from the start, and by which edges it was first reached."""

    depth: int
    uuid: str
    argument: str
    via: str | None


def ancestors(start: str, edges: Edges, *, max_depth: int | None = None) -> list[Step]:
    """
    Every bundle *start* was made from, breadth first, *start* itself at depth 0; each once, at its least depth.

    One call of *edges* per depth. Cycles, which honest lineage does not have, end the walk there.
    """
    steps = [Step(0, start, "", None)]
    seen, level = {start}, [start]
    depth = 0
    while level and (max_depth is None or depth < max_depth):
        depth += 1
        found = edges(level)
        reached: list[Step] = []
        for uuid in level:
            for argument, upstream in found.get(uuid, ()):
                if upstream not in seen:
                    seen.add(upstream)
                    reached.append(Step(depth, upstream, argument, uuid))
        steps += reached
        level = [step.uuid for step in reached]
    return steps
