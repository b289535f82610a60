"""Starting the processes of a pool: forked from this one where that is safe, else started anew."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import spawn
from multiprocessing.connection import Connection, Pipe
from typing import Any, Protocol, cast

from disdat.pipeline.executors import worker

_START = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.path[:] = json.loads(sys.argv[3])
from disdat.pipeline.executors.worker import main
main(int(sys.argv[1]), int(sys.argv[2]))
"""


class _Handle(Protocol):
    """What can be done with a process, however it was started."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...


class Process:
    """A worker process, and the two ends that lead to it: calls go through the channel, the lifeline keeps it alive."""

    def __init__(self, channel: Connection, lifeline: int, handle: _Handle) -> None:
        self.channel = channel
        self._lifeline = lifeline
        self._handle = handle

    def exit_code(self, timeout_s: float = 0) -> int | None:
        """With what it ended, after at most that time; negative for the signal that killed it; None: it lives."""
        with suppress(subprocess.TimeoutExpired):
            return self._handle.wait(timeout_s) if timeout_s else self._handle.poll()
        return None

    def terminate(self) -> None:
        """Ask it to end, and to remove what its task began."""
        self._handle.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._handle.send_signal(signal.SIGKILL)

    def forget(self) -> None:
        """Close the ends that lead to it: it ends when it is next idle, unless another process has them open."""
        self.channel.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def can_fork() -> bool:
    """
    Whether a process may be forked from this one: where multiprocessing does so, and there is no other thread.

    What another thread holds at that moment, a lock, say, is held for ever in the child.
    """
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return method == "fork" and threading.active_count() == 1


def fork(siblings: Iterable[Process]) -> Process:
    """A process that has in memory what this one has, and nothing of its *siblings*."""
    channel, theirs = Pipe()
    watched, lifeline = os.pipe()

    def run() -> None:
        for each in siblings:
            each.forget()
        channel.close()
        os.close(lifeline)
        worker.serve(theirs, watched)

    child = multiprocessing.get_context("fork").Process(target=run, daemon=False)
    child.start()
    theirs.close()
    os.close(watched)
    return Process(channel, lifeline, _Forked(child))


def start(*, path: Sequence[str] | None = None, setting: Mapping[str, Any] | None = None) -> Process:
    """A process that imports all anew; with the *path* and the :func:`~worker.setting` of this one, or those given."""
    channel, theirs = Pipe()
    watched, lifeline = os.pipe()
    handed = (theirs.fileno(), watched)
    # Nothing is imported from the current directory before the path is this process's own.
    program = [_executable(), "-P", "-c", _START, *map(str, handed), json.dumps(list(path or sys.path))]
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL, pass_fds=handed)
    theirs.close()
    os.close(watched)
    channel.send_bytes(json.dumps(dict(setting or worker.setting())).encode())
    return Process(channel, lifeline, cast("_Handle", child))


def _executable() -> str:
    return os.fsdecode(spawn.get_executable())


class _Forked:
    """A process of multiprocessing's."""

    def __init__(self, child: multiprocessing.process.BaseProcess) -> None:
        self._child = child

    def poll(self) -> int | None:
        return self._child.exitcode

    def wait(self, timeout: float) -> int | None:
        self._child.join(timeout)
        return self._child.exitcode

    def send_signal(self, number: int, /) -> None:
        if self._child.exitcode is None and self._child.pid is not None:
            os.kill(self._child.pid, number)
