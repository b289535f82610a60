"""How two bundles differ: the value, place by place, and what is recorded beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import tree
from disdat.core.bundle import Bundle, CodeRef, Dependency, Frame
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.core.reserved import is_reserved
from disdat.core.tree import TreeRef
from disdat.errors import ObjectNotFound, RefNotFound
from disdat.ops import find, localizing, when
from disdat.ops.reading import BundleSource
from disdat.values import compare
from disdat.values.compare import Progress, Side
from disdat.values.difference import Change, Options, ValueDifference

SHOWN = 20
"""Of rows, items, files and places each, where nobody says how many."""

Changes = Mapping[str, Change]
"""What changed by its name; None in place of what is not there."""


@dataclass(frozen=True, slots=True)
class InputChange:
    """A bundle that was read, under its argument's name; None where that argument was not there."""

    argument: str
    old: Dependency | None
    new: Dependency | None

    @property
    def same_content(self) -> bool:
        """Whether it is another version of equal content."""
        if self.old is None or self.new is None or self.old.logical is None:
            return False
        return self.old.logical == self.new.logical

    def to_json(self) -> dict[str, Json]:
        sides = {"old": _input_json(self.old), "new": _input_json(self.new)}
        return {"argument": self.argument, **sides, "same_content": self.same_content}


@dataclass(frozen=True, slots=True)
class BundleDifference:
    """How one bundle differs from an older one. False where nothing does; names, owners and times do not count."""

    old: Row
    new: Row
    params: Changes
    tags: Changes
    metrics: Changes
    code: Changes
    inputs: tuple[InputChange, ...]
    value: ValueDifference

    def __bool__(self) -> bool:
        return bool(self.params or self.tags or self.metrics or self.code or self.inputs or self.value)

    def to_json(self) -> dict[str, Json]:
        """What ``dsdt diff --json`` prints; ``docs/reference/cli.md`` has the shape."""
        said = {"params": self.params, "tags": self.tags, "metrics": self.metrics, "code": self.code}
        return {
            "old": _side_json(self.old),
            "new": _side_json(self.new),
            "differ": bool(self),
            **{name: {key: change.to_json() for key, change in each.items()} for name, each in said.items()},
            "inputs": [each.to_json() for each in self.inputs],
            "value": self.value.to_json(),
        }


def diff(
    context: Context,
    old: str | Row,
    new: str | Row | None = None,
    *,
    options: Options = Options(limit=SHOWN),  # noqa: B008 - it is frozen
    progress: Progress = lambda done_bytes, total_bytes: None,
) -> BundleDifference:
    """
    How the bundle *new* differs from *old*, each a reference; without *new*, how *old* does from the version before it.

    Of their bytes, only what has different digests is read.

    Raises:
        BundleNotFound, RefNotFound, BadQuery: A reference names nothing, or several; a column of the key is not there.
        InvalidInput: The key that was asked for is not unique.
        DigestMismatch, ObjectNotFound: What has to be read is damaged, or gone.
    """
    first = old if isinstance(old, Row) else find.resolve(context, old)
    if new is None:
        first, second = version_before(context, first), first
    else:
        second = new if isinstance(new, Row) else find.resolve(context, new)
    return of_rows(context, first, second, options, progress=progress)


def version_before(context: Context, row: Row) -> Row:
    """The version of the same name that was the latest before this one was; RefNotFound if it is the first."""
    versions = context.catalog.search(Filter(name=row.name))
    place = next(number for number, each in enumerate(versions) if each.uuid == row.uuid)
    if place + 1 == len(versions):
        raise RefNotFound(
            f"{row.name} {row.uuid} has no version before it", hint="name two bundles, such as `dsdt diff OLD NEW`"
        )
    return versions[place + 1]


