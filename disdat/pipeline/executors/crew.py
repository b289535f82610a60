"""
The part of a cluster's worker in running calls: each runs in a process of its own, which is used again.

Nothing that a task does, or imports, reaches the worker's own process. What is kept for one executor is used for no
other, and ends with it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import distributed
from distributed import Status

import disdat
from disdat import config
from disdat.context import Context, Home
from disdat.core import digest
from disdat.core.canonical import Json
from disdat.core.digest import Digest
from disdat.core.publication import Publication
from disdat.errors import ContextNotFound, DisdatError
from disdat.ops import staging
from disdat.ops.carrying import Way
from disdat.pipeline.call import Call, Lane
from disdat.pipeline.events import Stream
from disdat.pipeline.executors import process, shipping
from disdat.pipeline.executors.parcel import Answer, Need, Parcel
from disdat.pipeline.executors.pool import Pool
from disdat.pipeline.outcome import Done, Failed, Outcome
from disdat.remote.binding import Binding

POLL_S = 0.2
"""So often it is asked whether a call is still wanted."""
IDLE_S = 60.0
"""So long a process waits for its next call."""
PREFIX = "cluster-"
"""What the names of the contexts begin with in which a worker makes bundles for others."""
KEPT_S = 7 * 86_400.0
"""So long a context stays that a worker left which was killed."""
_REMEMBERED = 256
_WANTED = frozenset({"executing", "long-running"})
_ENDING = frozenset({Status.closing, Status.closed, Status.failed})
"""A worker that lost its scheduler waits half a minute for what it runs, which nobody wants any more."""


def run(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Run the call of a parcel, in a thread of a worker; both are as JSON, but for bytes."""
    if fields["version"] != disdat.__version__:
        why = f"the worker {_address()} has disdat {disdat.__version__}, and this is {fields['version']}"
        return Answer(Done(fields["call"]["id"], Failed(why, ""))).to_fields()
    parcel = Parcel.from_fields(fields)
    try:
        return _answer(parcel).to_fields()
    except DisdatError as exc:
        return Answer(Done(parcel.call.id, Failed(f"on the worker {_address()}: {exc}", ""))).to_fields()


async def dismiss(executor: str) -> None:
    """End all that is kept for an executor that is closed, but for its calls, which are cancelled already."""
    _crew.dismiss(executor)


def _answer(parcel: Parcel) -> Answer:
    own = _home(_root(parcel))
    shares = parcel.is_here or (own.known_id == parcel.home_id and not own.is_copy)
    code = shipping.unpacked(own.root / "cache" / "code", parcel.code, parcel.archive) if parcel.code else None
    needs: list[Need] = ["code"] if parcel.code and code is None else []
    if not shares and parcel.inputs is None:
        needs.append("inputs")
    if needs:
        return Answer(needs=needs, worker=_address())
    return _run(parcel, code, own) if shares else _run_apart(parcel, code, own)


def _run(parcel: Parcel, code: Path | None, home: Home) -> Answer:
    """Run it in the sender's own home."""
    session = {**parcel.call.session, "home": str(home.root)}
    return Answer(_crew.run(parcel, replace(parcel.call, session=session), code))


def _run_apart(parcel: Parcel, code: Path | None, home: Home) -> Answer:
    """Run it in a context of this worker's home, with bytes that come from the remote and go there."""
    assert parcel.binding is not None
    assert parcel.inputs is not None
    context = _crew.context(parcel.executor, home, parcel.binding)
    _learn(context, digest.of_bytes(parcel.inputs), partial(staging.decode, parcel.inputs))
    # It is going to be published, by who sent the call.
    mine: dict[str, Json] = {"home": str(home.root), "context": context.name, "push": False, "commit": True}
    session = {**parcel.call.session, **mine}
    done = _crew.run(parcel, replace(parcel.call, session=session), code)
    if not isinstance(done.ended, Outcome) or done.ended.bundle is None:
        return Answer(done)
    return Answer(done, staging.encode(context, staging.made(context, done.ended.bundle)))


def _root(parcel: Parcel) -> str:
    return str(parcel.call.session["home"]) if parcel.is_here else str(config.load().home)


@lru_cache(maxsize=2)
def _home(root: str) -> Home:
    return Home(Path(root))


_learned: deque[tuple[str, Digest]] = deque(maxlen=_REMEMBERED)


def _learn(context: Context, name: Digest, read: Callable[[], Publication]) -> None:
    """Know what the sender told of inputs, unless that was told before."""
    if (context.name, name) not in _learned:
        staging.learn(context, read())
        _learned.append((context.name, name))


def _address() -> str:
    return str(distributed.get_worker().address)


@dataclass(slots=True)
class _Kept:
    """What is kept for one executor: hands that wait for calls, by the code they have, and its context."""

    idle: dict[str, list[_Hand]] = field(default_factory=dict)
    context: Context | None = None


