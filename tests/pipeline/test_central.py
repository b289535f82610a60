"""Runs whose tasks a real luigid gives out."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import luigi.configuration
import pytest
from luigi.rpc import RemoteScheduler

from disdat.errors import ApplyError, Unavailable
from disdat.pipeline.board import Job
from disdat.pipeline.central import Central
from disdat.pipeline.run import apply
from tests.pipeline import steps, tasks
from tests.pipeline.conftest import Applied

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a central scheduler."""
    port = free_port()
    with running(port, tmp_path_factory.mktemp("luigid") / "state.pickle"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(port: int, state: Path) -> Iterator[None]:
    """Run a luigid that keeps its state in a file, when it is told to end."""
    program = Path(sys.executable).with_name("luigid")
    started = subprocess.Popen(
        [program, "--port", str(port), "--address", "127.0.0.1", "--state-path", state],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield
    finally:
        started.terminate()
        started.wait()


@pytest.fixture
def central(luigid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Luigi's configuration names the central scheduler; tasks write down what they do in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    with configured(luigid):
        yield luigid


@contextmanager
def configured(url: str) -> Iterator[None]:
    settings = luigi.configuration.get_config()
    settings.set("core", "scheduler_url", url)
    try:
        yield
    finally:
        settings.remove_option("core", "scheduler_url")


@pytest.mark.slow
@WORKERS
def test_a_central_scheduler_gives_out_the_tasks(applied: Applied, central: str, workers: int) -> None:
    """And shows them; with nothing to do it is not asked."""
    run: dict[str, Any] = {"central_scheduler": True, "workers": workers}
    assert applied(tasks.C, **run) == ["A", "B", "C"]
    shown = RemoteScheduler(central).task_list("DONE", "").values()  # type: ignore[attr-defined]  # it has luigi's scheduler's
    assert {("C", "1")} <= {(each["name"], each["params"].get("n")) for each in shown}
    assert applied(tasks.C, **run) == []
    assert applied(tasks.C, force=True, **run) == ["C"]


@pytest.mark.slow
def test_tasks_that_yield_fail_and_are_tried_again_do_so_too(applied: Applied, central: str) -> None:
    run: dict[str, Any] = {"central_scheduler": True, "workers": 2}
    assert applied(steps.Waits, **run) == ["Leaf", "Leaf", "Leaf", "Leaf", "Waits"]
    assert applied(steps.Persistent, **run) == ["Persistent"]
    with pytest.raises(ApplyError, match="1 of 3 tasks failed, 1 not run"):
        apply(applied.context, steps.WaitsForFailing, **run)


@pytest.mark.slow
def test_its_order_and_its_resources_count(applied: Applied, central: str) -> None:
    applied(steps.AllRanked, central_scheduler=True)
    assert steps.noted("Ranked") == ["3", "2", "1"]
    applied(steps.AllAlone, central_scheduler=True, workers=2)
    assert applied.value("AllAlone") is True


@pytest.mark.slow
def test_one_that_forgot_all_is_told_again(applied: Applied, tmp_path: Path) -> None:
    """As one is that was started anew without its state: else it would never have anything to do for us."""
    port = free_port()
    with configured(f"http://127.0.0.1:{port}"):
        with running(port, tmp_path / "first"):
            board = Central("run", {"one": tasks.A(), "two": tasks.B()}.__getitem__, slots=1)
            board.add(Job("one"))
            board.add(Job("two", needs=["one"]))
            assert board.take() == "one"
            board._alive.stop()  # which would wait half a minute when it finds nobody
        with running(port, tmp_path / "second"):
            board.finish("one")
            assert [board.take(now_s) for now_s in (1, 2)] == [None, "two"]
            board.finish("two")
            assert board.take(3) is None
            board.close()


def test_a_central_scheduler_that_is_not_there_is_told_at_once(applied: Applied) -> None:
    began, url = time.monotonic(), f"http://127.0.0.1:{free_port()}"
    with configured(url), pytest.raises(Unavailable, match=f"scheduler at {url}"):
        apply(applied.context, tasks.A, central_scheduler=True)
    assert time.monotonic() - began < 20
    assert applied.uuids() == set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("luigid did not start")
