"""The way to a scheduler of Dask's, and what its workers tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import dask
import distributed
from distributed.comm import CommClosedError

import disdat
from disdat.errors import InvalidInput, NotConfigured, Unavailable
from disdat.pipeline.executors import crew
from disdat.pipeline.executors.parcel import Answer, Parcel
from disdat.pipeline.outcome import Failed, Lost

CONNECT_S = 10.0
"""So long a scheduler has to answer, and then to have a worker."""
CLOSE_S = 5.0
_TICK_S = 0.1
_VERSION = "__import__('disdat').__version__"
_ANY_PORT = "127.0.0.1:0"  # they are served on, whether anybody wants to look or not
_TOPICS = 64
"""A scheduler keeps the last of what is told under a topic for as long as it lives, so there are no more than these."""

_ANY_SIZE = {"distributed.admin.large-graph-warning-threshold": "1 TB"}
"""Else Dask advises who has large parameters, or much code, to send them by a way of its own."""

Message = Mapping[str, Any]
"""JSON that a worker wrote; or a call, and its future, which has ended."""


class Link:
    """
    A scheduler and its workers, for one executor: at an address, or else of this process, with so many threads.

    Raises:
        InvalidInput: It is no address of a scheduler.
        Unavailable: No scheduler answers there, or it has no workers.
        NotConfigured: It or a worker has no disdat, or another version of it.
    """

    def __init__(self, executor: str, address: str | None, workers: int) -> None:
        self.topic = f"disdat-{int(executor[:8], 16) % _TOPICS}"
        self.is_here = address is None
        self._executor = executor
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._numbers = count()
        self._place = TemporaryDirectory(prefix="disdat-dask-", ignore_cleanup_errors=True)
        self._cluster = None if address else _local(workers, self._place.name)
        self.address = str(self._cluster.scheduler_address if self._cluster else address)
        try:
            self._client = _connected(self._cluster or self.address)
            self._wait_for_workers()
            if not self.is_here:
                self._check_versions()
        except BaseException:
            self.close()
            raise
        self._client.subscribe_topic(self.topic, self._hear_event)

    def send(self, parcel: Parcel, worker: str | None = None) -> distributed.Future:
        """Have a call run on a worker, where that is still there, else on whichever; when it has ended is heard."""
        key = f"disdat-{self._executor}-{next(self._numbers)}"
        with dask.config.set(_ANY_SIZE):
            future = self._client.submit(
                crew.run,
                parcel.to_fields(),
                key=key,
                pure=False,
                priority=parcel.call.priority,
                workers=worker,
                allow_other_workers=worker is not None,
            )
        message = {"call": parcel.call.id, "future": future}
        future.add_done_callback(lambda _: self._inbox.put(message))
        return future

    def hear(self, timeout_s: float) -> list[Message]:
        """Whatever was told, in order, once something is, or nothing after the time."""
        told: list[Message] = []
        with suppress(Empty):
            told.append(self._inbox.get(timeout=max(0.0, timeout_s)))
            while True:
                told.append(self._inbox.get_nowait())
        return told

    def answers(self, futures: Sequence[distributed.Future]) -> list[Answer | Failed | Lost]:
        """What came of calls that have ended."""
        if any(each.status == "cancelled" for each in futures):
            self._wait_for_scheduler()
        finished = [each for each in futures if each.status == "finished"]
        found = iter(self._client.gather(finished)) if finished else iter(())
        return [Answer.from_fields(next(found)) if each.status == "finished" else _fault(each) for each in futures]

    def threads(self) -> dict[str, int]:
        """How many calls each worker can run, by its address; none while the scheduler does not answer."""
        if self._client.status == "closed":
            raise self._gone()
        if self._client.status != "running":
            return {}
        try:
            return dict(self._client.nthreads())
        except (OSError, CommClosedError):
            return {}

    def close(self) -> None:
        """Let go of it, and have workers end what they keep for us."""
        client = getattr(self, "_client", None)
        if client is not None:
            if client.status == "running":
                within(CLOSE_S, lambda: client.run(crew.dismiss, self._executor, on_error="ignore"))
            client.close(timeout=CLOSE_S)
        if self._cluster is not None:
            self._cluster.close(timeout=CLOSE_S)
        self._place.cleanup()

    def _wait_for_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as exc:
            raise Unavailable(
                f"the dask scheduler at {self.address} has no workers; waited {CONNECT_S:g} seconds",
                hint=f"`dask worker {self.address}` starts one",
            ) from exc

    def _check_versions(self) -> None:
        """Ask by what is there without disdat: Dask's worker dies of a message that it cannot read."""
        client = self._client
        found = within(CONNECT_S, lambda: client.run_on_scheduler(eval, _VERSION))
        theirs = {f"the dask scheduler at {self.address}": found}
        if not isinstance(found, Exception):
            of_workers = within(CONNECT_S, lambda: client.run(eval, _VERSION, on_error="return"))
            theirs |= {f"the worker {each}": version for each, version in (of_workers or {}).items()}
        for who, version in theirs.items():
            if version is not None and version != disdat.__version__:
                raise _unlike(who, version)

    def _wait_for_scheduler(self) -> None:
        """Wait until it is known whether the scheduler that forgot calls is there."""
        until_s = time.monotonic() + CONNECT_S
        while self._client.status != "running":
            if self._client.status == "closed" or time.monotonic() > until_s:
                raise self._gone()
            time.sleep(_TICK_S)

    def _gone(self) -> Unavailable:
        return Unavailable(
            f"the dask scheduler at {self.address} is gone",
            hint="finished results are kept: apply again when it is back",
        )

    def _hear_event(self, event: tuple[float, Any]) -> None:
        _, message = event
        if message["executor"] == self._executor:
            self._inbox.put(message)


