"""What counts of the code of a task: what it reaches of the project, the same on every run and machine."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
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


def files(found: source.Code) -> list[str]:
    """The files of the definitions that count."""
    return sorted({name.rpartition(":")[0] for name in found.counted.definitions})


@pytest.mark.parametrize(
    ("imports", "body", "counts"),
    [
        ("import helper", "return helper.f()", ["helper.py"]),
        ("import helper", "return 1", []),
        ("from helper import f", "return f()", ["helper.py"]),
        ("import pkg.sub.leaf", "return pkg.sub.leaf.X", ["pkg/sub/leaf.py"]),
        ("from pkg.sub import leaf", "return leaf.X", ["pkg/sub/leaf.py"]),
        ("", "import helper; return helper.f()", ["helper.py"]),
        ("import importlib", "return importlib.import_module('helper').f()", ["helper.py"]),
        ("import relative", "return relative.pkg.uses.leaf.X", ["pkg/sub/leaf.py", "pkg/uses.py", "relative.py"]),
        ("import json, numpy, luigi, disdat.errors", "return json, numpy, luigi, disdat.errors", []),
        ("import chain", "return chain.f()", ["chain.py", "helper.py"]),
        ("import loop1", "return loop1.f()", ["loop1.py", "loop2.py"]),
        ("import spaced.leaf", "return spaced.leaf.X", ["spaced/leaf.py"]),
    ],
)
def test_the_definitions_that_count_are_those_of_the_project(
    importable: Write, imports: str, body: str, counts: list[str]
):
    importable("helper.py", "def f(): pass")
    importable("chain.py", "from helper import f")
    importable("loop1.py", "import loop2\ndef f(): return loop2.g()")
    importable("loop2.py", "import loop1\ndef g(): return loop1.f()")
    importable("relative.py", "import pkg.uses")
    importable("pkg/__init__.py", "")
    importable("pkg/uses.py", "from .sub import leaf")
    importable("pkg/sub/__init__.py", "")
    importable("pkg/sub/leaf.py", "X = 1")
    importable("spaced/leaf.py", "X = 1")
    importable("the_task.py", TASK.format(imports=imports, body=body))
    assert files(code("the_task")) == sorted([*counts, "the_task.py"])


def test_a_base_class_that_no_source_names_counts(importable: Write):
    importable("base_task.py", TASK.format(imports="import base_helper", body="return base_helper.X"))
    importable("base_helper.py", "X = 1")
    importable("derived.py", "import sys\nT = type('T', (sys.modules['base_task'].T,), {'__module__': 'derived'})")
    importlib.import_module("base_task")
    assert files(code("derived")) == ["base_helper.py", "base_task.py", "derived.py"]


def test_an_editable_install_is_the_projects(importable: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It brings a finder that maps a package to where it is developed, which is not on the path."""
    package = tmp_path / "elsewhere" / "developed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .inner import f")
    (package / "inner.py").write_text("def f(): return 1")

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            if name != "developed":
                return None
            init = package / "__init__.py"
            return spec_from_file_location(name, init, submodule_search_locations=[str(package)])

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    importable("develops.py", TASK.format(imports="", body="import developed; return developed.f()"))
    assert files(code("develops")) == ["developed/__init__.py", "developed/inner.py", "develops.py"]


def test_a_base_class_of_the_standard_library_does_not_count(importable: Write):
    importable(
        "abstract.py", TASK.format(imports="from abc import ABC", body="return 1").replace("(Pipe", "(ABC, Pipe")
    )
    assert files(code("abstract")) == ["abstract.py"]


def test_an_installed_package_counts_only_for_its_own_tasks(importable: Write, monkeypatch: pytest.MonkeyPatch):
    root = importable("lib/site-packages/installed/__init__.py", "").parent.parent
    monkeypatch.syspath_prepend(str(root))
    imports = "import installed.more, other"
    importable("lib/site-packages/installed/tasks.py", TASK.format(imports=imports, body="return installed.more.X"))
    importable("lib/site-packages/installed/more.py", "X = 1")
    importable("lib/site-packages/installed-1.5.dist-info/METADATA", "")
    importable("lib/site-packages/other.py", "")
    importable("mine.py", TASK.format(imports="import installed.more", body="return installed.more.X"))
    assert files(code("installed.tasks")) == ["installed/more.py", "installed/tasks.py"]
    assert files(code("mine")) == ["mine.py"]
    assert code("mine").counted.packages == {"installed": "1.5"}
    assert source.of_class(importlib.import_module("mine").T, with_packages=False).counted.packages == {}


