"""Task classes by name, and a remedy for each way a name can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.errors import DisdatError, InvalidInput, NotFound
from disdat.pipe import PipeTask, load_class
from tests.pipeline import tasks


def test_a_class_is_loaded_by_module_and_name():
    assert load_class("tests.pipeline.tasks.A") is tasks.A


def test_the_current_directory_is_looked_in(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    package = Path("here_only")
    package.mkdir()
    (package / "steps.py").write_text("from disdat.pipe import PipeTask\nclass Step(PipeTask): pass\n")
    found = load_class("here_only.steps.Step")
    assert issubclass(found, PipeTask)
    assert found.__module__ == "here_only.steps"


@pytest.mark.parametrize(
    ("name", "error", "told", "hint"),
    [
        ("Train", InvalidInput, "'Train' does not name a class", "MODULE.CLASS"),
        ("", InvalidInput, "'' does not name a class", "MODULE.CLASS"),
        ("a-b.Train", InvalidInput, "'a-b.Train' does not name a class", "MODULE.CLASS"),
        (".Train", InvalidInput, "does not name a class", "MODULE.CLASS"),
        ("no_such_module.Train", NotFound, "no module no_such_module, needed", "run this in the directory"),
        ("tests.no_such.Train", NotFound, "no module tests.no_such, needed", "that holds tests/no_such"),
        ("tests.pipeline.tasks.Bot", NotFound, "no class Bot in the module tests.pipeline.tasks", "tasks.Both?"),
        ("broken.empty.T", NotFound, "no class T", "broken.empty has no tasks"),
        ("broken.other.T", NotFound, "no class T", "its tasks are Alpha, Beta"),
        ("json.JSONDecoder", InvalidInput, "json.JSONDecoder is not a PipeTask", "json has no tasks"),
        ("broken.syntax.T", InvalidInput, "cannot import broken.syntax: SyntaxError", "correct the module"),
        ("broken.name.T", InvalidInput, "NameError: name 'undefined' is not defined (", "correct the module"),
        (
            "broken.needs.T",
            InvalidInput,
            "ModuleNotFoundError: No module named 'not_installed'",
            "`pip install not_installed`",
        ),
        ("broken.misnames.T", InvalidInput, "No module named 'broken.not_there'", "correct the module"),
        ("broken.leaves.T", InvalidInput, "cannot import broken.leaves: SystemExit: 3", "correct the module"),
        ("broken.luigis.T", InvalidInput, "broken.luigis: T has a method run, which nothing calls", "into pipe_run"),
    ],
)
def test_a_name_that_leads_nowhere_says_why(
    importable: Callable[[str, str], Path], name: str, error: type[DisdatError], told: str, hint: str
):
    importable("broken/__init__.py", "")
    importable("broken/empty.py", "from disdat.pipe import PipeTask")
    importable(
        "broken/luigis.py", "from disdat.pipe import PipeTask\nclass T(PipeTask):\n    def run(self): return 1\n"
    )
    importable(
        "broken/other.py", "from disdat.pipe import PipeTask\nclass Beta(PipeTask): pass\nclass Alpha(PipeTask): pass"
    )
    importable("broken/syntax.py", "def f(:\n")
    importable("broken/name.py", "\n\nundefined\n")
    importable("broken/needs.py", "import not_installed")
    importable("broken/misnames.py", "import broken.not_there")
    importable("broken/leaves.py", "raise SystemExit(3)")
    with pytest.raises(error) as caught:
        load_class(name)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hint in caught.value.hint


def test_a_syntax_error_in_a_module_that_is_imported_names_that_module(importable: Callable[[str, str], Path]):
    helper = importable("helping.py", "x = 1\n\ndef f(:\n")
    importable("helped.py", "import helping\n")
    with pytest.raises(InvalidInput, match="cannot import helped: SyntaxError: invalid syntax") as caught:
        load_class("helped.T")
    assert f"({helper}, line 3)" in str(caught.value)


def test_an_error_in_a_module_names_its_line(importable: Callable[[str, str], Path]):
    path = importable("line_three.py", "\n\nundefined\n")
    with pytest.raises(InvalidInput) as caught:
        load_class("line_three.T")
    assert f"({path}, line 3)" in str(caught.value)
