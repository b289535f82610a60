"""
Looking over an installation and a home: what works, what does not, and what to do about it.

Nothing is written but files to try the file system with, which are removed; where a home may not be written, not even
these. No catalog is made, no lock is waited for, no dead lease removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from disdat import config
from disdat.config import Settings
from disdat.context import Home, now_us
from disdat.core.contextname import check_context_name
from disdat.durable import Disk
from disdat.errors import BadName, DisdatError
from disdat.marker import WRITER_FEATURES
from disdat.ops import abilities, contextcheck, installed, leftovers
from disdat.ops.diagnosis import Finding, Findings, Verdict, guarded, note, ok, problem, refused

_OLDEST_CLOCK_US = 1_700_000_000_000_000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was looked at, in the order of looking."""

    findings: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        """How many things are so."""
        return sum(finding.verdict is verdict for finding in self.findings)

    @property
    def is_well(self) -> bool:
        """Whether there is no problem."""
        return not self.count(Verdict.PROBLEM)


def examine(*, disk: Disk | None = None, clock_us: Callable[[], int] = now_us) -> Diagnosis:
    """
    Look at everything: software, settings, the home they name, its file system and clock, and what is in it.

    Nothing that is wrong raises: it is among the findings.
    """
    found = list(guarded("software", installed.software))
    settings, of_settings = _settings()
    found += of_settings
    if settings is None:
        found.append(note("home", "not looked at, since the settings cannot be read"))
    else:
        found += _of_home(settings, disk or Disk(), clock_us)
    return Diagnosis(tuple(found))


def _settings() -> tuple[Settings | None, list[Finding]]:
    """The settings, or None where they cannot be read, and what there is to say of them."""
    try:
        settings = config.load()
        ignored = config.ignored_sections()
    except DisdatError as exc:
        return None, [refused("settings", _with_remedy(exc))]
    file = settings.config_file
    there = file is not None and file.exists()
    found = [ok("settings", str(file) if there else f"defaults; there is no {file or 'place for a file'}")]
    if ignored:
        shown = ", ".join(f"[{name}]" for name in ignored)
        found.append(
            note("settings", f"{file}: {shown} not read: no section of ours", "correct its name, if it is meant")
        )
    if unknown := config.unknown_variables():
        what = f"not read: {', '.join(unknown)}"
        found.append(note("environment", what, "`dsdt init` writes a file that names those there are"))
    return settings, found


def _with_remedy(error: DisdatError) -> DisdatError:
    """An error of the settings, with what to do where it does not say."""
    error.hint = error.hint or "correct that; `dsdt init` writes a new file, with every setting, once it is moved away"
    return error


def _of_home(settings: Settings, disk: Disk, clock_us: Callable[[], int]) -> list[Finding]:
    root = settings.home
    try:
        home = Home(root, disk=disk, clock_us=clock_us)
    except DisdatError as exc:
        return [refused("home", exc), *guarded("space", lambda: abilities.space(root))]
    found = list(guarded("home", lambda: _home(home)))
    found += guarded("space", lambda: abilities.space(root))
    if home.known_id is None:
        return [*found, *_clock(clock_us(), 0, "")]
    may_write = _may_write(root)
    if may_write:
        found += guarded("file system", lambda: abilities.tried(root, disk=disk))
        found += guarded("permissions", lambda: _permissions(home))
    else:
        what = f"{root} may only be read: what looks works, what changes is refused, and no probe was written"
        found.append(note("permissions", what, "to write, become its owner, or have him let you"))
    contexts = list(guarded("contexts", lambda: _current(home, settings.context)))
    newest = contextcheck.Newest()
    for name in _names(home):
        contexts += guarded(f"context {name}", lambda name=name: contextcheck.context(home, name, newest))  # type: ignore[misc]  # a default is not part of the type
    found += _clock(clock_us(), newest.time_us, newest.context)
    found += contexts
    return [*found, *guarded("leftovers", lambda: leftovers.left(home, may_write=may_write))]


