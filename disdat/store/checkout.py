"""
Checking out: a user's directory gets the files of a tree, and the user loses nothing.

:func:`decide` compares three trees: what was written there before, what is wanted, what is found. What is found to be
as it was written may be replaced or deleted; anything else that is in the way is a conflict, and stays.
:mod:`disdat.store.carryout` does what was decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from disdat.core.tree import Entry, parents
from disdat.store.found import Foreign, Found


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something of the user's where a file is to be written or deleted."""

    path: str
    why: str
    forcible: bool = True
    """Whether it can be replaced or deleted: not a directory with files of the user's in it."""
    is_object: bool = False
    """Whether it is the store's own copy, which is damaged therefore."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, by path, each part sorted."""

    write: tuple[str, ...] = ()
    """Where nothing is."""
    replace: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """What is right already."""
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def changes(self) -> bool:
        return bool(self.write or self.replace or self.delete)

    def forced(self, wanted: Set[str]) -> Plan:
        """The plan that overwrites and deletes what is in its way, as far as that can be."""
        given = [obstacle.path for obstacle in self.obstacles if obstacle.forcible]
        return replace(
            self,
            replace=tuple(sorted([*self.replace, *(path for path in given if path in wanted)])),
            delete=tuple(sorted([*self.delete, *(path for path in given if path not in wanted)])),
            obstacles=tuple(obstacle for obstacle in self.obstacles if not obstacle.forcible),
        )


def decide(
    base: Mapping[str, Entry],
    wanted: Mapping[str, Entry],
    found: Mapping[str, Found],
    *,
    misplaced: Set[str] = frozenset(),
) -> Plan:
    """
    What makes *found* into *wanted* where *base* was written before.

    *misplaced* are files that have the right bytes and are to be written anew all the same.
    """
    write, replaced, keep = [], [], []
    obstacles: list[Obstacle] = []
    for path, entry in wanted.items():
        seen = found.get(path)
        if seen is None:
            write.append(path)
        elif seen == entry and path not in misplaced:
            keep.append(path)
        elif seen == entry or seen == base.get(path):
            replaced.append(path)
        else:
            obstacles.append(_obstacle(path, seen, base))
    delete = []
    for path in (base.keys() | (found.keys() & parents(wanted))) - wanted.keys():
        seen = found.get(path)
        if seen is not None and seen == base.get(path):
            delete.append(path)
        elif seen is not None:
            obstacles.append(_obstacle(path, seen, base))
    obstacles.sort(key=lambda obstacle: obstacle.path)
    return Plan(tuple(sorted(write)), tuple(sorted(replaced)), tuple(sorted(delete)), tuple(keep), tuple(obstacles))


def in_order(plan: Plan, wanted: Mapping[str, Entry]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is to be deleted before anything is written, since it takes the place of it; and what after."""
    directories = parents(wanted) if plan.delete else set()
    first = {path for path in plan.delete if path in directories or any(above in wanted for above in parents([path]))}
    return tuple(sorted(first)), tuple(path for path in plan.delete if path not in first)


def believed(base: Mapping[str, Entry], begun: Mapping[str, Entry], found: Mapping[str, Found]) -> dict[str, Entry]:
    """What was written, where a checkout of *begun* did not finish: as *base*, but for what is found as in *begun*."""
    return {**base, **{path: entry for path, entry in begun.items() if found.get(path) == entry}}


def below(scope: Iterable[str], paths: Iterable[str]) -> Iterator[str]:
    """Those of *paths* that are one of *scope* or lie below one; all if *scope* is empty."""
    chosen = set(scope)
    for path in paths:
        if not chosen or path in chosen or not chosen.isdisjoint(parents([path])):
            yield path


def _obstacle(path: str, seen: Found, base: Mapping[str, Entry]) -> Obstacle:
    if isinstance(seen, Foreign) and seen is not Foreign.OTHER:
        forcible, is_object = seen is not Foreign.DIRECTORY, seen is Foreign.OBJECT
        return Obstacle(path, f"is {seen.value}", forcible=forcible, is_object=is_object)
    return Obstacle(path, "was changed" if path in base else "was there before")
