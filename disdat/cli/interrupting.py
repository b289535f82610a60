"""Ending soon after Ctrl-C, whatever the work waits for: a request to a server that is gone is held up for minutes."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from disdat.cli.main import Interrupted, end_interrupted, tell_interrupted

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
GRACE_S = 1.5
"""So long the work may take to end by itself, and to keep what it has."""


@contextmanager
def interruptible(kept: Callable[[], str], *, stop: Callable[[], None], grace_s: float = GRACE_S) -> Iterator[None]:
    """
    End soon after Ctrl-C, and when told to, saying what the work so far is good for: it must be such as can be killed.

    Python hears of a signal only when what it called returns, so another thread watches, which it reaches at once.
    Where the work has not ended by itself within *grace_s*, *stop* is called, to leave the terminal well, and the
    process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread
        return
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    watch = _Watch(ear, kept, stop, grace_s)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(watch.interrupted()) from None
    finally:
        signal.set_wakeup_fd(before)
        mouth.close()
        watch.end()


class _Watch:
    """A thread that ends the process when it does not end by itself after it was interrupted."""

    def __init__(self, ear: socket.socket, kept: Callable[[], str], stop: Callable[[], None], grace_s: float) -> None:
        self._ear, self._kept, self._stop, self._grace_s = ear, kept, stop, grace_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def interrupted(self) -> str:
        """The work ended by itself, and the caller is to say what it is good for."""
        with self._lock:
            self._over.set()
            return self._kept()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._ear.close()  # not before: Python tells of each signal that it cannot write

    def _watch(self) -> None:
        while (heard := self._ear.recv(64)) and _ENDING.isdisjoint(heard):
            continue
        if not heard or self._over.wait(self._grace_s):
            return
        with self._lock:
            if not self._over.is_set():
                self._stop()
                tell_interrupted(self._kept())
                end_interrupted()
