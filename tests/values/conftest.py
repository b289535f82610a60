"""What every test of values may use: a bundle in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.testing.memory import MemoryBundle


@pytest.fixture
def bundle(tmp_path: Path) -> MemoryBundle:
    """Give a sink, and the source of what it took; its files lie in the test's directory."""
    return MemoryBundle(tmp_path)