class _Crew:
    """What is kept for all executors; for all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._gone: deque[str] = deque(maxlen=_REMEMBERED)
        self._sweeps = False

    def run(self, parcel: Parcel, call: Call, code: Path | None) -> Done:
        """Run a call to its end, or until nobody wants it any more."""
        hand = self._take(parcel) or _Hand(parcel, code)
        try:
            done = hand.run(parcel, call)
        except BaseException:
            hand.close()  # what it may be at work on still would keep the next call waiting
            raise
        else:
            self._give_back(parcel, hand)
            return done
        finally:
            _tell(parcel, {"ended": True})  # by now the hand may be at work for another call

    def context(self, executor: str, home: Home, binding: Binding) -> Context:
        """The context of this process for an executor's calls; a user's own bundles are in others."""
        with self._lock:
            kept = self._kept.setdefault(executor, _Kept())
            if kept.context is None:
                _remove_old(home)
                # Of this process alone: what one of several knows of the remote, another one would make it forget.
                kept.context = home.create_context(f"{PREFIX}{executor}-{os.getpid()}").bind(binding)
            return kept.context

    def dismiss(self, executor: str) -> None:
        """Forget an executor, which is closed."""
        with self._lock:
            self._gone.append(executor)
            kept = self._kept.pop(executor, _Kept())
        for hand in (each for some in kept.idle.values() for each in some):
            hand.close()
        if kept.context is not None:
            with suppress(DisdatError):  # it is removed later, as what killed workers leave
                kept.context.home.trash_context(kept.context.name)

    def _take(self, parcel: Parcel) -> _Hand | None:
        with self._lock:
            some = self._kept.setdefault(parcel.executor, _Kept()).idle.get(parcel.code, [])
            return some.pop() if some else None

    def _give_back(self, parcel: Parcel, hand: _Hand) -> None:
        with self._lock:
            is_gone = parcel.executor in self._gone
            if not is_gone:
                hand.idle_since_s = time.monotonic()
                self._kept.setdefault(parcel.executor, _Kept()).idle.setdefault(parcel.code, []).append(hand)
                self._sweep_later()
        if is_gone:
            hand.close()

    def _sweep_later(self) -> None:
        if not self._sweeps:
            self._sweeps = True
            timer = threading.Timer(IDLE_S, self._sweep)
            timer.daemon = True
            timer.start()

    def _sweep(self) -> None:
        """Close what was idle for long: who sent its last call may be dead."""
        too_long_s = time.monotonic() - IDLE_S
        with self._lock:
            idle = [some for kept in self._kept.values() for some in kept.idle.values()]
            old = [hand for some in idle for hand in some if hand.idle_since_s <= too_long_s]
            for some in idle:
                some[:] = [hand for hand in some if hand.idle_since_s > too_long_s]
            self._sweeps = False
            if any(idle):
                self._sweep_later()
        for hand in old:
            hand.close()


class _Hand:
    """One process, and what it tells while it runs a call; the pool's sink."""

    def __init__(self, parcel: Parcel, code: Path | None) -> None:
        path = [*(shipping.importable(code) if code else ()), *sys.path]
        self._pool = Pool(self, 1, start=partial(process.start, path=path, setting=parcel.setting), handle=self._logged)
        self.tell = partial(_tell, parcel)
        self.idle_since_s = 0.0

    def run(self, parcel: Parcel, call: Call) -> Done:
        self.tell = partial(_tell, parcel)
        worker = distributed.get_worker()
        key = worker.get_current_task()
        # Code that was unpacked is never edited, so that no call needs a fresh process.
        self._pool.submit(replace(call, lane=Lane.ANY) if parcel.code else call)
        while (done := self._pool.next(POLL_S)) is None:
            task = worker.state.tasks.get(key)
            if task is None or task.state not in _WANTED or worker.status in _ENDING:
                self._pool.cancel(call.id)
        return done

    def close(self) -> None:
        self._pool.close()

    def began(self, call_id: str) -> None:
        self.tell({"began": str(distributed.get_worker().address)})

    def wrote(self, call_id: str, stream: Stream, text: str) -> None:
        self.tell({"wrote": [stream, text]})

    def moved(self, call_id: str, way: Way, done_bytes: int, total_bytes: int) -> None:
        self.tell({"moved": [way, done_bytes, total_bytes]})

    def _logged(self, record: Mapping[str, Json]) -> None:
        self.tell({"logged": record})


_crew = _Crew()


def _tell(parcel: Parcel, message: Mapping[str, Json]) -> None:
    distributed.get_worker().log_event(parcel.topic, {"executor": parcel.executor, "call": parcel.call.id, **message})


def _remove_old(home: Home) -> None:
    """Remove contexts that workers left which were killed."""
    long_ago_s = time.time() - KEPT_S
    for name in home.context_names():
        if name.startswith(PREFIX) and (home.root / "context" / name).stat().st_mtime < long_ago_s:
            with suppress(ContextNotFound):  # another worker removes it, too
                home.trash_context(name)
