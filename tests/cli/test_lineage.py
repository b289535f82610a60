"""Where a bundle came from, in every form; the page is opened in a real browser."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from disdat import ops
from disdat.cli import trees
from disdat.context import Home
from disdat.core.branches import ASCII, LINES
from disdat.core.bundle import CodeRef, Lineage
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt
from tests.conftest import require

HOSTILE = "<img src=http://127.0.0.1:9/x onerror=alert(1)>"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def made(demo: Dsdt, home: Path) -> dict[str, str]:
    """Four bundles by name, the last of two, one of which has the name of an attack, and both of one."""

    def store(name: str, **inputs: str) -> str:
        context = Home(home).context("demo")
        found = {argument: context.catalog.bundle(uuid) for argument, uuid in inputs.items()}
        read = tuple(ops.bundles.dependency(argument, each) for argument, each in found.items())
        lineage = Lineage(inputs=read, code=CodeRef("mod.made"), started_us=0, stopped_us=2_500_000)
        birth = Birth(name, tags={"tag": HOSTILE}, params={"gamma": "0.5"}, lineage=lineage)
        return ops.bundles.write(context, name, birth).uuid

    raw = store("raw")
    clean, hostile = store("clean", rows=raw), store(HOSTILE, rows=raw)
    return {"raw": raw, "clean": clean, HOSTILE: hostile, "model": store("model", a=clean, b=hostile, also=raw)}


def test_the_tree_is_what_is_shown_unless_another_form_is_asked_for(demo: Dsdt, made: dict[str, str]):
    shown = demo("lineage", "model").lines
    assert shown == demo("lineage", "--format", "tree", "model").lines
    assert [re.split(r"(?<=[\w>)])  ", line)[0] for line in shown] == [
        "model",
        "├── a: clean",
        "│   └── rows: raw",
        f"├── b: {HOSTILE}",
        "│   └── rows: raw (above)",
        "└── also: raw (above)",
    ]


def test_of_what_is_not_here_it_says_how_to_pull_it(demo: Dsdt, made: dict[str, str], tmp_path: Path):
    assert demo.run("lineage", "model").err == ""
    demo("rm", "raw")
    assert demo.run("lineage", "model").err == (
        "1 of 4 bundles is not in demo, and so what it was made from is not known\n"
    )
    demo("remote", "team", f"file://{tmp_path}/shared")
    assert demo.run("lineage", "model").err.splitlines()[1] == f"hint: `dsdt pull -u {made['raw']}`, if team has it"


def test_down_shows_what_was_made_of_it(demo: Dsdt, made: dict[str, str]):
    assert [line.split("  ")[0] for line in demo("lineage", "--down", "clean").lines] == ["clean", "└── a: model"]
    [_, reader] = demo.json("lineage", "--down", "clean")
    assert (reader["uuid"], reader["made_from"], reader["argument"]) == (made["model"], made["clean"], "a")


@pytest.mark.parametrize(
    ("name", "begins"), [("x.html", "<!doctype html>"), ("x.dot", "digraph"), ("x.mmd", "flowchart"), ("x.json", "[")]
)
def test_the_name_of_a_file_says_what_is_written_to_it(demo: Dsdt, made: dict[str, str], name, begins):
    assert demo("lineage", "model", "-o", name).out == f"Wrote {name}\n"
    assert Path(name).read_text("utf-8").startswith(begins)
    demo("lineage", "model", "-o", name, "--format", "tree")
    assert Path(name).read_text("utf-8").startswith("model")


def test_a_file_that_cannot_be_written_is_told(demo: Dsdt, made: dict[str, str]):
    assert "cannot write nowhere/x.html" in demo.fails("lineage", "model", "-o", "nowhere/x.html")
    assert "exclude each other" in demo.fails("lineage", "model", "--json", "--format", "dot", code=2)


@pytest.mark.browser
def test_a_browser_shows_the_right_graph_and_asks_nobody_for_anything(demo: Dsdt, made: dict[str, str]):
    browsers = pytest.importorskip("playwright.sync_api")
    chromium = require("chromium")
    page_url = Path("lineage.html").absolute().as_uri()
    demo("lineage", "model", "-o", "lineage.html")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(color_scheme="dark")
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_url)
        nodes = {node.get_attribute("data-uuid"): node for node in page.query_selector_all(".node")}
        drawn = page.query_selector_all(".edge")
        edges = {(edge.get_attribute("data-from"), edge.get_attribute("data-to")) for edge in drawn}
        assert set(nodes) == set(made.values())
        named = [("raw", "clean"), ("raw", HOSTILE), ("raw", "model"), ("clean", "model"), (HOSTILE, "model")]
        assert edges == {(made[one], made[other]) for one, other in named}
        places = {name: nodes[uuid].bounding_box()["x"] for name, uuid in made.items()}
        assert places["raw"] < places["clean"] == places[HOSTILE] < places["model"]

        nodes[made[HOSTILE]].click()
        told = page.inner_text("#details")
        for text in (HOSTILE, made[HOSTILE], "gamma", "0.5", "mod.made", "2.5 s", "rows: raw", "b: model"):
            assert text in told
        page.click("#details button:has-text('rows: raw')")
        assert made["raw"] in page.inner_text("#details")
        assert page.locator("#legend button").all_inner_texts() == ["mod.made\n4"]
        page.fill("#find", "model")
        assert page.locator(".node:not(.dimmed)").get_attribute("data-uuid") == made["model"]

        before = page.get_attribute("#view", "transform")
        page.mouse.move(300, 300)
        page.mouse.wheel(0, -300)
        assert page.get_attribute("#view", "transform") != before
        browser.close()
    assert (requests, complaints) == ([page_url], [])


@pytest.mark.browser
def test_a_large_page_begins_where_it_can_be_read_and_says_why(demo: Dsdt, home: Path):
    """A hundred bundles in one view would be smaller than anybody can read."""
    browsers = pytest.importorskip("playwright.sync_api")
    context = Home(home).context("demo")
    run = ops.runs.of_pipeline(context)
    gone = ops.bundles.write(context, 1, Birth("gone"))
    read = [ops.bundles.dependency("gone", gone)]
    for number in range(100):
        made = Lineage(inputs=(read[0],), code=CodeRef("mod.Part"))
        part = ops.bundles.write(context, number, Birth("part", params={"n": str(number)}, lineage=made))
        read.append(ops.bundles.dependency(f"p{number}", part))
    made = Lineage(inputs=tuple(read[1:]), code=CodeRef("mod.Top"))
    top = ops.bundles.write(context, 1, Birth("top", lineage=made, run=run)).uuid
    why = {"task": "Top()", "key": None, "bundle": top, "decision": "made", "why": "forced; another salt", "seconds": 0}
    ops.runs.conclude(context, run, [why], reaffirmed=[])
    demo("rm", "gone")
    demo("lineage", "top", "-o", "lineage.html")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(Path("lineage.html").absolute().as_uri())
        start = page.query_selector(".node.start")
        assert start.bounding_box()["width"] > 100
        assert 0 < start.bounding_box()["x"] < 1100
        assert page.locator("#legend button").all_inner_texts() == ["mod.Part\n100", "mod.Top\n1"]
        assert page.locator("#legend > span").all_inner_texts() == ["asked for", "not here"]
        page.click("#legend button:has-text('mod.Top')")
        assert page.locator(".node:not(.dimmed)").count() == 1
        start.click()
        assert "made because\nforced\nanother salt\n" in page.inner_text("#details").lower().replace("\n\n", "\n")
        assert "p7: part (n=7)" in page.inner_text("#details")
        page.fill("#find", gone.uuid)
        page.press("#find", "Enter")
        assert f"dsdt pull -u {gone.uuid}" in page.inner_text("#details")
        browser.close()
    assert complaints == []


@pytest.mark.parametrize(("encoding", "strokes"), [("utf-8", LINES), ("ascii", ASCII), ("latin-1", ASCII)])
def test_a_terminal_without_lines_gets_a_tree_of_ascii(monkeypatch: pytest.MonkeyPatch, encoding, strokes):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert trees.strokes() == strokes
    assert trees.strokes(to_file=True) == LINES
