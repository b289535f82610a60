"""A cluster of Dask's, and a context that it can share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import contexts, remotes
from tests.servers.dask import Cluster, cluster_in


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("cluster"), 2) as running:
        yield running


@pytest.fixture
def bound(tmp_path: Path) -> Context:
    """An empty context with a directory as its remote."""
    context = contexts.create(Home(tmp_path / "home"), "demo")
    return remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout="packed").context


ESSENTIAL = frozenset(
    {
        "test_what_a_task_writes_and_logs_is_told",
        "test_what_cannot_be_read_any_more_is_told_so_that_it_is_made_again",
        "test_a_task_that_takes_its_process_with_it_fails_alone[kill-SIGKILL]",
        "test_a_call_that_runs_can_be_cancelled",
    }
)
"""What of the contract is tried on a cluster each time: every test starts processes there."""


@pytest.hookimpl(tryfirst=True)  # before those are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of the contract is tried on a cluster by `make soak`."""
    for item in items:
        if "TestElsewhere" in item.nodeid and item.name not in ESSENTIAL:
            item.add_marker(pytest.mark.soak)
