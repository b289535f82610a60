"""Reusable processes of this machine, each of which runs one call at a time."""

from __future__ import annotations

import heapq
import json
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import wait
from typing import Any

from disdat.pipeline.call import Call, Lane
from disdat.pipeline.executors import Sink, process
from disdat.pipeline.executors.named import Wanted
from disdat.pipeline.executors.process import Process
from disdat.pipeline.outcome import Done, Lost

Start = Callable[[], Process]
Handle = Callable[[Mapping[str, Any]], None]
"""Is given a log record of a worker, as JSON."""

GRACE_S = 5.0
"""So long a process that is told to end has to remove what its task began."""
_TICK_S = 0.5
"""So often those that run are looked at: a child of a task may keep the channel of a dead worker open."""


@dataclass(slots=True, eq=False)
class _Worker:
    process: Process
    is_forked: bool
    """Whether it has in memory what this process had."""
    is_fresh: bool
    """Whether it is there for one call only."""
    is_ready: bool = False
    call: Call | None = None
    deadline_s: float | None = None
    """When its call is out of time, or else, once it is told to end, when it is killed."""
    ending: Lost | None = None
    """Why it is told to end."""

    def can_take(self, call: Call) -> bool:
        is_idle = self.call is None and not self.is_fresh and self.ending is None
        return is_idle and call.lane is not Lane.FRESH and (call.lane is not Lane.KIN or self.is_forked)


