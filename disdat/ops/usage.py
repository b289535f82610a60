"""What takes space, and what removing it would free."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from disdat.catalog.keeping import Keeping, Present
from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import reach
from disdat.core.digest import Digest
from disdat.core.reach import Tally, Verdict
from disdat.errors import BundleNotFound
from disdat.ops import everywhere, gc, presence, trees
from disdat.ops.everywhere import Asked, Asking
from disdat.ops.gc import Policy, Progress
from disdat.ops.marks import CACHE_KIB, Amount
from disdat.remote.known import Presence
from disdat.scratch import Scratch
from disdat.store.collect import IN_FILE
from disdat.store.peek import Peek

_OTHERS = 0
"""The group of all bundles that are not asked about."""
_SEVERAL = 0
"""Where bytes are counted by group: those that several groups need, and no other bundle."""
_NOT_ALONE = -1
"""Likewise: those that something outside the groups needs."""

Group = Callable[[Present], int]
"""The number of the group a bundle of the context belongs to; :data:`_OTHERS` if it is in none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What the versions of a name, or one version, take.

    :attr:`unique_bytes` is what nobody else needs of it, and :attr:`frees_bytes` what is freed when it is removed,
    collected and purged: what is in packs of which most is needed is not, as long as that is so.
    """

    name: str
    uuid: str | None
    versions: int
    size_bytes: int
    """What of each version is here, added up, however often the same bytes are in them."""
    unique_bytes: int
    frees_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a context takes, most first, and what is in the store of its home."""

    context: str
    entries: tuple[Usage, ...]
    unique_bytes: int
    """What nothing but :attr:`entries` needs."""
    frees_bytes: int
    """What removing all of them would free."""
    bundles: Amount
    """Objects that bundles of any context need, those that were removed within the retention too."""
    history: int
    """How many of these bundles were removed."""
    garbage: Amount
    trash: Amount
    purgeable: Amount
    """Of the trash, what may be purged now."""


