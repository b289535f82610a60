"""Trees as lines of text."""

from __future__ import annotations

from disdat.core.branches import ASCII, branches

BELOW = {"root": [("one", "a"), ("two", "b"), ("", "c")], "a": [("x", "c")], "c": [("", "d")]}


def drawn(root: str, below: dict[str, list[tuple[str, str]]]) -> list[str]:
    return [twig.line(twig.each) for twig in branches(root, lambda each: below.get(each, []), strokes=ASCII)]


def test_what_is_met_again_is_named_without_its_branches():
    assert drawn("root", BELOW) == [
        "root",
        "|-- one: a",
        "|   `-- x: c",
        "|       `-- d",
        "|-- two: b",
        "`-- c (above)",
    ]


def test_a_long_chain_does_not_recurse():
    chain = {str(number): [("", str(number + 1))] for number in range(3_000)}
    assert len(drawn("0", chain)) == 3_001
