"""Earlier results whose bytes are elsewhere, cannot be asked for, or are gone."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import luigi
import pytest

from disdat.context import Context, Home
from disdat.errors import ApplyError, Unavailable
from disdat.ops import bundles, contexts, fetching, find, remotes
from disdat.pipe import PipeTask
from disdat.pipeline.driver import MOST_LOST
from disdat.pipeline.preview import preview
from disdat.pipeline.run import apply
from tests.pipeline.conftest import Applied, lose_objects

WORKERS = pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])


class Large(PipeTask):
    """Makes a file too large to lie in a manifest."""

    def pipe_run(self) -> luigi.LocalTarget:
        target = self.create_output_file("large.bin")
        with target.open("w") as file:
            file.write("x" * 200_000)
        return target


class Fills(PipeTask):
    """Fills a file with what another one says."""

    def pipe_run(self) -> luigi.LocalTarget:
        target = self.create_output_file("filled")
        with target.open("w") as file:
            file.write(Path("character").read_text() * 200_000)
        return target


class Reads(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("large", Large, {})

    def pipe_run(self, large: str) -> int:
        return Path(large).stat().st_size


class Breaks(PipeTask):
    """Empties the remote, after which nothing can be fetched any more."""

    def pipe_requires(self) -> None:
        self.mark_force()

    def pipe_run(self) -> int:
        empty(Path("remote"))
        return 1


class ReadsAfter(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("large", Large, {})
        self.add_dependency("broken", Breaks, {})

    def pipe_run(self, large: str, broken: int) -> int:
        return Path(large).stat().st_size


class ReadsExternalAfter(PipeTask):
    def pipe_requires(self) -> None:
        self.add_external_dependency("large", None, {}, human_name="Large")
        self.add_dependency("broken", Breaks, {})

    def pipe_run(self, large: str, broken: int) -> int:
        return Path(large).stat().st_size


class Long(PipeTask):
    def pipe_run(self) -> str:
        return "x" * 300_000


class ReadsInVain(PipeTask):
    """What it reads is lost each time it begins."""

    def pipe_requires(self) -> None:
        self.add_dependency("long", Long, {})

    def pipe_run(self, long: str) -> int:
        return len(long)


@ReadsInVain.event_handler(luigi.Event.START)  # type: ignore[no-untyped-call, untyped-decorator]  # luigi's own
def lose_all(_: luigi.Task) -> None:
    for path in Path("alone/store/objects").rglob("*"):
        if path.is_file():
            path.unlink()


class YieldsAfter(PipeTask):
    """Yields it; when it begins for the second time, nothing can be fetched any more."""

    def pipe_run(self) -> Generator[object, Any, int]:
        if Path("begun").exists():
            empty(Path("remote"))
        Path("begun").touch()
        large = yield self.yield_dependency(Large, {})
        return Path(large).stat().st_size


class IsHanded(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("large", Large, {})

    def pipe_run(self, large: str) -> str:
        return f"handed {large}"


def empty(remote: Path) -> None:
    """Remove all that a remote keeps but what tells that it is one."""
    for name in ("objects", "packs"):
        shutil.rmtree(remote / name, ignore_errors=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ann(here: Path) -> Context:
    """Who made Large, which is on the remote."""
    ann = bound(here, "ann")
    apply(ann, Reads, incremental_push=True)
    return ann


@pytest.fixture
def bob(ann: Context, here: Path) -> Context:
    """Who knows of it, and has none of its bytes."""
    bob = bound(here, "bob")
    fetching.fetch(bob)
    return bob


def bound(here: Path, who: str, *, layout: str = "packed") -> Context:
    context = contexts.create(Home(here / who), "work")
    return remotes.bind(context, "shared", f"file://{here}/remote", layout=layout).context  # type: ignore[arg-type]


def test_what_is_only_on_the_remote_is_reused(bob: Context) -> None:
    assert Applied(bob)(Reads) == []
    assert Applied(bob)(Large) == []


def test_what_is_nowhere_is_made_again_and_nothing_else(here: Path) -> None:
    applied = Applied(contexts.create(Home(here / "alone"), "work"))
    applied(Reads)
    lose_objects(applied.context, applied.latest("Large"))
    assert applied(Reads) == ["Large"]
    why = applied.decisions()["Large()"][1]
    assert why == "bytes gone: those of the earlier result are not to be had"
    assert applied(Reads) == []


def test_of_two_results_the_one_whose_bytes_are_there_is_reused(here: Path) -> None:
    applied = Applied(contexts.create(Home(here / "alone"), "work"))
    for character in "ab":
        Path("character").write_text(character)
        applied(Fills, force=True)
    [first] = applied.uuids() - {applied.latest("Fills")}
    lose_objects(applied.context, applied.latest("Fills"))
    assert applied(Fills) == []
    assert applied.latest("Fills") == first


def test_what_the_remote_does_not_have_any_more_is_made_again(bob: Context, here: Path) -> None:
    empty(here / "remote")
    assert Applied(bob)(Reads) == ["Large"]


@WORKERS
def test_a_remote_that_does_not_answer_ends_the_run_and_says_how_to_go_on(
    bob: Context, here: Path, workers: int
) -> None:
    (here / "remote").rename(here / "away")
    (here / "remote").mkdir()
    before = Applied(bob).uuids()
    with pytest.raises(Unavailable, match="results of earlier runs are on the remote only") as caught:
        apply(bob, Reads, workers=workers)
    assert "--recompute" in caught.value.hint
    assert Applied(bob).uuids() == before
    assert Applied(bob)(Reads, recompute=True, workers=workers) == ["Large"]
    assert Applied(bob)(Reads) == []


def test_a_plan_ends_there_too_unless_it_is_to_be_made_anew(bob: Context, here: Path) -> None:
    (here / "remote").rename(here / "away")
    (here / "remote").mkdir()
    with pytest.raises(Unavailable, match="results of earlier runs are on the remote only"):
        preview(bob, Reads)
    found = preview(bob, Reads, recompute=True)
    assert [(each.task, each.decision) for each in found.tasks] == [("Large()", "run"), ("Reads()", "unknown")]


@WORKERS
def test_what_is_found_gone_when_it_is_read_is_made_again_in_the_same_run(bob: Context, workers: int) -> None:
    applied = Applied(bob)
    assert applied(ReadsAfter, workers=workers) == ["Breaks", "Large", "ReadsAfter"]
    assert applied.value("ReadsAfter") == 200_000
    decision, why = applied.decisions()["Large()"]
    assert decision == "made"
    assert str(why).startswith("bytes gone: ")
    assert applied.leftovers() == []


@WORKERS
def test_what_is_yielded_and_found_gone_is_made_again_too(bob: Context, workers: int) -> None:
    applied = Applied(bob)
    assert applied(YieldsAfter, workers=workers) == ["Large", "YieldsAfter"]
    assert applied.value("YieldsAfter") == 200_000


def test_what_is_external_and_found_gone_fails_who_reads_it(bob: Context) -> None:
    with pytest.raises(ApplyError, match=r"the bytes of what it reads are gone: .* neither here nor at"):
        apply(bob, ReadsExternalAfter)


def test_what_is_lost_again_and_again_is_not_made_for_ever(here: Path) -> None:
    alone = contexts.create(Home(here / "alone"), "work")
    with pytest.raises(ApplyError, match="the bytes of what it reads are gone"):
        apply(alone, ReadsInVain)
    assert len(alone.catalog.versions("Long")) == 1 + MOST_LOST


@pytest.mark.parametrize("pull", [False, True])
def test_on_a_plain_remote_a_task_is_handed_urls_unless_inputs_are_pulled(here: Path, pull: bool) -> None:
    ann, bob = bound(here, "ann", layout="plain"), bound(here, "bob", layout="plain")
    apply(ann, Large, incremental_push=True)
    fetching.fetch(bob)
    apply(bob, IsHanded, incremental_pull=pull)
    handed = bundles.value(bob, find.need(bob, "IsHanded").uuid)
    assert str(handed).startswith(f"handed {bob.objects}" if pull else f"handed file://{here}/remote/context/shared/")
