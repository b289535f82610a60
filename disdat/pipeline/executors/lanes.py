"""Several executors as one: each call goes where it can run."""

from __future__ import annotations

from collections.abc import Callable

from disdat.pipeline.call import Call
from disdat.pipeline.executors import Executor
from disdat.pipeline.outcome import Done


class Lanes:
    """
    Sends calls to *main*, but to *here*, which is this process, what no other can run.

    Where *main* is *here*, *apart* opens what runs the calls this process cannot: in a fresh process, or one that can
    be ended.
    """

    def __init__(self, main: Executor, here: Executor, apart: Callable[[], Executor]) -> None:
        self._main = main
        self._here = here
        self._open_apart = apart
        self._apart: Executor | None = None
        self._places: dict[str, Executor] = {}

    @property
    def slots(self) -> int:
        return self._main.slots

    def takes(self, call: Call) -> bool:
        return True

    def submit(self, call: Call) -> None:
        place = self._places[call.id] = self._place(call)
        place.submit(call)

    def next(self, timeout_s: float | None = None) -> Done | None:
        places = set(self._places.values())
        if not places:
            return None
        # What runs here keeps all else waiting, wherever it is in turn: what ends elsewhere meanwhile is told then.
        place = self._here if self._here in places else next(iter(places))
        done = place.next(timeout_s)
        if done is not None:
            del self._places[done.call_id]
        return done

    def cancel(self, call_id: str) -> None:
        if call_id in self._places:
            self._places[call_id].cancel(call_id)

    def close(self) -> None:
        for each in (self._main, self._here, self._apart):
            if each is not None:
                each.close()

    def _place(self, call: Call) -> Executor:
        if self._main.takes(call):
            return self._main
        if self._main is self._here and self._apart is None:
            self._apart = self._open_apart()
        return self._apart if self._apart is not None and self._apart.takes(call) else self._here
