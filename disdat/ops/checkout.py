"""
Checking out: the files of a bundle in a directory of the user's own.

What was written there is remembered in the home, so that the next checkout replaces and deletes that, and nothing
that anybody changed, or that was there before.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import similar
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import Entry, Tree, TreeRef, encode_path, from_nodes, parents
from disdat.durable import storage_errors
from disdat.errors import Conflict, Corrupt, InvalidInput, NotFound, PathNotFound, PermissionDenied
from disdat.ops import find, localizing
from disdat.ops.reading import BundleSource
from disdat.ops.uncollected import uncollected
from disdat.store import checkout as deciding
from disdat.store import names
from disdat.store.additions import SMALL_BYTES
from disdat.store.carryout import Writer, left_over, remove
from disdat.store.checkout import Obstacle, Plan, below
from disdat.store.found import Looker, Sight, place
from disdat.store.written import Begun, Record, RecordFile, Stamp, Written

Progress = Callable[[int, int], None]
"""Called with how many bytes of how many are written."""
_MAX_NAME_BYTES = 200
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]+")
_SHOWN = 3
_A_KIND = {"array": "an array"}


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What a checkout did, or would do: paths of the bundle, relative to the directory, by what became of them."""

    name: str
    uuid: str
    directory: Path
    written: tuple[str, ...]
    replaced: tuple[str, ...]
    deleted: tuple[str, ...]
    kept: tuple[str, ...]
    """Those that were right already."""
    size_bytes: int
    """Of what was written and replaced."""
    obstacles: tuple[Obstacle, ...] = ()
    """What is in the way, so that nothing would be done."""
    clashes: tuple[tuple[str, ...], ...] = ()
    """Paths that are the same where case, or how an accent is composed, does not count."""


