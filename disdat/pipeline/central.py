"""A board that asks a running ``luigid`` what is next, which shares its resources between all who ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import luigi
from luigi.interface import core
from luigi.rpc import RemoteScheduler, RPCError
from luigi.task_status import DONE, FAILED, PENDING
from luigi.worker import KeepAliveThread

from disdat.errors import Unavailable
from disdat.pipeline import params
from disdat.pipeline.board import Board, Job, Status

_ASKED_AGAIN_S = 1.0
"""So long after the scheduler had nothing for us, though something of ours can run."""
_PING_S = 1.0
_CONNECT_S = 10.0
_PORTS = {"http": 80, "https": 443}


class Central(Board):
    """
    The tasks of one run, which are the central scheduler's too; what can run, it says when.

    *task_of* gives the task of a job, to be shown there. Close it in the end.

    Raises:
        Unavailable: The scheduler that Luigi's configuration names cannot be reached; from every method.
    """

    def __init__(
        self, run_id: str, task_of: Callable[[str], luigi.Task], *, slots: int, retry_delay_s: float = 0
    ) -> None:
        super().__init__(slots=slots, retry_delay_s=retry_delay_s)
        self._run_id = run_id
        self._task_of = task_of
        self._url = _url()
        self._scheduler = cast("Any", RemoteScheduler(self._url))  # which has its methods from luigi's scheduler
        self._worker = f"Worker(disdat, run={run_id})"
        self._by_remote_id: dict[str, str] = {}
        self._asks_at_s: float | None = None
        self._check_is_there()  # luigi's client would try for a minute
        with self._asking():
            self._scheduler.add_worker(self._worker, [("workers", slots), ("host", socket.gethostname())])
        self._alive = KeepAliveThread(self._scheduler, self._worker, _PING_S, lambda _: None)
        self._alive.daemon = True
        self._alive.start()

    def add(self, job: Job) -> None:
        super().add(job)
        self._by_remote_id[self._remote_id(job.id)] = job.id
        self._tell(job.id, Status.DISABLED if job.is_disabled else Status.PENDING, deps=self._remote_ids(job.needs))

    def take(self, now_s: float = 0) -> str | None:
        self._wake(now_s)
        self._asks_at_s = None
        if not self.has_ready:
            return None
        with self._asking():
            running = self._remote_ids(self.running)
            answer = self._scheduler.get_work(worker=self._worker, host=socket.gethostname(), current_tasks=running)
        job_id = self._by_remote_id.get(answer["task_id"])
        if job_id is None:
            if answer["n_pending_tasks"] == 0:
                self._tell_again()
            self._asks_at_s = now_s + _ASKED_AGAIN_S
            return None
        return self.start(job_id)

    def finish(self, job_id: str) -> None:
        super().finish(job_id)
        self._tell(job_id, DONE)

    def reopen(self, job_id: str) -> None:
        super().reopen(job_id)
        self._tell(job_id, PENDING)

    def fail(self, job_id: str, now_s: float = 0) -> Status:
        status = super().fail(job_id, now_s)
        self._tell(job_id, FAILED)
        return status

    def suspend(self, job_id: str, needs: Collection[str]) -> None:
        super().suspend(job_id, needs)
        self._tell(job_id, PENDING, new_deps=self._remote_ids(needs))

    def wakes_at_s(self) -> float | None:
        return min((each for each in (super().wakes_at_s(), self._asks_at_s) if each is not None), default=None)

    def close(self) -> None:
        self._alive.stop()
        self._alive.join(_PING_S)  # it may be in the middle of asking a scheduler that is gone, for a minute

    def _again(self, job_id: str) -> None:
        self._tell(job_id, PENDING)

    def _tell_again(self) -> None:
        """Tell all that is open to a scheduler that knows nothing of it: it was started anew, without its state."""
        for job_id, entry in self._entries.items():
            if entry.status is Status.PENDING:
                self._tell(job_id, PENDING, deps=self._remote_ids(entry.open_needs))

    def _tell(self, job_id: str, status: str, **more: object) -> None:
        task = self._task_of(job_id)
        with self._asking():
            self._scheduler.add_task(
                worker=self._worker,
                task_id=self._remote_id(job_id),
                status=str(status),
                priority=task.priority,
                resources=task.process_resources(),
                family=task.get_task_family(),
                module=type(task).__module__,
                params=params.recorded(task),
                retry_policy_dict={"retry_count": task.retry_count},
                expl=json.dumps(""),
                **more,
            )

    def _remote_id(self, job_id: str) -> str:
        """Luigi's id of a task, which is its own in every run."""
        return f"{self._task_of(job_id).task_id}-{self._run_id[:8]}-{job_id}"

    def _remote_ids(self, job_ids: Collection[str]) -> list[str]:
        return sorted(map(self._remote_id, job_ids))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except RPCError as exc:
            raise self._unavailable() from exc

    def _check_is_there(self) -> None:
        parts = urlsplit(self._url)
        if parts.scheme not in _PORTS or parts.hostname is None:
            return  # luigi's client knows others
        try:
            socket.create_connection((parts.hostname, parts.port or _PORTS[parts.scheme]), timeout=_CONNECT_S).close()
        except OSError as exc:
            raise self._unavailable() from exc

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"the central scheduler at {self._url} does not answer",
            hint="start luigid, or run without the central scheduler; luigi.cfg says where it is",
        )


def _url() -> str:
    """Where luigi's configuration says that the central scheduler is."""
    settings = core()
    return settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}/"
