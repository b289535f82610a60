"""
Collection on a remote: what no bundle of any context there needs is condemned, and after a while deleted.

How that is safe beside pushes, and beside other collections, is in :mod:`disdat.remote.collecting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from disdat.context import Context, Home
from disdat.core import event
from disdat.core.digest import ALGORITHM, Digest
from disdat.core.places import path_of_key
from disdat.core.publication import Dropped, Said
from disdat.errors import Conflict
from disdat.ops import releasing, remotemarks, runs
from disdat.ops.gc import Policy
from disdat.ops.marks import Amount
from disdat.ops.remotemarks import Remote, Say
from disdat.remote import collecting, condemned, leases
from disdat.remote.collecting import Keys, Lists, Turn
from disdat.remote.condemned import Condemned, Listed
from disdat.remote.mirror import Overdue
from disdat.store.backend import Backend
from disdat.store.backend import Stored as Kept

_HOUR_US = 3_600_000_000
_Bundle: TypeAlias = "tuple[str, str]"
"""A bundle by its remote context and its uuid."""
_PORTION = 5000
"""So many places are said to be gone in one publication."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one collection condemned and is not deleted yet, and why."""

    id: str
    keys: int
    why: str


@dataclass(frozen=True, slots=True)
class Unpushed:
    """What is kept for the bundles of one home that it did not push yet; and since when, µs since the epoch."""

    home: str
    bundles: int
    files: Amount
    since_us: int


@dataclass(frozen=True, slots=True)
class RemotePlan:
    """What a collection would find on a remote."""

    url: str
    policy: Policy
    contexts: tuple[str, ...]
    kept: Amount
    """What somebody needs."""
    young: Amount
    """What nobody needs, and was written within the grace: a push may be about to publish it."""
    garbage: Amount
    """What nobody needs, and is on no list yet."""
    waiting: tuple[Waiting, ...]
    shares: int
    """What was shared for a time that is over."""
    missing: int
    """Objects that bundles need and that nobody published a place of."""
    unpublished: tuple[Unpushed, ...]
    """What is kept for bundles that were not pushed yet."""


@dataclass(frozen=True, slots=True)
class RemoteDone:
    """What a collection found and did."""

    plan: RemotePlan
    """What was left to find after all that was due was deleted."""
    condemned: int
    deleted: int
    spared: int
    """What had been condemned, and is needed by now, or was sent again."""
    overtaken: bool
    """Whether another collection took over."""
    released: int
    """The bundles of which it was said that nobody is going to push them."""


def plan(context: Context, policy: Policy, *, say: Say = lambda _: None) -> RemotePlan:
    """
    What a collection of the remote of a context would find; changes nothing.

    Raises:
        NotConfigured: The context has no remote.
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs.
    """
    backend = context.remote.backend
    with remotemarks.opened(backend, context.home, say) as remote, Keys() as keys:
        remote.fetch()
        now_us = context.home.clock_us()
        missing = remote.mark(keys, policy, now_us=now_us)
        keys.look(backend)
        return _planned(remote, keys, policy, missing, now_us)


