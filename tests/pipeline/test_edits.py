"""Edits between runs, and while a task runs: a result is never taken for what other code would make."""

from __future__ import annotations

import importlib
import os
import py_compile
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.pipe import PipeTask
from tests.pipeline.conftest import Applied, Project

STEPS = """
    import helper
    import luigi
    from disdat.pipe import PipeTask

    class First(PipeTask):
        def pipe_run(self):
            return helper.one()

    class Second(PipeTask):
        n = luigi.IntParameter(default=1)
        def pipe_requires(self):
            self.add_dependency("first", First, {})
        def pipe_run(self, first):
            return first + self.n
    """


@pytest.mark.slow
def test_an_edit_of_a_helper_is_noticed_and_going_back_finds_the_old_result(project: Project):
    project.write("steps.py", STEPS)
    old = "def one(): return 1\n"
    project.write("helper.py", old)
    assert project.apply("steps.Second") == ["First", "Second"]
    assert project.apply("steps.Second") == []
    project.write("helper.py", "def one(): return 2\n")
    assert project.apply("steps.Second") == ["First", "Second"]
    project.write("helper.py", old)
    assert project.apply("steps.Second") == []
    applied = Applied(project.context)
    assert applied.value("Second") == 2


@pytest.mark.slow
def test_under_the_rule_of_versions_old_code_is_run_again(project: Project):
    project.write("steps.py", STEPS)
    old = "def one(): return 1\n"
    for text in (old, "def one(): return 2\n", old):
        project.write("helper.py", text)
        assert project.apply("steps.Second", rerun="version") == ["First", "Second"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policies", "made"),
    [
        (("closure", "closure"), ["First", "Second"]),
        (("none", "none"), []),
        (("manual:1", "manual:1"), []),
        (("manual:1", "manual:2"), ["First", "Second"]),
    ],
)
def test_what_counts_as_a_change_of_code_is_a_setting(project: Project, policies: tuple[str, str], made: list[str]):
    project.write("steps.py", STEPS)
    project.write("helper.py", "def one(): return 1\n")
    project.apply("steps.Second", code_version=policies[0])
    project.write("helper.py", "def one(): return 2\n")
    assert project.apply("steps.Second", code_version=policies[1]) == made


@pytest.mark.slow
def test_a_task_may_have_a_code_version_of_its_own(project: Project):
    own = STEPS.replace("class First(PipeTask):\n", 'class First(PipeTask):\n        code_version = "manual:1"\n')
    project.write("steps.py", own.replace("first + self.n", "first + helper.one()"))
    project.write("helper.py", "def one(): return 1\n")
    project.apply("steps.Second")
    project.write("helper.py", "def one(): return 2\n")
    assert project.apply("steps.Second") == ["Second"]


@pytest.mark.slow
def test_another_salt_makes_results_count_for_nothing(project: Project):
    project.write("steps.py", STEPS)
    project.write("helper.py", "def one(): return 1\n")
    project.apply("steps.First", code_version="none")
    project.write("steps.py", STEPS.replace("class First(PipeTask):\n", 'class First(PipeTask):\n        salt = "2"\n'))
    assert project.apply("steps.First", code_version="none") == ["First"]
    assert Applied(project.context).decisions() == {"First()": ("made", "another salt")}


