"""
The catalog of one context: the one way to change it, and the ways to ask what is in it.

The log is the truth; the catalog is its index, and is made again from it whenever it is missing, damaged or
of another version.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import disk_usage
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, cast

from disdat.catalog import index, queries
from disdat.catalog.index import Fetch
from disdat.catalog.indexed import Change, Check, Drafts, IndexedLog
from disdat.catalog.keeping import Keeping
from disdat.catalog.log import START, Log, Place
from disdat.catalog.queries import Counts, Edge, Filter, Row
from disdat.catalog.readonly import Snapshot
from disdat.core import event, manifest
from disdat.core.bundle import NOTHING, Bundle, Run
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.core.event import Draft, Event
from disdat.durable import Disk, storage_errors
from disdat.errors import BundleNotFound, Corrupt, ObjectNotFound, StorageError

_FULL_BYTES = 1 << 20

_T = TypeVar("_T")


class Added(NamedTuple):
    """The event that added a bundle, and the bytes of the bundle's manifest."""

    event: Event
    data: bytes

    def bundle(self) -> Bundle:
        """What the manifest records; one that lies in the event was decoded with it."""
        body = self.event.payload.get("body")
        return manifest.decode(self.data) if body is None else manifest.from_json(body)


def looking_at(uuids: Sequence[str], look: Callable[[Mapping[str, Row]], None]) -> Check:
    """The check of a change that is decided by what bundles are: *look* gets those of *uuids* that are here."""
    return lambda connection: look(_rows(connection, uuids))


def _rows(connection: sqlite3.Connection, uuids: Sequence[str]) -> dict[str, Row]:
    return {row.uuid: row for row in queries.rows(connection, queries.BY_UUIDS, (json.dumps(uuids),))}


def _nothing_stored(digest: Digest) -> bytes:
    raise ObjectNotFound(f"no object store to read {digest} from")