@pytest.mark.slow
def test_digests_do_not_depend_on_where_the_project_lies(importable: Write, project: Project):
    text = TASK.format(imports="import helper", body="return helper.X")
    importable("placed.py", text)
    importable("helper.py", "X = 1")
    here = code("placed").counted.digest
    project.write("placed.py", text)
    project.write("helper.py", "X = 1")
    program = """
        import placed
        from disdat.pipeline import source
        print(source.of_class(placed.T).counted.digest)
        """
    assert project.python(program).stdout.strip() == here


def test_line_ends_do_not_count(importable: Write):
    path = importable("ends.py", TASK.format(imports="", body="return 1"))
    unix = code("ends").counted.digest
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert code("ends").counted.digest == unix


def test_an_edit_is_seen_however_soon_it_comes(importable: Write):
    """An edit of equal length within one tick of the file system's clock leaves the time stamp as it was."""
    path = importable("quick.py", TASK.format(imports="", body="return 1"))
    before = code("quick")
    assert not before.edited()
    stat = path.stat()
    path.write_text(path.read_text().replace("return 1", "return 2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert before.edited()


def test_an_edit_that_changes_nothing_is_none(importable: Write):
    path = importable("commented.py", TASK.format(imports="", body="return 1"))
    before = code("commented")
    path.write_text("# more\n" + path.read_text())
    assert not before.edited()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["script", "module", "import"])
def test_a_class_has_one_name_and_code_however_its_module_is_started(project: Project, how: str):
    project.write("pipes/__init__.py", "")
    project.write("pipes/helper.py", "X = 1")
    project.write(
        "pipes/one.py",
        TASK.format(imports="import pipes.helper", body="return pipes.helper.X")
        + """
    def tell():
        from disdat.pipeline import source
        print(source.class_name(T), source.of_class(T).counted.definitions)

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
    assert told.startswith("pipes.one.T {'pipes/helper.py:X': ")
    assert told == project.python(started["import"]).stdout


SESSION = """
    import types, sys, linecache
    def cell(number, text):
        name = f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), sys.modules["__main__"].__dict__)
    from disdat.pipeline import source
    def tell():
        code = source.of_class(T).counted
        return code.digest, sorted(code.definitions)
    """


@pytest.mark.slow
def test_a_notebooks_helpers_values_and_imports_count(project: Project):
    project.write("helper.py", "X = 1")
    program = (
        SESSION
        + """
    cell(1, "from disdat.pipe import PipeTask\\nimport helper\\nLIMIT = 3")
    cell(2, "def twice(x): return helper.X * x\\nnobody_reads = 1")
    cell(3, "class T(PipeTask):\\n    def pipe_run(self): return twice(LIMIT)")
    one = tell()
    names = ["LIMIT", "PipeTask", "T", "helper", "twice"]
    assert one[1] == [f"__main__:{name}" for name in names] + ["helper.py:X"], one
    cell(9, "nobody_reads = 2")
    assert tell() == one
    cell(4, "def twice(x): return helper.X + x")
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
            return source.of_class(T).counted.digest
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
    assert list(one.counted.definitions) == ["made_up:T"]
    assert one.counted != two.counted


@pytest.mark.slow
def test_code_in_an_archive_counts_by_its_source(tmp_path: Path, project: Project):
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import zipped
        from disdat.pipeline import source
        print(source.of_class(zipped.T).counted.definitions)
        """
    told = []
    for body in ("return 1", "return 2"):
        archive = tmp_path / f"{body[-1]}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped.py", textwrap.dedent(TASK.format(imports="", body=body)))
        told.append(project.python(program, str(archive)).stdout)
    assert told[0].startswith("{'zipped:T': ")
    assert told[0] != told[1]
