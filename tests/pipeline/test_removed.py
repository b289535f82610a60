"""Applies while others remove bundles, or where the manifest of a bundle cannot be read any more."""

from __future__ import annotations

import luigi
import pytest

from disdat.catalog.queries import Filter
from disdat.errors import ApplyError
from disdat.ops import bundles
from disdat.pipe import PipeTask
from tests.pipeline.conftest import Applied
from tests.pipeline.tasks import A

WORKERS = pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])


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


class Reader(PipeTask):
    """Reads A, which may be there, and only then what removes it."""

    sweeps = luigi.Parameter(default="", significant=False)
    human_name = luigi.OptionalParameter(default=None)

    def pipe_requires(self) -> None:
        if self.human_name is None:
            self.add_dependency("a", A, {})
        else:
            self.add_external_dependency("a", None, {}, human_name=self.human_name)
        self.add_dependency("swept", Sweeps, {"sweeps": self.sweeps})

    def pipe_run(self, a: list[int], swept: int) -> list[int]:
        return [*a, swept]


@pytest.mark.slow
@WORKERS
@pytest.mark.parametrize(("before", "after"), [(A, ["A", "Reader", "Sweeps"]), (Reader, ["A", "Sweeps"])])
@pytest.mark.parametrize("external", [{}, {"human_name": "A"}])
def test_an_input_that_is_removed_meanwhile_fails_the_task(
    applied: Applied, before: type[PipeTask], after: list[str], external: dict[str, object], workers: int
) -> None:
    applied(before)
    with pytest.raises(ApplyError, match="of input a was removed"):
        applied(Reader, {"sweeps": "A", **external}, workers=workers)
    assert applied(Reader, workers=workers) == after


class Big(PipeTask):
    """One whose manifest is an object, as its tags are many."""

    def pipe_requires(self) -> None:
        self.add_tags({f"tag{number}": "x" * 100 for number in range(400)})

    def pipe_run(self) -> list[int]:
        return [1]


class ReadsBig(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("big", Big, {})

    def pipe_run(self, big: list[int]) -> int:
        return len(big)


def lose_manifest(applied: Applied, uuid: str) -> None:
    """Remove the pack that holds the manifest of a bundle."""
    store, row = applied.context.home.store, applied.context.catalog.rows([uuid])[uuid]
    [path] = store.pack_paths([row.manifest])
    path.unlink()


def test_a_damaged_result_that_is_not_needed_hinders_nobody(applied: Applied) -> None:
    applied(ReadsBig)
    lose_manifest(applied, applied.latest("Big"))
    assert applied(ReadsBig, force_all=True) == ["Big", "ReadsBig"]


@pytest.mark.parametrize(("salt", "made"), [("first", []), ("third", ["Big"])])
def test_a_damaged_result_of_another_key_hinders_nobody(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, salt: str, made: list[str]
) -> None:
    for each in ("first", "second"):
        monkeypatch.setattr(Big, "salt", each)
        applied(ReadsBig)
    lose_manifest(applied, applied.latest("Big"))
    monkeypatch.setattr(Big, "salt", salt)
    assert applied(ReadsBig) == made


def test_a_result_whose_manifest_is_lost_is_made_again(applied: Applied) -> None:
    applied(ReadsBig)
    lose_manifest(applied, applied.latest("Big"))
    assert applied(ReadsBig) == ["Big"]
    assert applied.decisions()["Big()"][1] == "bytes gone: those of the earlier result are not to be had"
