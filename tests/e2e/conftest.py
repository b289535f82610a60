"""The real command, in a process of its own, as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disdat.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
DSDT = Path(sys.executable).with_name("dsdt")


class Shell:
    """Runs ``dsdt`` in the current directory and the test's home."""

    def __call__(self, *args: str, code: int = 0) -> str:
        """What the command prints; its exit code must be *code*."""
        done = self.run(*args)
        assert done.returncode == code, f"dsdt {' '.join(args)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([DSDT, *args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    def json(self, *args: str) -> Any:  # what JSON holds
        return json.loads(self(*args, "--json"))

    def python(self, code: str) -> str:
        """What a Python program prints that runs in a process of its own."""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def prepare(*args: str) -> None:
    """Run a command that a test begins with and is not about, in this process: to start one takes the longest."""
    assert main(args) == 0


@pytest.fixture
def shell(home: Path) -> Shell:
    """A shell in a fresh home, beside a copy of the examples."""
    shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("__pycache__", ".demo"))
    return Shell()


@pytest.fixture
def in_context(shell: Shell) -> Shell:
    """The same, in a context named ``mycontext``."""
    prepare("context", "mycontext")
    prepare("switch", "mycontext")
    return shell


@pytest.fixture
def write_module() -> Callable[[str, str], None]:
    """Writes a module of the user's in the current directory, so that its bytecode is never stale."""

    def write(name: str, text: str) -> None:
        path = Path(f"{name}.py")
        path.write_text(text, encoding="utf-8")
        os.utime(path)

    return write