@pytest.mark.slow
def test_under_git_a_commit_counts_and_so_does_what_is_not_committed(project: Project):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=project.root, check=True, capture_output=True)

    project.write("steps.py", STEPS)
    project.write("helper.py", "def one(): return 1\n")
    project.write(".gitignore", "__pycache__\nnotes.txt\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    assert project.apply("steps.First", code_version="git") == ["First"]
    assert project.apply("steps.First", code_version="git") == []
    project.write("helper.py", "def one(): return 2\n")
    assert project.apply("steps.First", code_version="git") == ["First"]
    project.write("helper.py", "def one(): return 3\n")
    assert project.apply("steps.First", code_version="git") == ["First"]
    git("commit", "-qam", "two")
    assert project.apply("steps.First", code_version="git") == ["First"]
    assert project.apply("steps.First", code_version="git") == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_result_is_tainted_if_its_code_was_edited_meanwhile(project: Project, workers: int):
    text = """
        from pathlib import Path
        from disdat.pipe import PipeTask

        class Edits(PipeTask):
            def pipe_run(self):
                if Path("edit").exists():
                    Path(__file__).write_text(Path(__file__).read_text().replace("return 1", "return 2"))
                return 1
        """
    project.write("self_editing.py", text)
    project.write("edit", "")
    applied = Applied(project.context)
    assert project.apply("self_editing.Edits", workers=workers) == ["Edits"]
    row = applied.context.catalog.latest("Edits")
    assert row is not None
    assert row.tainted
    (project.root / "edit").unlink()
    project.write("self_editing.py", text)
    assert project.apply("self_editing.Edits", workers=workers) == ["Edits"]
    assert applied.decisions() == {"Edits()": ("made", "tainted: the code changed while the earlier result was made")}
    assert project.apply("self_editing.Edits") == []


def test_code_that_is_loaded_but_no_longer_on_disk_is_not_what_runs(
    applied: Applied, importable: Callable[[str, str], Path]
):
    """In a session that imported a module before it was edited, what is on disk runs, in another process."""
    path = importable(
        "session_task.py", "from disdat.pipe import PipeTask\nclass T(PipeTask):\n    def pipe_run(self): return 1\n"
    )

    def task() -> type[PipeTask]:
        return importlib.import_module("session_task").T  # type: ignore[no-any-return]

    applied(task())
    path.write_text(path.read_text().replace("return 1", "return 2"))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert applied(task()) == ["T"]
    assert applied.value("T") == 2
    assert applied(task()) == []
    importlib.reload(importlib.import_module("session_task"))
    assert applied(task()) == []


def test_where_no_other_process_can_run_it_old_code_taints_and_a_reload_is_advised(
    applied: Applied, importable: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
):
    """A class that only this process knows, as one of a notebook, runs here with what is loaded here."""
    path = importable("notebook_helper.py", "LIMIT = 1\ndef f(): return LIMIT\n")
    helper = importlib.import_module("notebook_helper")

    class T(PipeTask):
        def pipe_run(self) -> object:
            import notebook_helper  # as a cell does

            return notebook_helper.f()

    assert applied(T) == ["T"]
    assert applied(T) == []
    path.write_text("LIMIT = 2\ndef f(): return LIMIT\n")
    assert applied(T) == ["T"]
    assert applied.value("T") == 1
    assert "notebook_helper changed after it was loaded" in caplog.text
    assert applied(T) == ["T"]
    assert applied.decisions() == {"T()": ("made", "tainted: the code changed while the earlier result was made")}
    importlib.reload(helper)
    assert applied(T) == ["T"]
    assert applied.value("T") == 2
    assert applied(T) == []


@pytest.mark.slow
def test_what_python_compiled_before_an_edit_in_the_same_second_does_not_run(project: Project):
    """Python takes it for the source's where size and second are the same: old code would run under a new key."""
    text = (
        "from disdat.pipe import PipeTask\nLIMIT = {}\nclass T(PipeTask):\n    def pipe_run(self): return LIMIT, {}\n"
    )
    for number in (1, 2):
        path = project.write("swift.py", text.format(number, number))
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if number == 1:
            py_compile.compile(str(path))
        assert project.apply("swift.T") == ["T"]
        assert Applied(project.context).value("T") == (number, number)
    assert project.apply("swift.T") == []


def test_code_that_cannot_be_followed_is_warned_of_once(
    applied: Applied, importable: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
):
    importable(
        "unfollowed.py",
        """
        import importlib
        from disdat.pipe import PipeTask

        class T(PipeTask):
            def pipe_run(self):
                return importlib.import_module("js" + "on").dumps(1)
        """,
    )
    task = importlib.import_module("unfollowed").T
    applied(task)
    applied(task, force=True)
    told = [each.message for each in caplog.records if "unfollowed" in each.message]
    place = "unfollowed.py, line 7: importlib.import_module('js' + 'on')"
    assert told == [f"cannot tell what this uses, declare it with @uses: {place}"]
