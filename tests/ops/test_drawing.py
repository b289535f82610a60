"""Lineage as a picture: the right bundles and edges, and no name that means something to the picture's language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.core import digest
from disdat.core.bundle import CodeRef, Lineage, TaskKey
from disdat.ops import bundles, contexts, drawing, find, lineage, runs
from disdat.ops.bundles import Birth

HOSTILE = '"]; </script><script>alert("x")</script> `#quot;` \\ {{data}} \n&lt;'


@pytest.fixture
def context(home: Path) -> Context:
    return contexts.create(Home(home), "demo")


def store(context: Context, name: str, **inputs: str) -> str:
    read = tuple(bundles.dependency(argument, context.catalog.bundle(uuid)) for argument, uuid in inputs.items())
    made = Lineage(inputs=read, code=CodeRef(f"mod.{name}"), started_us=0, stopped_us=1_500_000)
    return bundles.write(context, name, Birth(name, tags={"k": HOSTILE}, params={HOSTILE: "1"}, lineage=made)).uuid


@pytest.fixture
def diamond(context: Context) -> dict[str, str]:
    """Four bundles by name: what is read by two that the last reads, of which one has an awkward name."""
    raw = store(context, "raw")
    clean, hostile = store(context, "clean", rows=raw), store(context, HOSTILE, rows=raw)
    return {"raw": raw, "clean": clean, HOSTILE: hostile, "model": store(context, "model", left=clean, right=hostile)}


def test_a_tree_shows_a_shared_bundle_once(context: Context, diamond: dict[str, str]):
    drawn = list(drawing.tree(lineage.upstream(context, diamond["model"])))
    assert [re.split(r"  +(?=\w{8}(?:  |$))", line)[0] for line in drawn] == [
        "model",
        "├── left: clean",
        "│   └── rows: raw",
        "└── right: " + HOSTILE.replace("\n", "\\n"),
        "    └── rows: raw (above)",
    ]
    assert re.search(r"model +\w{8}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +1\.50 s  mod\.model$", drawn[0])
    assert len({re.search(r"\w{8}(?=  |$)", line[8:]).start() for line in drawn if HOSTILE[:9] not in line}) == 1  # type: ignore[union-attr]


def test_a_tree_names_tasks_with_their_parameters_and_what_they_yielded(context: Context):
    """Luigi's id of a task, as which it is an input, tells people nothing."""
    run = runs.of_pipeline(context)
    key = TaskKey("key1", digest.of_bytes(b"k"), {"class": "m.Leaf"})
    leaf = bundles.write(context, 1, Birth("Leaf", lineage=Lineage(task=key), run=run, task="Leaf(n=3)")).uuid
    read = bundles.dependency("Leaf_3_abcdef", context.catalog.bundle(leaf))
    seen = {"kind": "task", "argument": "Leaf_3_abcdef", "class": "m.Leaf", "params": {"n": "3"}, "digest": None}
    made = Lineage(inputs=(read,), task=key, observed=(seen,))
    top = bundles.write(context, 2, Birth("best", lineage=made, run=run, task="Search(rounds=2)")).uuid
    graph = lineage.upstream(context, top)
    one, two = drawing.tree(graph)
    assert re.fullmatch(r"best +\w{8}  .*  Search\(rounds=2\)", one)
    assert re.fullmatch(r"└── yields: Leaf\(n=3\)  \w{8}  [\d: -]+", two)
    assert '[label="yields"]' in "".join(drawing.dot(graph))
    assert page(drawing.html(graph))["edges"] == [{"from": leaf, "to": top, "argument": "yields"}]


def test_a_tree_of_long_names_alone_is_shown_and_of_parameters_the_ends_are(context: Context):
    first = store(context, "a" * 70)
    key = TaskKey("key1", digest.of_bytes(b"k"), {"class": "m.Leaf"})
    made = Lineage(inputs=(bundles.dependency("read", context.catalog.bundle(first)),), task=key)
    task = f"{'Leaf' * 15}(n={'0123456789abcdef' * 4})"
    birth = Birth("Leaf" * 15, lineage=made, run=runs.of_pipeline(context), task=task)
    one, two = drawing.tree(lineage.upstream(context, bundles.write(context, 1, birth).uuid))
    assert "(n=0123456789ab...89abcdef)  " in one
    assert two.startswith(f"└── read: {'a' * 70}  {first[:8]}  ")


def test_down_is_what_was_made_of_a_bundle(context: Context, diamond: dict[str, str]):
    drawn = list(drawing.tree(lineage.downstream(context, diamond["raw"])))
    assert [re.split(r"(?<=\w)  ", line)[0] for line in drawn][:3] == ["raw", "├── rows: clean", "│   └── left: model"]
    assert len(drawn) == 5
    assert len(list(drawing.tree(lineage.downstream(context, diamond["raw"], max_depth=1)))) == 3


def test_what_is_not_here_is_called_what_its_reader_calls_it(context: Context, diamond: dict[str, str]):
    bundles.remove(context, [find.need(context, uuid=diamond["raw"])])
    graph = lineage.upstream(context, diamond["clean"])
    assert list(drawing.tree(graph))[1] == f"└── rows: raw  {diamond['raw']}  not here"
    assert graph.missing == [diamond["raw"]]
    assert "style=dashed" in "".join(drawing.dot(graph))
    assert [node["here"] for node in page(drawing.html(graph))["nodes"]] == [True, False]


def test_dot_has_each_bundle_and_each_edge_and_quotes_what_it_must(context: Context, diamond: dict[str, str]):
    lines = list(drawing.dot(lineage.upstream(context, diamond["model"])))
    edges = {tuple(re.findall(r'"([\w-]{36})"', line)) for line in lines if " -> " in line}
    assert edges == edges_of(diamond)
    strings = re.compile(r'"(?:[^"\\]|\\.)*"')
    assert all(re.fullmatch(r"[\w\s=,\[\];{}>-]*", strings.sub("", line)) for line in lines)


def test_mermaid_has_each_bundle_and_each_edge_and_no_character_of_its_own_from_a_name(context, diamond):
    lines = list(drawing.mermaid(lineage.upstream(context, diamond["model"])))
    assert sum("-->" in line for line in lines) == 4
    form = re.compile(r'  n\d+\["[^"<>`]*<br/>[^"<>`]*"\]|  n\d+ -- "[^"]*" --> n\d+')
    assert all(map(form.fullmatch, lines[1:]))


def test_a_page_holds_the_graph_and_nothing_of_a_name_is_markup(context: Context, diamond: dict[str, str]):
    text = drawing.html(lineage.upstream(context, diamond["model"]))
    found = page(text)
    assert {node["name"] for node in found["nodes"]} == set(diamond)
    assert {(edge["from"], edge["to"]) for edge in found["edges"]} == edges_of(diamond)
    assert found["nodes"][0]["tags"] == {"k": HOSTILE}
    assert text.count("<script") == text.count("</script") == 2
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    hostile = drawing.html(lineage.upstream(context, diamond[HOSTILE]))
    assert "<title>Lineage of &quot;]; &lt;/script&gt;" in hostile


def edges_of(diamond: dict[str, str]) -> set[tuple[str, ...]]:
    named = [("raw", "clean"), ("raw", HOSTILE), ("clean", "model"), (HOSTILE, "model")]
    return {(diamond[one], diamond[other]) for one, other in named}


def page(text: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script id="graph" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]
