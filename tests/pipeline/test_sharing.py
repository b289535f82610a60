"""Pipelines and a remote: results go there as they are made, and inputs come from there when they are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import luigi
import pytest

from disdat.context import Context, Home
from disdat.errors import ApplyError, NotConfigured
from disdat.ops import bundles, contexts, fetching, find, presence, remotes
from disdat.ops.carrying import Way
from disdat.pipe import PipeTask
from disdat.pipeline.events import Quiet, Subject
from disdat.pipeline.run import apply
from disdat.remote.known import Presence
from tests.pipeline.tasks import A, C


class Large(PipeTask):
    """Makes a file too large to lie in a manifest."""

    def pipe_run(self) -> luigi.LocalTarget:
        target = self.create_output_file("large.bin")
        with target.open("w") as file:
            file.write("x" * 200_000)
        return target


class Reads(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("large", Large, {})

    def pipe_run(self, large: str) -> int:
        return Path(large).stat().st_size


class Passing(PipeTask):
    def pipe_run(self) -> int:
        self.mark_transient()
        return 1


class FailsAfter(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("a", A, {"n": 1})

    def pipe_run(self, a: list[int]) -> None:
        raise ValueError("no")


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Context]:
    """Make a context in a home of its own, bound to one directory."""

    def made(who: str) -> Context:
        context = contexts.create(Home(tmp_path / who), "work")
        return remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout="packed").context

    return made


def names(context: Context) -> list[str]:
    return sorted(context.catalog.names())


@pytest.mark.parametrize("workers", [1, 2])
def test_each_result_is_pushed_as_it_is_made(make: Callable[[str], Context], workers: int) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, C, {"n": 1}, incremental_push=True, workers=workers)
    fetching.fetch(bob)
    assert names(bob) == ["A", "B", "C"]
    assert all(row.committed for row in bob.catalog.versions("A"))
    assert bundles.value(bob, find.need(bob, "C").uuid) == 13


def test_what_was_made_before_is_pushed_too(make: Callable[[str], Context]) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, C, {"n": 1})
    assert apply(ann, C, {"n": 1}, incremental_push=True) == {"success": True, "did_work": False}
    fetching.fetch(bob)
    assert names(bob) == ["A", "B", "C"]


def test_what_others_made_is_reused(make: Callable[[str], Context]) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, C, {"n": 1}, incremental_push=True)
    fetching.fetch(bob)
    assert apply(bob, C, {"n": 1}) == {"success": True, "did_work": False}


def test_a_transient_result_stays_here(make: Callable[[str], Context]) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, Passing, incremental_push=True)
    assert fetching.fetch(bob).new == ()


def test_results_before_a_failure_are_there(make: Callable[[str], Context]) -> None:
    ann, bob = make("ann"), make("bob")
    with pytest.raises(ApplyError):
        apply(ann, FailsAfter, incremental_push=True)
    fetching.fetch(bob)
    assert names(bob) == ["A"]


def test_a_push_that_fails_fails_the_task(make: Callable[[str], Context], tmp_path: Path) -> None:
    ann = make("ann")
    shutil.rmtree(tmp_path / "remote")
    with pytest.raises(ApplyError, match="not the store this context was bound to"):
        apply(ann, A, {"n": 1}, incremental_push=True)
    assert names(ann) == ["A"]


@pytest.mark.parametrize("pull", [True, False])
def test_inputs_that_are_only_there_come_when_they_are_read(make: Callable[[str], Context], pull: bool) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, Large, incremental_push=True)
    fetching.fetch(bob)
    large = find.need(bob, "Large")
    assert presence.of_rows(bob, [large.uuid]) == {large.uuid: Presence.REMOTE}
    apply(bob, Reads, incremental_pull=pull)
    assert bundles.value(bob, find.need(bob, "Reads").uuid) == 200_000


class Moved(Quiet):
    """Keeps what is told of transfers, by task and way: the last of it."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], tuple[int, int]] = {}

    def moved(self, task: Subject, way: Way, done_bytes: int, total_bytes: int) -> None:
        self.told[task.name, way] = done_bytes, total_bytes


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("pull", [True, False])
def test_how_far_transfers_are_is_told_of_the_task_they_are_for(
    make: Callable[[str], Context], caplog: pytest.LogCaptureFixture, pull: bool, workers: int
) -> None:
    caplog.set_level("INFO", "disdat.pipeline")
    ann, bob, moved = make("ann"), make("bob"), Moved()
    apply(ann, Large, incremental_push=True, workers=workers, events=moved)
    [((task, way), (done, total))] = moved.told.items()
    assert (task, way, done) == ("Large()", "pushed", total)
    assert total >= 200_000
    assert f"Large(): {total:,} bytes pushed" in caplog.messages
    fetching.fetch(bob)
    moved.told.clear()
    apply(bob, Reads, incremental_pull=pull, workers=workers, events=moved)
    assert moved.told == {("Reads()", "pulled"): (200_000, 200_000)}


@pytest.mark.parametrize("option", ["incremental_push", "incremental_pull"])
def test_without_a_remote_nothing_is_begun(home: Path, option: str) -> None:
    context = contexts.create(Home(home), "alone")
    with pytest.raises(NotConfigured, match="no remote"):
        apply(context, A, {"n": 1}, **{option: True})  # type: ignore[arg-type]
    assert names(context) == []


class WritesThere(PipeTask):
    """Writes files on the remote itself, as Spark would."""

    def pipe_run(self) -> dict[str, object]:
        urls = self.create_remote_output_file({"one": "one.txt", "more": ["two.txt", "three.txt"]})
        assert isinstance(urls, dict)
        parts = self.create_remote_output_dir("parts")
        assert urls["one"] == f"{self.get_remote_output_dir()}/one.txt"
        for url in (urls["one"], *urls["more"], f"{parts}/part-0"):
            path = Path(urlsplit(str(url)).path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
        return {**urls, "parts": parts}


def test_a_task_writes_on_the_remote_itself(make: Callable[[str], Context]) -> None:
    ann, bob = make("ann"), make("bob")
    apply(ann, WritesThere, {}, incremental_push=True)
    fetching.fetch(bob)
    found = bundles.value(bob, find.need(bob, "WritesThere").uuid)
    assert isinstance(found, dict)
    assert [Path(path).read_text() for path in (found["one"], *found["more"])] == ["one.txt", "two.txt", "three.txt"]
    assert Path(found["parts"], "part-0").read_text() == "part-0"
    for who in (ann, bob):
        assert apply(who, WritesThere, {}) == {"success": True, "did_work": False}


def test_without_a_remote_no_task_writes_there(tmp_path: Path) -> None:
    with pytest.raises(ApplyError, match="no remote"):
        apply(contexts.create(Home(tmp_path / "alone"), "work"), WritesThere, {})
