"""Reading objects of a store, pack by pack and then the large ones in order, to find those that are not right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from disdat.core.digest import Digest
from disdat.errors import Corrupt, DigestMismatch, ObjectNotFound
from disdat.ops.needs import Needs
from disdat.store import checking
from disdat.store.additions import SMALL_BYTES
from disdat.store.checking import PackCheck
from disdat.store.objects import ObjectStore

Progress = Callable[[int, int], None]
"""Called with the bytes read so far, and those to be read in all as far as that is known."""


class ObjectCheck:
    """Looks for the objects *needed* in *store*; memory does not grow with how many are right."""

    def __init__(self, store: ObjectStore, needed: Needs, progress: Progress | None) -> None:
        self._store = store
        self._needed = needed
        self._progress = progress
        self._total_bytes = 0
        self.read_bytes = 0
        self.wrong: dict[Digest, list[Path]] = defaultdict(list)
        """The files with wrong bytes of an object, by object; none for one that is missing."""
        self.packs: list[PackCheck] = []
        """Packs that are damaged as such."""
        self.unlisted: set[Path] = set()
        """Packs some of whose objects are found only because ``state.db`` remembers where they are."""

    def everything(self) -> None:
        """Read all of every pack that has an object that is needed, and the large objects."""
        paths = self._store.pack_paths()
        self._total_bytes = sum(_sizes(paths)) + self._needed.size_bytes(at_least=SMALL_BYTES)
        self._run(paths, partial(checking.check_all, wanted=self._needed.among))

    def share(self) -> None:
        """Read the objects that are chosen; of the others, only look whether they are there."""
        self._run_chosen(self._store.pack_paths())

    def few(self) -> None:
        """As :meth:`share`, looking into those packs only that are known to have some."""
        self._run_chosen(self._store.pack_paths(holding=self._needed.all()))

    def is_right(self, digest: Digest) -> bool:
        """Whether the store has the right bytes of an object somewhere."""
        return bool(self._needed.among_found([digest]))

    def counts_on(self, pack: PackCheck) -> bool:
        """Whether an object that is needed was found in a damaged pack."""
        return bool(pack.right) or pack.path in self.unlisted

    def read(self, size_bytes: int) -> None:
        """Count bytes that were read."""
        self.read_bytes += size_bytes
        if self._progress:
            self._progress(self.read_bytes, max(self._total_bytes, self.read_bytes))

    def _run_chosen(self, paths: list[Path]) -> None:
        self._total_bytes = self._needed.size_bytes()
        self._run(paths, partial(checking.check_some, wanted=self._needed.among, chosen=self._needed.chosen))

    def _run(self, paths: list[Path], check: Callable[..., PackCheck]) -> None:
        for path in paths:
            try:
                self._note(check(path, progress=self.read))
            except FileNotFoundError:
                continue  # collected since it was listed
        for digest, is_chosen in self._needed.left():
            self._look(digest, is_chosen)

    def _note(self, check: PackCheck) -> None:
        self._needed.found(check.right)
        for digest in check.wrong:
            self.wrong[digest].append(check.path)
        if check.damage is not None:
            self.packs.append(check)
        if check.wrong or check.damage is not None:
            self._store.distrust_pack(check.path)

    def _look(self, digest: Digest, is_chosen: bool) -> None:
        path = self._store.loose_path(digest)
        if not path.exists():
            self._look_again(digest)
            return
        try:
            if is_chosen:
                self._store.check_loose(digest, self.read)
        except DigestMismatch:
            self.wrong[digest].append(path)
        else:
            self._needed.found([digest])

    def _look_again(self, digest: Digest) -> None:
        """Look as a reader does: by what is remembered of packs, and in the trash."""
        try:
            self._store.verify(digest)
        except ObjectNotFound:
            self.wrong.setdefault(digest, [])
        except Corrupt:
            self.wrong[digest] = self.wrong[digest] or self._store.pack_paths(holding=[digest])
        else:
            self._needed.found([digest])
            for pack in self._store.pack_paths(holding=[digest]):
                self._check_unlisted(pack)

    def _check_unlisted(self, path: Path) -> None:
        """Find out what is wrong with a pack that lacks in its index what was found in it."""
        if path not in self.unlisted:
            self.unlisted.add(path)
            if not any(check.path == path for check in self.packs):
                self._note(checking.check_all(path, set, self.read))


def _sizes(paths: list[Path]) -> Iterator[int]:
    for path in paths:
        try:
            yield path.stat().st_size
        except FileNotFoundError:
            continue  # collected since it was listed
