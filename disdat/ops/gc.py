"""
Collection: what nobody needs goes to the trash, and from there, after a while, for good.

:func:`plan` says what would be done and why, and changes nothing. :func:`collect` marks again while nobody can add to
the store, and does it. What is needed is decided in :mod:`disdat.core.reach` and gathered in :mod:`disdat.ops.marks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from disdat import config
from disdat.catalog.keeping import Keeping
from disdat.context import Home
from disdat.core import reach
from disdat.core.digest import Digest
from disdat.core.reach import Fate, Owner, Tally, Verdict
from disdat.durable import storage_errors
from disdat.ops import everywhere
from disdat.ops.everywhere import Asked, Asking, Purged
from disdat.ops.marks import Amount, Found, Marks
from disdat.ops.trashed import Judgement, TrashJudge
from disdat.store import leases
from disdat.store.collect import IN_FILE, Left, portions
from disdat.store.leases import Live
from disdat.store.peek import Peek
from disdat.store.trash import Thing

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOGETHER = 1000
_MOST_REASONS = 1000
_S = 1_000_000

Progress = Callable[[str], None]
"""Told what is being done."""


class Step(Enum):
    """What :func:`collect` is to do."""

    APPLY = "apply"
    """Move what nobody needs to the trash."""
    PURGE = "purge"
    """Delete what lay in the trash for the grace."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long what was removed is kept, and how long it then lies in the trash; µs."""

    retention_us: int
    grace_us: int

    @classmethod
    def of(cls, settings: config.Settings) -> Policy:
        """What the settings say."""
        return cls(settings.gc_retention_s * _S, settings.gc_grace_s * _S)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A directory of a bundle that is not in its context."""

    context: str
    path: Path


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """
    What becomes of one object, and why: :attr:`owner` needs it, or was the last that did, or nobody ever did.

    Kept without being needed is what lies in a pack of which most is needed.
    """

    digest: Digest
    size_bytes: int
    fate: Fate
    owner: Owner | None
    needed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection would do to a home, or found when it began."""

    policy: Policy
    contexts: tuple[str, ...]
    deleted: int
    """Contexts in the trash, whose bundles are kept until they are purged."""
    history: int
    """Bundles that were removed, and are kept for the retention."""
    kept: Amount
    garbage: Amount
    """Objects nobody needs."""
    staying: Amount
    """Of these, what stays because most of its pack is needed."""
    files: Amount
    """Objects with files of their own that go."""
    packs: Amount
    """Packs that go, nothing of which is needed; bytes are of their objects."""
    rewritten: Amount
    """Packs that are written anew; bytes are those that are gained."""
    reasons: tuple[tuple[Owner | None, Amount], ...]
    """Who last needed the garbage, those of most bytes first, at most 1,000; None for what no bundle ever needed."""
    other_reasons: int
    """How many more there are."""
    staged: Amount
    orphans: tuple[Orphan, ...]
    open: tuple[Live, ...]
    """Bundles somebody is writing now."""
    trash: Mapping[Verdict, Amount]
    """What becomes of the things in it; nothing of what there is nothing of."""
    missing: int
    """Objects that bundles need and that are nowhere: `dsdt verify` finds whose."""
    left: tuple[Left, ...] = ()
    """What cannot be collected."""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to move to the trash."""
        return not (self.files.count or self.packs.count or self.rewritten.count or self.staged.count or self.orphans)

    def trashed(self, verdict: Verdict) -> Amount:
        """What of the trash this becomes of."""
        return self.trash.get(verdict, Amount())

    @property
    def in_trash(self) -> Amount:
        """All that is in the trash."""
        return sum(self.trash.values(), Amount())


@dataclass(frozen=True, slots=True)
class Done:
    """What a collection found and did."""

    plan: Plan
    moved: bool
    purged: Amount | None
    """What was deleted for good; None where that was not asked for."""
    taken_back: int
    left: tuple[Left, ...]
    """What could not be moved, taken back or deleted; the next collection tries again."""


def plan(
    home: Home, policy: Policy, *, each: Callable[[ObjectPlan], None] | None = None, progress: Progress | None = None
) -> Plan:
    """
    What a collection would do now; *each* is told of every object, those that somebody needs first.

    Changes nothing but what reading changes, and works on a home that cannot be written. What others write meanwhile
    may look as if nobody needed it: :func:`collect` looks again when nobody writes.

    Raises:
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs, so nothing may be collected.
        StorageError: The disk refused.
    """
    with Collection(home, policy, progress).marked() as found, found.judged() as trash:
        made = found.planned(trash)
        if each is not None:
            for one in found.objects():
                each(one)
        return made


def collect(home: Home, policy: Policy, steps: frozenset[Step], *, progress: Progress | None = None) -> Done:
    """
    Collect, while nobody can add to the store: writers wait, readers do not.

    What is needed and lies in the trash is taken back in any case. It may be killed at any moment: no bundle loses
    anything, and the next collection goes on.

    Raises:
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs; nothing was changed.
        Unavailable: Writers never stopped for long enough; nothing was changed.
        StorageError: The disk refused; PermissionDenied where the home may not be written. Some may be done.
    """
    home.ensure()
    run = Collection(home, policy, progress)
    run.collector.make()
    run.say("waiting until nobody writes")
    with run.collector.alone():
        run.collector.trash.check()
        without = run.expired() if Step.PURGE in steps else ()
        with run.marked_for_good(without, refold=run.may_delete(steps)) as found, found.judged() as trash:
            made = found.planned(trash)
            left = found.take_back(trash)
            taken_back = made.trashed(Verdict.TAKEN_BACK).count - len(left)
            found.note_unknown(trash)
            purged = Amount()
            if Step.PURGE in steps:
                left += run.collector.finish_deleting()
                purged += run.purge(trash, left)
            if Step.APPLY in steps:
                left += found.apply(made)
            if steps == {Step.APPLY, Step.PURGE}:
                with found.judged() as trash_now:
                    purged += run.purge(trash_now, left)  # without a grace, what was moved just now
            return Done(made, Step.APPLY in steps, purged if Step.PURGE in steps else None, taken_back, tuple(left))


class Collection:
    """One collection."""

    def __init__(self, home: Home, policy: Policy, progress: Progress | None = None) -> None:
        self.home = home
        self.policy = policy
        self.say: Progress = progress or (lambda _: None)
        self.collector = home.store.collector(clock_us=home.clock_us)
        self.now_us = home.clock_us()

    def marked(self) -> AbstractContextManager[Marked]:
        """All that the contexts there are now need, for who changes nothing."""
        return self._marked(Asking.of(self.home, self.collector))

    def marked_for_good(self, without: Sequence[Path], *, refold: bool) -> AbstractContextManager[Marked]:
        """
        All that the contexts there are need, but those in the trash that are about to be purged, for who is alone.

        With *refold* that is what their logs say, which takes longer, for who is about to delete.
        """
        return self._marked(Asking.of(self.home, self.collector, settled=True, refold=refold), without)

    @contextmanager
    def _marked(self, asking: Asking, without: Sequence[Path] = ()) -> Iterator[Marked]:
        peek = asking.peek
        with (
            everywhere.contexts(asking, without=without) as contexts,
            Marks(peek, now_us=self.now_us, retention_us=self.policy.retention_us) as marks,
        ):

            def add(context: Asked, keeping: Keeping) -> None:
                self.say(f"asking the context {context.name} what it needs")
                marks.add(context.name, keeping, lost=context.check_elsewhere)

            everywhere.ask_all(contexts, add)
            self.say("looking at the store")
            found = marks.sort(self.collector.here, is_missing=partial(_is_missing, peek, contexts))
            if found.garbage.count:
                self.say("looking for what needed it last")
                everywhere.ask_all(contexts, lambda context, keeping: marks.explain(context.name, keeping))
            yield Marked(self, contexts, peek, marks, found)

    def expired(self) -> list[Path]:
        """The contexts that lay in the trash for the grace: their bundles count no more."""
        return [path for path, since_us in self.collector.trash.contexts() if self._is_expired(since_us)]

    def may_delete(self, steps: frozenset[Step]) -> bool:
        """Whether something may be deleted for good, as far as can be told before it is known what is needed."""
        if Step.PURGE not in steps:
            return False
        at_once = Step.APPLY in steps and self.policy.grace_us == 0
        return at_once or any(
            thing.since_us is not None and self._is_expired(thing.since_us) for thing in self.collector.trash.things()
        )

    def _is_expired(self, since_us: int) -> bool:
        verdict = reach.verdict(needed=False, since_us=since_us, now_us=self.now_us, grace_us=self.policy.grace_us)
        return verdict is Verdict.PURGED

    def purge(self, trash: Judgement, left: list[Left]) -> Amount:
        """Delete for good what is to be; what stays is added to *left*."""
        purged = Amount()
        going = (each for each in trash.of(Verdict.PURGED) if each.thing.path.exists())
        for some in portions(going, _TOGETHER):
            left += self.collector.purge([each.thing.path for each in some])
            purged += sum((Amount(1, each.size_bytes) for each in some if self._is_deleted(each.thing)), Amount())
        left += self.collector.drop_notes()
        return purged

    def _is_deleted(self, thing: Thing) -> bool:
        return not (thing.path.exists() or self.collector.trash.going_path(thing.path).exists())


@dataclass(frozen=True, slots=True)
class Marked:
    """What a collection found; for as long as it is being made."""

    run: Collection
    contexts: Sequence[Asked]
    peek: Peek
    marks: Marks
    sorted: Found

    def planned(self, trash: Judgement) -> Plan:
        collector, tallies = self.run.collector, self.sorted.tallies
        packs = {place: tally for place, tally in tallies.items() if place != IN_FILE}
        dead = [tally for tally in packs.values() if tally.fate is Fate.TRASHED]
        mixed = [tally for tally in packs.values() if tally.fate is Fate.REWRITTEN]
        in_files = tallies.get(IN_FILE, Tally())
        staying = [tally for tally in packs.values() if tally.fate is Fate.KEPT]
        return Plan(
            policy=self.run.policy,
            contexts=tuple(each.name for each in self.contexts if not each.is_deleted),
            deleted=sum(each.is_deleted for each in self.contexts),
            history=self.marks.history(),
            kept=self.sorted.kept,
            garbage=self.sorted.garbage,
            staying=Amount(sum(t.dead for t in staying), sum(t.dead_bytes for t in staying)),
            files=Amount(in_files.dead, in_files.dead_bytes),
            packs=Amount(len(dead), sum(tally.dead_bytes for tally in dead)),
            rewritten=Amount(len(mixed), sum(tally.dead_bytes for tally in mixed)),
            reasons=tuple(self.marks.reasons(limit=_MOST_REASONS)),
            other_reasons=max(0, self.marks.reasons_count() - _MOST_REASONS),
            staged=sum((Amount(1, size_bytes) for _, size_bytes in collector.staged()), Amount()),
            orphans=tuple(self._orphans()),
            open=tuple(self._leases()),
            trash=trash.amounts,
            missing=self.sorted.missing,
            left=tuple(collector.unreadable_packs()),
        )

    def judged(self) -> Judgement:
        """What becomes of the trash as it is now."""
        return Judgement(self.judge.each(self.run.collector.trash.things()))

    @property
    def judge(self) -> TrashJudge:
        """Who says what becomes of something in the trash."""
        run, missing = self.run, self.sorted.missing
        return TrashJudge(run.collector, self.marks, missing=missing, now_us=run.now_us, grace_us=run.policy.grace_us)

    def objects(self) -> Iterator[ObjectPlan]:
        """Every object, those that somebody needs first."""
        tallies = self.sorted.tallies
        for digest, size_bytes, owner in self.marks.kept(self.run.collector.here):
            yield ObjectPlan(digest, size_bytes, Fate.KEPT, owner, needed=True)
        for digest, place, size_bytes, last in self.marks.garbage():
            yield ObjectPlan(digest, size_bytes, fate_in(tallies, place), last, needed=False)

    def take_back(self, trash: Judgement) -> list[Left]:
        """Move back to the store what is needed; what stays."""
        if Verdict.TAKEN_BACK not in trash.amounts:
            return []
        return self.run.collector.take_back(each.thing for each in trash.of(Verdict.TAKEN_BACK))

    def note_unknown(self, trash: Judgement) -> None:
        """Let the grace of what came to the trash nobody knows when begin."""
        self.run.collector.note_since_now(each.thing for each in trash.of(Verdict.WAITS))

    def apply(self, plan: Plan) -> list[Left]:
        """Move to the trash what nobody needs, directories last: others made what is in them; what stays."""
        collector = self.run.collector
        self.run.say("moving what nobody needs to the trash")
        names = collector.pack_names()
        by_fate = {fate: [names[p] for p, t in self.sorted.tallies.items() if p and t.fate is fate] for fate in Fate}
        left = collector.clear_staging()
        leases.live(self.run.home.root / "store" / "leases", disk=self.run.home.disk)  # removes those of the dead
        left += collector.move_objects(digest for digest, *_ in self.marks.garbage(place=IN_FILE))
        left += collector.move_packs(by_fate[Fate.TRASHED], self.marks.needed)
        left += collector.rewrite(by_fate[Fate.REWRITTEN], self.marks.needed)
        return left + collector.move_bundles((each.context, each.path) for each in plan.orphans)

    def _leases(self) -> list[Live]:
        return leases.held(self.run.home.root / "store" / "leases")

    def _orphans(self) -> Iterator[Orphan]:
        """
        The directories of bundles that are neither present nor being written.

        In this order: a writer makes its directory when it has its lease, and ends that when its bundle is present.
        """
        directories = {each: _bundle_directories(each.directory) for each in self.contexts if not each.is_deleted}
        writing = {live.uuid for live in self._leases()}
        for context, paths in directories.items():
            for some in portions((path for path in paths if path.name not in writing), _TOGETHER):
                with suppress(Purged):  # and its directories with it
                    present = context.present([path.name for path in some])
                    yield from (Orphan(context.name, path) for path in some if path.name not in present)


def _is_missing(peek: Peek, contexts: Sequence[Asked], digest: Digest) -> bool:
    return not (peek.trashed_in(digest) or any(each.on_remote([digest]) for each in contexts))


def fate_in(tallies: Mapping[int, Tally], place: int) -> Fate:
    """
    What becomes of an object that nobody needs, by where it is: it stays where most of its pack is needed.

    One in a pack that was written since the store was looked at stays too.
    """
    stays = place != IN_FILE and (place not in tallies or tallies[place].fate is Fate.KEPT)
    return Fate.KEPT if stays else Fate.TRASHED


def _bundle_directories(context: Path) -> list[Path]:
    directory = context / "objects"
    with storage_errors(f"list {directory}"):
        found = sorted(directory.iterdir()) if directory.is_dir() else []
        return [path for path in found if _UUID.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]
