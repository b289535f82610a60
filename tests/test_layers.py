"""Who may touch what, read off the source; which module imports which is import-linter's, in `make check`."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

import disdat

PACKAGE = Path(disdat.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# In one worker, so that the sources are parsed once.
reads_all = pytest.mark.xdist_group("sources")
Import = ast.Import | ast.ImportFrom
HEAVY = {"luigi", "pandas", "pyarrow", "boto3", "obstore", "dask", "docker", "sqlalchemy", "numpy"}
WRITTEN_AS_USERS_DO = "testing/executor_tasks.py"
"""Tasks that executors are tried with."""


def place(source: Path) -> str:
    return source.relative_to(PACKAGE).as_posix()


def imported(node: ast.AST) -> set[str]:
    """Return the top-level packages a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {str(node.module).split(".")[0]}
    return set()


def dotted(node: ast.AST) -> str:
    """Return a name as it is written, dotted or not; empty for what is none."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return before and f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


class Said(NamedTuple):
    """What a source says; the tree itself is large, and not kept."""

    names: list[tuple[int, str]]  # dotted or not, each with its line
    packages: set[str]
    inside: list[Import]  # in functions


@functools.cache
def said(source: Path) -> Said:
    names, packages, inside = [], set(), []
    waiting = [(ast.parse(source.read_bytes(), filename=str(source)), False)]
    while waiting:
        node, in_function = waiting.pop()
        if name := dotted(node):
            names.append((node.lineno, name))
        elif found := imported(node):
            packages |= found
            inside += [node] * in_function
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        waiting += ((child, in_function) for child in ast.iter_child_nodes(node))
    return Said(names, packages, inside)


def breaches(allowed: str, *spellings: str) -> list[str]:
    """List the places outside *allowed* (a file, or a directory with its slash) that say a spelling."""
    return [
        f"{place(source)}:{line} says {name}"
        for source in SOURCES
        if not place(source).startswith(allowed)
        for line, name in said(source).names
        if name in spellings
    ]


def importers(package: str) -> set[str]:
    return {place(source) for source in SOURCES if package in said(source).packages}


@reads_all
def test_the_environment_is_read_in_config_only():
    assert breaches("config.py", "os.environ", "os.environb", "os.getenv", "environ", "getenv") == []


@reads_all
def test_only_the_command_line_prints():
    found = breaches("cli/", "print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    assert [each for each in found if not each.startswith(WRITTEN_AS_USERS_DO)] == []


@reads_all
def test_boto3_is_imported_in_aws_only():
    assert importers("boto3") <= {"aws.py"}


@reads_all
def test_luigi_is_imported_in_pipeline_only():
    assert [place for place in importers("luigi") if not place.startswith(("pipeline/", WRITTEN_AS_USERS_DO))] == []


def comment_lines(source: Path) -> set[int]:
    with source.open("rb") as file:
        return {token.start[0] for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT}


@reads_all
def test_an_import_inside_a_function_says_why_on_its_line():
    """Such imports are for names that are slow to import or optional; anything else hides a dependency."""
    silent = []
    for source in SOURCES:
        inside = said(source).inside
        commented = comment_lines(source) if inside else set()
        silent += [
            f"{place(source)}:{node.lineno}"
            for node in inside
            if not commented & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        ]
    assert silent == []


def loaded_by(program: str) -> set[str]:
    """Return the top-level packages a fresh interpreter has imported after running *program*."""
    report = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], check=True, capture_output=True, text=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "program",
    [
        "import disdat",
        "import disdat.config, disdat.capture, disdat.registry",
        "from disdat.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from disdat.cli.main import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
)
def test_to_import_disdat_or_ask_for_help_loads_nothing_heavy(program):
    assert loaded_by(program) & HEAVY == set()


def test_every_public_name_is_found_and_listed():
    for name in disdat.__all__:
        assert getattr(disdat, name) is not None
    assert set(disdat.__all__) <= set(dir(disdat))


def test_a_name_that_is_not_public_is_refused_as_any_modules():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = disdat.no_such_name
