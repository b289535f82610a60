"""Plans before, answers afterwards, and parameters that no option can clash with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from disdat.cli import planning
from disdat.core.branches import LINES
from disdat.pipeline.preview import Expected, Preview
from disdat.pipeline.reasons import Reason
from tests.cli.conftest import Dsdt

MODULE = """\
import luigi
from disdat.pipe import PipeTask

class Leaf(PipeTask):
    n = luigi.IntParameter(default=0)

    def pipe_run(self):
        return self.n

class Fan(PipeTask):
    n = luigi.IntParameter(default=2)

    def pipe_requires(self):
        for each in range(self.n):
            self.add_dependency(f"a{each}", Leaf, {"n": each})

    def pipe_run(self, **given):
        return sum(given.values())

class Yields(PipeTask):
    def pipe_run(self):
        return (yield self.yield_dependency(Leaf, {"n": 3}))

class Broken(PipeTask):
    def pipe_run(self):
        raise ValueError("no good")

class Between(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", Broken, {})

    def pipe_run(self, it):
        return it

class Above(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", Between, {})

    def pipe_run(self, it):
        return it

class Odd(PipeTask):
    force = luigi.Parameter(default="-")
    workers = luigi.IntParameter(default=0)
    json = luigi.DictParameter(default={})
    help = luigi.BoolParameter(default=False)
    plan = luigi.ListParameter(default=[])
    when = luigi.DateParameter(default=None)

    def pipe_run(self):
        return [self.force, self.workers, dict(self.json), self.help, list(self.plan), str(self.when)]

class Lost(PipeTask):
    def pipe_requires(self):
        self.add_external_dependency("it", None, {}, human_name="nowhere")

    def pipe_run(self, it):
        return it
"""


@pytest.fixture
def pipe(demo: Dsdt, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module of tasks in the current directory; each test's own, since a process imports it once."""
    name = f"plans_{abs(hash(request.node.nodeid))}"
    Path(f"{name}.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    return name


def test_a_plan_is_a_tree_of_what_would_become_of_each_task(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Leaf")
    lines = demo("plan", f"{pipe}.Fan").lines
    assert [re.split("  +", line)[:2] for line in lines] == [
        ["run", "Fan(n=2)"],
        ["reuse", "├── a0: Leaf(n=0)"],
        ["run", "└── a1: Leaf(n=1)"],
        ["2 to run, 1 to reuse; about 0.0 s"],
    ]
    assert lines[1].endswith("same code, parameters and input content")
    assert [each["name"] for each in demo.json("ls")] == ["Leaf"]
    assert demo("apply", "--plan", f"{pipe}.Fan").lines == lines
    same = json.loads(demo("apply", "--plan", "--json", f"{pipe}.Fan").out)
    assert demo.json("plan", f"{pipe}.Fan") == same


@pytest.mark.parametrize("given", ["-f", "--force-all", "--recompute", "--rerun version", "-o other"])
def test_an_apply_that_only_plans_is_a_plan(demo: Dsdt, pipe: str, given: str):
    demo("apply", f"{pipe}.Fan")
    planned = demo("plan", *given.split(), f"{pipe}.Fan").out
    assert demo("apply", "--plan", *given.split(), f"{pipe}.Fan").out == planned
    assert (planned.splitlines()[0].split()[0] == "run") == (given not in {"--recompute", "--rerun version"})


def test_what_a_task_yielded_is_shown_as_last_time(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Yields")
    assert demo("plan", f"{pipe}.Yields").lines[1].startswith("reuse  └── yields: Leaf(n=3)")
    shown = demo("plan", "-f", f"{pipe}.Yields").lines
    assert [re.split("  +", line)[:2] for line in shown[:2]] == [
        ["run", "Yields()"],
        ["reuse", "└── as last time: Leaf(n=3)"],
    ]
    assert shown[2].startswith("1 to run, 1 to reuse; 1 of them as last time; about ")


def test_a_plan_fits_the_terminal_and_keeps_the_reasons_for_what_runs():
    reasons = (Reason("parameter", "parameter gamma: 0.5 -> 0.25", "gamma", "0.5", "0.25", "12345678-1"),)
    top = Expected("Train(gamma=0.25)", "m.Train", "run", str(reasons[0]), {"data": 0}, reasons=reasons, seconds=2.0)
    base = Expected(
        "GetData(rows=all)", "m.GetData", "reuse", "same code, parameters and input content", {}, bundle="87654321-1"
    )
    found = Preview([base, top], root=1)
    wide = [*planning.lines(found, strokes=LINES, every=False, width=None)]
    assert wide == [
        "run    Train(gamma=0.25)            ~2.0 s    parameter gamma: 0.5 -> 0.25 (since 12345678)",
        "reuse  └── data: GetData(rows=all)  87654321  same code, parameters and input content",
        "1 to run, 1 to reuse; about 2.0 s",
    ]
    assert [*planning.lines(found, strokes=LINES, every=False, width=95)] == wide
    assert [*planning.lines(found, strokes=LINES, every=False, width=80)][:2] == [
        "run    Train(gamma=0.25)  ~2.0 s  parameter gamma: 0.5 -> 0.25 (since 12345678)",
        "reuse  └── data: GetData(rows=all)  87654321",
    ]
    narrow = [*planning.lines(found, strokes=LINES, every=False, width=60)]
    assert max(map(len, narrow)) == 60
    assert re.fullmatch(r"run    Train\(gamma=0.25\)  ~2.0 s  parameter gamma: 0.*(…|\.\.\.)", narrow[0])


def test_of_a_large_plan_classes_are_shown_unless_all_is_wanted(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Leaf")
    lines = demo("plan", f"{pipe}.Fan", "--n", "100").lines
    assert [re.split("  +", line) for line in lines] == [
        ["Fan(n=100)", "1 run", "no earlier result"],
        [f"└── {pipe}.Leaf: 100 tasks", "99 run, 1 reuse", "parameter n: 0 -> 1 (and 98 other reasons)"],
        ["100 to run, 1 to reuse; about 0.0 s; --all shows each task"],
    ]
    assert len(demo("plan", "--all", f"{pipe}.Fan", "--n", "100").lines) == 102


def test_a_plan_that_misses_an_input_shows_it_and_fails(demo: Dsdt, pipe: str):
    ended = demo.run("plan", f"{pipe}.Lost")
    assert ended.code == 1
    assert ended.lines[0].split()[:2] == ["missing", "Lost()"]
    assert "Lost() needs bundle named nowhere as it, which is not in demo" in ended.err


def test_why_answers_for_a_bundle_and_for_a_task(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Leaf", "--n", "3")
    demo("apply", f"{pipe}.Leaf", "--n", "4")
    demo("apply", f"{pipe}.Leaf", "--n", "4")
    shown = demo("why", "Leaf").lines
    assert re.match(r"Leaf\(n=4\) did not run on [\d-]{10} [\d:]{8}$", shown[0])
    assert shown[1] == "  because  same code, parameters and input content"
    assert "  params:  n=4" in shown
    assert shown[-3] == "  because  parameter n: 3 -> 4"
    assert re.match(r"  since    Leaf\(n=3\) [0-9a-f]{8}$", shown[-2])
    assert re.match(r"  by       .+@.+: \S+", shown[-1])
    assert demo("why", f"{pipe}.Leaf").lines == shown
    assert demo.json("why", f"{pipe}.Leaf", "--n", "3")["last"]["why"] == "no earlier result"
    assert "no run in demo decided about Leaf(n=5)" in demo.fails("why", f"{pipe}.Leaf", "--n", "5")
    assert "no bundle 'Nothing'" in demo.fails("why", "Nothing")


def test_of_what_a_task_yielded_why_says_so(demo: Dsdt, pipe: str):
    demo("apply", f"{pipe}.Yields")
    assert re.fullmatch(r"  yielded:\s+Leaf\(n=3\) [0-9a-f]{8}", demo("why", "Yields").lines[-1])
    [read] = demo.json("why", "Yields")["inputs"].values()
    assert (read["name"], read["yielded"]) == ("Leaf", "Leaf(n=3)")


def test_why_follows_what_did_not_run_to_what_failed(demo: Dsdt, pipe: str):
    assert demo.run("apply", f"{pipe}.Above").code == 1
    assert [re.split(" on ", line)[0] for line in demo("why", f"{pipe}.Above").lines[:4]] == [
        "Above() did not run",
        "  because  Between() did not run",
        "  └── Between() did not run: Broken() failed",
        "      └── Broken() failed: ValueError: no good",
    ]


def test_no_name_of_a_parameter_clashes_with_an_option(demo: Dsdt, pipe: str):
    given = ["--force", "x", "--workers", "3", "--help", "--plan", "[1]", "--json", '{"a": 1}']
    demo("apply", "-f", f"{pipe}.Odd", *given)
    assert demo("cat", "Odd").out == "['x', 3, {'a': 1}, True, [1], 'None']\n"
    demo("apply", "--", f"{pipe}.Odd", "--", "--force=--json")
    assert demo("cat", "Odd").out == "['--json', 0, {}, False, [], 'None']\n"
    assert "--help" in demo("apply", f"{pipe}.Odd", "-h").out


@pytest.mark.parametrize("place", ["file", "text"])
def test_parameters_may_come_as_json(demo: Dsdt, pipe: str, place):
    text = json.dumps({"force": "x", "workers": 3, "json": {"a": [1]}, "help": True, "plan": [1], "when": "2026-03-01"})
    Path("params.json").write_text(text, "utf-8")
    demo("apply", "--params-json", "params.json" if place == "file" else text, f"{pipe}.Odd")
    assert demo("cat", "Odd").out == "['x', 3, {'a': (1,)}, True, [1], '2026-03-01']\n"
    demo("apply", "--params-json", '{"workers": 4}', f"{pipe}.Odd", "--force", "y")
    assert demo("cat", "Odd").out.startswith("['y', 4,")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"nothing": 1}', "Odd has no parameter 'nothing'"),
        ('{"workers": "x"}', "parameter workers of Odd is an int; str 'x' is not"),
        ('{"workers": [1]}', "parameter workers of Odd is an int; list [1] is not"),
        ('{"workers": 1, "workers": 2}', "'workers' is given twice"),
        ('{"workers": 1', "cannot read the parameters as JSON"),
        ("none.json", "cannot read none.json: No such file or directory"),
        ("list.json", "list.json is JSON, but no object"),
        ("bytes.json", "bytes.json is not UTF-8"),
    ],
)
def test_json_that_holds_no_parameters_is_refused(demo: Dsdt, pipe: str, given, told):
    Path("list.json").write_text("[]", "utf-8")
    Path("bytes.json").write_bytes(b"\xff")
    assert told in demo.fails("apply", "--params-json", given, f"{pipe}.Odd")
    assert demo.json("ls") == []


def test_a_parameter_is_given_once(demo: Dsdt, pipe: str):
    line = ["apply", "--params-json", '{"workers": 1}', f"{pipe}.Odd", "--workers", "2"]
    assert demo.fails(*line) == "parameter workers is given twice"
