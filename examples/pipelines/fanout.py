"""
A search that makes its tasks as it goes: which gamma reads most digits right.

``dsdt apply pipelines.fanout.Search``, from the directory above. Each round evaluates the classifier of
:mod:`pipelines.mnist` for some gammas at once (``-w 2`` runs two at a time); where the next round looks depends on what
came out. What was evaluated before is used again: of ``--rounds 3``, only what its last round tries is made.
"""

from __future__ import annotations

from collections.abc import Generator

import luigi
import numpy as np
import pandas as pd

from disdat.pipe import PipeTask
from pipelines.mnist import Evaluate


class Search(PipeTask):
    """The gammas that were tried and how many of the digits were read right, the best one first."""

    rounds = luigi.IntParameter(default=2)

    def pipe_run(self) -> Generator[list[PipeTask], list[pd.DataFrame], pd.DataFrame]:
        right: dict[float, float] = {}
        exponents, step = [-5.0, -4.0, -3.0, -2.0], 1.0
        for _ in range(self.rounds):
            gammas = [float(f"{10**exponent:.2g}") for exponent in exponents]
            tables = yield [self.yield_dependency(Evaluate, {"gamma": gamma}) for gamma in gammas]
            right.update(zip(gammas, map(accuracy, tables), strict=True))
            best, step = max(right, key=lambda gamma: right[gamma]), step / 2
            exponents = [np.log10(best) - step, np.log10(best) + step]
        self.add_tags({"gamma": str(best)})
        tried = pd.DataFrame({"gamma": right.keys(), "accuracy": right.values()})
        return tried.sort_values("accuracy", ascending=False, ignore_index=True)


def accuracy(table: pd.DataFrame) -> float:
    """The part of all that is on the diagonal."""
    return float(np.trace(table.to_numpy()) / table.to_numpy().sum())