def usage(
    context: Context,
    names: Sequence[str],
    policy: Policy,
    *,
    versions: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    What the bundles of *names*, or of all names, take; with *versions* each version by itself.

    Raises:
        BundleNotFound: There is none of a name.
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
    """
    rows = _rows(context, names)
    keyed = sorted(rows, key=lambda row: (row.name, row.uuid if versions else ""))
    groups = [list(of_one) for _, of_one in groupby(keyed, key=lambda r: (r.name, r.uuid if versions else ""))]
    numbers = {row.uuid: number for number, of_one in enumerate(groups, 1) for row in of_one}
    held = _held(context, lambda bundle: numbers.get(bundle.uuid, _OTHERS))
    sizes = _sizes(context, rows)
    entries = [
        Usage(
            name=of_one[0].name,
            uuid=of_one[0].uuid if versions else None,
            versions=len(of_one),
            size_bytes=sum(sizes[row.uuid] for row in of_one),
            unique_bytes=held.unique_bytes([number]),
            frees_bytes=held.frees_bytes([number]),
        )
        for number, of_one in enumerate(groups, 1)
    ]
    made = gc.plan(context.home, policy, progress=progress)
    return Report(
        context=context.name,
        entries=tuple(sorted(entries, key=_most_freed_first)),
        unique_bytes=held.unique_bytes(held.groups),
        frees_bytes=held.frees_bytes(held.groups),
        bundles=made.kept,
        history=made.history,
        garbage=made.garbage,
        trash=made.in_trash,
        purgeable=made.trashed(Verdict.PURGED),
    )


def _rows(context: Context, names: Sequence[str]) -> list[Row]:
    if not names:
        return context.catalog.search(Filter())
    rows: list[Row] = []
    for name in dict.fromkeys(names):
        found = context.catalog.versions(name)
        if not found:
            raise BundleNotFound(f"no bundle named {name!r} in the context {context.name}", hint="`dsdt ls` lists them")
        rows += found
    return rows


def _sizes(context: Context, rows: Sequence[Row]) -> dict[str, int]:
    """Of each bundle how many bytes of it are here."""
    states = presence.kept(context, [row.uuid for row in rows])
    absent = [uuid for uuid, state in states.items() if state is not Presence.LOCAL]
    return {row.uuid: row.size_bytes for row in rows} | presence.bytes_here(context, absent)


def _most_freed_first(each: Usage) -> tuple[int, int, int, str]:
    return -each.frees_bytes, -each.unique_bytes, -each.size_bytes, each.name


class _Held:
    """What of the store each group of bundles needs alone, by pack; :data:`_SEVERAL` is a group too."""

    def __init__(self, matched: Iterable[tuple[bytes, int, int, int | None]]) -> None:
        counts: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._own: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        for _, place, size_bytes, group in matched:
            of_place, at = counts[place], 2 if group is None else 0
            of_place[at] += 1
            of_place[at + 1] += size_bytes
            if group is not None and group != _NOT_ALONE:
                own = self._own[group][place]
                own[0] += 1
                own[1] += size_bytes
        self._places = {place: Tally(*of_place) for place, of_place in counts.items()}

    @property
    def groups(self) -> list[int]:
        return list(self._own)

    def unique_bytes(self, groups: Iterable[int]) -> int:
        """What nothing else needs than some groups together."""
        return sum(size_bytes for _, size_bytes in self._of(groups).values())

    def frees_bytes(self, groups: Iterable[int]) -> int:
        """What is freed without some groups, and would not be with them."""
        return sum(self._freed(place, *own) for place, own in self._of(groups).items())

    def _of(self, groups: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        of_all: dict[int, tuple[int, int]] = {}
        for group in groups:
            for place, (count, size_bytes) in self._own.get(group, {}).items():
                before = of_all.get(place, (0, 0))
                of_all[place] = before[0] + count, before[1] + size_bytes
        return of_all

    def _freed(self, place: int, count: int, size_bytes: int) -> int:
        if place == IN_FILE:
            return size_bytes
        now = self._places[place]
        return now.without(count, size_bytes).freed_bytes - now.freed_bytes


def _held(context: Context, group: Group) -> _Held:
    collector = context.home.store.collector(clock_us=context.home.clock_us)
    asking = Asking.of(context.home, collector)
    with everywhere.contexts(asking) as contexts, _Shares(asking.peek) as shares:

        def add(asked: Asked, keeping: Keeping) -> None:
            is_meant = asked.name == context.name and not asked.is_deleted
            shares.add(keeping, group=group if is_meant else lambda _: _OTHERS, lost=asked.check_elsewhere)

        everywhere.ask_all(contexts, add)
        return _Held(shares.matched(collector.here()))


class _Shares(Scratch):
    """Which group needs each object, and whether another one does too, in a temporary database; a context manager."""

    def __init__(self, peek: Peek) -> None:
        columns = "digest BLOB PRIMARY KEY, group_ INTEGER, shared INTEGER, others INTEGER"
        tables = (f"CREATE TABLE {table} ({columns}) WITHOUT ROWID;" for table in ("needed", "node"))
        super().__init__(f"PRAGMA cache_size = -{CACHE_KIB}; {' '.join(tables)}")
        self._peek = peek

    def add(self, keeping: Keeping, *, group: Group, lost: Callable[[Digest], None]) -> None:
        """Note what the present bundles of a context need; *lost* is asked about nodes of trees that are not here."""
        groups = {bundle.number: group(bundle) for bundle in keeping.present()}
        self._note(
            (raw, number)
            for raw, rows in groupby(keeping.objects(), key=itemgetter(0))
            for number in {groups[bundle] for _, bundle in rows}
        )
        for number, root in keeping.stored_trees():
            self._walk(root, groups[number], lost)
        self._note((packages.raw, _OTHERS) for _, packages in keeping.package_sets())  # they stay with the runs

    def matched(self, here: Iterable[tuple[bytes, int, int]]) -> Iterator[tuple[bytes, int, int, int | None]]:
        """Yield what is *here*, with the one group that needs it; None where nothing does."""
        needed = self._database.execute(
            f"SELECT digest, CASE WHEN others THEN {_NOT_ALONE} WHEN shared THEN {_SEVERAL} ELSE group_ END FROM needed"
            " ORDER BY digest"
        )
        return reach.matched(here, needed, absent=lambda _: None)

    def _note(self, needed: Iterable[tuple[bytes, int]]) -> None:
        self._database.executemany(
            "INSERT INTO needed VALUES (?1, ?2, 0, ?2 = 0) ON CONFLICT (digest) DO UPDATE SET"
            " shared = shared OR group_ <> excluded.group_, others = others OR excluded.others",
            needed,
        )

    def _walk(self, root: Digest, group: int, lost: Callable[[Digest], None]) -> None:
        trees.walk(
            self._peek,
            root,
            fresh=lambda nodes: self._to_walk(nodes, group),
            note=lambda digests: self._note((each.raw, group) for each in digests),
            lost=lost,
        )

    def _to_walk(self, nodes: Iterable[Digest], group: int) -> Iterator[Digest]:
        """Those below which something is to be noted: each at most three times, then by other groups."""
        for node in nodes:
            noted = self._database.execute(
                "INSERT INTO node VALUES (?1, ?2, 0, ?2 = 0) ON CONFLICT (digest) DO UPDATE SET"
                " shared = shared OR group_ <> excluded.group_, others = others OR excluded.others"
                " WHERE (group_ <> excluded.group_ AND NOT shared) OR (excluded.others AND NOT others)",
                (node.raw, group),
            )
            if noted.rowcount > 0:
                yield node
