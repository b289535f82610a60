"""
What all contexts of a remote need, by what is published in them: whatever a home knows of it counts for nothing.

Each remote context is fetched, as a clone would, into a directory that is deleted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from disdat.catalog.catalog import Catalog
from disdat.context import Home
from disdat.core import canonical, event, publication
from disdat.core.digest import Digest
from disdat.core.event import Draft, Event
from disdat.core.places import Place, context_key, object_key
from disdat.errors import Corrupt, ObjectNotFound, UnknownFormat
from disdat.ops.gc import Policy
from disdat.ops.marks import Marks
from disdat.remote import reading
from disdat.remote.collecting import Keys
from disdat.remote.known import Known
from disdat.remote.mirror import Mirror
from disdat.store.backend import Backend, KeyNotFound

_HEAD_BYTES = 8 << 10
"""A publication that names an object with what it says is smaller than this."""
_READERS = 16
_TOGETHER = 5000

Say = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A bundle of which files are on the remote, and nothing else: as the home said that made it, at a time."""

    context: str
    uuid: str
    home: str
    since_us: int


class View:
    """One remote context, as it is published."""

    def __init__(self, backend: Backend, name: str, directory: Path, home: Home, read: reading.Places) -> None:
        directory.mkdir()
        self.name = name
        self.backend = backend
        self.known = Known(directory, disk=home.disk)
        writer = publication.writer(home.id, event.ulid(home.clock_us()))
        self.mirror = Mirror(backend, name, self.known, writer=writer, clock_us=home.clock_us)
        self.catalog = Catalog(
            directory,
            writer=home.id,
            now_us=home.clock_us,
            fetch=lambda digest: reading.read(backend, read, digest),
            disk=home.disk,
        )

    def close(self) -> None:
        self.catalog.close()
        self.known.close()

    def fetch(self) -> None:
        """
        Take over all that is published by now.

        Raises:
            Corrupt: Something cannot be used, and may say what is needed.
        """
        self.known.note({"cursor": 0})  # in full: what was stored late must not be missed
        fetched = self.mirror.fetch(self._receive)
        if fetched.refused:
            first = fetched.refused[0]
            raise Corrupt(
                f"nothing is collected: {len(fetched.refused)} publications cannot be used, first {first.key}: "
                f"{first.why}",
                hint="a newer disdat may have written it; what is damaged has to be deleted by hand",
            )
        if self.catalog.unreadable():  # a manifest that is an object, which was not located yet
            self.catalog.reindex()

    def bodies(self) -> Iterator[str]:
        """Yield the keys of the objects that hold what publications say."""
        small = [each.key for each in self.mirror.listed() if each.size_bytes < _HEAD_BYTES]
        with ThreadPoolExecutor(_READERS) as pool:
            for body in pool.map(self._body, small):
                yield from body

    def targets(self) -> set[str]:
        """What refs point at."""
        found = set()
        for each in self.backend.list(context_key(self.name, "refs/")):
            with suppress(KeyNotFound):  # deleted since
                found.add(_target(each.key, self.backend.get(each.key)))
        return found

    def unpublished(self) -> Iterator[Unpublished]:
        """
        Yield the bundles of which files are there, and which were never published: some home has them, and may yet.

        Those that were released since are left out.
        """
        for some in self.known.announced(self.name, _TOGETHER):
            new = some.keys() - self.catalog.known(list(some))
            writers = self.known.writers(sorted({some[uuid] for uuid in new})) if new else {}
            for uuid in sorted(new):
                home = writers.get(some[uuid], "").partition(".")[0]
                yield Unpublished(self.name, uuid, home, event.ulid_time_us(some[uuid]))

    def _receive(self, events: Sequence[Event], publications: Sequence[str]) -> None:
        self.catalog.receive(events, note=Draft(event.FETCH, {"remote": "", "publications": list(publications)}))

    def _body(self, key: str) -> list[str]:
        try:
            fields = canonical.decode(self.backend.get(key).partition(b"\n")[0])
            body = cast("dict[str, str]", fields.get("body")) if isinstance(fields, dict) else None
        except KeyNotFound:
            return []  # gathered meanwhile, with all it says
        return [object_key(Digest.parse(body["digest"]))] if body else []


class Remote:
    """All contexts of a remote; for as long as the directory is there."""

    def __init__(self, backend: Backend, home: Home, directory: Path, say: Say) -> None:
        self.backend = backend
        self._home = home
        self._directory = directory
        self._say = say
        self.views: dict[str, View] = {}

    def fetch(self) -> None:
        """Take over all that is published by now; raises what :meth:`View.fetch` does."""
        for name in self.backend.list_below("context/"):
            self._say(f"reading what is published in {name}")
            if name not in self.views:
                directory = self._directory / str(len(self.views))
                self.views[name] = View(self.backend, name, directory, self._home, self.places)
            self.views[name].fetch()

    def mark(self, keys: Keys, policy: Policy, *, now_us: int) -> int:
        """
        Note in *keys* what somebody needs, at a moment of the store's clock; how many objects have no place.

        Raises:
            UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
        """
        with Marks(self, now_us=now_us, retention_us=policy.retention_us) as marks:
            for name, view in self.views.items():
                self._say(f"asking {name} what it needs")
                targets = view.targets()
                view.catalog.keeping(lambda keeping, n=name, t=targets: marks.add(n, keeping, also=t))  # type: ignore[misc]
                keys.need(view.bodies())
            keys.need_files(marks.bundles())
            keys.need_files((each.context, each.uuid) for each in self.unpublished())
            for view in self.views.values():
                for some in view.known.placed(_TOGETHER):
                    needed = marks.needed([digest for digest, _ in some])
                    keys.need(key for digest, key in some if digest in needed)
            return sum(1 for _ in self._unplaced(marks))

    def unpublished(self) -> Iterator[Unpublished]:
        """As :meth:`View.unpublished`, of all contexts."""
        for view in self.views.values():
            yield from view.unpublished()

    def places(self, digests: Iterable[Digest]) -> dict[Digest, list[Place]]:
        """Where objects lie, in whatever context that was published."""
        wanted = list(digests)
        found: dict[Digest, list[Place]] = {}
        for view in self.views.values():
            for digest, of_one in view.known.places(wanted).items():
                found.setdefault(digest, []).extend(of_one)
        return found

    def read(self, digest: Digest) -> bytes:
        """The bytes of an object, be they here; raises ObjectNotFound and DigestMismatch."""
        with suppress(ObjectNotFound, Corrupt):
            return self._home.store.read_unlocked(digest)
        return reading.read(self.backend, self.places, digest)

    def read_many(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes | None]]:
        """As :meth:`Peek.read_many`."""
        return reading.read_many(self.backend, self.places, digests)

    def close(self) -> None:
        for view in self.views.values():
            view.close()

    def _unplaced(self, marks: Marks) -> Iterator[Digest]:
        for some in marks.all_needed(_TOGETHER):
            yield from set(some) - self.places(some).keys()


@contextmanager
def opened(backend: Backend, home: Home, say: Say) -> Iterator[Remote]:
    """Lend all contexts of a remote, none of them read yet."""
    with TemporaryDirectory(prefix="disdat-") as directory:
        remote = Remote(backend, home, Path(directory), say)
        try:
            yield remote
        finally:
            remote.close()


def _target(key: str, data: bytes) -> str:
    try:
        fields = cast("dict[str, str]", canonical.decode(data))
        return fields["target"]
    except (ValueError, KeyError, TypeError) as exc:
        raise UnknownFormat(f"nothing is collected: the ref {key}", found=repr(exc), supported="refs") from exc
