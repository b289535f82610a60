"""A context to work in, and a way to ask another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat import api


@pytest.fixture
def ctx(home: Path) -> str:
    """The name of an empty context in a fresh home."""
    api.context("ctx")
    return "ctx"


@pytest.fixture
def elsewhere() -> Callable[[str], str]:
    """Runs a program in a process of its own and returns what it prints; ``api`` is imported for it."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"from disdat import api\n{program}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def snapshot(root: Path) -> set[str]:
    """Every file below *root*, but for what may be lost at any time, and every directory of its contexts."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file() or (root / "context") in path.parents)
    return {str(path) for path in found if "state.db" not in path.name}
