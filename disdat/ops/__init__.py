"""
The service layer: every verb a user has, as one function that takes a context and returns a value.

Its modules are imported when they are first used: ``ops.find`` needs no import of its own, and to import a
front door that may use all of them loads neither SQLAlchemy nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what __getattr__ gives
    from disdat.ops import (
        add,
        bundles,
        checkout,
        coming,
        contexts,
        delocalizing,
        details,
        diff,
        doctor,
        fetching,
        find,
        fork,
        gc,
        given,
        history,
        holding,
        lineage,
        localizing,
        maintain,
        moves,
        paths,
        presence,
        pull,
        push,
        remotegc,
        remotes,
        repairing,
        rmr,
        sharing,
        undo,
        unreadable,
        usage,
        verifyremote,
        when,
        why,
    )

__all__ = [
    "add",
    "bundles",
    "checkout",
    "coming",
    "contexts",
    "delocalizing",
    "details",
    "diff",
    "doctor",
    "fetching",
    "find",
    "fork",
    "gc",
    "given",
    "history",
    "holding",
    "lineage",
    "localizing",
    "maintain",
    "moves",
    "paths",
    "presence",
    "pull",
    "push",
    "remotegc",
    "remotes",
    "repairing",
    "rmr",
    "sharing",
    "undo",
    "unreadable",
    "usage",
    "verifyremote",
    "when",
    "why",
]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
