"""Calls in the process that plans: the contract of executors, but for what takes a process of its own."""

from __future__ import annotations

from disdat.pipeline.executors.inline import Inline
from disdat.testing.executor_contract import ExecutorContract, Told


class TestInline(ExecutorContract):
    ENDS = False

    def open(self, told: Told, slots: int) -> Inline:
        return Inline(told)
