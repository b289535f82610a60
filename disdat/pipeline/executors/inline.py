"""The process that plans: one call after the other, each when somebody waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from disdat.pipeline.call import Call, Lane, run_call
from disdat.pipeline.executors import Sink
from disdat.pipeline.outcome import Done, Lost


class Inline:
    """Runs calls here. What runs cannot be ended from outside, so it has no timeouts, and dies with its tasks."""

    slots: Final = 1

    def __init__(self, sink: Sink, run: Callable[[Call], Done] = run_call) -> None:
        self._sink = sink
        self._run = run
        self._waiting: deque[Call] = deque()
        self._cancelled: deque[str] = deque()

    def takes(self, call: Call) -> bool:
        return call.lane is not Lane.FRESH and call.timeout_s is None

    def submit(self, call: Call) -> None:
        self._waiting.append(call)

    def next(self, timeout_s: float | None = None) -> Done | None:
        """The next call, run to its end, however long that takes."""
        if self._cancelled:
            return Done(self._cancelled.popleft(), Lost("cancelled", "cancelled"))
        if not self._waiting:
            return None
        call = self._waiting.popleft()
        self._sink.began(call.id)
        return self._run(call)

    def cancel(self, call_id: str) -> None:
        kept = [call for call in self._waiting if call.id != call_id]
        if len(kept) < len(self._waiting):
            self._waiting = deque(kept)
            self._cancelled.append(call_id)

    def close(self) -> None:
        self._waiting.clear()
        self._cancelled.clear()
