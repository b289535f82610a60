"""
Bundles of which files are on a remote before they are published, and which nobody is going to publish.

Collection leaves such files alone, for ever: only the home that has the bundle knows whether it is going to be pushed.
So a home that collects says which of its own it has no more; and of a home that does not come back, somebody says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set

from disdat.catalog.keeping import Keeping
from disdat.context import Home
from disdat.core import reach
from disdat.core.publication import Said
from disdat.errors import InvalidInput
from disdat.ops import everywhere, runs
from disdat.ops.everywhere import Asked, Asking
from disdat.ops.gc import Policy
from disdat.ops.remotemarks import Remote, Unpublished
from disdat.remote.remote import LOCK
from disdat.store.locks import FileLock


def chosen(
    home: Home, found: Iterable[Unpublished], policy: Policy, *, forget: Set[str] = frozenset()
) -> list[Unpublished]:
    """
    Those of some bundles that nobody is going to publish, as far as it can be told from here now.

    This home made them, or one to *forget*, by its id; and this one has them no more, or never had them, in whatever
    context. A copy of a home that is forgotten has its bundles too.

    Raises:
        InvalidInput: A home to forget is this one, or made none of them.
        Corrupt, ObjectNotFound: Some context cannot be asked.
    """
    listed = list(found)
    _check_known(listed, forget, own=home.known_id)
    own = [each for each in listed if each.home == home.known_id]
    candidates = [each for each in listed if each.home in forget]
    if own and _is_quiet(home):
        candidates += own
    had = _had(home, policy) if candidates else set()
    return [each for each in candidates if each.uuid not in had]


def _check_known(found: Sequence[Unpublished], homes: Set[str], *, own: str | None) -> None:
    if own in homes:
        raise InvalidInput(f"{own} is this home", hint="push its bundles, or remove them: that does it")
    if missing := homes - {each.home for each in found}:
        raise InvalidInput(
            f"no home {min(missing)} has files on the remote of bundles that were not pushed",
            hint="`dsdt gc --remote` lists those that have",
        )


def release(remote: Remote, some: Iterable[Unpublished], *, now_us: int) -> int:
    """Publish that nobody is going to publish bundles; how many. *now_us* is by the store's clock."""
    by_context: dict[str, list[str]] = defaultdict(list)
    for each in some:
        by_context[each.context].append(each.uuid)
    for name, uuids in by_context.items():
        view = remote.views[name]
        view.mirror.heard(now_us)
        after_us = view.known.newest_us() + 1000  # later than what says the contrary, be its clock ahead
        view.mirror.publish(Said(released=uuids), actor=runs.actor(), after_us=after_us)
    return sum(map(len, by_context.values()))


def _is_quiet(home: Home) -> bool:
    """
    Whether all that was published from here is in a log by now, or never will be.

    Who makes such a bundle holds this lock from before its files are published until it is in the log.
    """
    for name in home.context_names():
        path = home.context(name).directory / LOCK
        if path.exists():
            lock = FileLock(path, disk=home.disk)
            if not lock.try_exclusive():
                return False
            lock.release()
    return True


def _had(home: Home, policy: Policy) -> set[str]:
    """The bundles that any context has, or had within the retention."""
    asking = Asking.of(home, home.store.collector(clock_us=home.clock_us))
    found: set[str] = set()

    def look(_: Asked, keeping: Keeping) -> None:
        found.update(each.uuid for each in keeping.present())
        for gone in keeping.gone():
            if not reach.is_root(gone.since_us, now_us=home.clock_us(), retention_us=policy.retention_us):
                break  # the others went earlier
            found.add(gone.uuid)

    with everywhere.contexts(asking) as contexts:
        everywhere.ask_all(contexts, look)
    return found