def of_rows(
    context: Context,
    old: Row,
    new: Row,
    options: Options,
    *,
    progress: Progress = lambda done_bytes, total_bytes: None,
) -> BundleDifference:
    """As :func:`diff`, of bundles that were found already."""
    before, after = context.catalog.bundle(old.uuid), context.catalog.bundle(new.uuid)
    pair = _Files(context, before, after)
    return BundleDifference(
        old=old,
        new=new,
        params=_changes(before.params, after.params),
        tags=_changes(_own(old.tags), _own(new.tags)),
        metrics=_changes(before.metrics, after.metrics),
        code=_changes(_code(before), _code(after)),
        inputs=_inputs(before, after),
        value=compare.compare(
            Side(before.frames, pair.old), Side(after.frames, pair.new), options, files=pair.diff, progress=progress
        ),
    )


class _Files:
    """The files of two bundles."""

    def __init__(self, context: Context, old: Bundle, new: Bundle) -> None:
        self.old, self.new = BundleSource(context, old), BundleSource(context, new)
        self._context = context
        self._bundles = old, new
        self._trees = old.tree, new.tree
        self._fetch = context.home.store.read

    @cached_property
    def whole(self) -> tree.Diff:
        """How all files differ; of trees that are stored as objects, only what is not in both is read."""
        old, new = self._trees
        if isinstance(old, TreeRef) and isinstance(new, TreeRef):
            return self._of_nodes(old.root, new.root)
        return tree.diff(self.old.tree, self.new.tree)

    def _of_nodes(self, old: Digest, new: Digest) -> tree.Diff:
        try:
            return tree.diff_nodes(old, new, self._fetch)
        except ObjectNotFound:
            if self._context.binding is None:
                raise
            localizing.bring_trees(self._context, self._bundles)
            return tree.diff_nodes(old, new, self._fetch)

    def diff(self, old: Frame, new: Frame) -> tree.Diff:
        """How the files of two frames differ."""
        before, after = str(old.path), str(new.path)
        if before != after:
            return tree.diff(_at(self.old, old), _at(self.new, new))
        if old.kind == "file":
            return _only(self.whole, lambda path: path == before, "")
        prefix = before + "/" if before else ""
        return _only(self.whole, lambda path: path.startswith(prefix), prefix)


def _at(source: BundleSource, frame: Frame) -> tree.Tree:
    path = str(frame.path)
    return tree.Tree({path: source.below("")[path]}) if frame.kind == "file" else source.below(path)


def _only(found: tree.Diff, is_meant: Callable[[str], bool], prefix: str) -> tree.Diff:
    """The files that are meant, their paths without the prefix."""
    start = len(prefix)
    return tree.Diff(
        added=tree.Tree((path[start:], entry) for path, entry in found.added.items() if is_meant(path)),
        removed=tree.Tree((path[start:], entry) for path, entry in found.removed.items() if is_meant(path)),
        changed={path[start:]: pair for path, pair in found.changed.items() if is_meant(path)},
    )


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> Changes:
    names = [*old, *(name for name in new if name not in old)]
    found = {name: Change(old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
    return MappingProxyType(found)


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in tags.items() if not is_reserved(key)}


def _code(bundle: Bundle) -> dict[str, object]:
    code = bundle.lineage.code or CodeRef()
    said = {each.name: getattr(code, each.name) for each in fields(CodeRef)}
    return {name: value for name, value in said.items() if value not in ("", None)}


def _inputs(old: Bundle, new: Bundle) -> tuple[InputChange, ...]:
    before = {each.argument: each for each in old.lineage.inputs}
    after = {each.argument: each for each in new.lineage.inputs}
    found = [InputChange(name, before.get(name), after.get(name)) for name in before | after]
    return tuple(each for each in found if each.old is None or each.new is None or each.old.uuid != each.new.uuid)


def _side_json(row: Row) -> Json:
    return {"uuid": row.uuid, "name": row.name, "created": f"{when.from_us(row.created_us):%Y-%m-%dT%H:%M:%S.%f}Z"}


def _input_json(dependency: Dependency | None) -> Json:
    if dependency is None:
        return None
    return {"uuid": dependency.uuid, "name": dependency.name, "processing_name": dependency.processing_name}
