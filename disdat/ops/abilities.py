"""What the file system of a home can do, found by trying with files that are removed again."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from disdat.catalog.database import NETWORK, file_system
from disdat.durable import Disk
from disdat.ops.diagnosis import Finding, Findings, note, ok, problem

PROBES = ".doctor-"
"""How the directory of the files that are tried with is named, in the home."""
_PROBE_BYTES = b"x" * 4096
_SKEW_S = 2.0


def tried(root: Path, *, disk: Disk) -> Findings:
    """What the file system of a directory that may be written can do."""
    probes = root / f"{PROBES}{os.urandom(6).hex()}"
    disk.mkdir(probes)
    try:
        findings = [
            _kind(root),
            _locks(probes),
            _write_ahead(probes),
            _hard_links(probes),
            _reflinks(probes, disk),
            _symbolic_links(probes),
            _cases(probes),
            _clock(probes),
        ]
    finally:
        shutil.rmtree(probes, ignore_errors=True)  # what stays is found, and named, next time
    yield from findings


def _kind(root: Path) -> Finding:
    kind = file_system(root) or "unknown"
    if kind in NETWORK:
        return note(
            "file system",
            f"{kind}, over a network: correct if its locks are, and slow where there are many small files",
            "where it can be, keep the home on a disk of this machine",
        )
    return ok("file system", kind)


def _locks(probes: Path) -> Finding:
    path = probes / "lock"
    with path.open("xb") as first, path.open("rb") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            why = f"files cannot be locked ({exc.strerror}), so nothing can be written"
            return problem("locks", why, "move the home to a file system with flock, such as that of a local disk")
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ok("locks", "two writers exclude one another")
    return problem(
        "locks",
        "two writers do not exclude one another: each may destroy what the other writes",
        "move the home to a file system with flock, such as that of a local disk",
    )


def _write_ahead(probes: Path) -> Finding:
    path = probes / "wal.db"
    try:
        with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
            [(mode,)] = writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("CREATE TABLE probe (n)")
            writer.commit()
            reader.execute("SELECT count(*) FROM probe").fetchone()
    except sqlite3.Error as exc:
        return problem(
            "catalog journal",
            f"SQLite cannot work here ({exc}), so nothing can be found",
            "move the home to the file system of a local disk",
        )
    if mode == "wal":
        return ok("catalog journal", "write-ahead log: readers do not wait for writers")
    return note("catalog journal", f"no write-ahead log, {mode} is used: readers wait while somebody writes")


def _hard_links(probes: Path) -> Finding:
    path = probes / "linked"
    path.write_bytes(_PROBE_BYTES)
    try:
        os.link(path, probes / "link")
    except OSError as exc:
        return note(
            "hard links",
            f"none ({exc.strerror}): large files of a bundle that are seen in a context take space twice",
            "keep the home where hard links are, or have twice the space",
        )
    return ok("hard links", "large files of bundles are seen in a context without taking space again")


def _reflinks(probes: Path, disk: Disk) -> Finding:
    source = probes / "shared"
    source.write_bytes(_PROBE_BYTES)
    with source.open("rb") as given, (probes / "clone").open("xb") as target:
        if disk.clone(given, target):
            return ok("reflinks", "`dsdt add` and `dsdt checkout` share blocks instead of copying bytes")
    return ok("reflinks", "none here: `dsdt add` and `dsdt checkout` copy bytes; XFS and Btrfs share them")


def _symbolic_links(probes: Path) -> Finding:
    try:
        (probes / "symbolic").symlink_to("linked")
    except OSError as exc:
        return note(
            "symbolic links",
            f"none ({exc.strerror}): catalogs use the slower rollback journal, and no checkout has one",
        )
    return ok("symbolic links", "catalogs are replaced while others read")


def _cases(probes: Path) -> Finding:
    (probes / "Aa").touch()
    if (probes / "aA").exists():
        return note(
            "letters", "upper and lower case do not count: contexts and files whose names differ in case only collide"
        )
    return ok("letters", "upper and lower case differ in names")


def _clock(probes: Path) -> Finding:
    path = probes / "now"
    path.touch()
    behind_s = time.time() - path.stat().st_mtime
    if abs(behind_s) > _SKEW_S:
        how = "behind" if behind_s > 0 else "ahead of"
        return note(
            "file times",
            f"the file system's clock is {abs(behind_s):.0f} s {how} this machine's: files that were just written are"
            " read again more often than need be",
            "let both follow one time server",
        )
    return ok("file times", "agree with the clock of this machine")


def space(root: Path) -> Findings:
    """How much room there is where *root*, or what is above it, lies."""
    there = root
    while not there.exists():
        there = there.parent
    found = os.statvfs(there)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    yield _amount(
        "space",
        f"{_gb(free)} of {_gb(total)} free",
        critical=free < 100_000_000,
        low=free < 1_000_000_000 or free * 50 < total,
        gets="free some: `dsdt du` shows what takes it, `dsdt gc` what nobody needs",
    )
    if not found.f_files:  # made as they are needed
        yield ok("inodes", "as many as there is space for")
        return
    yield _amount(
        "inodes",
        f"{found.f_favail:,} of {found.f_files:,} free",
        critical=found.f_favail < 1000,
        low=found.f_favail < 20_000 or found.f_favail * 50 < found.f_files,
        gets="each file takes one: delete files that nobody needs, such as with `dsdt gc`",
    )


def _amount(check: str, found: str, *, critical: bool, low: bool, gets: str) -> Finding:
    if critical:
        return problem(check, f"{found}: writing will soon fail, and then change nothing", gets)
    return note(check, f"{found}: not much", gets) if low else ok(check, found)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB"


def left_probes(root: Path) -> list[Path]:
    """The directories that an examination, which was killed, left in a home."""
    with suppress(FileNotFoundError):
        return sorted(root.glob(f"{PROBES}*"))
    return []
