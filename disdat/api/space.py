"""Disk space, from Python: what takes it, and collecting what nobody needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from disdat import config, ops
from disdat.api import selection
from disdat.api.selection import ContextLike
from disdat.errors import InvalidInput

if TYPE_CHECKING:  # they bring in sqlite3 and more, which importing the API must not
    from disdat.ops.gc import Done, Plan, Policy
    from disdat.ops.usage import Report


def gc(
    apply: bool = False,
    purge: bool = False,
    *,
    retention: timedelta | None = None,
    grace: timedelta | None = None,
) -> Plan | Done:
    """
    What nobody needs of the home's store: a plan, which changes nothing, or what was done about it.

    With *apply* it is moved to the trash, with *purge* what lay there for the *grace* is deleted for good. What was
    removed is needed for the *retention*. Both are by default as the settings say. While it works, writers wait.

    Raises:
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs; nothing was changed.
        Unavailable: Writers never stopped for long enough; nothing was changed.
        StorageError: The disk refused. What could not be done of single things is in the result's ``left``.
    """
    chosen = policy(retention, grace)
    step = ops.gc.Step
    steps = frozenset(each for each, wanted in ((step.APPLY, apply), (step.PURGE, purge)) if wanted)
    home = selection.home()
    return ops.gc.collect(home, chosen, steps) if steps else ops.gc.plan(home, chosen)


def du(local_context: ContextLike, names: str | Iterable[str] = (), *, versions: bool = False) -> Report:
    """
    What the bundles of *names*, or of all names, take, and what removing them would free, most first.

    With *versions* each version by itself.

    Raises:
        BundleNotFound: There is none of a name.
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
    """
    chosen = [names] if isinstance(names, str) else list(names)
    return ops.usage.usage(selection.context(local_context), chosen, policy(None, None), versions=versions)


def policy(retention: timedelta | None, grace: timedelta | None) -> Policy:
    """What is kept for how long; what is not given, as the settings say."""
    policy = ops.gc.Policy.of(config.load())
    if retention is not None:
        policy = replace(policy, retention_us=_microseconds(retention))
    return policy if grace is None else replace(policy, grace_us=_microseconds(grace))


def _microseconds(time: timedelta) -> int:
    if time < timedelta():
        raise InvalidInput(f"{time} is not a time to wait for", hint="give a timedelta of zero or more")
    return time // timedelta(microseconds=1)
