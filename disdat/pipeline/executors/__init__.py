"""Where calls run: this process, a pool of processes, a cluster."""

from __future__ import annotations

from typing import Protocol

from disdat.ops.carrying import Way
from disdat.pipeline.call import Call
from disdat.pipeline.events import Stream
from disdat.pipeline.outcome import Done


class Sink(Protocol):
    """What an executor tells while calls run; by the thread that waits in :meth:`Executor.next` or submits."""

    def began(self, call_id: str) -> None:
        """A call runs from now on."""
        ...

    def wrote(self, call_id: str, stream: Stream, text: str) -> None:
        """A call that runs in another process wrote something."""
        ...

    def moved(self, call_id: str, way: Way, done_bytes: int, total_bytes: int) -> None:
        """So much came from the remote for a call, or went there; told by any thread."""
        ...


class Executor(Protocol):
    """
    Runs calls, and says how each ended; for one thread.

    ``disdat.testing.executor_contract`` has what each must do, as tests.
    """

    @property
    def slots(self) -> int:
        """How many calls it takes at once."""
        ...

    def takes(self, call: Call) -> bool:
        """Whether it can run a call: see :class:`~disdat.pipeline.call.Lane`."""
        ...

    def submit(self, call: Call) -> None:
        """Take a call on; it may begin at once, or when somebody waits in :meth:`next`."""
        ...

    def next(self, timeout_s: float | None = None) -> Done | None:
        """Whichever call ends next, each once; None where none did within the time, at once where none is open."""
        ...

    def cancel(self, call_id: str) -> None:
        """End a call. How it ended is told by :meth:`next`: it may have ended by itself before."""
        ...

    def close(self) -> None:
        """End all calls and everything that was started for them; what is open is not told any more."""
        ...
