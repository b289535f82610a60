"""What ``--json`` prints has the shape that the reference says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from disdat.cli.main import main

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
LIKE_LS = {"add", "show"}
LINES = [
    "context",
    "status",
    "config",
    "add data t.csv",
    "ls",
    "show data",
    "lineage data",
    "diff data data",
    "verify data",
    "reindex",
    "du",
    "gc",
    "gc --list",
    "gc --apply --purge",
]


def section(command: str) -> str:
    found = re.search(rf"### `dsdt {command}\b.*?(?=\n### |\n## |\Z)", REFERENCE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(0)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("line", LINES)
def test_every_key_is_documented(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"n": [1]}).to_csv("t.csv")
    for before in ("context demo", "switch demo", "add -i data t.csv"):
        assert main(before.split()) == 0
    capsys.readouterr()
    command, *arguments = line.split()
    assert main([command, "--json", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    shape = printed[0] if isinstance(printed, list) else printed
    if command == "config":  # by setting
        shape = next(iter(shape.values()))
    documented = section(command) + (section("ls") if command in LIKE_LS else "")
    assert [key for key in shape if f'"{key}"' not in documented] == []