class Catalog:
    """
    What happened in one context, and how its bundles are found.

    Threads and processes may use one context at once, and a catalog object may be shared by threads. Every question is
    answered as of some moment after the last change that was acknowledged to anybody. Any method may raise
    Corrupt (the log is damaged), StorageError, and Unavailable (somebody held the lock for minutes).
    """

    def __init__(
        self,
        directory: Path,
        *,
        writer: Callable[[], str] | str,
        now_us: Callable[[], int],
        fetch: Fetch = _nothing_stored,
        disk: Disk | None = None,
        log: Log | None = None,
    ) -> None:
        """
        Open the catalog of the context in *directory*; nothing is touched before it is used.

        *writer* is the home's id, asked for when something is written. *fetch* gives an object's bytes, for
        manifests that are objects.
        """
        disk = disk or Disk()
        self._directory = directory
        self._writer = writer
        self._fetch = fetch
        self._log = log or Log(directory / "log", disk=disk)
        self._indexed = IndexedLog(directory, log=self._log, now_us=now_us, fetch=fetch, disk=disk)
        self._snapshot = Snapshot(directory, log=self._log, fetch=fetch)

    def commit(
        self,
        drafts: Drafts,
        *,
        actor: str = "",
        write_ids: Sequence[str] | None = None,
        unused: Sequence[str] = (),
        check: Check | None = None,
    ) -> list[Event]:
        """
        Make a change: all of *drafts* or none, durable on return, in one record of the log.

        *drafts* may be a function that makes them, called while the lock is held: it must be quick, raising in it
        changes nothing, and it is called again if the catalog turns out to be damaged. All that the events name
        must be durable already. *unused* are uuids that no bundle may have, nor have had. *check* looks at the catalog
        before, with the lock held, as quickly, and raises where the change may not be made.

        Raises:
            AlreadyExists: One of *unused* is known, and nothing was changed.
            StorageError: It could not be written, and nothing was changed; PermissionDenied where that is why.
            ContextNotFound: The context was deleted.
        """
        with _Errors(self._directory):
            writer = self._writer if isinstance(self._writer, str) else self._writer()
            return self._indexed.commit(Change(drafts, writer, actor, write_ids, unused, check))

    def receive(self, events: Sequence[Event], *, note: Draft, actor: str = "") -> int:
        """
        Take over events that others published, of any times and order, after *note*, which says where from.

        Those that are known are left out; how many were not. Durable on return. Raises what :meth:`commit` does.
        """
        with _Errors(self._directory):
            writer = self._writer if isinstance(self._writer, str) else self._writer()
            return self._indexed.receive(events, Change([note], writer, actor, None, (), None))

    def known(self, uuids: Sequence[str]) -> set[str]:
        """Those of *uuids* that a bundle has here, or had."""
        return self._read(lambda connection: index.known(connection, uuids))

    def get(self, uuid: str) -> Row | None:
        """The bundle *uuid*; None if it is not here."""
        return self.rows([uuid]).get(uuid)

    def rows(self, uuids: Sequence[str]) -> dict[str, Row]:
        """Those of *uuids* that are here."""
        return self._read(lambda connection: _rows(connection, uuids))

    def present(self, uuids: Sequence[str]) -> list[str]:
        """Those of *uuids* that are here."""
        values = (json.dumps(uuids),)
        return self._read(lambda connection: [uuid for (uuid,) in connection.execute(queries.PRESENT, values)])

    def uuids_starting(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Up to *limit* uuids that begin with *prefix*, in order."""
        values = (prefix, queries.after_prefix(prefix), limit)
        return self._read(lambda connection: [u for (u,) in connection.execute(queries.UUIDS_STARTING, values)])

    def search(self, wanted: Filter) -> list[Row]:
        """
        The bundles that pass, newest first.

        Raises:
            BadQuery: The regular expression is none.
        """
        return self._read(lambda connection: queries.search(connection, wanted))

    def search_each(self, wanted: Sequence[Filter]) -> list[list[Row]]:
        """What :meth:`search` gives for each of *wanted*, all as of one moment."""
        return self._read(lambda connection: [queries.search(connection, each) for each in wanted])

    def latest(self, name: str, *, tags: Mapping[str, str] = NOTHING, committed: bool | None = None) -> Row | None:
        """The newest bundle of a name, of those with all *tags* and, if given, *committed* or not; None if none."""
        wanted = Filter(name=name, tags=tags, committed=committed, limit=1)
        return next(iter(self.search(wanted)), None)

    def versions(self, name: str) -> list[Row]:
        """All bundles of a name, newest first."""
        return self.search(Filter(name=name))

    def by_processing_name(self, name: str) -> list[Row]:
        """The bundles of a processing name, newest first."""
        return self.search(Filter(processing_name=name))

    def names(self) -> list[str]:
        """The names there are bundles of, in order."""
        return self._read(lambda connection: [name for (name,) in connection.execute(queries.NAMES)])

    def counts(self) -> Counts:
        """How much is here."""
        return self._read(queries.counts)

    def bundle(self, uuid: str) -> Bundle:
        """
        The bundle as its manifest records it, verified.

        Raises:
            BundleNotFound: It is not here.
            DigestMismatch: Its manifest is not the one that was added.
        """
        try:
            return self.bundles([uuid])[uuid]
        except KeyError:
            raise BundleNotFound(f"no bundle {uuid} in the context {self._directory.name}") from None

    def bundles(self, uuids: Sequence[str]) -> dict[str, Bundle]:
        """Those of *uuids* that are here, as :meth:`bundle` gives them."""
        return {uuid: each.bundle() for uuid, each in self.added(uuids).items()}

    def added(self, uuids: Sequence[str]) -> dict[str, Added]:
        """What added those of *uuids* that are here, and their manifests, verified; raises what :meth:`bundle` does."""
        found = self._read(lambda c: c.execute(queries.ADDED_BY, (json.dumps(uuids),)).fetchall())
        events = self._log.read_lines(Place(*place) for _, _, *place in found)
        return {
            uuid: Added(add, index.verified_manifest(Digest.from_raw(digest), add, self._fetch, line))
            for (uuid, digest, *_), (add, line) in zip(found, events, strict=True)
        }

    def came(self, uuids: Sequence[str]) -> set[str]:
        """
        Those of *uuids* that were fetched, or copied from a context that had fetched them.

        Told by this home's own log: what a manifest says of where it was made, whoever wrote it may have made up.
        """
        return {uuid for (uuid,) in self._read(lambda c: c.execute(queries.CAME, (json.dumps(uuids),)).fetchall())}

    def about(self, uuids: Sequence[str]) -> list[Event]:
        """The events that speak of *uuids*, earliest first; not an `add` that is the only one of a bundle."""
        places = self._read(lambda c: c.execute(queries.ABOUT, (json.dumps(uuids),)).fetchall())
        return list(self._log.read(map(Place._make, places)))

    def fork(self, target: Path) -> None:
        """
        Give a directory, which nobody else uses, this log and this catalog as of one moment; durable on return.

        Who changes the context waits meanwhile. Full segments of the log become hard links; nothing of *target* may
        be there before.
        """
        with _Errors(self._directory):
            self._indexed.fork(target)

    def manifest_objects(self, rows: Sequence[Row]) -> set[Digest]:
        """The manifests of *rows* that are objects; the others lie in the log."""

        def look(connection: sqlite3.Connection) -> set[Digest]:
            keys = [(row.manifest.raw, row.uuid) for row in rows]
            found = [connection.execute(queries.IS_OBJECT_OF, key).fetchone() for key in keys]
            return {row.manifest for row, there in zip(rows, found, strict=True) if there}

        return self._read(look)

    def inputs_of(self, *uuids: str) -> list[Edge]:
        """What the bundles *uuids* were made from, each one's in the order of its manifest."""
        return self._read(lambda connection: queries.edges(connection, queries.INPUTS_OF, uuids))

    def used_by(self, *uuids: str) -> list[Edge]:
        """The bundles here that were made from *uuids*, earlier ones first."""
        return self._read(lambda connection: queries.edges(connection, queries.USED_BY, uuids))

    def edges(self, uuids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """What each of *uuids* that is here was made from, as (argument, uuid)."""
        found: dict[str, list[tuple[str, str]]] = {}
        for edge in self.inputs_of(*uuids):
            found.setdefault(edge.bundle, []).append((edge.argument, edge.input))
        return found

    def run(self, run_id: str) -> Run | None:
        """The record of a run; None if it is not here."""
        recorded = self._of_run(run_id, event.RUN)
        return manifest.run_from_json(cast("Mapping[str, Any]", recorded["run"])) if recorded else None

    def run_events(self, run_ids: Iterable[str]) -> list[Event]:
        """The events that record these runs, of those that are here."""
        sought = [(run_id, event.RUN) for run_id in run_ids]
        found = self._read(lambda c: [place for each in sought for place in c.execute(queries.OF_RUN, each)])
        return list(self._log.read(map(Place._make, found)))

    def decisions(self, run_id: str) -> list[Mapping[str, Json]]:
        """What a pipeline's run decided for each of its tasks, inputs first; nothing where that is not here."""
        recorded = self._of_run(run_id, event.DECISIONS)
        return cast("list[Mapping[str, Json]]", recorded["tasks"]) if recorded else []

    def decided(self) -> Iterator[Event]:
        """What pipelines' runs decided, the newest first; each is read when it is asked for."""
        places = self._read(lambda connection: connection.execute(queries.DECIDED).fetchall())
        return self._log.read(map(Place._make, places))

    def events(self) -> Iterator[Event]:
        """All that happened, in the order of (time, id)."""
        places = self._read(lambda connection: connection.execute(queries.EVENTS).fetchall())
        return self._log.read(map(Place._make, places))

    def unreadable(self) -> dict[str, str]:
        """The bundles that are here but whose manifest could not be read, and why; :meth:`reread` tries again."""
        return self._read(lambda connection: dict(connection.execute(queries.UNREADABLE).fetchall()))

    def reread(self, uuids: Sequence[str]) -> None:
        """Look at the manifests of bundles again, which may be there by now; raises what :meth:`commit` does."""
        with _Errors(self._directory):
            self._indexed.reread(uuids)

    def reindex(self) -> int:
        """Make the catalog again from the log, seen by readers all at once; returns how many bundles are here."""
        with _Errors(self._directory):
            self._indexed.reindex()
        return self.counts().bundles

    def pages(self) -> Iterator[list[Row]]:
        """Every bundle, some at a time, in order of the uuids; memory does not grow with how many there are."""
        found = self._read(lambda connection: queries.rows(connection, queries.PAGE, ("",)))
        while found:
            yield found
            last = found[-1].uuid
            found = self._read(lambda connection: queries.rows(connection, queries.PAGE, (last,)))  # noqa: B023

    def check_log(self) -> int:
        """
        Read the whole log, and compare it with what the catalog saw of it; returns how many events there are.

        Raises:
            Corrupt: A record is damaged, the end is missing, or events of some writer are.
        """
        indexed = self._read(lambda connection: index.state(connection).position)
        reached, count = START, 0
        seqs: dict[str, set[int]] = defaultdict(set)
        for record in self._log.records():
            reached = record.end
            for each, _, own in record.entries():
                if own:
                    seqs[each.writer].add(each.seq)
                count += 1
        if reached < indexed:
            raise self._log.damaged(reached)
        for writer, found in seqs.items():
            if missing := set(range(1, max(found) + 1)) - found:
                raise Corrupt(
                    f"the log of {self._directory.name} lacks {len(missing)} events of {writer}, first {min(missing)}",
                    hint="restore the log from a backup",
                )
        return count

    def keeping(self, look: Callable[[Keeping], _T]) -> _T:
        """What *look* makes of what the context has to say to collection, all as of one moment."""
        return self._read(lambda connection: look(Keeping(connection, self._log, self._fetch)))

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        self._indexed.close()
        self._snapshot.close()

    def _of_run(self, run_id: str, kind: str) -> Mapping[str, Json] | None:
        """What the latest event of this kind says of a run."""
        places = self._read(lambda connection: connection.execute(queries.OF_RUN, (run_id, kind)).fetchall())
        if not places:
            return None
        [recorded] = self._log.read([Place(*places[-1])])
        return recorded.payload

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        with _Errors(self._directory):
            if _is_read_only(self._directory):
                return self._snapshot.read(query)
            return self._indexed.ask(query)


def _is_read_only(directory: Path) -> bool:
    return not os.access(directory, os.W_OK, effective_ids=True) and directory.exists()


class _Errors:
    """Turns what SQLite and the system say into errors of ours."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        what = f"use the catalog of {self._directory.name}"
        if isinstance(error, sqlite3.Error):
            hint = "free some space and run the command again" if _is_full(error, self._directory) else ""
            raise StorageError(f"cannot {what}: {error}", hint=hint) from error
        storage_errors(what).__exit__(kind, error, traceback)


def _is_full(error: sqlite3.Error, directory: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Of a disk too full for its shared memory, SQLite says no more than that it could not write.
    return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and disk_usage(directory).free < _FULL_BYTES)
