"""
A worker process of a pool: runs the calls it is sent, one after the other, until the pool closes or is gone.

What tasks write and log goes to the pool, too, and is written and handled there, as the pool's process is set up.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import signal
import sys
import threading
from codecs import getincrementaldecoder
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

from disdat.ops import carrying
from disdat.ops.carrying import Way
from disdat.pipeline import noise, turns
from disdat.pipeline.call import Call, run_call
from disdat.pipeline.events import Stream

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO)
_is_ending = threading.Event()
_RECORDED = ("name", "levelno", "pathname", "lineno", "funcName", "created", "process", "processName", "threadName")


def main(channel_fd: int, lifeline_fd: int) -> NoReturn:
    """Serve in a process that was started for it; the first message says how the pool's process is set up."""
    channel = Connection(channel_fd)
    setting = json.loads(channel.recv_bytes())
    sys.argv[:] = setting["argv"]
    for name, level in setting["levels"].items():
        logging.getLogger(name).setLevel(level)
    serve(channel, lifeline_fd)


def setting() -> dict[str, Any]:  # JSON
    """How this process is set up, for :func:`main`."""
    loggers = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    levels = {name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger) and each.level}
    return {"argv": sys.argv, "levels": levels}


def serve(channel: Connection, lifeline_fd: int) -> NoReturn:
    """Run the calls that come through *channel*; the process ends when that, or the lifeline, is closed elsewhere."""
    status = 0
    try:
        _end_when_told(lifeline_fd)
        pool = _Pool(channel)
        _relay(pool)
        pool.tell({"ready": os.getpid()})
        while True:
            _run(pool, json.loads(channel.recv_bytes()))
    except (EOFError, OSError):
        pass  # the pool was closed, or is gone
    except _Ended as exc:
        status = exc.status
    finally:
        # Whatever threads and handlers tasks left behind: they are no part of any call.
        os._exit(status)


def _run(pool: _Pool, fields: Mapping[str, Any]) -> None:
    call = Call.from_json(fields)
    noise.set_luigis(verbose=bool(call.session["verbose"]))
    turns.inherit(call.turns)
    with carrying.heard(pool.moved):
        done = run_call(call)
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # the task closed it
            stream.flush()
    pool.tell({"done": done.to_json()})


class _Ended(BaseException):
    """Raised in a worker process that is told to end."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _end_when_told(lifeline_fd: int) -> None:
    """
    Make the signals that end this process raise, so that what its task began is removed.

    SIGIO comes when the lifeline's other end is closed, which the kernel does when the pool's process dies.
    """
    for each in _ENDING:
        if each != signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN:  # `nohup` has it ignored
            signal.signal(each, _end)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        if not os.read(lifeline_fd, 1):
            raise EOFError  # it was closed before anybody listened


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # An interrupt reaches this process and its parent, who then terminates it: the second signal may not
    # cut short what the first one set off.
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    _is_ending.set()
    raise _Ended(128 + number)


class _Pool:
    """The way to the pool, for all threads of this process, but not for processes forked from it."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def is_mine(self) -> bool:
        return os.getpid() == self._pid

    def tell(self, message: Mapping[str, object]) -> None:
        data = json.dumps(message).encode()
        with self._lock:
            if not _is_ending.is_set():  # it may have been told to end in the middle of a message
                self._channel.send_bytes(data)

    def moved(self, way: Way, done_bytes: int, total_bytes: int) -> None:
        """Tell how far a transfer is."""
        if self.is_mine:
            self.tell({"moved": [way, done_bytes, total_bytes]})


def _relay(pool: _Pool) -> None:
    """Send what is written and logged to the pool, where there are the handlers and streams to be used."""
    # A stream that ends with this process would be flushed, or reported, at a time when nobody listens.
    sys.stdout = _stream(pool, "stdout", 1)
    sys.stderr = _stream(pool, "stderr", 2)
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.getLogger(), *loggers):
        logger.handlers[:] = []
        logger.propagate = True
    logging.getLogger().addHandler(_Handler(pool))


def _stream(pool: _Pool, stream: Stream, descriptor: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Raw(pool, stream, descriptor))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Raw(io.RawIOBase):
    """A stream to the pool; in a process forked from this one, to where this one's own leads."""

    def __init__(self, pool: _Pool, stream: Stream, descriptor: int) -> None:
        self._pool = pool
        self._stream = stream
        self._descriptor = descriptor
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:  # whatever has bytes
        content = bytes(data)
        if not self._pool.is_mine:
            return os.write(self._descriptor, content)
        if text := self._decoder.decode(content):
            self._pool.tell({"wrote": [self._stream, text]})
        return len(content)


class _Handler(logging.Handler):
    """Sends log records to the pool, as text."""

    def __init__(self, pool: _Pool) -> None:
        super().__init__()
        self._pool = pool
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        if not self._pool.is_mine:
            os.write(2, f"{self.format(record)}\n".encode(errors="backslashreplace"))
            return
        told = {name: getattr(record, name) for name in _RECORDED}
        self._pool.tell({"logged": {**told, "msg": self.format(record)}})
