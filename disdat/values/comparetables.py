"""How two tables differ: columns, rows by key or by position, cells. Holds the key and one column of each at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from disdat.errors import BadQuery, InvalidInput
from disdat.values import matchrows
from disdat.values.comparable import Comparable, key_cells, missing_as_null, named_by, unified
from disdat.values.comparecells import Mask, as_arrow, differing
from disdat.values.difference import (
    Change,
    Column,
    Options,
    Row,
    RowChange,
    RowsDifference,
    SchemaDifference,
    TableDifference,
    TypeChange,
)
from disdat.values.matchrows import Matched, Positions

SAMPLED_ROWS = 10_000
"""Most columns that are no key show it in so many rows."""
_KEY_KINDS = frozenset({"number", "text", "bytes", "date", "moment", "instant", "time", "file"})
_NO_KEY = ("nested", "complex", "interval", "null")


@dataclass(frozen=True, slots=True)
class Level:
    """A column, or a level of the rows' index, and how it is read."""

    column: Column
    read: Callable[[], Comparable]
    may_be_key: bool = True
    """Whether it is worth reading to find out whether it is a key: measurements are unique by chance."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns are read when they are asked for; their names are distinct."""

    row_count: int
    levels: Mapping[str, Level]
    """By name, in order."""
    index: tuple[str, ...] = ()
    """The names of those levels that are the rows' index, where it says more than their numbers."""

    def type(self, name: str) -> str:
        return self.levels[name].column.type

    def read(self, name: str) -> Comparable:
        return self.levels[name].read()


def compare(
    old: Table, new: Table, options: Options, *, read: Callable[[int], None] = lambda count: None
) -> TableDifference:
    """
    How *new* differs from *old*; *read* is told of every pair of columns that was read.

    Raises:
        BadQuery: A column of the key is not in both.
        InvalidInput: The key is not unique in one of them, which the message shows; or it can be none.
    """
    rows, changed = _begun(old, new, options)
    if rows.key:
        read(len(rows.key))
    for name in [name for name in new.levels if name in old.levels and name not in rows.key]:
        changed.append(_compare_column(name, old, new, rows))
        read(1)
    for name in [name for name in new.levels if name not in old.levels and rows.added]:
        rows.add_new(name, new.read(name))
    for name in [name for name in old.levels if name not in new.levels and rows.removed]:
        rows.add_old(name, old.read(name))
    return TableDifference(_schema(old, new, [each for each in changed if each]), rows.made(old, new))


def _begun(old: Table, new: Table, options: Options) -> tuple[_Rows, list[TypeChange | None]]:
    """The rows, matched, with the columns of the key compared, which are not needed in memory any more."""
    key = _chosen_key(old, new, options.key)
    rows = _Rows(_matched(old, new, key), key.names, key.is_guessed and bool(key.names), options)
    for pair in key.pairs:
        # A file is the same row where it has the same path; whether its content is the same too is one more cell.
        (rows.add if pair.old.kind == "file" else rows.add_whole)(pair)
    return rows, [_type_change(pair, old, new) for pair in key.pairs]


