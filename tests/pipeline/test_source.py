"""What source counts as a task's code: all of the project it imports, and the same on every run and machine."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from disdat.pipeline import source
from tests.pipeline.conftest import Project

Write = Callable[[str, str], Path]

TASK = """
    from disdat.pipe import PipeTask
    {imports}

    class T(PipeTask):
        def pipe_run(self):
            {body}
    """


def code(module: str, cls: str = "T") -> source.Code:
    return source.of_class(getattr(importlib.import_module(module), cls))


@pytest.mark.parametrize(
    ("imports", "body", "counts"),
    [
        ("import helper", "return 1", ["helper"]),
        ("from helper import f", "return 1", ["helper"]),
        ("import pkg.sub.leaf", "return 1", ["pkg", "pkg.sub", "pkg.sub.leaf"]),
        ("from pkg.sub import leaf", "return 1", ["pkg", "pkg.sub", "pkg.sub.leaf"]),
        ("from pkg import sub", "return 1", ["pkg", "pkg.sub"]),
        ("", "import helper; return 1", ["helper"]),
        ("import importlib", "return importlib.import_module('helper')", ["helper"]),
        ("import relative", "return 1", ["pkg", "pkg.sub", "pkg.sub.leaf", "pkg.uses", "relative"]),
        ("import json, numpy, luigi, disdat.errors", "return 1", []),
        ("import chain", "return 1", ["chain", "helper"]),
        ("import loop1", "return 1", ["loop1", "loop2"]),
    ],
)
def test_the_modules_that_count_are_those_of_the_project(importable: Write, imports: str, body: str, counts: list[str]):
    importable("helper.py", "def f(): pass")
    importable("chain.py", "from helper import f")
    importable("loop1.py", "import loop2")
    importable("loop2.py", "import loop1")
    importable("relative.py", "import pkg.uses")
    importable("pkg/__init__.py", "")
    importable("pkg/uses.py", "from .sub import leaf")
    importable("pkg/sub/__init__.py", "")
    importable("pkg/sub/leaf.py", "X = 1")
    importable("the_task.py", TASK.format(imports=imports, body=body))
    assert list(code("the_task").modules) == sorted([*counts, "the_task"])


def test_the_module_of_a_base_class_counts(importable: Write):
    importable("base_task.py", TASK.format(imports="import base_helper", body="return 1"))
    importable("base_helper.py", "")
    importable("derived.py", "import sys\nT = type('T', (sys.modules['base_task'].T,), {'__module__': 'derived'})")
    importlib.import_module("base_task")
    assert list(code("derived").modules) == ["base_helper", "base_task", "derived"]


def test_an_installed_package_counts_only_for_its_own_tasks(importable: Write, monkeypatch: pytest.MonkeyPatch):
    root = importable("lib/site-packages/installed/__init__.py", "").parent.parent
    monkeypatch.syspath_prepend(str(root))
    importable("lib/site-packages/installed/tasks.py", TASK.format(imports="import installed.more, other", body="..."))
    importable("lib/site-packages/installed/more.py", "")
    importable("lib/site-packages/other.py", "")
    importable("mine.py", TASK.format(imports="import installed.more", body="return 1"))
    assert list(code("installed.tasks").modules) == ["installed", "installed.more", "installed.tasks"]
    assert list(code("mine").modules) == ["mine"]


@pytest.mark.slow
def test_digests_do_not_depend_on_where_the_project_lies(importable: Write, tmp_path: Path, project: Project):
    text = TASK.format(imports="import helper", body="return 1")
    importable("placed.py", text)
    importable("helper.py", "X = 1")
    here = code("placed").modules
    project.write("placed.py", text)
    project.write("helper.py", "X = 1\r\n".replace("\r\n", ""))
    program = """
        import placed
        from disdat.pipeline import source
        print(dict(source.of_class(placed.T).modules))
        """
    assert project.python(program).stdout.strip() == repr(dict(here))


def test_line_ends_do_not_count(importable: Write):
    path = importable("ends.py", TASK.format(imports="", body="return 1"))
    unix = code("ends").modules["ends"]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert code("ends").modules["ends"] == unix


def test_an_edit_is_seen_however_soon_it_comes(importable: Write):
    """An edit of equal length within one tick of the file system's clock leaves the time stamp as it was."""
    path = importable("quick.py", TASK.format(imports="", body="return 1"))
    before = code("quick")
    assert before.edited() == []
    stat = path.stat()
    path.write_text(path.read_text().replace("return 1", "return 2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert before.edited() == ["quick"]


def test_what_is_loaded_and_no_longer_on_disk_is_told_until_it_is_reloaded(importable: Write):
    path = importable("stays.py", TASK.format(imports="", body="return 1"))
    module = importlib.import_module("stays")
    path.write_text(path.read_text().replace("return 1", "return 2"))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert source.of_class(module.T).outdated == ("stays",)
    assert source.of_class(importlib.reload(module).T).outdated == ()


def test_a_helper_that_was_edited_after_an_apply_is_told(importable: Write):
    helper = importable("edited_helper.py", "X = 1")
    importable("uses_helper.py", TASK.format(imports="import edited_helper", body="return 1"))
    assert code("uses_helper").outdated == ()
    helper.write_text("X = 23")
    assert code("uses_helper").outdated == ("edited_helper",)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["script", "module", "import"])
def test_a_class_has_one_name_and_code_however_its_module_is_started(project: Project, how: str):
    project.write("pipes/__init__.py", "")
    project.write("pipes/helper.py", "")
    project.write(
        "pipes/one.py",
        TASK.format(imports="import pipes.helper", body="return 1")
        + """
    def tell():
        from disdat.pipeline import source
        print(source.class_name(T), source.of_class(T).modules)

    if __name__ == "__main__":
        tell()
    """,
    )
    started = {
        "script": "import runpy, sys; sys.path[0] = '.'; runpy.run_path('pipes/one.py', run_name='__main__')",
        "module": "import runpy; runpy.run_module('pipes.one', run_name='__main__', alter_sys=True)",
        "import": "from pipes.one import tell; tell()",
    }
    if how == "script":
        done = subprocess.run(
            [sys.executable, "pipes/one.py"],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": str(project.root)},
            capture_output=True,
            text=True,
            check=True,
        )
        told = done.stdout
    else:
        told = project.python(started[how]).stdout
    assert told.startswith("pipes.one.T {'pipes': ")
    assert told == project.python(started["import"]).stdout


SESSION = """
    import types, sys, linecache
    def cell(number, text):
        name = f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), sys.modules["__main__"].__dict__)
    from disdat.pipeline import source
    def tell():
        code = source.of_class(T)
        return code.modules["__main__"], sorted(code.modules)
    """


@pytest.mark.slow
def test_a_notebooks_helpers_values_and_imports_count(project: Project):
    project.write("helper.py", "X = 1")
    program = (
        SESSION
        + """
    cell(1, "from disdat.pipe import PipeTask\\nimport helper\\nLIMIT = 3")
    cell(2, "def twice(x): return 2 * x")
    cell(3, "class T(PipeTask):\\n    def pipe_run(self): return twice(LIMIT)")
    one = tell()
    assert one[1] == ["__main__", "helper"], one
    assert tell() == one
    cell(4, "def twice(x): return 3 * x")
    two = tell()
    assert two != one
    cell(5, "LIMIT = 4")
    three = tell()
    assert three != two
    cell(6, "class T(PipeTask):\\n    def pipe_run(self): return 5")
    assert tell() != three
    print(one[0])
    """
    )
    assert project.python(program).stdout == project.python(program).stdout != ""


@pytest.mark.slow
def test_a_session_that_keeps_no_source_counts_by_what_was_compiled(project: Project):
    program = """
        import sys
        from disdat.pipe import PipeTask
        from disdat.pipeline import source
        def make(text):
            exec(text, sys.modules["__main__"].__dict__)
            return source.of_class(T).modules["__main__"]
        one = make("class T(PipeTask):\\n    def pipe_run(self): return self.n in {'a', 'b', 'c'}")
        assert make("class T(PipeTask):\\n    def pipe_run(self): return self.n in {'a', 'b', 'd'}") != one
        print(one)
        """
    assert project.python(program).stdout == project.python(program).stdout != ""


def test_code_made_in_a_module_without_a_file_counts_by_what_was_compiled(monkeypatch: pytest.MonkeyPatch):
    def made_up(text: str) -> source.Code:
        module = ModuleType("made_up")
        monkeypatch.setitem(sys.modules, "made_up", module)
        exec(text, module.__dict__)
        return source.of_class(module.T)

    one, two = (made_up(f"class T:\n    def run(self): return {number}") for number in (1, 2))
    assert list(one.modules) == ["made_up"]
    assert one != two


@pytest.mark.slow
def test_code_in_an_archive_counts_by_its_source(tmp_path: Path, project: Project):
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import zipped
        from disdat.pipeline import source
        print(source.of_class(zipped.T).modules)
        """
    told = []
    for body in ("return 1", "return 2"):
        archive = tmp_path / f"{body[-1]}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped.py", textwrap.dedent(TASK.format(imports="", body=body)))
        told.append(project.python(program, str(archive)).stdout)
    assert told[0].startswith("{'zipped': ")
    assert told[0] != told[1]
