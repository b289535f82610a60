"""What ``--json`` prints has the shape that the reference says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pandas as pd
import pytest

from disdat.cli.main import main
from disdat.cli.program import COMMANDS
from tests.conftest import live_in

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
ALSO = {
    **dict.fromkeys(["add", "show", "rename", "copy"], "ls"),
    "move": "copy ls",
    "undo": "log",
    "push": "ls delocalize",
    "pull": "ls fetch",
    "clone": "remote fetch",
}
"""The commands whose shapes a command says that it has too."""
LINES = [
    "context",
    "status",
    "config",
    "add data t.csv",
    "apply shaped.Task",
    "plan shaped.Task",
    "why shaped.Task",
    "rename data other",
    "copy data --to other --create",
    "move data --to other --create",
    "fork other",
    "undo",
    "ls",
    "show data",
    "lineage data",
    "checkout files copy",
    "diff data data",
    "diff data@-1 data",
    "diff files data",
    "diff files@-1 files",
    "remote",
    "remote team file://HERE/other",
    "push --dry-run",
    "push",
    "pull files",
    "pull files --dry-run",
    "localize files",
    "delocalize files",
    "push -d files",
    "fetch",
    "clone file://HERE/remote copied",
    "log",
    "verify data",
    "doctor",
    "reindex",
    "du",
    "gc",
    "gc --list",
    "gc --retention 0",
    "gc --retention 0 --grace 0 --apply --purge",
    "gc --why DIGEST",
    "gc --remote",
    "gc --remote --apply --grace 0 --retention 0",
    "verify --remote --sample 1 --repair",
    "rmr files --yes",
]
BUCKETS = {"share"}
"""What needs a bucket: `tests/cli/test_remotecare.py` looks at its shape."""
OPEN = {"tags", "params", "metrics", "said", "bundles", "cells", "key", "components"}
"""What holds keys of the user's, such as names of columns, or as many as there are kinds of changes."""
BEFORE = [
    "context demo",
    "switch demo",
    "add gone t.csv",
    "rm gone",
    "add files t.csv",
    "add files t.csv",
    "commit files",
    "add -i data t.csv",
    "add -i data t.csv",
]
SHARED = ["remote team file://HERE/remote", "push files"]
TASK = """\
from disdat.pipe import PipeTask

class Task(PipeTask):
    def pipe_run(self):
        return 7
"""


def section(command: str) -> str:
    found = re.search(rf"### `dsdt {command}\b.*?(?=\n### |\n## |\Z)", REFERENCE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(0)


def keys(shape: object) -> Iterator[str]:
    """The names of all that is in *shape*, at any depth."""
    if isinstance(shape, list):
        for item in shape:
            yield from keys(item)
    elif isinstance(shape, dict):
        for key, value in shape.items():
            yield key
            if key not in OPEN or isinstance(value, list):
                yield from keys(value)


def prints_json(command: click.Command) -> bool:
    return any(parameter.name == "as_json" for parameter in command.params)


def test_there_is_a_line_for_every_command_that_prints_json() -> None:
    assert {line.split()[0] for line in LINES} == {
        name for name in COMMANDS if prints_json(COMMANDS[name].load())
    } - BUCKETS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give where :data:`BEFORE` was run: the home, the user's and the current directory, to be copied."""
    root = tmp_path_factory.mktemp("made")
    (root / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        live_in(root, patch)
        Path("shaped.py").write_text(TASK, encoding="utf-8")
        for number, before in enumerate(BEFORE):
            pd.DataFrame({"n": [number]}).to_csv("t.csv", index=False)
            assert main(before.split()) == 0
    return root


@pytest.mark.parametrize("line", LINES)
def test_every_key_is_documented(line: str, made: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(made, home.parent, symlinks=True, dirs_exist_ok=True)
    for before in [*SHARED, *(["apply shaped.Task"] if line.startswith("why") else [])]:
        assert main(before.replace("HERE", str(Path.cwd())).split()) == 0
    capsys.readouterr()
    assert main(["show", "--json", "files"]) == 0
    digest = json.loads(capsys.readouterr().out)["tree"][0]["digest"]
    command, *arguments = line.replace("DIGEST", digest).replace("HERE", str(Path.cwd())).split()
    assert main([command, "--json", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    if command == "config":  # by setting
        printed = list(printed.values())
    documented = section(command) + "".join(map(section, ALSO.get(command, "").split()))
    assert sorted(key for key in set(keys(printed)) if f'"{key}"' not in documented) == []
