"""A context to act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import contexts


@pytest.fixture
def context(home: Path) -> Context:
    """An empty context in a home of its own; the current directory is the test's too."""
    return contexts.create(Home(home), "demo")
