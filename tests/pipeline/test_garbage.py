"""Python's collector while a plan is made: it looks more rarely, and afterwards as before."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from disdat.pipe import PipeTask
from disdat.pipeline.garbage import rarely_collected
from tests.pipeline.conftest import Applied

FEW, MANY = (300, 5, 5), (1_000_000, 5, 5)

seen: dict[str, tuple[int, int, int]] = {}


class Looks(PipeTask):
    def pipe_requires(self) -> None:
        seen["planning"] = gc.get_threshold()

    def pipe_run(self) -> None:
        seen["running"] = gc.get_threshold()


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    """As a user may have set it; put back afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(*FEW)
    yield
    gc.set_threshold(*before)


def test_it_looks_rarely_while_a_plan_is_made_and_as_before_while_tasks_run(applied: Applied) -> None:
    applied(Looks)
    assert seen["planning"] > seen["running"] == FEW
    assert gc.get_threshold() == FEW


def test_blocks_within_and_beside_each_other_end_as_it_began() -> None:
    one, other = rarely_collected(), rarely_collected()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert gc.get_threshold() > FEW
    other.__exit__(None, None, None)
    assert gc.get_threshold() == FEW


@pytest.mark.parametrize("before", [(0, 5, 5), MANY], ids=["switched off", "more rarely already"])
def test_it_never_looks_more_often_than_the_user_said(before: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    with rarely_collected():
        assert gc.get_threshold() == before
    assert gc.get_threshold() == before