def collect(
    context: Context, policy: Policy, *, forget: Set[str] = frozenset(), say: Say = lambda _: None
) -> RemoteDone:
    """
    Collect on the remote of a context: delete what was condemned long enough ago, and condemn what nobody needs.

    Others may push, fetch and collect meanwhile; who is cut off at any moment is gone on with by the next one. Nothing
    that is published, or counted on by who is about to publish, is deleted; nor are files that a home has there of
    bundles it did not push yet, unless it has these no more or, by its id, is one to *forget*.

    Raises:
        NotConfigured: The context has no remote.
        InvalidInput: A home to forget is this one, or has no such files.
        Unsupported: It has no conditional writes.
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs; nothing was deleted.
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    context.remote.check()
    backend, home = context.remote.backend, context.home
    lists = Lists(backend, by=event.ulid(home.clock_us()), clock_us=home.clock_us)
    lists.check_able()
    with remotemarks.opened(backend, home, say) as remote, Keys() as keys:
        # First whether all can be understood: who cannot tell what is needed takes no turn.
        remote.fetch()
        lists.hear()
        released = _release(remote, home, policy, forget, lists.now_us())
        return replace(Collection(remote, keys, lists, policy, say).run(), released=released)


def _release(remote: Remote, home: Home, policy: Policy, forget: Set[str], now_us: int) -> int:
    """Say of which bundles files need not be kept any more; of how many."""
    gone = releasing.chosen(home, remote.unpublished(), policy, forget=forget)
    return releasing.release(remote, gone, now_us=now_us)


class Collection:
    """One collection of a remote that was read already."""

    def __init__(self, remote: Remote, keys: Keys, lists: Lists, policy: Policy, say: Say) -> None:
        self._remote = remote
        self._backend: Backend = remote.backend
        self._keys = keys
        self._lists = lists
        self._policy = policy
        self._say = say
        self._deleted = self._spared = 0

    def run(self) -> RemoteDone:
        self._lists.settle()
        turns = self._lists.due(grace_us=self._policy.grace_us)
        # What is published is listed after the leases: a push publishes first, and then ends its lease.
        self._remote.fetch()
        missing = self._remote.mark(self._keys, self._policy, now_us=self._lists.now_us())
        self._keys.look(self._backend)
        overtaken = False
        for turn in turns:
            try:
                self._finish(turn)
            except (Conflict, Overdue):
                overtaken = True
        self._keys.look(self._backend)
        self._clear()
        found = _planned(self._remote, self._keys, self._policy, missing, self._lists.now_us())
        self._say("condemning what nobody needs")
        condemning = (each.key for each in _garbage(self._keys, self._policy, self._now()))
        count = self._lists.condemn(condemning)
        return RemoteDone(found, count, self._deleted, self._spared, overtaken, released=0)

    def _now(self) -> int:
        return self._lists.now_us()

    def _finish(self, turn: Turn) -> None:
        """Delete what is on a list and nobody needs; say so first, so that nobody counts on it."""
        before = turn.listed.condemned
        spared = {key for key in before.keys if self._keys.is_needed(key) or self._is_newer(key, before)}
        turn = self._lists.strike(turn, spared)
        self._spared += len(spared)
        self._say(f"deleting {len(turn.listed.condemned.keys):,} objects and packs")
        turn = self._drop(turn)
        self._lists.delete(turn, told=self._count)

    def _count(self, keys: int) -> None:
        self._deleted += keys

    def _is_newer(self, key: str, listed: Condemned) -> bool:
        """Whether something was written after all who push could know that it is condemned: by one who needs it."""
        modified_us = self._keys.modified_us(key)
        return modified_us is not None and listed.since_us is not None and modified_us >= listed.since_us

    def _drop(self, turn: Turn) -> Turn:
        """Publish, in each context that knows of them, that these are gone."""
        for name, view in self._remote.views.items():
            known = sorted(view.known.containing(sorted(turn.listed.condemned.keys)))
            for start in range(0, len(known), _PORTION):
                turn = self._lists.go_on(turn)
                said = Said(dropped=dropped(known[start : start + _PORTION], name))
                view.mirror.heard(self._lists.now_us())
                # After all that say the contrary, be their clocks ahead; before anybody else may take over.
                after_us = view.known.newest_us() + 1000
                view.mirror.publish(said, actor=runs.actor(), after_us=after_us, until_us=turn.until_us)
        return turn

    def _clear(self) -> None:
        """Delete what was shared for a time that is over, and leases that nobody ended."""
        now_us = self._now()
        self._backend.delete_many(collecting.expired_shares(self._backend, now_us=now_us))
        self._backend.delete_many(each.key for each in leases.ended(self._backend, now_us=now_us))


def dropped(keys: Iterable[str], remote_context: str) -> Dropped:
    """What a publication of a remote context says of keys that go; those of other contexts' files are left out."""
    packs: list[str] = []
    objects: list[Digest] = []
    files: list[tuple[str, str]] = []
    own = f"context/{remote_context}/files/"
    for key in keys:
        if key.startswith("packs/"):
            packs.append(key.removeprefix("packs/").removesuffix(".pack"))
        elif key.startswith("objects/"):
            objects.append(Digest(f"{ALGORITHM}:{key.rpartition('/')[2]}"))
        elif key.startswith(own):
            uuid, _, path = key.removeprefix(own).partition("/")
            files.append((uuid, path_of_key(path)))
    return Dropped(tuple(packs), tuple(objects), tuple(files))


