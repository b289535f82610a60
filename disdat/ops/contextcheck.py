"""Looking over one context without changing it: its settings, the end of its log, its catalog."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from disdat.catalog import endnote, index
from disdat.catalog.database import LINK, Unusable, connect
from disdat.catalog.log import Log, Position
from disdat.catalog.rows import VERSION
from disdat.context import Home
from disdat.errors import Corrupt
from disdat.ops.diagnosis import Finding, Findings, note, ok, problem

_MAGIC = b"SQLite format 3\0"
_VERSION_AT = 60
_DEEP_BYTES = 256_000_000
"""A larger catalog is not read to its end."""


@dataclass(slots=True)
class Newest:
    """The newest event of those that were looked at, and whose it is."""

    time_us: int = 0
    context: str = ""


def context(home: Home, name: str, newest: Newest) -> Findings:
    """What there is to say of a context; *newest* is told of its newest event."""
    found = home.context(name)
    yield from _log(found.directory, name, newest, disk_of=home)
    _ = found.settings  # raises what is wrong with it
    yield from _catalog(found.directory, name, home)


def _log(directory: Path, name: str, newest: Newest, *, disk_of: Home) -> Findings:
    """The last segment of the log; the others are read by `dsdt verify`."""
    log = Log(directory / "log", disk=disk_of.disk)
    end = log.end()
    reached, last = end if end.offset == 0 else Position(end.segment, 0), None
    acknowledged = endnote.read_beside(Path(os.path.realpath(directory / LINK)))
    for record in log.records(Position(end.segment, 0), acknowledged=acknowledged):
        reached, last = record.end, record
    if last is not None:
        time_us = max(entry.event.time_us for entry in last.entries())
        if time_us > newest.time_us:
            newest.time_us, newest.context = time_us, name
    if last is not None and reached < log.end(reached):
        yield note(
            f"context {name}",
            "the log ends in a change that was not finished and never acknowledged; the next change cuts it off",
        )


def _catalog(directory: Path, name: str, home: Home) -> Findings:
    check, path = f"context {name}", directory / LINK
    if not path.exists():
        yield ok(check, "no catalog yet: the next command makes it from the log")
        return
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC) or len(header) < 100:
        yield _damaged(check, name, "is no database")
        return
    version = int.from_bytes(header[_VERSION_AT : _VERSION_AT + 4], "big")
    if version != VERSION:
        what = f"the catalog is of version {version}, not {VERSION}: the next command makes it again from the log"
        yield note(check, what, f"`dsdt reindex --context {name}` does so now; for a large context it takes a while")
        return
    yield _deep(check, name, directory, home)


def _deep(check: str, name: str, directory: Path, home: Home) -> Finding:
    """What SQLite says of the file, where nobody is writing: beside a write-ahead log it is not whole."""
    target = Path(os.path.realpath(directory / LINK))
    journal = target.with_name(f"{target.name}-wal")
    if journal.exists() and journal.stat().st_size:
        return ok(check, "the catalog is in use, or was when a process was killed")
    try:
        with closing(connect(target, "mode=ro&immutable=1")) as connection:
            if target.stat().st_size < _DEEP_BYTES:
                [(said,)] = connection.execute("PRAGMA quick_check(1)")
                if said != "ok":
                    return _damaged(check, name, "is damaged")
            seen = index.state(connection).position
            [(bundles,)] = connection.execute("SELECT count(*) FROM bundles")
            [(unreadable,)] = connection.execute("SELECT count(*) FROM unreadable")
    except (sqlite3.Error, Unusable):
        return _damaged(check, name, "is damaged")
    try:
        Log(directory / "log", disk=home.disk).continues(seen, acknowledged=endnote.read_beside(target))
    except Corrupt as exc:
        return problem(check, exc.message, exc.hint)
    if unreadable:
        what = f"the manifests of {unreadable:,} bundles could not be read when they were indexed"
        return problem(check, what, f"`dsdt verify --context {name}` names them, and what to do")
    return ok(check, f"bundles: {bundles:,}")


def _damaged(check: str, name: str, how: str) -> Finding:
    return problem(
        check,
        f"the catalog {how}; nothing is lost, since the log has all of it",
        f"`dsdt reindex --context {name}` makes it again",
    )