class Pool:
    """
    So many worker processes, started when they are first needed, and replaced when they die.

    A worker is forked from this process where that is safe, and else started anew: then it must import the class of
    each task. With *start*, which starts one, none is forked; *handle* is given log records of workers.
    """

    def __init__(self, sink: Sink, slots: int, *, start: Start | None = None, handle: Handle | None = None) -> None:
        self._sink = sink
        self._slots = slots
        self._start = start
        self._handle = handle or handle_record
        self._workers: list[_Worker] = []
        self._waiting: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._done: deque[Done] = deque()

    @property
    def slots(self) -> int:
        return self._slots

    def takes(self, call: Call) -> bool:
        return call.lane in {Lane.ANY, Lane.FRESH} or (call.lane is Lane.KIN and process.can_fork())

    def submit(self, call: Call) -> None:
        heapq.heappush(self._waiting, (-call.priority, next(self._numbers), call))
        self._hand_out()

    def next(self, timeout_s: float | None = None) -> Done | None:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._done and (self._waiting or any(self._busy())):
            self._look(_TICK_S if until_s is None else max(0.0, until_s - time.monotonic()))
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
        for worker in self._busy():
            if worker.call is not None and worker.call.id == call_id:
                self._end(worker, lost)

    def close(self) -> None:
        """End all; who is at work may first remove what its task began."""
        self._waiting.clear()
        workers, self._workers = self._workers, []
        for worker in workers:
            if worker.call is not None:
                worker.process.terminate()
            worker.process.forget()
        until_s = time.monotonic() + GRACE_S
        for worker in workers:
            _exit_code(worker.process, until_s - time.monotonic())

    def _busy(self) -> Iterator[_Worker]:
        return (worker for worker in self._workers if worker.call is not None)

    def _hand_out(self) -> None:
        while self._waiting and sum(1 for _ in self._busy()) < self._slots:
            _, _, call = heapq.heappop(self._waiting)
            worker = self._worker_for(call)
            worker.call = call
            if worker.is_ready:
                self._begin(worker, call)
            with suppress(OSError):  # it just died, which is found out when it is next looked at
                worker.process.channel.send_bytes(json.dumps(call.to_json()).encode())

    def _worker_for(self, call: Call) -> _Worker:
        for worker in self._workers:
            if worker.can_take(call):
                return worker
        is_fresh = call.lane is Lane.FRESH
        is_forked = self._start is None and (call.lane is Lane.KIN or (not is_fresh and process.can_fork()))
        start = self._start or process.start
        started = process.fork([each.process for each in self._workers]) if is_forked else start()
        self._workers.append(_Worker(started, is_forked, is_fresh))
        return self._workers[-1]

    def _begin(self, worker: _Worker, call: Call) -> None:
        if call.timeout_s is not None:
            worker.deadline_s = time.monotonic() + call.timeout_s
        self._sink.began(call.id)

    def _look(self, left_s: float) -> None:
        """Wait until a worker tells something or must be ended, and see to it."""
        deadlines = [worker.deadline_s for worker in self._workers if worker.deadline_s is not None]
        until_due_s = min(deadlines, default=float("inf")) - time.monotonic()
        wait([worker.process.channel for worker in self._workers], max(0.0, min(left_s, until_due_s, _TICK_S)))
        for worker in list(self._workers):
            code = worker.process.exit_code()
            heard = self._hear(worker)
            if code is not None or not heard:
                self._bury(worker)
            elif worker.deadline_s is not None and worker.deadline_s <= time.monotonic():
                self._is_due(worker)

    def _hear(self, worker: _Worker) -> bool:
        """Take what a worker has told; False where it cannot tell any more."""
        try:
            while worker.process.channel.poll():
                self._take(worker, json.loads(worker.process.channel.recv_bytes()))
        except (EOFError, OSError):
            return False
        return True

    def _take(self, worker: _Worker, message: dict[str, Any]) -> None:  # JSON that a worker wrote
        match message:
            case {"wrote": [stream, text]} if worker.call is not None:
                self._sink.wrote(worker.call.id, stream, text)
            case {"moved": [way, done_bytes, total_bytes]} if worker.call is not None:
                self._sink.moved(worker.call.id, way, done_bytes, total_bytes)
            case {"logged": record}:
                self._handle(record)
            case {"ready": _}:
                worker.is_ready = True
                if worker.call is not None:
                    self._begin(worker, worker.call)
            case {"done": done}:
                self._done.append(Done.from_json(done))
                worker.call = None
                if worker.ending is None:
                    worker.deadline_s = None
                if worker.is_fresh:
                    self._part(worker)

    def _is_due(self, worker: _Worker) -> None:
        if worker.ending is not None:
            worker.process.kill()
            worker.deadline_s = None
        elif worker.call is not None:
            self._end(worker, Lost("timeout", f"timed out after {worker.call.timeout_s:g} seconds"))

    def _end(self, worker: _Worker, lost: Lost) -> None:
        """Have a worker end its call, and itself; it is not done before it is gone."""
        worker.ending = lost
        worker.deadline_s = time.monotonic() + GRACE_S
        worker.process.terminate()

    def _bury(self, worker: _Worker) -> None:
        """Tell of the call a worker died with."""
        if worker in self._workers:
            code = self._part(worker)
            if worker.call is not None:
                self._done.append(Done(worker.call.id, worker.ending or Lost("died", _told(code))))

    def _part(self, worker: _Worker) -> int | None:
        """Let go of a worker that ends, and say with what it did."""
        self._workers.remove(worker)
        worker.process.forget()
        return _exit_code(worker.process, GRACE_S)


def opened(sink: Sink, wanted: Wanted) -> Pool:
    """One as an apply asks for it."""
    return Pool(sink, wanted.workers or 1)


def _exit_code(ending: Process, grace_s: float) -> int | None:
    """With what a process ended, which is killed if it takes longer."""
    code = ending.exit_code(max(0.01, grace_s))
    if code is None:
        ending.kill()
        code = ending.exit_code(GRACE_S)
    return code


def _told(code: int | None) -> str:
    """What the exit code of a process says to a person."""
    if code is None or 0 <= code <= 128:
        return f"its process ended with exit code {code}"
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"its process ended with exit code {code}"
    more = ": perhaps the memory was not enough" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{more}"


def handle_record(record: Mapping[str, Any]) -> None:  # JSON that a worker wrote
    """Handle a log record of a worker as one of this process."""
    logger = logging.getLogger(record["name"])
    if logger.isEnabledFor(record["levelno"]):
        level = logging.getLevelName(record["levelno"])
        logger.handle(logging.makeLogRecord({**record, "levelname": level, "args": None}))
