"""
A pipeline that begins where the one of somebody else ended: it reads what :mod:`pipelines.iris` made and pushed.

One makes the means and pushes them as they are made::

    dsdt remote team s3://bucket/prefix
    dsdt apply --incremental-push pipelines.iris.Means

Another, in a home of their own, learns what there is, and applies this; the bytes come when the task reads them::

    dsdt remote team s3://bucket/prefix
    dsdt pull
    dsdt apply pipelines.sharing.Classify --petal-length 4.9 --petal-width 1.6

Once newer means were pushed and pulled, it runs again, if they are others.
"""

from __future__ import annotations

import luigi
import pandas as pd

from disdat.pipe import PipeTask

PETAL = ["petal_length", "petal_width"]


class Classify(PipeTask):
    """The species whose mean petal is next to a flower's, and by how many cm they differ."""

    petal_length = luigi.FloatParameter()
    petal_width = luigi.FloatParameter()

    def pipe_requires(self) -> None:
        self.add_external_dependency("means", None, {}, human_name="iris.means")

    def pipe_run(self, means: pd.DataFrame) -> dict[str, object]:
        differences = means[PETAL] - [self.petal_length, self.petal_width]
        distances = (differences**2).sum(axis=1) ** 0.5
        return {"species": str(distances.idxmin()), "distance_cm": round(float(distances.min()), 3)}
