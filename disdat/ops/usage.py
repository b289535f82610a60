"""What takes space, and what removing it would free."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Self

from disdat.catalog.keeping import Keeping, Present
from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import reach, tree
from disdat.core.digest import Digest
from disdat.core.reach import Verdict
from disdat.errors import BundleNotFound
from disdat.ops import everywhere, gc
from disdat.ops.gc import Policy, Progress
from disdat.ops.marks import CACHE_KIB, Amount
from disdat.store.peek import TOGETHER, Peek

_OTHERS = 0
"""The group of all bundles that are not asked about."""
_SEVERAL = 0
"""Where bytes are counted by group: those that several groups need, and no other bundle."""

Group = Callable[[Present], int]
"""The number of the group a bundle of the context belongs to; :data:`_OTHERS` if it is in none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What the versions of a name, or one version, take.

    :attr:`frees_bytes` is what nobody else needs of it: what is freed when it is removed, collected and purged.
    """

    name: str
    uuid: str | None
    versions: int
    size_bytes: int
    """Of each version added up, however often the same bytes are in them."""
    frees_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a context takes, most first, and what is in the store of its home."""

    context: str
    entries: tuple[Usage, ...]
    frees_bytes: int
    """What removing all of :attr:`entries` would free."""
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
    frees = _frees(context, lambda bundle: numbers.get(bundle.uuid, _OTHERS))
    entries = [
        Usage(of_one[0].name, of_one[0].uuid if versions else None, len(of_one), _size(of_one), frees.get(number, 0))
        for number, of_one in enumerate(groups, 1)
    ]
    made = gc.plan(context.home, policy, progress=progress)
    return Report(
        context=context.name,
        entries=tuple(sorted(entries, key=lambda each: (-each.frees_bytes, -each.size_bytes, each.name))),
        frees_bytes=sum(frees.values()),
        bundles=made.kept,
        history=made.history,
        garbage=made.garbage,
        trash=sum((Amount(1, each.size_bytes) for each in made.trash), Amount()),
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


def _size(rows: Iterable[Row]) -> int:
    return sum(row.size_bytes for row in rows)


def _frees(context: Context, group: Group) -> Mapping[int, int]:
    """How many bytes each group of bundles needs that no other bundle of the home does; :data:`_SEVERAL` are shared."""
    collector = context.home.store.collector(clock_us=context.home.clock_us)
    peek = collector.peek()
    deleted = [path for path, _ in collector.trash.contexts()]
    with everywhere.contexts(context.home, deleted, peek) as contexts, _Shares(peek) as shares:
        for each in contexts:
            is_asked = each.directory == context.directory
            each.ask(partial(shares.add, group=group if is_asked else lambda _: _OTHERS))
        return shares.alone(collector.here())


class _Shares:
    """Which group needs each object, and whether another one does too, in a temporary database; a context manager."""

    def __init__(self, peek: Peek) -> None:
        self._peek = peek
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for table in ("needed", "node"):
            columns = "digest BLOB PRIMARY KEY, group_ INTEGER, shared INTEGER, others INTEGER"
            self._database.execute(f"CREATE TABLE {table} ({columns}) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, keeping: Keeping, *, group: Group) -> None:
        """Note what the present bundles of a context need."""
        groups = {bundle.number: group(bundle) for bundle in keeping.present()}
        self._note(
            (raw, number)
            for raw, rows in groupby(keeping.objects(), key=itemgetter(0))
            for number in {groups[bundle] for _, bundle in rows}
        )
        for number, root in keeping.stored_trees():
            self._walk(root, groups[number])

    def alone(self, here: Iterable[tuple[bytes, int, int]]) -> Mapping[int, int]:
        """The bytes of what is *here* and no bundle outside the groups needs, by the one group that does."""
        found: dict[int, int] = defaultdict(int)
        needed = self._database.execute(
            f"SELECT digest, CASE WHEN shared THEN {_SEVERAL} ELSE group_ END FROM needed WHERE NOT others"
            " ORDER BY digest"
        )
        for _, _, size_bytes, group in reach.matched(here, needed, absent=lambda _: None):
            if group is not None:
                found[group] += size_bytes
        return found

    def _note(self, needed: Iterable[tuple[bytes, int]]) -> None:
        self._database.executemany(
            "INSERT INTO needed VALUES (?1, ?2, 0, ?2 = 0) ON CONFLICT (digest) DO UPDATE SET"
            " shared = shared OR group_ <> excluded.group_, others = others OR excluded.others",
            needed,
        )

    def _walk(self, root: Digest, group: int) -> None:
        level = list(self._to_walk([root], group))
        while level:
            below: list[Digest] = []
            for start in range(0, len(level), TOGETHER):
                for digest, data in self._peek.read_many(level[start : start + TOGETHER]):
                    links = tree.links(digest, self._peek.read(digest) if data is None else data)
                    self._note((child.raw, group) for _, child in (*links.files, *links.nodes))
                    below += self._to_walk((child for _, child in links.nodes), group)
            level = below

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
