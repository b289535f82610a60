"""A walk over lineage meets each bundle once, nearest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from disdat.core.graph import Step, ancestors

DIAMOND = {"d": [("x", "b"), ("y", "c")], "b": [("in", "a")], "c": [("in", "a")], "a": []}


def look_up(graph: Mapping[str, Sequence[tuple[str, str]]]):  # type: ignore[no-untyped-def]  # a closure for the tests
    return lambda uuids: {uuid: graph[uuid] for uuid in uuids if uuid in graph}


def test_a_shared_ancestor_appears_once_at_its_least_depth() -> None:
    assert ancestors("d", look_up(DIAMOND)) == [
        Step(0, "d", "", None),
        Step(1, "b", "x", "d"),
        Step(1, "c", "y", "d"),
        Step(2, "a", "in", "b"),
    ]


def test_depth_is_limited_where_asked() -> None:
    assert [step.uuid for step in ancestors("d", look_up(DIAMOND), max_depth=1)] == ["d", "b", "c"]
    assert [step.uuid for step in ancestors("d", look_up(DIAMOND), max_depth=0)] == ["d"]


def test_an_ancestor_that_is_not_known_is_named_and_ends_the_walk() -> None:
    assert [step.uuid for step in ancestors("x", look_up({"x": [("in", "gone")]}))] == ["x", "gone"]


def test_a_chain_longer_than_the_recursion_limit_is_walked() -> None:
    chain = {str(n): [("in", str(n + 1))] for n in range(10_000)}
    assert len(ancestors("0", look_up(chain))) == 10_001


@given(st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.tuples(st.just("in"), st.sampled_from("abcdefg")))))
def test_every_graph_ends_even_with_cycles(graph: dict[str, list[tuple[str, str]]]) -> None:
    steps = ancestors("a", look_up(graph))
    assert len({step.uuid for step in steps}) == len(steps)
    depths = [step.depth for step in steps]
    assert depths == sorted(depths)
