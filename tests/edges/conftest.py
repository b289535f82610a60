"""A home of its own, and places on file systems of which it is known what they are."""

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
PLACES = [MEMORY, Path(tempfile.gettempdir()), Path("/var/tmp")]


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
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory of another file system than the test's own."""
    here = tmp_path.stat().st_dev
    place = next((each for each in PLACES if os.access(each, os.W_OK) and each.stat().st_dev != here), None)
    path = Path(tempfile.mkdtemp(dir=place or missing("two file systems")))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def demo(home: Path, capsys: pytest.CaptureFixture[str]) -> Dsdt:
    """The command line in a context named ``demo``."""
    dsdt = Dsdt(capsys)
    dsdt("context", "demo")
    dsdt("switch", "demo")
    return dsdt
