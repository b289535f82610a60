"""
Which task is next: the tasks of a run, what they wait for, and of those that can run the most urgent.

The order, the statuses and the use of resources are those of Luigi's scheduler with one worker; an answer here takes
time that does not grow with the number of tasks. Nothing is run here, and there is no clock.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter

_Wants = tuple[tuple[str, int], ...]


class Status(StrEnum):
    """What Luigi calls it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    """It waits until it is tried again, or was not to be tried again."""
    DISABLED = "DISABLED"
    """It is switched off, or failed as often as it may."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task: what must be done before it, how urgent it is, and what it takes while it runs."""

    id: str
    needs: Collection[str] = ()
    priority: float = 0
    """Of two that can run the higher one is taken, then the one that was added first; it counts for its needs too."""
    resources: Mapping[str, int] = field(default_factory=dict)
    attempts: int | None = None
    """So often it may fail before it is disabled; None: once, and then it has failed."""
    is_disabled: bool = False


@dataclass(slots=True, eq=False)
class _Entry:
    job: Job
    number: int
    priority: float
    wants: _Wants
    status: Status
    open_needs: set[str]
    failures: int = 0

    @property
    def rank(self) -> tuple[float, int]:
        """What sorts the least urgent first."""
        return self.priority, -self.number


_rank = attrgetter("rank")