def _local(workers: int, place: str) -> distributed.LocalCluster:
    """
    A cluster in threads of this process, of which nothing is seen beyond this machine.

    Each call has a process of its own all the same, so that processes of workers would be needless ones.
    """
    # Else a thread looks a hundred times a second at what each worker does, which is to wait.
    with dask.config.set({"distributed.worker.profile.enabled": False}):
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,
            local_directory=place,
            dashboard_address=_ANY_PORT,
            worker_dashboard_address=_ANY_PORT,
        )


def _unlike(who: str, version: object) -> NotConfigured:
    """Of a disdat that is not this one, or that is not there: *version* is then what importing it raised."""
    hint = f"pip install 'disdat[dask]=={disdat.__version__}' there"
    if isinstance(version, Exception):
        return NotConfigured(f"{who} has no disdat: {type(version).__name__}: {version}", hint=hint)
    return NotConfigured(f"{who} has disdat {version}, and this is {disdat.__version__}", hint=hint)


def within(timeout_s: float, ask: Callable[[], Any]) -> Any:  # JSON, or what was raised there
    """What a cluster answers, or how it failed to; None after the time: a worker that hangs keeps Dask waiting."""
    answers: SimpleQueue[object] = SimpleQueue()

    def asks() -> None:
        try:
            answers.put(ask())
        except Exception as exc:  # noqa: BLE001 - whatever happened there, who waits here is told
            answers.put(exc)

    Thread(target=asks, daemon=True).start()
    with suppress(Empty):
        return answers.get(timeout=timeout_s)
    return None


def _connected(cluster: distributed.LocalCluster | str) -> distributed.Client:
    try:
        return distributed.Client(cluster, timeout=CONNECT_S, set_as_default=False, name="disdat")
    except ValueError as exc:
        raise InvalidInput(f"{cluster} is no address of a dask scheduler: {exc}", hint="write tcp://HOST:PORT") from exc
    except OSError as exc:
        raise Unavailable(
            f"no dask scheduler answers at {cluster}; tried for {CONNECT_S:g} seconds",
            hint="check the address; `dask scheduler` starts one, and says where it is",
        ) from exc


def _fault(future: distributed.Future) -> Failed | Lost:
    """Why there is no answer."""
    if future.status == "cancelled":
        return Lost("died", "the scheduler does not know it any more: it was started anew, or forgot this client")
    exc = future.exception()
    if isinstance(exc, distributed.KilledWorker):
        return Lost("died", f"workers died that were to run it: {exc}")
    return Failed(f"the worker cannot run it: {type(exc).__name__}: {exc}", "")