def _home(home: Home) -> Findings:
    if home.known_id is None:
        above = next(path for path in (home.root, *home.root.parents) if path.exists())
        if not _may_write(above):
            yield problem(
                "home",
                f"nothing is kept at {home.root} yet, and {above} may not be written, so nothing can be",
                "set DISDAT_HOME to a directory of your own",
            )
            return
        yield ok("home", f"nothing is kept at {home.root} yet; the first thing that is makes it")
        return
    if missing := home.writer_features - WRITER_FEATURES:
        yield problem(
            "home",
            f"{home.root} needs {', '.join(sorted(missing))} of who writes to it, which this version lacks",
            "upgrade disdat: pip install --upgrade disdat",
        )
    elif home.is_copy:
        yield note("home", f"{home.root} is a copy of another one: the next thing that is written gives it its own id")
    else:
        yield ok("home", f"{home.root}, {home.known_id}")


def _may_write(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)


def _permissions(home: Home) -> Findings:
    """Every directory that a command works in, and the files that it replaces or appends to."""
    store = home.root / "store"
    below = ("objects", "objects/blake3", "packs", "staging", "trash", "leases")
    contexts = sorted((home.root / "context").glob("*/"))
    directories = [store, *(store / name for name in below), home.root / "context", *contexts]
    directories += [context / name for context in contexts for name in ("log", "objects")]
    files = [path for context in contexts for path in (context / "log").glob("*.log")]
    files += [store / "lock", *(context / "lock" for context in contexts)]
    closed = [path for path in directories if path.exists() and not _may_write(path)]
    closed += [path for path in files if path.exists() and not os.access(path, os.R_OK | os.W_OK, effective_ids=True)]
    if closed:
        shown = ", ".join(map(str, closed[:_SHOWN])) + (
            f" and {len(closed) - _SHOWN:,} more" if closed[_SHOWN:] else ""
        )
        yield problem(
            "permissions",
            f"may not be read and written by you: {shown}",
            f"chown -R {config.login_name()} {home.root}, or work as their owner",
        )
    else:
        yield ok("permissions", "all that commands change may be changed")
    yield from _one_file_system(home, contexts)


def _one_file_system(home: Home, contexts: list[Path]) -> Findings:
    objects = home.root / "store"
    if objects.exists():
        device = objects.stat().st_dev
        apart = [path.name for path in contexts if path.stat().st_dev != device]
        if apart:
            shown = ", ".join(apart[:_SHOWN])
            what = f"contexts on another file system than the store: {shown}: large files take space twice there"
            yield note("file system", what, "keep the whole home on one")


def _names(home: Home) -> list[str]:
    """The contexts that can be looked at; of others :func:`_current` speaks."""
    try:
        return home.context_names()
    except DisdatError:
        return []


def _current(home: Home, chosen: str | None) -> Findings:
    names = home.context_names()
    wanted = home.current_name() if chosen is None else chosen.rpartition("/")[2]
    if wanted is None:
        yield ok("contexts", f"{len(names):,}; none is the current one")
    elif wanted in names:
        yield ok("contexts", f"{len(names):,}; {wanted} is the current one")
    else:
        origin = "`dsdt switch` chose" if chosen is None else "DISDAT_CONTEXT names"
        yield note("contexts", f"{origin} {wanted}, which is not there", "`dsdt switch NAME` chooses one that is")
    for name in names:
        try:
            check_context_name(name)
        except BadName as exc:
            yield refused(f"context {name}", exc)


def _clock(now: int, newest_us: int, context: str) -> Findings:
    if now < _OLDEST_CLOCK_US:
        yield problem("clock", "it is years behind: what is made now will seem the oldest", "set it, such as by NTP")
        return
    ahead_s = (newest_us - now) / 1_000_000
    if ahead_s > 1:
        what = f"the newest change of {context} was {_time(ahead_s)} in the future of this machine's clock"
        remedy = (
            "set the clock, such as by NTP; changes still count in their order, but their times will be off until then"
        )
        yield (problem if ahead_s > 60 else note)("clock", what, remedy)
    else:
        yield ok("clock", "nothing was made in its future")


def _time(seconds: float) -> str:
    for unit, unit_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} seconds"