def _planned(remote: Remote, keys: Keys, policy: Policy, missing: int, now_us: int) -> RemotePlan:
    alive = {each.key for each in leases.live(remote.backend, now_us=now_us)}
    waiting = tuple(_waiting(each, alive, policy, now_us) for each in _noting(remote, keys))
    kept = young = garbage = Amount()
    unpushed = {(each.context, each.uuid): each for each in remote.unpublished()}
    files = dict.fromkeys(unpushed, Amount())
    for each in keys.kept():
        one = Amount(1, each.size_bytes)
        if (bundle := collecting.bundle_of(each.key)) in files:
            files[bundle] += one
        if keys.is_needed(each.key):
            kept += one
        elif keys.is_condemned(each.key):
            continue
        elif _is_old(each, policy, now_us):
            garbage += one
        else:
            young += one
    return RemotePlan(
        url=remote.backend.url,
        policy=policy,
        contexts=tuple(remote.views),
        kept=kept,
        young=young,
        garbage=garbage,
        waiting=waiting,
        shares=sum(1 for _ in collecting.expired_shares(remote.backend, now_us=now_us)),
        missing=missing,
        unpublished=tuple(_by_home(unpushed, files)),
    )


def _by_home(
    unpushed: Mapping[_Bundle, remotemarks.Unpublished], files: Mapping[_Bundle, Amount]
) -> Iterator[Unpushed]:
    for home in sorted({each.home for each in unpushed.values()}):
        of_home = [bundle for bundle, each in unpushed.items() if each.home == home]
        since_us = min(unpushed[bundle].since_us for bundle in of_home)
        yield Unpushed(home, len(of_home), sum((files[bundle] for bundle in of_home), Amount()), since_us)


def _garbage(keys: Keys, policy: Policy, now_us: int) -> Iterator[Kept]:
    """Yield what nobody needs, lay there for the grace, and is on no list."""
    for each in keys.kept():
        if _is_old(each, policy, now_us) and not keys.is_needed(each.key) and not keys.is_condemned(each.key):
            yield each


def _noting(remote: Remote, keys: Keys) -> Iterator[Listed]:
    """Yield all lists, and note what is on them."""
    keys.forget_condemned()
    for each in condemned.listed(remote.backend):
        keys.condemn(each.condemned.keys)
        yield each


def _is_old(kept: Kept, policy: Policy, now_us: int) -> bool:
    return now_us - kept.modified_us >= policy.grace_us


def _waiting(listed: Listed, alive: set[str], policy: Policy, now_us: int) -> Waiting:
    one = listed.condemned
    if one.deleting:
        why = "being deleted, or left so by a collection that died"
    elif one.since_us is None:
        why = "just made"
    elif one.leases & alive:
        why = "a push that began before it is still running, or left its lease"
    elif now_us - one.since_us < policy.grace_us:
        why = f"due in {max(1, round((policy.grace_us - now_us + one.since_us) / _HOUR_US))} h"
    else:
        why = "due"
    return Waiting(listed.key.rpartition("/")[2].removesuffix(".json"), len(one.keys), why)
