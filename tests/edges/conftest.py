"""A context whose home is in memory where that can be had, so that many files cost little."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import contexts
from tests.cli.conftest import Dsdt
from tests.conftest import missing

MEMORY = Path("/dev/shm")


@pytest.fixture
def context(home: Path) -> Context:
    """An empty context in a home of its own; the current directory is the test's too."""
    return contexts.create(Home(home), "demo")


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory of a file system in memory."""
    if not os.access(MEMORY, os.W_OK):
        missing("a file system in memory")
    path = Path(tempfile.mkdtemp(dir=MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def demo(home: Path, capsys: pytest.CaptureFixture[str]) -> Dsdt:
    """The command line in a context named ``demo``."""
    dsdt = Dsdt(capsys)
    dsdt("context", "demo")
    dsdt("switch", "demo")
    return dsdt
