"""Looking after a context: finding what is damaged, and making its catalog again."""

from __future__ import annotations

import os
import random
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import event
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.tree import Entry, decode_path
from disdat.errors import Corrupt, InvalidInput, NotFound
from disdat.ops import elsewhere, find, findings, needs, presence
from disdat.ops.checkobjects import ObjectCheck, Progress
from disdat.ops.findings import Finding, Unbound, Use, VerifyReport
from disdat.ops.needs import Needs
from disdat.remote import unbound
from disdat.remote.unbound import Left
from disdat.store import files
from disdat.store.collect import portions

Pages = Callable[[], Iterator[Sequence[Row]]]

_TOGETHER = 200
"""So many manifests are read at once."""


def verify(
    context: Context, *, reference: str | None = None, sample: float | None = None, progress: Progress | None = None
) -> VerifyReport:
    """
    Read all that a context, or the one bundle *reference* names, consists of; whatever was found right before.

    Of a context: its log, every byte that its bundles need of the store, and all of the packs these are in; files
    as users see them are compared with that. With *sample*, a share above 0 and up to 1, the bytes of that share of
    the objects and files are read, chosen at random; whether all are there is looked at in any case. What is not here
    and is on the context's remote is counted, and is not lost; nor is what is on one that it was bound to before.

    Writes nothing but to the cache of what was read, and takes what is missing out of the trash, as reading does.
    Others may read and write meanwhile. Memory does not grow with what is read.

    Raises:
        InvalidInput: *sample* is no share.
        BundleNotFound, RefNotFound, BadQuery: As :func:`disdat.ops.find.resolve`.
        StorageError: The disk refused.
    """
    if sample is not None and not 0 < sample <= 1:
        raise InvalidInput(f"not a share: {sample}", hint="give a number above 0 and up to 1")
    share = 1 if sample is None else sample
    with context.home.store.kept(), Needs(share) as needed:
        check = _Check(context, needed, share, progress)
        return check.of_context() if reference is None else check.of_bundle(find.resolve(context, reference))


def _no_pages() -> Iterator[Sequence[Row]]:
    return iter(())


def reindex(context: Context) -> int:
    """
    Make the catalog again from the log; how many bundles are in it. Readers see the old one until it is whole.

    Raises:
        Corrupt: The log is damaged; the catalog stays as it is.
        StorageError: It cannot be written.
    """
    context.home.ensure()
    return context.catalog.reindex()


@dataclass(frozen=True, slots=True)
class _Unread:
    """A bundle whose manifest, or whose tree, could not be read."""

    name: str
    manifest: Digest
    why: Exception


