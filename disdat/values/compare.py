"""How two stored values differ. What has equal digests is equal, and is not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from disdat.core.bundle import Frame
from disdat.core.tree import Diff
from disdat.errors import BadQuery
from disdat.values import compareliterals, frames
from disdat.values.compareliterals import Frames, Ref
from disdat.values.difference import (
    Difference,
    FileChange,
    FilesDifference,
    Incomparable,
    Options,
    Part,
    ValueDifference,
    described,
)
from disdat.values.serializer import Source

DiffFiles = Callable[[Frame, Frame], Diff]
"""How the files of two frames differ, both of kind ``file`` or both of kind ``directory``; paths relative to it."""
Progress = Callable[[int, int], None]
"""Told how many bytes of how many were looked at."""

_PICKLES = "reading a pickle can run code, so pickles are compared by their digests only"
_STORED = (
    "all that is compared is equal; what differs is how it is stored, such as 0.0 and -0.0, or the type of a label"
)


@dataclass(frozen=True, slots=True)
class Side:
    """A stored value: its frames, the value's own first, and what they are read from."""

    frames: Sequence[Frame]
    source: Source


def compare(
    old: Side,
    new: Side,
    options: Options,
    *,
    files: DiffFiles,
    progress: Progress = lambda done_bytes, total_bytes: None,
) -> ValueDifference:
    """
    How *new* differs from *old*.

    Raises:
        BadQuery, InvalidInput: The key that was asked for is not there, or not unique.
        Corrupt: The frames or their bytes are not what was written.
    """
    if not old.frames or not new.frames:
        return _without_value(old, new)
    if old.frames[0].logical == new.frames[0].logical:
        return ValueDifference()
    comparison = _Comparison(old, new, options, files, _Meter(old, new, progress))
    count, shown = 0, []
    for part in comparison.parts():
        count += 1
        if options.limit is None or count <= options.limit:
            shown.append(part)
    comparison.check_key()
    if count == 0 and not options.tolerance:
        top = (described(old.frames[0]), described(new.frames[0]))
        return ValueDifference(1, (Part("", Incomparable(_STORED, *top)),))
    return ValueDifference(count, tuple(shown))


def _without_value(old: Side, new: Side) -> ValueDifference:
    if not old.frames and not new.frames:
        return ValueDifference()
    told = [described(side.frames[0]) if side.frames else "no value" for side in (old, new)]
    return ValueDifference(1, (Part("", Incomparable("one of them holds no value", told[0], told[1])),))


@dataclass(slots=True)
class _Comparison:
    """Two values being compared."""

    old: Side
    new: Side
    options: Options
    files: DiffFiles
    meter: _Meter
    lacked_key: BadQuery | None = None
    used_key: bool = False

    def parts(self) -> Iterator[Part]:
        """Every place at which they differ, found while it is asked for."""
        before, after = _refs(self.old), _refs(self.new)
        top = [refs[side.frames[0].name] for refs, side in ((before, self.old), (after, self.new))]
        for place, found in compareliterals.compare(top[0], top[1], self.options.tolerance):
            if not isinstance(found, Frames):
                yield Part(place, found)
            elif difference := self._difference(found.old, found.new):
                yield Part(place, difference)

    def check_key(self) -> None:
        """Refuse a key that no table has; of several tables, it is for those that have it."""
        if self.lacked_key is not None and not self.used_key:
            raise self.lacked_key

    def _difference(self, old: Frame, new: Frame) -> Difference | None:
        """How two frames differ whose digests do; None where they do not, within the tolerance."""
        kinds = {old.kind, new.kind}
        if kinds == {"table"}:
            return self._tables(old, new)
        if kinds == {"array"}:
            return self._arrays(old, new)
        if kinds in ({"file"}, {"directory"}):
            return _files(self.files(old, new), self.options.limit)
        why = f"values of the kinds {old.kind} and {new.kind} have nothing to compare"
        if kinds == {"pickle"}:
            why = _PICKLES
        elif len(kinds) == 1:
            why = f"this version does not know values of kind {old.kind}"
        return Incomparable(why, described(old), described(new))

    def _tables(self, old: Frame, new: Frame) -> Difference | None:
        from disdat.values import comparetables, storedtable  # 100 ms that only tables need

        with storedtable.opened(old, self.old.source) as before, storedtable.opened(new, self.new.source) as after:
            options = self.options
            try:
                comparetables.check_key(options.key, before, after)
                self.used_key = True
            except BadQuery as exc:
                self.lacked_key = exc
                options = replace(options, key=())
            share = (old.size_bytes + new.size_bytes) // max(len(after.levels), 1)
            found = comparetables.compare(before, after, options, read=partial(self.meter.add, share))
        return found or None

    def _arrays(self, old: Frame, new: Frame) -> Difference | None:
        from disdat.values import array, comparearrays  # 80 ms that only arrays need

        before, after = array.load(old, self.old.source), array.load(new, self.new.source)
        found = comparearrays.compare(before, after, self.options.tolerance, limit=self.options.limit)
        self.meter.add(old.size_bytes + new.size_bytes)
        return found or None


@dataclass(slots=True)
class _Meter:
    """How far a comparison is, in bytes of what has to be read."""

    old: Side
    new: Side
    progress: Progress
    done_bytes: int = 0
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        before, after = ({frame.logical: frame.size_bytes for frame in side.frames} for side in (self.old, self.new))
        self.total_bytes = sum((before | after)[one] for one in before.keys() ^ after.keys())

    def add(self, size_bytes: int, count: int = 1) -> None:
        self.done_bytes = min(self.done_bytes + count * size_bytes, self.total_bytes)
        self.progress(self.done_bytes, self.total_bytes)


def _refs(side: Side) -> dict[str, Ref]:
    refs: dict[str, Ref] = {}
    for frame in (*side.frames[1:], side.frames[0]):
        refs[frame.name] = Ref(frame, partial(frames.load_literal, frame, side.source, refs))
    return refs


def _files(found: Diff, limit: int | None) -> FilesDifference | None:
    changes = [
        *(FileChange(path, None, entry) for path, entry in found.added.items()),
        *(FileChange(path, entry, None) for path, entry in found.removed.items()),
        *(FileChange(path, was, now) for path, (was, now) in found.changed.items()),
    ]
    shown = tuple(sorted(changes, key=lambda change: change.path)[:limit])
    return FilesDifference(len(found.added), len(found.removed), len(found.changed), shown) or None
