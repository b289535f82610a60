"""What processes that ended badly left in a home, and what others hold there now."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from disdat.context import Home
from disdat.making import UNFINISHED
from disdat.ops.abilities import left_probes
from disdat.ops.diagnosis import Findings, note, ok
from disdat.store import leases
from disdat.store.locks import TURN_SUFFIX

_COLLECTS = "`dsdt gc --apply` removes them"
_LONG_S = 2 * 86_400
_SHOWN = 3


def left(home: Home, *, may_write: bool) -> Findings:
    """Locks, leases, files that were being written: whose they are, and what ends them."""
    store = home.root / "store"
    yield from _locks(home)
    alive = leases.held(store / "leases")
    yield from _leases(store / "leases", alive, home.clock_us())
    yield from _staging(store / "staging", busy=bool(alive) or _is_shared(store / "lock"))
    yield from _unfinished(home, may_write=may_write)
    yield from _empty(home.root / "context")


def _locks(home: Home) -> Findings:
    store = home.root / "store"
    held = [f"the context {name}" for name in home.context_names() if _is_locked(home.root / "context" / name / "lock")]
    if _is_locked(store / "lock"):
        held.insert(0, "the store (a collection runs)")
    if held:
        shown = ", ".join(held[:_SHOWN]) + (" and more" if held[_SHOWN:] else "")
        what = f"being changed at this moment: {shown}; who wants to change it waits"
        yield note(
            "locks held", what, "if it is so for minutes, look for a process that hangs: `fuser -v` on its file `lock`"
        )
    else:
        yield ok("locks held", "none: a lock ends with the process that has it")
    turn = store / f"lock{TURN_SUFFIX}"
    if turn.exists() and not _is_locked(turn):
        yield note(
            "stale lock",
            f"{turn}, of a collection that was killed, keeps nobody waiting",
            "the next `dsdt gc` removes it",
        )


def _leases(directory: Path, alive: list[leases.Live], now_us: int) -> Findings:
    names = os.listdir(directory) if directory.is_dir() else []
    dead = {name for name in names if not name.endswith(leases.TURN_SUFFIX)} - {live.id for live in alive}
    if dead:
        what = f"{len(dead):,} of writers that died, whose bundles were not finished; they keep nothing"
        yield note("stale leases", what, _COLLECTS)
    long = [live for live in alive if live.started and (now_us - live.started) / 1e6 > _LONG_S]
    for live in long[:_SHOWN]:
        what = f"process {live.pid} on {live.host} has been writing {live.uuid} of {live.context} for days"
        yield note("leases", what, "end it, if it hangs: it keeps what it wrote from being collected")
    if not dead and not long:
        yield ok("leases", f"{len(alive):,} bundles are being written" if alive else "no bundle is being written")


def _staging(directory: Path, *, busy: bool) -> Findings:
    sizes = _sizes(directory.iterdir() if directory.is_dir() else ())
    if sizes and not busy:
        what = f"{len(sizes):,} unfinished files of {sum(sizes) / 1e6:,.1f} MB, of writers that died"
        yield note("staging", what, _COLLECTS)
    else:
        yield ok("staging", f"{len(sizes):,} files are being written" if sizes else "nothing is left in it")


def _unfinished(home: Home, *, may_write: bool) -> Findings:
    contexts = home.root / "context"
    found = [*left_probes(home.root), *home.root.glob(f"{UNFINISHED}*"), *contexts.glob(f"*/{UNFINISHED}*")]
    found += contexts.glob(".*")
    found += [path.parent for path in contexts.glob("*/log") if not _is_used(path)]
    found = [path for path in dict.fromkeys(found) if not path.parent.name.startswith(".")]
    if found:
        shown = ", ".join(map(str, found[:_SHOWN])) + (f" and {len(found) - _SHOWN:,} more" if found[_SHOWN:] else "")
        remedy = f"if nothing is being made now: rm -r {' '.join(map(str, found[:_SHOWN]))}" if may_write else ""
        yield note("unfinished", f"left by something that was killed, and harmless: {shown}", remedy)


def _is_used(log: Path) -> bool:
    """Whether this is the log of a context, which may have lost its settings."""
    return (log.parent / "context.json").exists() or any(log.glob("*.log"))


def _empty(contexts: Path) -> Findings:
    """Directories that may be contexts on disks that are not mounted: collection dares nothing while they are."""
    for path in sorted(contexts.glob("[!.]*/")):
        with suppress(PermissionError):  # another check says so
            if not any(path.iterdir()):
                remedy = f"mount the disk it is on; if there is none: {shlex.join(['rmdir', str(path)])}"
                yield note("contexts", f"{path} is empty, and nothing is collected while it is", remedy)


def _sizes(paths: Iterable[Path]) -> list[int]:
    sizes = []
    for path in paths:
        with suppress(FileNotFoundError):  # finished meanwhile
            sizes.append(path.lstat().st_size)
    return sizes


def _is_locked(path: Path) -> bool:
    """Whether somebody holds a lock alone at this moment; a file that may not be read counts as not locked."""
    return not _can_lock(path, fcntl.LOCK_SH)


def _is_shared(path: Path) -> bool:
    """Whether somebody holds a lock at all; to find out takes it for a moment."""
    return not _can_lock(path, fcntl.LOCK_EX)


def _can_lock(path: Path, how: int) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            fcntl.flock(file.fileno(), how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (FileNotFoundError, PermissionError):
        return True
    return True
