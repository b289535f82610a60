"""
Calls on a cluster of Dask's: each is a task of its scheduler, which says on which worker it runs.

Workers that have this home work in it. All others share nothing with this process but the remote of the context: what a
call reads is told and, where only this home has it, sent before; what it makes is staged there, and published here.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from distributed import Future

from disdat.errors import DisdatError
from disdat.pipeline.call import Call, Lane
from disdat.pipeline.executors import Sink
from disdat.pipeline.executors.link import Link, Message
from disdat.pipeline.executors.named import Wanted
from disdat.pipeline.executors.parcel import Answer
from disdat.pipeline.executors.pool import handle_record
from disdat.pipeline.executors.sending import Sender
from disdat.pipeline.outcome import Done, Ended, Failed, Lost

LOST_S = 60.0
"""So long calls wait for a worker where there is none left."""
GRACE_S = 10.0
"""So long workers have to end calls that nobody wants any more."""
AHEAD = 2
"""So many calls for each thread wait on the cluster, that it need not wait for us; what ends meanwhile is put in one
publication."""
_TICK_S = 1.0
"""So often it is looked which workers there are."""


@dataclass(slots=True, eq=False)
class _Open:
    """A call that was handed to the scheduler."""

    call: Call
    future: Future
    worker: str | None = None
    """The address of the worker it runs on; None as long as it does not."""
    has_ended: bool = False
    """Whether its worker says so."""
    ending: Lost | None = None
    """Why it is told to end."""


class Dask:
    """
    Runs calls on a cluster, which is asked for when there is a first call.

    With a *scheduler*, ``tcp://host:port``, its workers run as many calls at once as they have threads, but no more
    than *at_most*; else so many threads of this process do. Everywhere a call has a process for itself.
    """

    def __init__(self, sink: Sink, *, scheduler: str | None = None, at_most: int | None = None) -> None:
        self._sink = sink
        self._scheduler = scheduler
        self._at_most = at_most
        self._at_once = at_most or 1
        self._urgencies: set[float] = set()
        """The priorities of all calls so far."""
        self._fills_it = False
        """Whether the cluster's own threads are what limits how many calls run at once."""
        self._sender: Sender | None = None
        self._waiting: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._open: dict[str, _Open] = {}
        self._done: deque[Done] = deque()
        self._counted_s = 0.0
        self._had_workers_s = 0.0

    @property
    def slots(self) -> int:
        # What waits there keeps its place, whatever turns up that is more urgent.
        may_wait_there = self._fills_it and len(self._urgencies) <= 1
        return self._at_once * (1 + AHEAD) if may_wait_there else self._at_once

    def takes(self, call: Call) -> bool:
        return call.lane in {Lane.ANY, Lane.FRESH}

    def submit(self, call: Call) -> None:
        """
        Take a call on.

        Raises:
            Unavailable: The scheduler does not answer, or has no workers.
            InvalidInput: It has no such address.
        """
        if self._sender is None:
            self._sender = Sender(call, self._scheduler, self._at_once)
            self._count_workers(self._sender.link)
        self._urgencies.add(call.priority)
        heapq.heappush(self._waiting, (-call.priority, next(self._numbers), call))
        self._hand_out()

    def next(self, timeout_s: float | None = None) -> Done | None:
        """
        Whichever call ends next.

        Raises:
            NotConfigured: Workers share nothing with this home, and the context has no remote.
            Unavailable: The scheduler is gone, or the remote does not answer.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._done and (self._waiting or self._open):
            self._look(_TICK_S if until_s is None else until_s - time.monotonic())
            self._hand_out()
            if until_s is not None and until_s <= time.monotonic():
                break
        return self._done.popleft() if self._done else None

    def cancel(self, call_id: str) -> None:
        lost = Lost("cancelled", "cancelled")
        kept = [each for each in self._waiting if each[2].id != call_id]
        if len(kept) < len(self._waiting):
            heapq.heapify(kept)
            self._waiting = kept
            self._done.append(Done(call_id, lost))
        if call_id in self._open:
            self._end(self._open[call_id], lost)

    def close(self) -> None:
        self._waiting.clear()
        if self._sender is None:
            return
        sender = self._sender
        try:
            for each in list(self._open.values()):
                self._end(each, Lost("cancelled", "cancelled"))
            until_s = time.monotonic() + GRACE_S
            while self._open and (left_s := until_s - time.monotonic()) > 0:
                self._look(left_s)
        finally:
            self._sender = None
            self._open.clear()
            sender.close()

    def _hand_out(self) -> None:
        while self._waiting and len(self._open) < self.slots:
            _, _, call = heapq.heappop(self._waiting)
            self._hand(call)

    def _hand(self, call: Call, *, lacked: Sequence[str] = (), by: str | None = None) -> None:
        """
        Send a call to the cluster, unless it turns out that nothing is to be run for it.

        What was *lacked* goes to whom it was lacked *by*: who lacks it again would hold up the next call, too.
        """
        assert self._sender is not None
        self._sender.provide(call, lacked)
        try:
            sent = self._sender.send(call, lacked, by)
        except DisdatError as exc:
            sent = Done(call.id, Failed(str(exc), ""))
        if isinstance(sent, Done):
            self._done.append(sent)
        else:
            self._open[call.id] = _Open(call, sent)

    def _end(self, each: _Open, lost: Lost) -> None:
        """Have a call ended. Where it runs it is not done before its worker says so."""
        each.ending = each.ending or lost
        each.future.cancel()
        if each.worker is None or each.has_ended:
            self._finish(each, each.ending)

    def _lose(self, each: _Open, why: str) -> None:
        """Give up a call that nobody runs any more; if its worker is there after all, it ends it."""
        each.future.cancel()
        self._finish(each, each.ending or Lost("died", why))

    def _finish(self, each: _Open, ended: Ended) -> None:
        del self._open[each.call.id]
        self._done.append(Done(each.call.id, ended))

    def _look(self, left_s: float) -> None:
        """Wait until something is told, and see to it and to all else that was."""
        assert self._sender is not None
        ended: list[_Open] = []
        for message in self._sender.link.hear(min(left_s, _TICK_S)):
            each = self._open.get(message["call"])
            if each is not None and message.get("future") is each.future:
                ended += [each] if each.ending is None else []
            elif each is not None:
                self._take(each, message)
        self._collect([each for each in ended if each.call.id in self._open])
        if time.monotonic() - self._counted_s > _TICK_S:
            self._sender.renew()
            self._count_workers(self._sender.link)

    def _take(self, each: _Open, message: Message) -> None:
        match message:
            case {"began": address} if each.worker is None:
                each.worker = address
                self._sink.began(each.call.id)
            case {"began": _}:
                # Dask runs it anew, as its worker is gone. What it did there nobody knows: who may retry it does so.
                self._lose(each, f"the worker {each.worker} was lost")
            case {"wrote": [stream, text]}:
                self._sink.wrote(each.call.id, stream, text)
            case {"moved": [way, done_bytes, total_bytes]}:
                self._sink.moved(each.call.id, way, done_bytes, total_bytes)
            case {"logged": record}:
                handle_record(record)
            case {"ended": _}:
                each.has_ended = True
                if each.ending is not None:
                    self._finish(each, each.ending)

    def _collect(self, ended: Sequence[_Open]) -> None:
        assert self._sender is not None
        made: list[tuple[Done, bytes | None]] = []
        for each, answer in zip(ended, self._sender.link.answers([each.future for each in ended]), strict=True):
            if not isinstance(answer, Answer):
                self._finish(each, answer)
            elif answer.done is None:
                del self._open[each.call.id]
                self._hand(each.call, lacked=answer.needs, by=answer.worker)
            else:
                del self._open[each.call.id]
                made.append((answer.done, answer.made))
        self._done.extend(self._sender.have(made))

    def _count_workers(self, link: Link) -> None:
        threads = link.threads()
        self._counted_s = time.monotonic()
        if threads:
            self._had_workers_s = self._counted_s
            there, most = sum(threads.values()), self._at_most or sys.maxsize
            self._at_once, self._fills_it = min(there, most), there <= most
        for each in list(self._open.values()):
            if threads and each.worker is not None and each.worker not in threads:
                self._lose(each, f"the worker {each.worker} was lost")
            elif self._counted_s - self._had_workers_s > LOST_S:
                self._lose(each, f"no worker is left; waited {LOST_S:g} seconds for one")


def opened(sink: Sink, wanted: Wanted) -> Dask:
    """One as an apply asks for it."""
    return Dask(sink, scheduler=wanted.scheduler, at_most=wanted.workers)
