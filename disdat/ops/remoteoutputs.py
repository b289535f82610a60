"""Files that the maker of a bundle writes on the remote itself, below the bundle's own place there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from urllib.parse import unquote

from disdat import config
from disdat.context import Context
from disdat.core.digest import Hasher
from disdat.core.places import can_lie_plainly, file_key, path_of_key, url_of
from disdat.core.publication import PlainFile, Said
from disdat.core.tree import Entry, check_path, encode_path
from disdat.errors import BadLinkError, InvalidInput, Unavailable
from disdat.ops import external, runs
from disdat.ops.external import External
from disdat.remote import condemned, vouched
from disdat.remote.known import Presence
from disdat.remote.leases import Lease
from disdat.remote.mirror import Mirror, Overdue
from disdat.store.backend import KeyNotFound, Stored

READERS = 8
"""So many files are hashed at once."""
SCHEMES = ("s3://", "file://")
"""URLs of these kinds are known to programs that write there."""


class RemotePlace:
    """
    The place of one bundle on the remote of its context: where its files lie as people see them.

    Raises:
        NotConfigured: The context has no remote.
    """

    def __init__(self, context: Context, uuid: str) -> None:
        self._backend = context.remote.backend
        self._remote_context = context.remote.binding.name
        self._uuid = uuid
        self.url = url_of(self._backend.url, self._key("").rstrip("/"))
        self.given = False
        """Whether something may have been written there."""

    def at(self, name: str) -> str:
        """
        The URL of a file or directory to be written, by its name in the bundle.

        Raises:
            InvalidInput: The name leads out, or no key can have it; or values do not name URLs of the remote's kind.
        """
        self._check_is_named()
        path = encode_path(os.fsencode(name))
        check_path(path)
        if not can_lie_plainly(self._backend.url, self._key(path)):
            raise InvalidInput(f"{name!r} is too long for a file on the remote", hint="give it a shorter name")
        self.given = True
        return url_of(self._backend.url, self._key(path))

    def whole(self) -> str:
        """The URL of the place itself, a directory; raises InvalidInput as :meth:`at`."""
        self._check_is_named()
        self.given = True
        return self.url

    def path_of(self, url: str) -> str | None:
        """The path, as trees have it, of what lies at a URL below, empty of the place itself; None of any other URL."""
        if not url.startswith(SCHEMES) or not f"{url}/".startswith(f"{self.url}/"):
            return None
        end = url[len(self.url) + 1 :].rstrip("/")
        return path_of_key(unquote(end) if url.startswith("file://") else end)

    def read(self, url: str, where: str) -> dict[str, Entry]:
        """
        The file at a URL below, or all of the directory there, by their paths; hashed as streams, unless too large.

        Raises:
            BadLinkError: Nothing was written there, or what could not be found again by its name.
        """
        found = list(self._lying(self.path_of(url) or ""))
        if not found:
            raise BadLinkError(f"cannot store {where}: {url} was not written", hint="write the file, and then close")
        for each in found:
            if self._key(self._path(each.key)) != each.key:
                raise BadLinkError(
                    f"cannot store {where}: {each.key} has a name that stands for another", hint="leave out the %"
                )
        with ThreadPoolExecutor(READERS) as pool:
            return dict(pool.map(self._told, found))

    def adopt(self, found: External, path: str) -> Entry | None:
        """
        The file that what lies elsewhere in S3 becomes: copied here by S3 itself; None if this is not in S3.

        It is read before, to be hashed, unless it is too large.

        Raises what :func:`disdat.ops.external.hashed` does, and PermissionDenied if it may not be written here.
        """
        if not self._backend.url.startswith("s3://") or not can_lie_plainly(self._backend.url, self._key(path)):
            return None
        from disdat import aws  # it takes a while, and is seldom needed

        self.given = True
        entry = None if self._is_large(found.size_bytes) else external.hashed(found)
        session = aws.Session(config.load().profile)
        target = f"{self._backend.url}/{self._key(path)}"
        if not session.copy(found.url, target, etag=found.etag):
            raise external.replaced(found)
        return entry or self._told(self._backend.head(self._key(path)))[1]

    def _lying(self, path: str) -> Iterator[Stored]:
        if path:
            with suppress(KeyNotFound):
                yield self._backend.head(self._key(path))
                return
        yield from self._backend.list(self._key(f"{path}/" if path else ""))

    def _check_is_named(self) -> None:
        if not self._backend.url.startswith(SCHEMES):
            raise InvalidInput(
                f"files cannot be written to {self._backend.url} by their URLs",
                hint="this needs a remote of s3://, or a directory; elsewhere write to `get_file` and push",
            )

    @cached_property
    def _weak_from_bytes(self) -> int:
        return config.load().remote_weak_from_bytes

    def _is_large(self, size_bytes: int) -> bool:
        """Whether a file is not read where S3 tells enough of it."""
        return 0 < self._weak_from_bytes <= size_bytes

    def _told(self, found: Stored) -> tuple[str, Entry]:
        """The path and the entry of what lies here, which is read unless what the remote says of it is enough."""
        weak = vouched.identity(self._backend, found) if self._is_large(found.size_bytes) else None
        if weak is None:
            return self._hashed(found)
        return self._path(found.key), Entry(weak.digest(found.size_bytes), found.size_bytes, weak=weak)

    def _hashed(self, found: Stored) -> tuple[str, Entry]:
        hasher = Hasher(expected_bytes=found.size_bytes)
        for piece in self._backend.read_pieces(found.key):
            hasher.update(piece)
        return self._path(found.key), Entry(hasher.digest(), hasher.size_bytes)

    def _key(self, path: str) -> str:
        return file_key(self._remote_context, self._uuid, path)

    def _path(self, key: str) -> str:
        return path_of_key(key.removeprefix(self._key("")))


@contextmanager
def announced(context: Context, elsewhere: Mapping[str, Mapping[str, Entry]]) -> Iterator[None]:
    """
    Publish where the files of bundles lie that were written on the remote, and note that they are not here.

    The bundles are pushed as all others are. From now on collection leaves the files alone, until they are published,
    or the home has them no more; the block is to put them into the log, and nobody here publishes meanwhile.

    Raises:
        Unavailable: The remote does not answer, or what was written there long ago was collected.
        PermissionDenied: It refused.
    """
    files = [
        PlainFile(uuid, path, entry.digest, entry.size_bytes, entry.weak)
        for uuid, entries in elsewhere.items()
        for path, entry in entries.items()
    ]
    with context.remote.mirror() as mirror:
        while not _announce(mirror, files):
            """We slept until the lease ended."""
        context.remote.known.note_presence(dict.fromkeys(elsewhere, Presence.PARTIAL))
        yield


def _announce(mirror: Mirror, files: Sequence[PlainFile]) -> bool:
    """Publish where files lie, which are looked for with a lease held; whether that was in time."""
    with Lease(mirror.backend, writer=mirror.writer, actor=runs.actor(), now_us=mirror.now_us) as lease:
        mirror.heard(lease.stored_us)
        keys = {file_key(mirror.remote_context, each.uuid, each.path): each for each in files}
        # Who collects since the lease was written waits for it; who did before was asked to spare them, or is done.
        condemned.spare(mirror.backend, keys.keys)
        uuids = dict.fromkeys(each.uuid for each in files)
        listed = (each for uuid in uuids for each in mirror.backend.list(file_key(mirror.remote_context, uuid, "")))
        there = {each.key: each for each in listed}
        if not all(key in there and _is_same(file, there[key]) for key, file in keys.items()):
            raise Unavailable(
                f"files that were written to {mirror.backend.url} were collected, or changed since",
                hint="write them again",
            )
        lease.outlive()
        try:
            mirror.publish(Said(files=files), actor=runs.actor(), until_us=lease.ends_us)
        except Overdue:
            return False
        lease.finish()
    return True


def _is_same(file: PlainFile, found: Stored) -> bool:
    """Whether what is listed is, as far as that tells, the file that was looked at."""
    etag = found.etag.strip('"')
    return found.size_bytes == file.size_bytes and (file.weak is None or etag in {"", file.weak.etag})
