"""
The trash of a store: what collection removed, and since when, until it is purged. ``docs/format.md`` has the names.

It still counts as the store: who misses an object looks here, and takes it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from disdat import scratch
from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.digest import ALGORITHM, Digest
from disdat.durable import Disk
from disdat.errors import UnknownFormat
from disdat.store import loose, packs
from disdat.store.loose import LooseObjects

FORMAT = 1
_CONTEXT, _GOING, _NOTE = "context-", "going-", "gc-"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The directory of a bundle that was not in its context any more, and what it is called in the trash: a ULID."""

    context: str
    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Note:
    """What was moved to the trash at one time, µs since the epoch; :attr:`packs` are names without suffix."""

    time_us: int
    objects: tuple[Digest, ...] = ()
    packs: tuple[str, ...] = ()
    bundles: tuple[Bundle, ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    """
    Something in the trash, since a moment; None where no note says since when.

    :attr:`kind` is ``object``, ``pack``, ``bundle`` or ``context``.
    """

    kind: str
    path: Path
    since_us: int | None

    @property
    def digest(self) -> Digest:
        """Of an object, its name."""
        return Digest(f"{ALGORITHM}:{self.path.name}")

    @property
    def pack(self) -> str:
        """Of a pack, its name without suffix."""
        return self.path.name.removesuffix(packs.SUFFIX)


class Trash:
    """The trash in one directory."""

    def __init__(self, directory: Path, *, disk: Disk) -> None:
        self.directory = directory
        self._disk = disk

    def object_path(self, digest: Digest) -> Path:
        """Where an object is or would be."""
        return LooseObjects.path_below(self.directory / "objects", digest)

    def pack_path(self, name: str) -> Path:
        """Where a pack is or would be."""
        return self.directory / "packs" / (name + packs.SUFFIX)

    def bundle_path(self, bundle: Bundle) -> Path:
        """Where a bundle's directory is or would be."""
        return self.directory / "bundles" / bundle.name

    def going_path(self, path: Path) -> Path:
        """What a directory in the trash is called while it is being deleted."""
        return self.directory / f"{_GOING}{path.name.removeprefix(_CONTEXT)}"

    def check(self) -> None:
        """UnknownFormat if a later version wrote here: what that moved here it may count on in another way."""
        for _ in self._notes():
            """Reading it refuses it."""

    def contexts(self) -> list[tuple[Path, int]]:
        """The deleted contexts, and since when each is here."""
        found: list[tuple[Path, int]] = []
        for path in self._named(_CONTEXT):
            with suppress(ValueError):  # nothing of ours
                found.append((path, event.ulid_time_us(path.name.removeprefix(_CONTEXT))))
        return found

    def going(self) -> list[Path]:
        """What a purge was deleting when it was cut off."""
        return self._named(_GOING)

    def things(self) -> Iterator[Thing]:
        """Yield everything that is here, but for what is being deleted."""
        with closing(self._since()) as since:
            for shard in sorted((self.directory / "objects" / ALGORITHM).glob("??")):
                for path in sorted(shard.glob("*")):
                    if loose.is_name(path.name):
                        yield Thing("object", path, _latest(since, "object", path.name))
            for path in sorted((self.directory / "packs").glob("*" + packs.SUFFIX)):
                yield Thing("pack", path, _latest(since, "pack", path.name.removesuffix(packs.SUFFIX)))
        for path in sorted((self.directory / "bundles").glob("*")):
            with suppress(ValueError):  # nothing of ours
                yield Thing("bundle", path, event.ulid_time_us(path.name))
        for path, since_us in self.contexts():
            yield Thing("context", path, since_us)

    def note(self, note: Note) -> None:
        """Write what is about to be moved here; durable on return."""
        fields: dict[str, Json] = {
            "format": FORMAT,
            "time": note.time_us,
            "objects": list(note.objects),
            "packs": list(note.packs),
            "bundles": [{"context": each.context, "uuid": each.uuid, "as": each.name} for each in note.bundles],
        }
        if not self.directory.is_dir():
            self._disk.mkdir(self.directory)
            self._disk.sync_dir(self.directory.parent)
        path = self.directory / f"{_NOTE}{event.ulid(note.time_us)}.json"
        beside = path.with_suffix(".new")
        with self._disk.create(beside) as file:
            self._disk.write(file, canonical.encode(fields) + b"\n")
            self._disk.sync(file)
        self._disk.rename(beside, path)
        self._disk.sync_dir(self.directory)

    def spent_notes(self) -> Iterator[Path]:
        """Yield the notes of which nothing is left, and what a collection that was cut off left of one."""
        yield from self.directory.glob(f"{_NOTE}*.new")
        for path, note in self._notes():
            places = chain(map(self.object_path, note.objects), map(self.pack_path, note.packs))
            if not any(place.exists() for place in chain(places, map(self.bundle_path, note.bundles))):
                yield path

    def _since(self) -> sqlite3.Connection:
        """Since when objects (by hex) and packs are here, by the latest note that names them."""
        database = scratch.connect()
        database.execute(
            "CREATE TABLE since (kind TEXT, name TEXT, time INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID"
        )
        database.execute("BEGIN")
        for _, note in self._notes():
            named = chain((("object", each.hex) for each in note.objects), (("pack", each) for each in note.packs))
            database.executemany(
                "INSERT INTO since VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET time = max(time, excluded.time)",
                ((kind, name, note.time_us) for kind, name in named),
            )
        return database

    def _notes(self) -> Iterator[tuple[Path, Note]]:
        for path in self._named(_NOTE):
            if path.suffix == ".json" and (note := _read(path)) is not None:
                yield path, note

    def _named(self, prefix: str) -> list[Path]:
        return sorted(self.directory.glob(f"{prefix}*"))


def _latest(since: sqlite3.Connection, kind: str, name: str) -> int | None:
    found = since.execute("SELECT time FROM since WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return found[0] if found else None


def _read(path: Path) -> Note | None:
    """The note in a file; None where it is damaged, so that what it named is noted anew."""
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(path.read_bytes()))
        if fields["format"] != FORMAT:
            raise UnknownFormat(str(path), found=fields["format"], supported=FORMAT)
        return Note(
            int(fields["time"]),
            objects=tuple(map(Digest.parse, fields["objects"])),
            packs=tuple(map(str, fields["packs"])),
            bundles=tuple(Bundle(each["context"], each["uuid"], each["as"]) for each in fields.get("bundles", ())),
        )
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return None
