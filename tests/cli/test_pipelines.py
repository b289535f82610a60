"""Running pipelines: what became of each task, and what options change."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from disdat import config
from disdat.context import Home
from tests.cli.conftest import Dsdt
from tests.pipeline.conftest import lose_objects

MODULE = """\
import luigi
from disdat.pipe import PipeTask

class Numbers(PipeTask):
    n = luigi.IntParameter(default=3)
    label = luigi.Parameter(default="none")

    def pipe_run(self):
        return list(range(self.n))

class Total(PipeTask):
    n = luigi.IntParameter(default=3)

    def pipe_requires(self):
        self.add_dependency("numbers", Numbers, {"n": self.n})

    def pipe_run(self, numbers):
        return sum(numbers)

class Broken(PipeTask):
    def pipe_requires(self):
        self.add_dependency("numbers", Numbers, {})

    def pipe_run(self, numbers):
        raise ValueError("no good")

class Large(PipeTask):
    def pipe_run(self):
        target = self.create_output_file("large.bin")
        with target.open("w") as file:
            file.write("x" * 200_000)
        return target
"""


@pytest.fixture
def pipe(demo: Dsdt, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module of tasks in the current directory; each test's own, since a process imports it once."""
    name = f"pipe_{abs(hash(request.node.nodeid))}"
    Path(f"{name}.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    return name


def decisions(dsdt: Dsdt, *args: str) -> dict[str, str]:
    """What was decided for each task, by the task."""
    return {each["task"]: each["decision"] for each in dsdt.json("apply", *args)}


def test_it_says_what_became_of_each_task_and_why(demo: Dsdt, pipe: str):
    *made, summary = demo("apply", f"{pipe}.Total").lines
    assert [line.split()[:2] for line in made] == [["made", "Numbers(n=3,"], ["made", "Total(n=3)"]]
    assert all("no earlier result" in line for line in made)
    assert re.fullmatch(r"2 made, 0 reused, 0 failed in [\d.]+ s", summary)
    assert demo("cat", "Total").out == "3\n"
    uuid = demo.json("ls", "Total")[0]["uuid"]
    [numbers, total, summary] = demo("apply", f"{pipe}.Total").lines
    assert numbers.startswith("reused")
    assert re.fullmatch(r"0 made, 2 reused, 0 failed in [\d.]+ s", summary)
    assert re.match(rf"reused +Total\(n=3\) +{uuid[:8]} ", total)


def test_show_says_why_the_run_made_it_and_of_what_source(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Total")
    demo("apply", f"{pipe}.Total", "--n", "4")
    shown = demo.json("show", "Total")
    assert shown["why"].startswith("parameter n: 3 -> 4")
    assert f"  why:       {shown['why']}\n" in demo("show", "Total").out
    assert shown["code"]["digest"].startswith("blake3:")


def test_what_follows_the_class_are_its_parameters(demo: Dsdt, pipe: str):
    assert decisions(demo, f"{pipe}.Numbers", "--n", "5", "--label=--json") == {"Numbers(n=5, label=--json)": "made"}
    assert demo("cat", "Numbers").out == "[0, 1, 2, 3, 4]\n"
    assert demo.json("ls")[0]["params"] == {"n": "5", "label": "--json"}


@pytest.mark.parametrize("misplaced", ["-f", "--force", "--rerun=version", "--quiet"])
def test_an_option_that_follows_the_class_is_told_its_place(demo: Dsdt, pipe: str, misplaced):
    ended = demo.run("apply", f"{pipe}.Total", misplaced)
    assert ended.code == 1
    assert ended.err.endswith(
        f"hint: options of dsdt stand before the class: `dsdt apply {misplaced} … {pipe}.Total`\n"
    )


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_after_the_class_lists_its_parameters(demo: Dsdt, pipe: str, word):
    shown = demo("apply", f"{pipe}.Numbers", word).lines
    assert shown == [
        f"Parameters of {pipe}.Numbers:",
        "  --n      an int  default: 3",
        "  --label  a str   default: none",
        "Options of dsdt stand before the class; `dsdt apply --help` lists them.",
    ]
    assert "has no parameters" in demo("apply", f"{pipe}.Broken", word).out
    assert demo.json("ls") == []


def test_the_last_output_is_named_and_tagged_as_asked(demo: Dsdt, pipe: str):
    demo("apply", "-o", "sum", "-ot", "city:Rome", "-it", "any:thing", f"{pipe}.Total")
    [listed] = demo.json("ls", "-r")
    assert (listed["name"], listed["tags"]) == ("sum", {"city": "Rome"})
    assert [each["name"] for each in demo.json("ls", "-i")] == ["Numbers"]


@pytest.mark.parametrize(
    ("option", "numbers", "total"),
    [("--force", "reused", "made"), ("-f", "reused", "made"), ("--force-all", "made", "made")],
)
def test_tasks_are_run_again_by_force(demo: Dsdt, pipe: str, option, numbers, total):
    demo("apply", f"{pipe}.Total")
    decided = list(decisions(demo, option, f"{pipe}.Total").values())
    assert decided == [numbers, total]


@pytest.mark.parametrize(("rerun", "total"), [("content", "reused"), ("version", "made")])
def test_what_makes_an_input_another_can_be_chosen(demo: Dsdt, pipe: str, rerun, total):
    """A task made again with equal content is a newer version of it."""
    demo("apply", f"{pipe}.Total")
    demo("apply", "-f", f"{pipe}.Numbers")
    assert decisions(demo, "--rerun", rerun, f"{pipe}.Total")["Total(n=3)"] == total


def test_a_failing_task_is_told_with_what_it_raised(demo: Dsdt, pipe: str):
    ended = demo.run("apply", f"{pipe}.Broken")
    assert ended.code == 1
    assert [line.split()[0] for line in ended.lines[:-1]] == ["made", "failed"]
    assert re.fullmatch(r"1 made, 0 reused, 1 failed in [\d.]+ s", ended.lines[-1])
    assert ended.err.splitlines()[-2:] == [
        "dsdt: 1 of 2 tasks failed: Broken(): ValueError: no good",
        "hint: finished results are kept: correct the task and apply again",
    ]
    assert [each["name"] for each in demo.json("ls")] == ["Numbers"]


def test_what_is_on_a_remote_only_that_does_not_answer_is_made_anew_where_that_is_said(demo: Dsdt, pipe: str):
    remote = Path("remote")
    demo("remote", "shared", f"file://{remote.absolute()}")
    demo("apply", "--incremental-push", f"{pipe}.Large")
    [large] = demo.json("ls")
    lose_objects(Home.open(config.load()).context("demo"), large["uuid"])
    remote.rename("away")
    remote.mkdir()
    ended = demo.run("apply", f"{pipe}.Large")
    told, hint = ended.err.splitlines()
    assert ended.code == 1
    assert told.startswith("dsdt: results of earlier runs are on the remote only: ")
    assert "--recompute" in hint
    assert demo("apply", "--recompute", f"{pipe}.Large").out.split()[:2] == ["made", "Large()"]


def test_tasks_see_the_profile_that_was_chosen(demo: Dsdt, pipe: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "before")
    demo("--profile", "team", "apply", f"{pipe}.Total")
    assert os.environ["AWS_PROFILE"] == "team"


def test_quiet_tells_only_of_failures(demo: Dsdt, pipe: str):
    assert demo("apply", "--quiet", f"{pipe}.Total").out == ""


def test_lineage_leads_back_to_the_tasks_input(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Total")
    steps = demo.json("lineage", "Total")
    assert [(step["code"]["method"], step["argument"]) for step in steps] == [
        (f"{pipe}.Total", ""),
        (f"{pipe}.Numbers", "numbers"),
    ]


@pytest.mark.slow
def test_several_tasks_run_at_the_same_time(demo: Dsdt, pipe: str):
    assert list(decisions(demo, "-w", "2", f"{pipe}.Total").values()) == ["made", "made"]


def test_a_run_says_how_much_it_pushed_and_fails_where_that_fails(demo: Dsdt, pipe: str, tmp_path: Path):
    url = f"file://{tmp_path}/shared"
    demo("remote", "team", url)
    for _ in range(2):
        told = demo("apply", "--incremental-push", f"{pipe}.Total").lines
        assert told[-1] == f"2 bundles of this run pushed to team@{url}"
    (tmp_path / "shared").rename(tmp_path / "away")
    ended = demo.run("apply", "--incremental-push", f"{pipe}.Total", "--n", "4")
    assert ended.code == 1
    assert "failed" in ended.out
    assert "pushed to" not in ended.out
    assert f"{url} is empty, and is not the store this context was bound to" in ended.err
