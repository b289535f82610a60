"""Pipelines that cannot be run: each is told in one line that names what is wrong, and leaves no bundle behind."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from disdat.context import Home
from tests.cli.conftest import Dsdt

MODULE = """\
import os, time
import luigi
from disdat.pipe import PipeTask

class One(PipeTask):
    def pipe_requires(self):
        self.add_dependency("two", Two, {})

class Two(PipeTask):
    def pipe_requires(self):
        self.add_dependency("three", Three, {"n": 3})

class Three(PipeTask):
    n = luigi.IntParameter()
    def pipe_requires(self):
        self.add_dependency("two", Two, {})

class Self(PipeTask):
    def pipe_requires(self):
        self.add_dependency("me", Self, {})

class Yields(PipeTask):
    def pipe_run(self):
        yield self.yield_dependency(Needs, {})

class Needs(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", Yields, {})
    def pipe_run(self, it):
        return it

class ByName(PipeTask):
    def pipe_requires(self):
        self.add_external_dependency("it", None, {}, human_name="station")
    def pipe_run(self, it):
        with open(it) as file:
            return file.read()

class ByUuid(PipeTask):
    def pipe_requires(self):
        self.add_external_dependency("it", None, {}, uuid="12345678-1234-4234-8234-123456789abc")

class ByClass(PipeTask):
    def pipe_requires(self):
        self.add_external_dependency("it", Three, {"n": 7})

class Unstorable(PipeTask):
    def pipe_run(self):
        return {"a": [1, object()]}

class OneName(PipeTask):
    def pipe_run(self):
        for place in ("left", "right"):
            os.makedirs(place, exist_ok=True)
            with open(f"{place}/same.txt", "w") as file:
                file.write(place)
        return ["left/same.txt", "right/same.txt"]

class Dying(PipeTask):
    def pipe_run(self):
        os._exit(7)

class Killed(PipeTask):
    def pipe_run(self):
        os.kill(os.getpid(), 9)

class Endless(PipeTask):
    def pipe_run(self):
        time.sleep(600)

class TakesNone(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", Three, {"m": 1})

class NoTask(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", int, {})

class Returns(PipeTask):
    def pipe_requires(self):
        return [Three(n=1)]

class TakesAnother(PipeTask):
    def pipe_requires(self):
        self.add_dependency("it", Three, {"n": 3})
    def pipe_run(self, other):
        return other

class WantsMore(PipeTask):
    def pipe_run(self, more):
        return more

class Twice(PipeTask):
    def pipe_run(self):
        return [self.create_output_file("a.txt"), self.create_output_file("a.txt")]

class YieldsNoTask(PipeTask):
    def pipe_run(self):
        yield 7
"""

LUIGIS = """\
from disdat.pipe import PipeTask

class Output(PipeTask):
    def output(self):
        return None
"""

REFUSED = [
    ("bad.None", "no class None in the module bad"),
    ("nowhere.Task", "no module nowhere, needed for nowhere.Task"),
    ("bad.Three --n x", "parameter n of Three is an int; str 'x' is not"),
    ("--timeout x bad.Endless", "'x' is not a valid"),
    ("--timeout 0 bad.Endless", "timeout is a number of seconds above 0"),
    ("bad.Self", r"a cycle: Self\(\) -> Self\(\)"),
    ("bad.One", r"a cycle: Two\(\) -> Three\(n=3\) -> Two\(\)"),
    ("bad.ByName", r"ByName\(\) needs bundle named station as it, which is not in demo"),
    ("bad.ByUuid", r"ByUuid\(\) needs bundle 12345678-1234-4234-8234-123456789abc as it, which is not in demo"),
    ("bad.TakesNone", "Three has no parameter 'm'"),
    ("bad.NoTask", r"<class 'int'> is not a PipeTask"),
    ("bad.Returns", r"Returns\(\): pipe_requires returns Three, and what it returns counts for nothing"),
    ("bad.TakesAnother", r"TakesAnother\(\): pipe_run takes no argument 'it', which add_dependency\('it', \.\.\.\)"),
    ("bad.WantsMore", r"WantsMore\(\): pipe_run wants an argument 'more', which nothing hands it"),
    ("luigis.Output", "cannot import luigis: Output has a method output, which nothing calls"),
]
"""What is known before anything runs."""
FAILING = [
    ("bad.Unstorable", r"\['a'\]\[1\]"),
    ("bad.YieldsNoTask", "yields 7, which is no task"),
    ("bad.Twice", "pipe_run has two output files of the name 'a.txt'"),
    ("bad.Yields", r"Yields\(\) yields Needs\(\), which needs it"),
]
"""What is known when it runs."""
IN_PROCESSES = [
    ("-w 2 bad.Dying", "7"),
    ("-w 2 bad.Killed", "SIGKILL|signal 9|killed"),
    ("--timeout 0.3 bad.Endless", "0.3"),
]
"""What takes its process with it, or has to be ended with it."""


@pytest.fixture
def bad(demo: Dsdt, monkeypatch: pytest.MonkeyPatch) -> Dsdt:
    """The command line beside a module of bad pipelines."""
    Path("bad.py").write_text(MODULE, "utf-8")
    Path("luigis.py").write_text(LUIGIS, "utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "bad", raising=False)
    return demo


def leftovers(home: Path) -> list[str]:
    """What is where bundles are, of which there are none."""
    return [path.name for path in (home / "context" / "demo" / "objects").glob("*")]


@pytest.mark.parametrize(("line", "told"), REFUSED)
def test_what_cannot_be_run_is_refused_before_anything_runs(bad: Dsdt, home: Path, line, told):
    ended = bad.run("apply", *line.split())
    assert ended.code in {1, 2}
    first, *hint = ended.err.splitlines()
    assert re.search(told, first), first
    assert len(hint) <= 1
    assert (bad.json("ls"), bad.json("log"), leftovers(home)) == ([], [], [])


@pytest.mark.parametrize(("line", "told"), FAILING)
def test_what_fails_is_told_in_a_line_and_leaves_nothing(bad: Dsdt, home: Path, line, told):
    fails(bad, home, line, told)


@pytest.mark.slow
@pytest.mark.parametrize(("line", "told"), IN_PROCESSES)
def test_what_takes_its_process_with_it_is_told_and_leaves_nothing(bad: Dsdt, home: Path, line, told):
    fails(bad, home, line, told)


def fails(bad: Dsdt, home: Path, line: str, told: str) -> None:
    ended = bad.run("apply", *line.split())
    assert ended.code == 1
    [said] = [each for each in ended.err.splitlines() if each.startswith("dsdt: ")]
    assert "of 1 task" in said or "of 2 tasks" in said
    assert re.search(told, said), said
    assert (bad.json("ls"), leftovers(home)) == ([], [])


def test_two_files_of_one_name_are_kept_apart(bad: Dsdt):
    bad("apply", "bad.OneName")
    paths = ast.literal_eval(bad("cat", "OneName").out)
    assert [Path(path).read_text("utf-8") for path in paths] == ["left", "right"]


def test_an_input_whose_bytes_are_gone_is_named(bad: Dsdt, home: Path):
    Path("a.txt").write_text("x" * 100_000, "utf-8")
    added = json.loads(bad("add", "--json", "station", "a.txt").out)["uuid"]
    store = Home(home).store
    [digest] = [each["digest"] for each in bad.json("show", "station")["tree"]]
    [path] = [each for each in store.root.rglob("*") if digest.rpartition(":")[2][4:] in each.name]
    path.unlink()
    ended = bad.run("apply", "bad.ByName")
    assert ended.code == 1
    assert re.search(digest.rpartition(":")[2][:8], ended.err), ended.err
    assert [each["uuid"] for each in bad.json("ls")] == [added]


def test_a_class_of_a_script_works_there_and_says_where_it_must_move(bad: Dsdt):
    script = (
        "import disdat.api as api\n"
        "from disdat.pipe import PipeTask\n"
        "class Task(PipeTask):\n"
        "    def pipe_run(self):\n"
        "        return 7\n"
        "if __name__ == '__main__':\n"
        "    print(api.apply('demo', Task), api.cat('demo', 'Task'))\n"
    )
    Path("script.py").write_text(script, "utf-8")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "{'success': True, 'did_work': True} 7\n"
    ended = bad.run("apply", "__main__.Task")
    assert "hint: __main__ is what runs now: move Task into a module, and name that" in ended.err
