"""Calls on a cluster of Dask's: the contract of executors, with workers that share nothing but a remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import contexts, remotes
from disdat.pipeline.executors.dask import Dask
from disdat.testing.executor_contract import ExecutorContract, Told
from tests.servers.dask import Cluster


@pytest.mark.slow
@pytest.mark.xdist_group("dask")
class TestElsewhere(ExecutorContract):
    @pytest.fixture(autouse=True)
    def address(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        context = contexts.create(Home(tmp_path / "home"), "contract")
        return remotes.bind(context, "contract", f"file://{tmp_path}/remote", layout="packed").context

    def open(self, told: Told, slots: int) -> Dask:
        return Dask(told, scheduler=self.cluster.address, at_most=slots)


@pytest.mark.soak
class TestHere(ExecutorContract):
    """In threads of this process; what applies need of that is tried with them."""

    def open(self, told: Told, slots: int) -> Dask:
        return Dask(told, at_most=slots)