class Board:
    """
    The tasks of one run.

    *limits* says how much there is of each resource, 1 where it says nothing; *slots* how many tasks run at once, as
    far as that decides for whom a resource is kept. A task that failed is tried again *retry_delay_s* later.
    """

    def __init__(self, *, slots: int = 1, limits: Mapping[str, int] | None = None, retry_delay_s: float = 0) -> None:
        self._slots = slots
        self._limits = limits or {}
        self._retry_delay_s = retry_delay_s
        self._entries: dict[str, _Entry] = {}
        self._needed_by: dict[str, list[_Entry]] = {}
        self._ready: dict[_Wants, list[_Entry]] = {}
        self._running: dict[str, _Entry] = {}
        self._resting: list[tuple[float, int, _Entry]] = []

    def add(self, job: Job) -> None:
        """Take in a task; what it needs may be added later, and counts as not done until it is."""
        status = Status.DISABLED if job.is_disabled else Status.PENDING
        wants = tuple(sorted(job.resources.items()))
        entry = _Entry(job, len(self._entries), job.priority, wants, status, set())
        self._entries[job.id] = entry
        for waiting in self._needed_by.get(job.id, ()):
            entry.priority = max(entry.priority, waiting.priority)
        self._wait_for(entry, job.needs)

    def take(self, now_s: float = 0) -> str | None:
        """The next task, which runs from now on; None where none can."""
        self._wake(now_s)
        entry = self._next()
        return None if entry is None else self.start(entry.job.id)

    def start(self, job_id: str) -> str:
        """A task that can run does, from now on."""
        entry = self._entries[job_id]
        self._withdraw(entry)
        entry.status = Status.RUNNING
        self._running[job_id] = entry
        return job_id

    def finish(self, job_id: str) -> None:
        """A task is done: what lacked nothing else can run now."""
        self._stop(job_id).status = Status.DONE
        for entry in self._needed_by.pop(job_id, ()):
            entry.open_needs.discard(job_id)
            self._offer(entry)

    def reopen(self, job_id: str) -> None:
        """A task that was done is to run again."""
        entry = self._entries[job_id]
        entry.status = Status.PENDING
        self._offer(entry)

    def fail(self, job_id: str, now_s: float = 0) -> Status:
        """A task failed: FAILED, where it is tried again, or could not be; else DISABLED."""
        entry = self._stop(job_id)
        entry.failures += 1
        entry.status = Status.FAILED
        if entry.job.attempts is None:
            return entry.status
        if entry.failures >= entry.job.attempts:
            entry.status = Status.DISABLED
        else:
            heapq.heappush(self._resting, (now_s + self._retry_delay_s, entry.number, entry))
        return entry.status

    def suspend(self, job_id: str, needs: Collection[str]) -> None:
        """A task stopped, and is to run again when these are done too; they may be added later."""
        entry = self._stop(job_id)
        entry.status = Status.PENDING
        self._wait_for(entry, needs)

    def status(self, job_id: str) -> Status:
        """What a task is now."""
        return self._entries[job_id].status

    @property
    def running(self) -> Collection[str]:
        """The tasks that run."""
        return self._running.keys()

    @property
    def has_ready(self) -> bool:
        """Whether a task could run if there is enough of what it takes."""
        return bool(self._ready)

    def wakes_at_s(self) -> float | None:
        """When :meth:`take` may have something though nothing ended; None where that cannot be."""
        return self._resting[0][0] if self._resting else None

    def close(self) -> None:
        """Nothing runs any more."""

    def _wait_for(self, entry: _Entry, needs: Collection[str]) -> None:
        for need in needs:
            known = self._entries.get(need)
            if known is None or known.status is not Status.DONE:
                entry.open_needs.add(need)
                self._needed_by.setdefault(need, []).append(entry)
        self._urge(entry)
        self._offer(entry)

    def _urge(self, entry: _Entry) -> None:
        """Make all that *entry* waits for at least as urgent as it is."""
        stack = [entry]
        while stack:
            above = stack.pop()
            for need in above.open_needs:
                below = self._entries.get(need)
                if below is not None and below.priority < above.priority:
                    self._withdraw(below)
                    below.priority = above.priority
                    self._offer(below)
                    stack.append(below)

    def _offer(self, entry: _Entry) -> None:
        if entry.status is Status.PENDING and not entry.open_needs:
            insort(self._ready.setdefault(entry.wants, []), entry, key=_rank)

    def _withdraw(self, entry: _Entry) -> None:
        group = self._ready.get(entry.wants, [])
        place = bisect_left(group, entry.rank, key=_rank)
        if place < len(group) and group[place] is entry:
            del group[place]
            if not group:
                del self._ready[entry.wants]

    def _stop(self, job_id: str) -> _Entry:
        return self._running.pop(job_id)

    def _wake(self, now_s: float) -> None:
        while self._resting and self._resting[0][0] <= now_s:
            _, _, entry = heapq.heappop(self._resting)
            entry.status = Status.PENDING
            self._offer(entry)
            self._again(entry.job.id)

    def _again(self, job_id: str) -> None:
        """A task that failed can run again."""

    def _next(self) -> _Entry | None:
        """
        The most urgent one that can run.

        One that lacks a resource keeps it from what is less urgent, as far as there are slots it could run in: else
        it might never get it.
        """
        if self._ready.keys() <= {()}:
            return self._ready[()][-1] if self._ready else None
        used = _total(self._running.values())
        kept: Counter[str] = Counter()
        slots, hopeless = self._slots, set[_Wants]()
        for entry in self._by_rank(hopeless):
            if entry.status is Status.RUNNING:
                slots -= 1
                kept.update(entry.job.resources)
            elif not self._has(entry, kept):
                hopeless.add(entry.wants)
            elif self._has(entry, used):
                return entry
            elif slots > 0:
                slots -= 1
                kept.update(entry.job.resources)
            else:
                hopeless.add(entry.wants)
        return None

    def _by_rank(self, hopeless: Collection[_Wants]) -> Iterator[_Entry]:
        """What runs and what could, the most urgent first; of what wants the same no more, once that is hopeless."""

        def each(group: list[_Entry]) -> Iterator[_Entry]:
            for entry in reversed(group):
                if entry.wants in hopeless:
                    return
                yield entry

        running = sorted(self._running.values(), key=_rank, reverse=True)
        return heapq.merge(running, *map(each, self._ready.values()), key=_rank, reverse=True)

    def _has(self, entry: _Entry, taken: Mapping[str, int]) -> bool:
        return all(amount + taken.get(name, 0) <= self._limits.get(name, 1) for name, amount in entry.wants)


def _total(entries: Collection[_Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.job.resources)
    return total
