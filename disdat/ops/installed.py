"""Which software there is: Python, the libraries Disdat needs, its extras, and programs it calls."""

from __future__ import annotations

import platform
import re
import shutil
import sqlite3
import sys
from collections import defaultdict
from importlib import metadata

from disdat import __version__
from disdat.ops.diagnosis import Finding, Findings, note, ok, problem

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")
_FOR_DEVELOPERS = frozenset({"dev", "docs"})
_LEAST_SQLITE = (3, 38, 0)
_PROGRAMS = {
    "git": "the commit that made a bundle is recorded",
    "docker": "tasks can run in containers",
}


def software() -> Findings:
    """What is installed, and what is missing or too old."""
    yield _python()
    yield _sqlite()
    yield from _libraries()
    yield from _programs()


def _python() -> Finding:
    found = f"disdat {__version__}, Python {platform.python_version()} at {sys.executable}, {platform.platform()}"
    return ok("software", found)


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        needed = ".".join(map(str, _LEAST_SQLITE))
        return problem(
            "SQLite", f"{sqlite3.sqlite_version} is too old: {needed} is needed", "take a Python with a newer one"
        )
    return ok("SQLite", sqlite3.sqlite_version)


def _libraries() -> Findings:
    try:
        requirements = metadata.requires("disdat") or []
    except metadata.PackageNotFoundError:
        yield note("libraries", "disdat is not installed as a package, so nobody knows what it needs", _reinstall(""))
        return
    by_extra: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for text in requirements:
        name, _, bounds, marker = _REQUIREMENT.fullmatch(text).groups()  # type: ignore[union-attr]  # it matches any
        extra = _EXTRA.search(marker or "")
        by_extra[extra[1] if extra else ""].append((name, bounds))
    yield _needed(by_extra.pop("", []))
    yield from (_extra(name, needs) for name, needs in sorted(by_extra.items()) if name not in _FOR_DEVELOPERS)


def _needed(requirements: list[tuple[str, str]]) -> Finding:
    if wrong := [fault for name, bounds in requirements if (fault := _fault(name, bounds))]:
        return problem("libraries", ", ".join(wrong), _reinstall(""))
    shown = ", ".join(f"{name} {metadata.version(name)}" for name, _ in sorted(requirements))
    return ok("libraries", shown)


def _extra(extra: str, requirements: list[tuple[str, str]]) -> Finding:
    faults = [fault for name, bounds in requirements if (fault := _fault(name, bounds))]
    names = ", ".join(name for name, _ in requirements)
    if not faults:
        return ok(f"extra {extra}", f"{names}: installed")
    if all(fault.endswith("is not installed") for fault in faults):
        return ok(f"extra {extra}", f"{names}: not installed, which nothing else needs; {_reinstall(extra)}")
    return note(f"extra {extra}", ", ".join(faults), _reinstall(extra))


def _fault(name: str, bounds: str) -> str:
    """What is wrong with a library; empty where nothing is."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    found = _numbers(version)
    for relation, bound in _BOUND.findall(bounds):
        if (found < _numbers(bound)) == (relation == ">="):
            return f"{name} {version} is not {relation} {bound}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version; what follows it, such as ``rc1``, does not count."""
    leading = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:  # 3.0 is 3
        numbers.pop()
    return tuple(numbers)


def _programs() -> Findings:
    for name, purpose in _PROGRAMS.items():
        path = shutil.which(name)
        if path:
            yield ok(name, f"{path}: {purpose}")
        elif name == "git":
            yield note(name, f"not found; with it {purpose}", "install git")
        else:
            yield ok(name, f"not found; with it {purpose}")


def _reinstall(extra: str) -> str:
    return f"pip install 'disdat[{extra}]'" if extra else "pip install --upgrade disdat"
