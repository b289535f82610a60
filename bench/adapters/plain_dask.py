"""Plain Dask: functions mapped over two workers, of which nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import distributed

from bench import remote
from bench.meter import Meter
from bench.spec import Spec, Work

WORKERS = 2
START_S = 60


def trivial(meter: Meter, spec: Spec) -> None:
    """On workers that run since before: processes of its own cluster, or those of the scheduler."""
    count = spec.sizes["tasks"]
    with _connected() as client:
        _run(client, spec.shape, 4)
        with meter.op("first", count=count):
            _run(client, spec.shape, count)


def wait_for_workers(scheduler: str) -> None:
    """Return once a scheduler has all workers that it will have."""
    with distributed.Client(scheduler) as client:
        client.wait_for_workers(WORKERS, timeout=START_S)


@contextmanager
def _connected() -> Iterator[distributed.Client]:
    scheduler = remote.scheduler()
    if scheduler is None:
        options = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            yield client
    else:
        wait_for_workers(scheduler)
        with distributed.Client(scheduler) as client:
            yield client


def _run(client: distributed.Client, shape: str, tasks: int) -> None:
    """Run the graph of that many tasks; its functions go with them, as workers elsewhere cannot import this module."""

    def link(before: int) -> int:
        return before + 1

    def leaf(i: int) -> int:
        return i

    def fan(leaves: list[int]) -> int:
        return sum(leaves)

    if shape == "fan":
        leaves = client.map(leaf, range(tasks - 1), pure=False)
        assert client.submit(fan, leaves, pure=False).result() == sum(range(tasks - 1))
        return
    last = client.submit(link, 0, pure=False)
    for _ in range(tasks - 1):
        last = client.submit(link, last, pure=False)
    assert last.result() == tasks


WORK: dict[str, Work] = {"dask": trivial, "cluster": trivial}
PREPARE: dict[str, Work] = {}
