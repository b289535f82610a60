"""``dsdt diff``: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.api import selection
from disdat.core.bundle import CodeRef, Lineage
from disdat.core.digest import of_bytes
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt, everything_below

OLD = "id,name,score\n1,a,0.5\n2,b,1.5\n3,c,2.5\n"
NEW = "id,name,score,extra\n3,c,2.5,x\n1,A,0.75,y\n4,d,3.5,z\n"


def table(dsdt: Dsdt, text: str, name: str = "table", *options: str) -> None:
    Path("t.csv").write_text(text, "utf-8")
    dsdt("add", *options, "-i", name, "t.csv")


@pytest.fixture
def versions(demo: Dsdt) -> Dsdt:
    """Two versions of a table."""
    table(demo, OLD)
    table(demo, NEW)
    return demo


def test_it_shows_columns_rows_and_cells(versions: Dsdt) -> None:
    first, second, *lines = versions("diff", "table").lines
    assert first.startswith("--- table ")
    assert second.startswith("+++ table ")
    assert lines == [
        "value: a table",
        "  columns:",
        "    + extra: str",
        "  rows by key id (guessed): 1 row added, 1 row removed, 1 row changed, rows in another order, of 3 -> 3",
        "  cells: name 1, score 1",
        "    ~ id=1: name: 'a' -> 'A', score: 0.5 -> 0.75",
        "    - id=2: name: 'b', score: 1.5",
        "    + id=4: name: 'd', score: 3.5, extra: 'z'",
    ]


def test_a_line_for_each_thing_with_stat(versions: Dsdt) -> None:
    (line,) = versions("diff", "--stat", "table").lines
    rows = "1 row added, 1 row removed, 1 row changed, rows in another order"
    assert line == f"value  table: 1 column added; {rows}; 2 cells changed"


def test_json_has_all_of_it(versions: Dsdt) -> None:
    found = versions.json("diff", "table")
    assert found["differ"] is True
    assert [found[side]["name"] for side in ("old", "new")] == ["table", "table"]
    (part,) = found["value"]["parts"]
    assert (part["place"], part["kind"]) == ("", "table")
    assert part["schema"]["added"] == [{"name": "extra", "type": "str"}]
    assert part["rows"]["cells"] == {"name": 1, "score": 1}
    assert part["rows"]["changed"] == [
        {
            "key": {"id": 1},
            "old_row": 0,
            "new_row": 1,
            "cells": {"name": {"old": "a", "new": "A"}, "score": {"old": 0.5, "new": 0.75}},
        }
    ]


def test_a_limit_says_how_many_more_there_are(demo: Dsdt) -> None:
    for factor in (1, 2):
        table(demo, "".join(["id,n\n", *(f"k{row},{row * factor}\n" for row in range(1, 31))]))
    lines = demo("diff", "table").lines
    assert len([line for line in lines if line.startswith("    ~ ")]) == 20
    assert lines[-1].strip() == "and 10 more changed rows; --limit 0 shows all"
    assert len(demo("diff", "--limit", "0", "table").lines) == 30 + 5
    assert "and 29 more changed rows" in demo("diff", "--limit", "1", "table").out


@pytest.mark.parametrize("option", [(), ("--stat",)])
def test_where_nothing_differs_nothing_is_printed(demo: Dsdt, option: tuple[str, ...]) -> None:
    for _ in range(2):
        table(demo, OLD)
    assert demo("diff", *option, "table").out == ""


def test_the_exit_code_tells_where_it_is_asked_for(versions: Dsdt) -> None:
    assert versions.run("diff", "table").code == 0
    assert versions.run("diff", "--exit-code", "table").code == 1
    assert versions.run("diff", "--exit-code", "--json", "table").code == 1
    assert versions.run("diff", "--exit-code", "table", "table").code == 0


@pytest.mark.parametrize(
    ("words", "plain", "message"),
    [
        ("nowhere", 1, "no bundle 'nowhere'"),
        ("table nowhere", 1, "no bundle 'nowhere'"),
        ("table@-1", 1, "has no version before it"),
        ("table@-9", 1, "none is 9 back"),
        ("table@never", 2, "neither the beginning of a uuid"),
        ("table --key nothing", 2, "has no column 'nothing'"),
        ("twice --key k", 1, "the key k is not unique in the old table: rows 0 and 1 both have k=1"),
        ("table --rtol -1", 2, "the relative tolerance is -1"),
        ("table --atol nan", 2, "the absolute tolerance is nan"),
        ("table --atol x", 2, "'x' is not a valid float"),
        ("table --limit -1", 2, "-1 is less than 0"),
        ("table --limit x", 2, "no whole number"),
        ("table --stat --json", 2, "exclude each other"),
        ("", 2, "missing argument"),
        ("a b c", 2, "unexpected extra argument"),
    ],
)
def test_trouble_is_one_line_and_two_where_the_exit_code_says_what_differs(
    versions: Dsdt, words: str, plain: int, message: str
) -> None:
    for last in (1, 2):
        table(versions, f"k,n\n1,1\n1,{last}\n", "twice")
    before = everything_below(Path.cwd().parent)
    assert message in versions.fails("diff", *words.split(), code=plain)
    assert message in versions.fails("diff", "--exit-code", *words.split(), code=2)
    assert everything_below(Path.cwd().parent) == before


def test_an_ambiguous_reference_shows_its_candidates(demo: Dsdt) -> None:
    uuids = set()
    while len({uuid[:1] for uuid in uuids}) == len(uuids):
        Path("a").write_text("a", "utf-8")
        uuids.add(json.loads(demo("add", "--json", "data", "a").out)["uuid"])
    first = next(one[:1] for one in uuids if sum(uuid.startswith(one[:1]) for uuid in uuids) > 1)
    assert "is ambiguous" in demo.fails("diff", f"data@{first}", "data", code=2)


def test_kinds_that_cannot_be_compared_say_why_and_the_rest_is_shown(demo: Dsdt) -> None:
    table(demo, OLD, "data", "-t", "kind:table")
    Path("a").write_text("a", "utf-8")
    demo("add", "-t", "kind:file", "data", "a")
    lines = demo("diff", "data").lines[2:]
    assert "  ~ kind: table -> file" in lines
    assert "  note: values of the kinds table and file have nothing to compare" in lines


def test_directories_are_compared_by_file(demo: Dsdt) -> None:
    Path("d").mkdir()
    for name in ("same", "changed", "removed"):
        Path("d", name).write_text(name, "utf-8")
    demo("add", "data", "d")
    Path("d", "changed").write_text("x", "utf-8")
    Path("d", "removed").rename("d/added")
    demo("add", "data", "d")
    assert demo("diff", "data").lines[2:] == [
        "value: files, 1 file added, 1 file removed, 1 file changed",
        "  + added  7 B",
        "  ~ changed  7 B -> 1 B",
        "  - removed  7 B",
    ]
    assert demo("diff", "--stat", "data").lines == ["value  1 file added, 1 file removed, 1 file changed"]


def test_names_and_cells_cannot_break_the_line(demo: Dsdt) -> None:
    for last in ("x", "y"):
        table(demo, f'"i\rd",n\n1,"a\n{last}"\n2,b\n')
    assert any("'a\\\\n" in line or "a\\n" in line for line in demo("diff", "table").lines)
    assert all(line.isprintable() for line in demo("diff", "table").lines)


def test_what_is_recorded_beside_the_value_has_lines_of_its_own(demo: Dsdt) -> None:
    context = selection.context("demo")
    up = [bundles.write(context, value, Birth("up")) for value in (1, 1, 2)]
    inputs = [
        (bundles.dependency("same", up[0]), bundles.dependency("other", up[0]), bundles.dependency("gone", up[0])),
        (bundles.dependency("same", up[1]), bundles.dependency("other", up[2]), bundles.dependency("come", up[0])),
    ]
    for number in range(2):
        code = CodeRef(method="m", commit=str(number) * 40, digest=of_bytes(bytes([number])) if number else None)
        lineage = Lineage(code=code, inputs=inputs[number])
        metrics = {"loss": 0.5 - number / 4}
        bundles.write(context, 0, Birth("data", metrics=metrics, params={f"p{number}": "1"}, lineage=lineage))
    uuids = [each.uuid for each in up]
    assert demo("diff", "data").lines[2:] == [
        "params:",
        "  - p0: 1",
        "  + p1: 1",
        "metrics:",
        "  ~ loss: 0.5 -> 0.25",
        "code:",
        f"  ~ commit: {'0' * 40} -> {'1' * 40}",
        f"  + digest: {of_bytes(bytes([1]))[:15]}…",
        "inputs:",
        f"  ~ same: up {uuids[0]} -> up {uuids[1]} (equal content)",
        f"  ~ other: up {uuids[0]} -> up {uuids[2]}",
        f"  - gone: up {uuids[0]}",
        f"  + come: up {uuids[0]}",
    ]
    assert demo("diff", "--stat", "data").lines == [
        "params   1 added, 1 removed",
        "metrics  1 changed",
        "code     1 added, 1 changed",
        "inputs   4 changed",
    ]


def test_arrays_and_literals_are_told_by_place(demo: Dsdt) -> None:
    context = selection.context("demo")
    old = {"a": np.arange(4.0), "b": [1, "x"], "s": (1, 2), "n": np.zeros((2, 2)), "e": {"x": 1, "y": 2}, "g": 1}
    new = {"a": np.arange(4.0) * 2, "b": [1, "y", 3], "s": [1, 2], "n": np.zeros(3), "e": {"y": 2, "x": 1}, "h": 2}
    for value in (old, new):
        bundles.write(context, value, Birth("data"))
    assert demo("diff", "--limit", "8", "data").lines[2:] == [
        "value['a']: an array, 3 of 4 items differ, at most by 3, by 1.5 on average",
        "  ~ [1]: 1.0 -> 2.0",
        "  ~ [2]: 2.0 -> 4.0",
        "  ~ [3]: 3.0 -> 6.0",
        "value['b'][1]: 'x' -> 'y'",
        "value['b'][2]: added 3",
        "value['s']: (1, 2) -> [1, 2]",
        "value['n']: an array, shape 2×2 -> 3, items have no counterpart, as the shapes differ",
        "value['e']: its keys are in another order",
        "value['g']: removed 1",
        "value['h']: added 2",
    ]
    assert demo("diff", "--limit", "1", "data").lines[-2:] == [
        "  and 2 more items; --limit 0 shows all",
        "and 7 more places in the value; --limit 0 shows all",
    ]
    assert demo("diff", "--limit", "1", "--stat", "data").lines[1:] == ["value       and 7 more places"]


def test_a_file_that_may_be_executed_now_says_so(demo: Dsdt) -> None:
    Path("run.sh").write_text("true", "utf-8")
    demo("add", "data", "run.sh")
    Path("run.sh").chmod(0o755)
    demo("add", "data", "run.sh")
    assert demo("diff", "data").lines[-1] == "  ~ run.sh  4 B, now executable"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "loaded"),
    [
        (1, 1, set()),
        ([1, {"a": 2}], [1, {"a": 3}], set()),
        (np.arange(3), np.arange(3), set()),
        (np.arange(3), np.arange(4), {"numpy"}),
        (
            pd.DataFrame({"k": [1, 2], "s": ["a", "b"]}),
            pd.DataFrame({"k": [2, 1], "s": ["b", "c"]}),
            {"numpy", "pyarrow"},
        ),
    ],
    ids=["equal", "literals", "equal arrays", "arrays", "tables"],
)
def test_only_what_is_needed_to_compare_is_imported(demo: Dsdt, old: object, new: object, loaded: set[str]) -> None:
    for value in (old, new):
        bundles.write(selection.context("demo"), value, Birth("data"))
    program = (
        "import sys; from disdat.cli.main import main; main(['diff', 'data']);"
        "print(*({'numpy', 'pandas', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert set(done.stdout.splitlines()[-1].split()) == loaded
