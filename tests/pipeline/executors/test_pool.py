"""Calls in worker processes of this machine, forked or started anew: the contract of executors."""

from __future__ import annotations

import multiprocessing

import pytest

from disdat.pipeline.executors.pool import Pool
from disdat.testing.executor_contract import ExecutorContract, Told


class TestForked(ExecutorContract):
    def open(self, told: Told, slots: int) -> Pool:
        return Pool(told, slots)


@pytest.mark.soak
class TestStartedAnew(ExecutorContract):
    """As a start method that the user set has it, or other threads; the short form is in test_processes.py."""

    @pytest.fixture(autouse=True)
    def spawns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")

    def open(self, told: Told, slots: int) -> Pool:
        return Pool(told, slots)
