"""The command line in this process: what it prints and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from disdat.cli.main import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Dsdt:
    """Runs commands as ``dsdt`` does, in the test's home and directory."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *args: str) -> Ended:
        self._capsys.readouterr()
        code = main(args)
        printed = self._capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    def __call__(self, *args: str) -> Ended:
        """Run a command that must succeed and complain of nothing."""
        ended = self.run(*args)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended

    def json(self, command: str, *args: str) -> Any:  # what JSON holds
        return json.loads(self(command, "--json", *args).out)

    def fails(self, *args: str, code: int = 1) -> str:
        """Run a command that must fail as every failure does, and return the line that says what is wrong."""
        ended = self.run(*args)
        assert (ended.code, ended.out) == (code, ""), ended
        first, *hint = ended.err.splitlines()
        assert first.startswith("dsdt: ")
        assert "internal error" not in first
        assert len(hint) <= 1
        assert all(line.startswith("hint: ") for line in hint)
        return first.removeprefix("dsdt: ")


@pytest.fixture
def dsdt(home: Path, capsys: pytest.CaptureFixture[str]) -> Dsdt:
    """The command line in a home where nothing is yet."""
    return Dsdt(capsys)


@pytest.fixture
def demo(dsdt: Dsdt) -> Dsdt:
    """The command line in a context named ``demo``."""
    dsdt("context", "demo")
    dsdt("switch", "demo")
    return dsdt


@pytest.fixture
def add(demo: Dsdt) -> Callable[..., str]:
    """Adds a bundle of a one-line file; its uuid."""

    def add(name: str, *options: str, text: str = "text") -> str:
        path = Path("a.txt")
        path.write_text(text, encoding="utf-8")
        made = demo("add", "--json", *options, "--", name, str(path))
        return str(json.loads(made.out)["uuid"])

    return add


def everything_below(root: Path) -> dict[str, str]:
    """Every path below *root* with the digest of what is there, but for what may be made again at any time."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(directory, name)
            if not any(part.startswith(("catalog", "state.db", "lock")) for part in path.parts):
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found
