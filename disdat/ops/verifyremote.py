"""Finding out whether a remote has all that was published: where objects are said to be, and as they were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.bundle import Bundle
from disdat.core.digest import Digest
from disdat.core.places import Place, object_key
from disdat.errors import Corrupt, InvalidInput, NotFound
from disdat.ops import fetching, find, needs
from disdat.ops.findings import Use
from disdat.ops.needs import Needs
from disdat.remote import reading
from disdat.remote.collecting import Keys

_TOGETHER = 200
"""So many manifests are read at once."""
_OBJECTS = 2000
"""So many objects are looked at at once."""

_WEAK = "it was never hashed, so nothing else can take its place: put that very object back, or make the bundle again"

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many were read; by any thread."""


@dataclass(frozen=True, slots=True)
class RemoteFinding:
    """An object that the remote lacks, or has wrong, and the bundles that need it."""

    wrong: str
    remedy: str
    key: str
    """Where it is, or was to be."""
    digest: Digest
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class RemoteReport:
    """What was looked at on a remote, and what was found."""

    context: str
    url: str
    bundles: int
    objects: int
    objects_read: int
    size_bytes: int
    """Bytes that were read."""
    findings: tuple[RemoteFinding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether all is there and, as far as it was read, right."""
        return not self.findings


def verify(
    context: Context, *, reference: str | None = None, sample: float | None = None, progress: Progress | None = None
) -> RemoteReport:
    """
    Look whether the remote has all that bundles need that were published, or the one that *reference* names.

    The store is listed, and what it has compared with what was published. With *sample*, a share above 0 and up to 1,
    the bytes of that share of the objects are read too, chosen at random; of those of weak identity it is asked whether
    they are still the same. Changes nothing on the remote.

    Raises:
        NotConfigured: The context has no remote.
        InvalidInput: *sample* is no share; or the bundle was never pushed.
        BundleNotFound, RefNotFound, BadQuery: As :func:`disdat.ops.find.resolve`.
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    if sample is not None and not 0 < sample <= 1:
        raise InvalidInput(f"not a share: {sample}", hint="give a number above 0 and up to 1")
    fetching.fetch(context)
    row = None if reference is None else find.resolve(context, reference)
    with Needs(sample or 0) as needed, Keys() as keys:
        check = _Check(context, needed, keys, progress)
        return check.run(lambda: iter([[row]]) if row is not None else context.catalog.pages(), only=row)


class _Check:
    """One run of :func:`verify`."""

    def __init__(self, context: Context, needed: Needs, keys: Keys, progress: Progress | None) -> None:
        self._context = context
        self._backend = context.remote.backend
        self._known = context.remote.known
        self._needed = needed
        self._keys = keys
        self._told = _Sum(progress)
        self._wrong: dict[Digest, tuple[str, str]] = {}
        """What is wrong with an object, and with what is under which key."""
        self._weak: set[Digest] = set()
        """Objects that are known by what the remote says of them."""
        self._bundles = 0

    def run(self, pages: Callable[[], Iterator[Sequence[Row]]], *, only: Row | None) -> RemoteReport:
        self._gather(pages())
        if only is not None and not self._bundles:
            raise InvalidInput(
                f"{only.name or '(unnamed)'} {only.uuid[:8]} was never pushed", hint="`dsdt push` publishes it"
            )
        self._keys.look(self._backend)
        self._told.total_bytes = self._needed.size_bytes()
        objects = 0
        for some in _portions(self._needed.all()):
            objects += len(some)
            self._look_at(some)
        return RemoteReport(
            context=self._context.name,
            url=self._backend.url,
            bundles=self._bundles,
            objects=objects,
            objects_read=self._needed.count,
            size_bytes=self._told.done_bytes,
            findings=tuple(self._findings(pages())),
        )

    def _gather(self, pages: Iterator[Sequence[Row]]) -> None:
        """Note what all published bundles need."""
        for rows in pages:
            published = []
            for row, bundle in self._published(rows):
                published.append(row)
                self._needed.add(needs.of_bundle(bundle, self._needed, needs.tolerant(self._read)))
            self._needed.add((digest, 0) for digest in self._context.catalog.manifest_objects(published))
            self._bundles += len(published)

    def _published(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Bundle]]:
        for start in range(0, len(rows), _TOGETHER):
            some = {row.uuid: row for row in rows[start : start + _TOGETHER]}
            added = self._context.catalog.added(list(some))
            there = self._known.published([each.event.write_key for each in added.values()])
            for uuid, each in added.items():
                if each.event.write_key in there:
                    yield some[uuid], each.bundle()

    def _read(self, digest: Digest) -> bytes:
        """A node of a tree, from here or from there."""
        try:
            return self._context.home.store.read(digest)
        except (NotFound, Corrupt):
            return reading.read(self._backend, self._known.places, digest)

    def _look_at(self, digests: Sequence[Digest]) -> None:
        """Look whether objects are where they are said to be, and read those that are to be read."""
        chosen = self._needed.chosen(digests)
        published = self._known.places(digests)
        there = {digest: [p for p in published.get(digest, ()) if self._is_there(p)] for digest in digests}
        for digest, places in there.items():
            if not places:
                self._wrong[digest] = self._missing(digest, published.get(digest, ()))
        self._weak |= {digest for digest, places in published.items() if any(place.weak for place in places)}
        to_look_at = chosen | self._weak
        to_read = {digest: places for digest, places in there.items() if places and digest in to_look_at}
        for digest, exc in reading.wrong(self._backend, to_read, progress=self._told).items():
            self._wrong[digest] = str(exc), there[digest][0].key

    def _is_there(self, place: Place) -> bool:
        size_bytes = self._keys.size_bytes(place.key)
        if size_bytes is None:
            return False
        return size_bytes == place.length if place.is_whole else place.offset + place.length <= size_bytes

    def _missing(self, digest: Digest, published: Sequence[Place]) -> tuple[str, str]:
        if not published:
            return f"nobody published where the object {digest} is", object_key(digest)
        key = published[0].key
        if self._keys.size_bytes(key) is None:
            return f"object {digest} is missing: there is no {key}", key
        return f"object {digest} is missing: {key} is not as long as it was", key

    def _findings(self, pages: Iterator[Sequence[Row]]) -> Iterator[RemoteFinding]:
        if not self._wrong:
            return
        uses = self._uses(pages)
        here = self._context.home.store.has_many(self._wrong)
        for digest, (wrong, key) in sorted(self._wrong.items()):
            remedy = _WEAK if digest in self._weak else _remedy(is_here=digest in here)
            yield RemoteFinding(wrong, remedy, key, digest, tuple(uses[digest]))

    def _uses(self, pages: Iterator[Sequence[Row]]) -> dict[Digest, list[Use]]:
        uses: dict[Digest, list[Use]] = defaultdict(list)
        for rows in pages:
            for row, bundle in self._published(rows):
                if row.manifest in self._wrong:
                    uses[row.manifest].append(Use(row.uuid, row.name))
                for digest, path in needs.uses(bundle, self._wrong.keys(), needs.tolerant(self._read)):
                    uses[digest].append(Use(row.uuid, row.name, path))
        return uses


class _Sum:
    """Tells how many bytes were read of how many."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = Lock()
        self.done_bytes = self.total_bytes = 0

    def __call__(self, size_bytes: int) -> None:
        with self._lock:
            self.done_bytes += size_bytes
            if self._progress is not None:
                self._progress(min(self.done_bytes, self.total_bytes), self.total_bytes)


def _remedy(*, is_here: bool) -> str:
    if is_here:
        return "it is here: `dsdt verify --remote --repair` sends it again"
    return "it is not here: who has the bytes of one of these bundles sends it by `dsdt verify --remote --repair`"


def _portions(digests: Iterable[Digest]) -> Iterator[list[Digest]]:
    rest = iter(digests)
    while some := list(islice(rest, _OBJECTS)):
        yield some