class _Check:
    """One run of :func:`verify`, of a context or of one bundle."""

    def __init__(self, context: Context, needed: Needs, share: float, progress: Progress | None) -> None:
        self._context = context
        self._store = context.home.store
        self._needed = needed
        self._share = share
        self._objects = ObjectCheck(context.home.store, needed, progress)
        self._read = needs.tolerant(context.home.store.read)
        self._pages: Pages = context.catalog.pages
        self._findings: list[Finding] = []
        self._unread: dict[str, _Unread] = {}
        self._copies: dict[Digest, Path] = {}
        """Files of bundles that have the right bytes of an object, where the store has them wrong or not at all."""
        self._knows_remote = True
        self._unbound: list[Unbound] = []
        self._bundles = self._files = self._events = self._remote_only = 0

    def of_context(self) -> VerifyReport:
        self._check_settings()
        if self._check_log():
            self._gather()
            self._gather_unindexed()
        else:
            self._pages = _no_pages
            self._needed.add(self._store.sizes())  # nobody knows which of them are needed
        self._leave_remote()
        if self._share < 1:
            self._objects.share()
        else:
            self._objects.everything()
        return self._report()

    def of_bundle(self, row: Row) -> VerifyReport:
        self._pages = lambda: iter([[row]])
        self._gather()
        self._leave_remote()
        self._objects.few()
        return self._report()

    def _check_settings(self) -> None:
        path = self._context.directory / "context.json"
        try:
            Context(self._context.home, self._context.name).settings  # noqa: B018 - reads the file
        except Corrupt as exc:
            self._findings.append(findings.broken("settings", path, exc))
            self._knows_remote = False

    def _check_log(self) -> bool:
        """Whether the bundles can be listed, whatever is wrong with the log."""
        catalog = self._context.catalog
        try:
            self._events = catalog.check_log()
        except Corrupt as exc:
            self._findings.append(findings.broken("log", self._context.directory / "log", exc))
            with suppress(Corrupt):
                return catalog.counts().bundles >= 0
            return False
        return True

    def _gather(self) -> None:
        """Note what all bundles need."""
        for rows in self._pages():
            self._needed.add((digest, 0) for digest in self._context.catalog.manifest_objects(rows))
            for row, bundle in self._load(rows):
                self._bundles += 1
                try:
                    self._needed.add(needs.of_bundle(bundle, self._needed, self._read))
                except Corrupt as exc:  # bytes that are as they were written, and are no tree
                    self._unread[row.uuid] = _Unread(row.name, row.manifest, exc)

    def _gather_unindexed(self) -> None:
        """Note the bundles whose manifest could not be read when the log was indexed."""
        why = self._context.catalog.unreadable()
        for each in self._context.catalog.events() if why else ():
            for uuid in why.keys() & set(each.subjects) if each.kind == event.ADD else ():
                name = Digest(str(each.payload["manifest"]))
                self._unread[uuid] = _Unread("", name, Corrupt(why[uuid]))
                if "body" not in each.payload:
                    self._needed.add([(name, 0)])

    def _leave_remote(self) -> None:
        """Look for nothing that is not here and is on the remote."""
        for some in portions(self._needed.all(), _TOGETHER) if self._knows_remote else ():
            there = elsewhere.on_remote(self._context, set(some) - self._store.has_many(some))
            self._needed.forget(there)
            self._remote_only += len(there)
            for uuid in [uuid for uuid, unread in self._unread.items() if unread.manifest in there]:
                del self._unread[uuid]
        bound = self._context.binding if self._knows_remote else None
        for left in unbound.noted(unbound.read(self._context.directory), None, bound):
            if uuids := tuple(sorted(set(self._leave_unbound(left)))):
                self._unbound.append(Unbound(left.binding.url, left.binding.name, uuids, left.remedy))

    def _leave_unbound(self, left: Left) -> Iterator[str]:
        """Yield the bundles of which something is not here that was on a remote which the context has no more."""
        manifests = {uuid: self._unread[uuid].manifest for uuid in left.uuids & self._unread.keys()}
        here = self._store.has_many(manifests.values())
        without = {uuid: manifest for uuid, manifest in manifests.items() if manifest not in here}
        for uuid, manifest in without.items():
            self._needed.forget([manifest])
            del self._unread[uuid]
            yield uuid
        for rows in self._pages():
            for row, bundle in self._load([row for row in rows if row.uuid in left.uuids - without.keys()]):
                if absent := presence.absent(self._context, bundle):
                    self._needed.forget(absent)
                    yield row.uuid

    def _load(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Bundle]]:
        """Some bundles, in parts that bound memory; those that cannot be read are noted."""
        for start in range(0, len(rows), _TOGETHER):
            some = rows[start : start + _TOGETHER]
            try:
                found = self._context.catalog.bundles([row.uuid for row in some])
            except (Corrupt, NotFound):
                found = self._load_each(some)
            yield from ((row, found[row.uuid]) for row in some if row.uuid in found)

    def _load_each(self, rows: Sequence[Row]) -> dict[str, Bundle]:
        found: dict[str, Bundle] = {}
        for row in rows:
            try:
                found |= self._context.catalog.bundles([row.uuid])
            except (Corrupt, NotFound) as exc:
                self._unread[row.uuid] = _Unread(row.name, row.manifest, exc)
        return found

    def _report(self) -> VerifyReport:
        for rows in self._pages():
            self._check_files(rows)
        self._judge()
        return VerifyReport(
            context=self._context.name,
            bundles=self._bundles,
            objects=self._needed.count,
            files=self._files,
            events=self._events,
            remote_only=self._remote_only,
            size_bytes=self._objects.read_bytes,
            findings=tuple(self._findings),
            unbound=tuple(self._unbound),
        )

    def _check_files(self, rows: Sequence[Row]) -> None:
        """Compare the files of bundles, as far as users see them, with what was stored."""
        with_files = [row for row in rows if self._context.bundle_directory(row.uuid).is_dir()]
        for row, bundle in self._load(with_files):
            for path, entry in needs.files(bundle, self._read).items():
                if random.random() < self._share:
                    place = self._context.bundle_directory(row.uuid) / os.fsdecode(decode_path(path))
                    self._check_file(place, entry, Use(row.uuid, row.name, path))

    def _check_file(self, place: Path, entry: Entry, use: Use) -> None:
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            return  # made when it is asked for
        if self._is_object(found, entry.digest):
            return  # its object's own file, which was read
        self._files += 1
        if not stat.S_ISREG(found.st_mode) or self._hash(place) != self._store.content(entry.digest):
            self._findings.append(findings.changed_file(place, entry.digest, use))
        elif entry.digest in self._objects.wrong:
            self._copies[entry.digest] = place

    def _is_object(self, found: os.stat_result, digest: Digest) -> bool:
        try:
            return os.path.samestat(found, self._store.loose_path(digest).stat())
        except FileNotFoundError:
            return False

    def _hash(self, path: Path) -> Digest | None:
        try:
            with files.reading(path) as (file, found):
                return files.hash_file(file, found.st_size, self._objects.read)
        except files.Changed:
            return None  # it is being written to

    def _judge(self) -> None:
        """Make findings of what is wrong with objects, packs and manifests."""
        uses = self._uses()
        for digest, places in sorted(self._objects.wrong.items()):
            is_elsewhere = self._objects.is_right(digest)
            copy = self._copies.get(digest) or self._store.find_in_trash(digest)
            of_this = tuple(uses[digest])
            if not places:
                place = self._store.loose_path(digest)
                self._findings.append(findings.missing(digest, place, of_this, copy=copy))
            for path in places:
                found = findings.damaged(digest, path, of_this, copy=copy, is_elsewhere=is_elsewhere)
                self._findings.append(found)
        for pack in self._objects.packs:
            if not pack.wrong:  # else these are what is damaged
                self._findings.append(findings.damaged_pack(pack, harmless=not self._objects.counts_on(pack)))
        for uuid, unread in self._unread.items():
            if unread.manifest not in self._objects.wrong:
                use, path = Use(uuid, unread.name), self._context.directory / "log"
                self._findings.append(findings.unread_manifest(path, unread.why, use))

    def _uses(self) -> dict[Digest, list[Use]]:
        """The bundles that need each object that is wrong."""
        uses: dict[Digest, list[Use]] = defaultdict(list)
        wrong = self._objects.wrong.keys()
        if not wrong:
            return uses
        for uuid, unread in self._unread.items():
            uses[unread.manifest].append(Use(uuid, unread.name))
        for rows in self._pages():
            for row, bundle in self._load(rows):
                for digest, path in needs.uses(bundle, wrong, self._read):
                    uses[digest].append(Use(row.uuid, row.name, path))
        return uses
