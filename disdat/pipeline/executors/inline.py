"""The process that plans: one call after the other, each when somebody waits for it."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Final

from disdat.ops import carrying
from disdat.pipeline.call import Call, Lane, run_call
from disdat.pipeline.executors import Sink
from disdat.pipeline.executors.named import Wanted
from disdat.pipeline.outcome import Done, Lost


class Inline:
    """Runs calls here. What runs cannot be ended from outside, so it has no timeouts, and dies with its tasks."""

    slots: Final = 1

    def __init__(self, sink: Sink, run: Callable[[Call], Done] = run_call) -> None:
        self._sink = sink
        self._run = run
        self._waiting: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._cancelled: deque[str] = deque()

    def takes(self, call: Call) -> bool:
        return call.lane is not Lane.FRESH and call.timeout_s is None

    def submit(self, call: Call) -> None:
        heapq.heappush(self._waiting, (-call.priority, next(self._numbers), call))

    def next(self, timeout_s: float | None = None) -> Done | None:
        """The next call, run to its end, however long that takes."""
        if self._cancelled:
            return Done(self._cancelled.popleft(), Lost("cancelled", "cancelled"))
        if not self._waiting:
            return None
        _, _, call = heapq.heappop(self._waiting)
        self._sink.began(call.id)
        with carrying.heard(partial(self._sink.moved, call.id)):
            return self._run(call)

    def cancel(self, call_id: str) -> None:
        kept = [each for each in self._waiting if each[2].id != call_id]
        if len(kept) < len(self._waiting):
            heapq.heapify(kept)
            self._waiting = kept
            self._cancelled.append(call_id)

    def close(self) -> None:
        self._waiting.clear()
        self._cancelled.clear()


def opened(sink: Sink, _wanted: Wanted) -> Inline:
    """One as an apply asks for it."""
    return Inline(sink)