def checkout(
    context: Context,
    reference: str,
    directory: str | os.PathLike[str] | None = None,
    paths: Sequence[str] = (),
    *,
    link: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckedOut:
    """
    Make *directory* hold the files of a bundle, or those at and below *paths* in it.

    Without *directory*, one in the current directory that is named as the bundle is. Files are the user's own; with
    *link* those of 64 KiB or more are read-only and take no space, where the file system has hard links. A file that
    is right stays as it is. One that an earlier checkout wrote and nobody changed is replaced, or deleted where the
    bundle has it no more. If this is killed, doing it again completes it; one that is going on is waited for. From a
    home that may not be written to files can be checked out too, but nobody remembers which they were.

    Raises:
        BundleNotFound, RefNotFound, BadQuery: As :func:`disdat.ops.find.resolve`.
        Conflict: Files that were changed, or that were there before, are in the way, and not *force*, or the file
            system cannot have all names; nothing was done. Or somebody wrote to the directory meanwhile.
        InvalidInput: The bundle has no files, or the directory is none, or is inside the home.
        PathNotFound: The bundle has no such path.
        StorageError: The disk refused; what was there is there, or is what was wanted. Unavailable where bytes are on a
            remote that does not answer.
    """
    asked = _Asked(context, reference, directory, paths, link=link)
    with asked.alone(), context.home.store.kept():
        with uncollected():
            planned = asked.plan(force=force)
        planned.check()
        planned.bring(progress)
        planned.carry_out(progress or (lambda _, __: None))
    return planned.outcome


def plan(
    context: Context,
    reference: str,
    directory: str | os.PathLike[str] | None = None,
    paths: Sequence[str] = (),
    *,
    link: bool = False,
    force: bool = False,
) -> CheckedOut:
    """What :func:`checkout` would do; writes nothing. Raises what that does, but for conflicts, which it tells."""
    asked = _Asked(context, reference, directory, paths, link=link)
    with context.home.store.kept(), uncollected():
        return asked.plan(force=force).outcome


def default_directory(row: Row) -> Path:
    """The directory for a bundle where none is named: the last part of its name, without what no name should have."""
    last = _UNSAFE.sub("_", row.name.rstrip("/").rpartition("/")[2]).strip().lstrip(".-~")
    shown = "".join(c for c in last if not unicodedata.category(c).startswith("C"))
    while len(shown.encode("utf-8")) > _MAX_NAME_BYTES:
        shown = shown[:-1]
    return Path(shown or f"bundle-{row.uuid[:8]}")


class _Asked:
    """What is to be checked out, and where."""

    def __init__(
        self,
        context: Context,
        reference: str,
        directory: str | os.PathLike[str] | None,
        paths: Sequence[str],
        *,
        link: bool,
    ) -> None:
        self.context = context
        self.store = context.home.store
        self.row = find.resolve(context, reference)
        self.bundle = context.catalog.bundle(self.row.uuid)
        self.scope = _scope(paths)
        self.link = link
        _check_has_files(self.row, self.bundle)
        self.directory = default_directory(self.row) if directory is None else Path(directory)
        self.root = _root(context, self.directory)
        self.record = RecordFile(context.home.root / "checkouts", self.root, disk=context.home.disk)
        self._remembers = os.access(context.home.root, os.W_OK, effective_ids=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else check out into the directory meanwhile, as far as the home can be written to."""
        if not self._remembers:
            yield
            return
        self.context.home.ensure()
        with self.record.held():
            yield

    def remember(self, record: Record) -> None:
        if self._remembers:
            self.record.save(record)

    def plan(self, *, force: bool) -> _Planned:
        record = self.record.load()
        whole = self._whole_tree(record)
        self._check_paths(whole)
        wanted = {path: whole[path] for path in below(self.scope, whole)}
        self._check_outside_home(wanted)
        above = parents(wanted)
        concerned = above.union(below(self.scope, record.files))
        begun = self.begun_tree(record)
        sight = Looker(
            self.root,
            wanted=wanted,
            known={path: written for path, written in record.files.items() if path in concerned},
            begun=begun,
            left_over={str(left) for left in self.left_over(record, begun)},
            object_path=self.store.loose_path,
            wrong_objects=self.store.wrong_objects,
        ).look()
        written = deciding.believed({path: each.entry for path, each in record.files.items()}, begun, sight.found)
        base = {path: written[path] for path in above.union(below(self.scope, written)) & written.keys()}
        decided = deciding.decide(base, wanted, sight.found, misplaced=self._misplaced(sight, base, wanted))
        if force:
            decided = decided.forced(wanted.keys())
        return _Planned(self, record, whole, wanted, written, sight, decided)

    def _whole_tree(self, record: Record) -> Mapping[str, Entry]:
        tree = self.bundle.tree
        if isinstance(tree, Tree):
            return tree
        if record.tree == tree.root:
            return {path: written.entry for path, written in record.files.items()}
        return BundleSource(self.context, self.bundle).tree

    def begun_tree(self, record: Record) -> Mapping[str, Entry]:
        """The tree of a checkout that did not finish; none where it cannot be read any more."""
        if record.begun is None:
            return {}
        if isinstance(record.begun.tree, Tree):
            return record.begun.tree
        try:
            return from_nodes(record.begun.tree, self.store.read)
        except (NotFound, Corrupt):
            return {}

    def left_over(self, record: Record, begun: Mapping[str, Entry]) -> Iterator[Path]:
        """Where a checkout of *begun* that was killed may have left what it had not finished."""
        if record.begun is not None:
            yield from left_over(self.root, parents(begun), record.begun.mark)

    def _misplaced(self, sight: Sight, base: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> set[str]:
        """Files that have the right bytes and are links where copies are wanted, or copies where links are."""
        if not self.link:
            return sight.linked & wanted.keys()
        written = wanted.keys() & base.keys() & sight.stats.keys() - sight.linked
        return {path for path in written if self._can_link(wanted[path], sight.stats[path])}

    def _can_link(self, entry: Entry, found: os.stat_result) -> bool:
        if entry.size_bytes < SMALL_BYTES:
            return False
        try:
            stored = os.stat(self.store.loose_path(entry.digest))
        except FileNotFoundError:
            return False
        return stored.st_dev == found.st_dev and stored.st_mode & 0o777 == entry.mode

    def _check_paths(self, whole: Mapping[str, Entry]) -> None:
        there = whole.keys() | parents(whole) if self.scope else set()
        for path in self.scope:
            if path not in there:
                raise PathNotFound(
                    f"{self.row.name} {self.row.uuid[:8]} has no file or directory {path!r}",
                    hint=similar.hint(path, there, otherwise="`dsdt show` lists its files"),
                )

    def _check_outside_home(self, wanted: Mapping[str, Entry]) -> None:
        home = os.path.realpath(self.context.home.root)
        if home.startswith(self.root.rstrip("/") + "/"):
            inside = encode_path(os.fsencode(os.path.relpath(home, self.root)))
            if any(below([inside], wanted)):
                raise InvalidInput(
                    f"{inside} of the bundle would be written to {home}, where bundles are kept",
                    hint="name another directory",
                )


class _Planned:
    """A plan, and what it was made of: *written* is what was written before, in the whole directory."""

    def __init__(
        self,
        asked: _Asked,
        record: Record,
        whole: Mapping[str, Entry],
        wanted: Mapping[str, Entry],
        written: Mapping[str, Entry],
        sight: Sight,
        plan: Plan,
    ) -> None:
        self._asked = asked
        self._record = record
        self._whole = whole
        self._wanted = wanted
        self._written = written
        self._sight = sight
        self._plan = plan
        self._changing = *plan.write, *plan.replace
        self._size_bytes = sum(wanted[path].size_bytes for path in self._changing)
        self._clashes = tuple(names.clashes(wanted)) if plan.write else ()

    @property
    def outcome(self) -> CheckedOut:
        return CheckedOut(
            name=self._asked.row.name,
            uuid=self._asked.row.uuid,
            directory=self._asked.directory,
            written=self._plan.write,
            replaced=self._plan.replace,
            deleted=self._plan.delete,
            kept=self._plan.keep,
            size_bytes=self._size_bytes,
            obstacles=self._plan.obstacles,
            clashes=self._clashes,
        )

    def check(self) -> None:
        """Refuse, before anything is changed, what is in the way or may not be written to."""
        _check_free(self._asked.root, self._plan.obstacles)
        changed = [*self._plan.write, *self._plan.replace, *self._plan.delete]
        directories = {path.rpartition("/")[0] for path in changed}
        there = directories & self._sight.directories
        for directory in there if there == directories else {*there, ""}:
            _check_writable(place(self._asked.root, directory) if directory else self._asked.root)
        if self._plan.write:
            nearest = _nearest(self._asked.root)
            names.check(self._wanted.keys(), self._asked.root, alike=self._clashes, trial_in=nearest)

    def bring(self, progress: Progress | None) -> None:
        """Fetch what is to be written and is not here."""
        sizes = {(each := self._wanted[path]).digest: each.size_bytes for path in self._changing}
        localizing.bring_absent(self._asked.context, sizes, progress=progress)

    def carry_out(self, progress: Progress) -> None:
        root = self._asked.root
        with storage_errors(f"check out into {root}"):
            self._remove_left_over()
            stamps = dict(self._sight.stamps)
            if self._plan.changes or not os.path.isdir(root):
                stamps |= self._write(progress)
        with uncollected():
            files = self._files(stamps)
            after = Record(files, self._tree_of(files))
            if after != self._record:
                self._asked.remember(after)

    def _write(self, progress: Progress) -> Mapping[str, Stamp]:
        asked, tree = self._asked, self._asked.bundle.tree
        begun = Begun(os.urandom(8).hex(), tree.root if isinstance(tree, TreeRef) else tree)
        before = {path: self._noted(path, entry, self._sight.stamps) for path, entry in self._written.items()}
        asked.remember(Record(before, begun=begun))
        writer = Writer(
            asked.root,
            store=asked.store,
            disk=asked.context.home.disk,
            sight=self._sight,
            mark=begun.mark,
            progress=_adding_up(progress, self._size_bytes),
        )
        act = writer.link if asked.link else writer.copy
        act(self._plan, self._wanted)
        return writer.stamps

    def _files(self, stamps: Mapping[str, Stamp]) -> dict[str, Written]:
        """What is written in the directory when all is done."""
        gone = {*self._plan.delete, *below(self._asked.scope, self._written)}
        after = {p: self._noted(p, entry, stamps) for p, entry in self._written.items() if p not in gone}
        return after | {path: Written(entry, stamps.get(path)) for path, entry in self._wanted.items()}

    def _noted(self, path: str, entry: Entry, stamps: Mapping[str, Stamp]) -> Written:
        known = self._record.files.get(path)
        return known if known is not None and known.entry == entry else Written(entry, stamps.get(path))

    def _tree_of(self, files: Mapping[str, Written]) -> Digest | None:
        tree = self._asked.bundle.tree
        if isinstance(tree, Tree) or files.keys() != self._whole.keys():
            return None
        same = all(files[path].entry == entry for path, entry in self._whole.items())
        return tree.root if same else None

    def _remove_left_over(self) -> None:
        """Remove the temporary files of a checkout that was killed."""
        for left in self._asked.left_over(self._record, self._asked.begun_tree(self._record)):
            with suppress(FileNotFoundError, NotADirectoryError):  # it got its name, or never was
                remove(left, disk=self._asked.context.home.disk)


def _scope(paths: Sequence[str]) -> tuple[str, ...]:
    """The paths of the bundle that are chosen, as trees have them; none where all is."""
    chosen = {encode_path(os.fsencode(os.path.normpath(path))) for path in paths}
    return () if "." in chosen else tuple(sorted(chosen))


def _root(context: Context, directory: Path) -> str:
    """The real path of the directory, which may be anywhere but in the home."""
    if "\0" in str(directory):
        raise InvalidInput(f"{str(directory)!r} cannot name a directory", hint="name one without a NUL")
    root, home = os.path.realpath(directory), os.path.realpath(context.home.root)
    nearest = _nearest(root)
    if not os.path.isdir(nearest):
        raise InvalidInput(f"{nearest} is not a directory", hint="name a directory for the files, or leave it out")
    if root == home or root.startswith(home + "/"):
        raise InvalidInput(f"{directory} is inside {home}, where bundles are kept", hint="name another directory")
    return root


def _check_has_files(row: Row, bundle: Bundle) -> None:
    frame = bundle.frames[0] if bundle.frames else None
    if bundle.file_count or (frame is not None and frame.kind == "directory"):
        return
    what = "it has no value" if frame is None else f"its value is {_A_KIND.get(frame.kind, f'a {frame.kind}')}"
    hint = f"`dsdt cat {row.name}` prints it" if frame is not None else "`dsdt show` tells what is recorded of it"
    raise InvalidInput(f"{row.name} {row.uuid[:8]} has no files: {what}", hint=hint)


def _check_free(root: str, obstacles: Sequence[Obstacle]) -> None:
    if not obstacles:
        return
    shown = ", ".join(f"{each.path} {each.why}" for each in obstacles[:_SHOWN])
    more = f" and {len(obstacles) - _SHOWN:,} more" if len(obstacles) > _SHOWN else ""
    forcible = all(each.forcible for each in obstacles)
    hint = "move it away" + (", or lose it with --force; --dry-run lists all" if forcible else "")
    if any(each.is_object for each in obstacles):
        hint = "move it away and add the data again, or restore a backup; `dsdt verify` lists what lacks it now"
    raise Conflict(f"in the way in {root}: {shown}{more}; nothing was done", hint=hint)


def _check_writable(directory: str) -> None:
    """Refuse a directory in which, or in the nearest one that is there above it, nothing may be made."""
    nearest = _nearest(directory)
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionDenied(f"may not write to {nearest}", hint="name another directory")


def _nearest(path: str) -> str:
    """The path, or what is nearest above it of what is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _adding_up(progress: Progress, total_bytes: int) -> Callable[[int], None]:
    done_bytes = 0

    def add(size_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += size_bytes
        progress(done_bytes, total_bytes)

    return add