def check_key(names: Sequence[str], old: Table, new: Table) -> None:
    """Refuse, with BadQuery, a key with a column that is not in both tables."""
    for which, table in (("old", old), ("new", new)):
        for name in names:
            if name not in table.levels:
                raise BadQuery(f"the {which} table has no column {name!r}", hint=f"it has {', '.join(table.levels)}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of both tables, as each has it."""

    name: str
    old: Comparable
    new: Comparable
    is_one_type: bool
    """Whether both tables call its type the same."""

    def unified(self) -> tuple[Comparable, Comparable] | None:
        """Both of one type, ready to be compared; None where they have no values in common."""
        if self.is_one_type and self.has_one_kind:
            return self.old, self.new
        return unified(missing_as_null(self.old), missing_as_null(self.new))

    @property
    def has_one_kind(self) -> bool:
        return self.old.kind == self.new.kind and self.old.cells.type == self.new.cells.type


@dataclass(frozen=True, slots=True)
class _Key:
    """The columns that rows are matched by; none where it is by position."""

    pairs: tuple[Pair, ...] = ()
    is_guessed: bool = True
    numbers: matchrows.Keyed | None = None
    """None too where the columns can be no key."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(pair.name for pair in self.pairs)


def _compare_column(name: str, old: Table, new: Table, rows: _Rows) -> TypeChange | None:
    # A function of its own, so that a column is gone before the next one is read.
    pair = _pair(name, old, new)
    rows.add(pair)
    return _type_change(pair, old, new)


def _schema(old: Table, new: Table, changed: Sequence[TypeChange]) -> SchemaDifference:
    before, after = ({name: level.column for name, level in side.levels.items()} for side in (old, new))
    was = tuple(name for name in before if name in after)
    now = tuple(name for name in after if name in before)
    return SchemaDifference(
        added=tuple(column for name, column in after.items() if name not in before),
        removed=tuple(column for name, column in before.items() if name not in after),
        changed=tuple(changed),
        order=(was, now) if was != now else None,
    )


def _type_change(pair: Pair, old: Table, new: Table) -> TypeChange | None:
    was, now = old.type(pair.name), new.type(pair.name)
    if pair.is_one_type and pair.has_one_kind:
        return None
    is_compared = pair.unified() is not None
    if not pair.is_one_type:
        return TypeChange(pair.name, was, now, is_compared)
    # A type that does not say all, such as ``object``; where the cells are compared, they say the rest.
    return None if is_compared else TypeChange(pair.name, f"{was} {pair.old.kind}", f"{now} {pair.new.kind}", False)


def _chosen_key(old: Table, new: Table, wanted: Sequence[str]) -> _Key:
    if wanted:
        check_key(wanted, old, new)
        pairs = _pairs(dict.fromkeys(wanted), old, new)
        return _Key(pairs, False, _numbers(pairs))
    if old.index and old.index == new.index:
        pairs = _pairs(old.index, old, new)
        numbers = _numbers(pairs)
        if numbers is not None and numbers.is_unique:
            return _Key(pairs, True, numbers)
    return next(_candidates(old, new), _Key())


def _pairs(names: Iterable[str], old: Table, new: Table) -> tuple[Pair, ...]:
    return tuple(_pair(name, old, new) for name in names)


def _pair(name: str, old: Table, new: Table) -> Pair:
    return Pair(name, old.read(name), new.read(name), old.type(name) == new.type(name))


def _candidates(old: Table, new: Table) -> Iterator[_Key]:
    """Columns that may well be a key: unique in both, no measurements, and half of the smaller one's rows in both."""
    if len(old.levels.keys() & new.levels.keys()) < 2:
        return  # rows of a single cell are changed, not added and removed
    for name in old.levels:
        if name not in new.levels or not all(_is_worth_reading(name, side) for side in (old, new)):
            continue
        # Most are no key in the one already, and then the other need not be read.
        before = old.read(name)
        if not _may_be_key(before):
            continue
        pair = Pair(name, before, new.read(name), old.type(name) == new.type(name))
        if not _may_be_key(pair.new):
            continue
        numbers = _numbers([pair])
        if numbers is not None and numbers.is_unique:
            common = len(numbers.matched().old)
            if 2 * common >= min(old.row_count, new.row_count) > 0:
                yield _Key((pair,), True, numbers)


def _is_worth_reading(name: str, table: Table) -> bool:
    return name not in table.index and table.levels[name].may_be_key


def _may_be_key(column: Comparable) -> bool:
    cells = column.cells
    if column.kind not in _KEY_KINDS or pa.types.is_floating(cells.type) or cells.null_count:
        return False
    sample = cells.slice(0, SAMPLED_ROWS)
    return pc.count_distinct(sample).as_py() == len(sample)  # type: ignore[no-any-return] # an untyped package


def _numbers(key: Sequence[Pair]) -> matchrows.Keyed | None:
    """The keys as numbers; None where columns of the two tables have no values in common, or can be no key."""
    pairs = [pair.unified() for pair in key if not pair.old.kind.startswith(_NO_KEY)]
    found = [(key_cells(pair[0]), key_cells(pair[1])) for pair in pairs if pair is not None]
    return matchrows.keyed(found) if len(found) == len(key) else None


def _matched(old: Table, new: Table, key: _Key) -> Matched:
    if not key.pairs:
        return matchrows.by_position(old.row_count, new.row_count)
    if key.numbers is None:
        types = [f"{name} is {old.type(name)} and {new.type(name)}" for name in key.names]
        raise InvalidInput(f"no key can be made of these columns: {', '.join(types)}", hint="name others with --key")
    keys = (key.numbers.old, key.numbers.new)
    for which, numbers, repeated in zip(("old", "new"), keys, key.numbers.repeated(), strict=True):
        if repeated is not None:
            _refuse_repeated(which, key.pairs, numbers, repeated)
    return key.numbers.matched()


def _refuse_repeated(which: str, key: Sequence[Pair], keys: Positions, row: int) -> None:
    columns = [(pair.name, pair.old if which == "old" else pair.new) for pair in key]
    example = ", ".join(f"{name}={column.value(row)!r}" for name, column in columns)
    names = ", ".join(pair.name for pair in key)
    first = int(np.flatnonzero(keys == keys[row])[0])
    raise InvalidInput(
        f"the key {names} is not unique in the {which} table: rows {first} and {row} both have {example}",
        hint="name more columns with --key, or none to have them matched otherwise",
    )


@dataclass(slots=True)
class _Rows:
    """What is found of the rows, fed with one column after another."""

    matched: Matched
    key: tuple[str, ...]
    is_guessed: bool
    options: Options
    counts: dict[str, int] = field(default_factory=dict)
    changes: dict[int, dict[str, Change]] = field(default_factory=dict)
    """By place among the matched rows; of each column the first ones, so the first rows have all of theirs."""
    added: list[dict[str, object]] = field(init=False)
    removed: list[dict[str, object]] = field(init=False)
    _changed: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.added = [{} for _ in self.matched.added[: self.options.limit]]
        self.removed = [{} for _ in self.matched.removed[: self.options.limit]]
        self._changed = np.zeros(len(self.matched.old), bool)

    def add(self, pair: Pair) -> None:
        """Compare a column of both."""
        self.add_whole(pair)
        one = pair.unified()
        if one is None:
            return
        sides = [_aligned(one[0], self.matched.old), _aligned(one[1], self.matched.new)]
        found = differing(sides[0], sides[1], self.options.tolerance)
        if count := int(np.count_nonzero(found)):
            self.counts[pair.name] = count
            self._changed |= found
            for place in np.flatnonzero(found)[: self.options.limit].tolist():
                old, new = pair.old.value(self.matched.old[place]), pair.new.value(self.matched.new[place])
                self.changes.setdefault(place, {})[pair.name] = Change(old, new)

    def add_whole(self, pair: Pair) -> None:
        """Take the cells of rows that only one table has."""
        self.add_old(pair.name, pair.old)
        self.add_new(pair.name, pair.new)

    def add_old(self, name: str, column: Comparable) -> None:
        for row, position in zip(self.removed, self.matched.removed[: len(self.removed)].tolist(), strict=True):
            row[name] = column.value(position)

    def add_new(self, name: str, column: Comparable) -> None:
        for row, position in zip(self.added, self.matched.added[: len(self.added)].tolist(), strict=True):
            row[name] = column.value(position)

    def made(self, old: Table, new: Table) -> RowsDifference:
        """All that was found."""
        matched = self.matched
        return RowsDifference(
            key=self.key,
            guessed=self.is_guessed,
            old_count=old.row_count,
            new_count=new.row_count,
            added_count=len(matched.added),
            removed_count=len(matched.removed),
            changed_count=int(np.count_nonzero(self._changed)),
            moved=matched.moved,
            cells=self.counts,
            added=tuple(map(Row, matched.added.tolist(), self.added)),
            removed=tuple(map(Row, matched.removed.tolist(), self.removed)),
            changed=self._row_changes(old),
        )

    def _row_changes(self, old: Table) -> tuple[RowChange, ...]:
        places = sorted(self.changes)[: self.options.limit]
        rows = [int(self.matched.old[place]) for place in places]
        keys: list[dict[str, object]] = [{} for _ in places]
        for name in self.key if places else ():
            column = old.read(name)
            for key, row in zip(keys, rows, strict=True):
                key[name] = named_by(column, row)
        found = [self.changes[place] for place in places]
        return tuple(map(RowChange, keys, rows, (int(self.matched.new[place]) for place in places), found))


def _aligned(column: Comparable, rows: Positions) -> Comparable:
    """The column with only these rows, in their order."""
    count = len(rows)
    if count == 0 or (rows[0] == 0 and rows[-1] == count - 1 and not (np.diff(rows) < 0).any()):
        cells = column.cells.slice(0, count)
    else:
        cells = column.cells.take(as_arrow(rows))
    return Comparable(cells, column.kind, column.show)
