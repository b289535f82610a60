"""Applies while others remove bundles, or where the manifest of a bundle cannot be read any more."""

from __future__ import annotations

import luigi
import pytest

from disdat.catalog.queries import Filter
from disdat.ops import bundles
from disdat.pipe import PipeTask
from tests.pipeline.conftest import Applied

WORKERS = pytest.mark.parametrize("workers", [1, 2])


class Sweeps(PipeTask):
    """Runs each time, and removes all bundles of the name *sweeps*."""

    sweeps = luigi.Parameter(default="", significant=False)
    gives = luigi.IntParameter(default=0, significant=False)

    def pipe_requires(self) -> None:
        self.mark_force()

    def pipe_run(self) -> int:
        context = self._state.running.writer.context  # type: ignore[union-attr]
        bundles.remove(context, context.catalog.search(Filter(name=self.sweeps)))
        return int(self.gives)


class Middle(PipeTask):
    sweeps = luigi.Parameter(default="", significant=False)
    gives = luigi.IntParameter(default=0, significant=False)

    def pipe_requires(self) -> None:
        self.add_dependency("swept", Sweeps, {"sweeps": self.sweeps, "gives": self.gives})

    def pipe_run(self, swept: int) -> list[int]:
        return [swept]


class Last(PipeTask):
    sweeps = luigi.Parameter(default="", significant=False)
    gives = luigi.IntParameter(default=0, significant=False)

    def pipe_requires(self) -> None:
        self.add_dependency("middle", Middle, {"sweeps": self.sweeps, "gives": self.gives})

    def pipe_run(self, middle: list[int]) -> int:
        return len(middle)


@WORKERS
@pytest.mark.parametrize("root", [Middle, Last])
def test_an_earlier_result_that_is_removed_meanwhile_is_made_again(
    applied: Applied, root: type[PipeTask], workers: int
) -> None:
    applied(root)
    assert applied(root, {"sweeps": "Middle"}, workers=workers) == ["Middle", "Sweeps"]
    assert applied.decisions()["Middle()"] == ("made", "no earlier result")


@WORKERS
@pytest.mark.parametrize("root", [Middle, Last])
def test_an_earlier_result_of_another_key_that_is_removed_meanwhile_is_not_needed(
    applied: Applied, root: type[PipeTask], workers: int
) -> None:
    applied(root)
    made = applied(root, {"sweeps": "Middle", "gives": 1}, workers=workers)
    assert [name for name in made if name != "Last"] == ["Middle", "Sweeps"]
    assert applied.decisions()["Middle()"] == ("made", "no earlier result")
