"""
Tables all the way: a csv that was added, what is in it twice taken out, and the means of the rest.

``iris.csv`` has the flowers that Edgar Anderson measured in 1935 and Ronald Fisher published a year later, as
scikit-learn ships them. Add it, as what a task reads is a bundle; then another version of it is noticed. From the
directory above::

    dsdt add -i iris iris.csv
    dsdt apply pipelines.iris.Means
    dsdt cat iris.means
"""

from __future__ import annotations

import pandas as pd

from disdat.pipe import PipeTask


class Distinct(PipeTask):
    """The flowers, each once."""

    def pipe_requires(self) -> None:
        self.add_external_dependency("flowers", None, {}, human_name="iris")

    def pipe_run(self, flowers: pd.DataFrame) -> pd.DataFrame:
        return flowers.drop_duplicates(ignore_index=True)


class Means(PipeTask):
    """The means of what was measured, in cm, and the number of flowers, by species."""

    def pipe_requires(self) -> None:
        self.set_bundle_name("iris.means")
        self.add_dependency("flowers", Distinct, {})

    def pipe_run(self, flowers: pd.DataFrame) -> pd.DataFrame:
        by_species = flowers.groupby("species")
        return by_species.mean().round(3).assign(flowers=by_species.size())
