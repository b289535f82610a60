"""A home that may not be written to can still be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat import api
from disdat.errors import PermissionDenied
from tests.conftest import unprivileged


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A context in a home that nobody may write to, where every user can reach it."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        home = Path(directory, "home")
        monkeypatch.setenv("DISDAT_HOME", str(home))
        monkeypatch.setenv("DISDAT_CONFIG", str(Path(directory, "disdat.cfg")))
        source = Path(directory, "large.bin")
        source.write_bytes(os.urandom(100_000))
        api.context("ctx")
        assert Path(api.Bundle("ctx", "file", str(source)).data).exists()
        api.Bundle("ctx", "data", {"a": [1, 2]}, tags={"k": "v"})
        inside = [home, *home.rglob("*")]
        for path in inside:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield "ctx"
        for path in inside:
            path.chmod(0o755)


def test_a_read_only_home_is_read_and_refuses_to_change(read_only):
    with unprivileged():
        assert api.ls_contexts() == [read_only]
        assert api.cat(read_only, "data") == {"a": [1, 2]}
        assert [bundle.name for bundle in api.search(read_only, tags={"k": "v"})] == ["data"]
        assert len(Path(api.get(read_only, "file").data).read_bytes()) == 100_000
        assert api.status(read_only).bundles == 2
        with pytest.raises(PermissionDenied):
            api.Bundle(read_only, "data", 2)
        with pytest.raises(PermissionDenied):
            api.commit(read_only, "data")
        with pytest.raises(PermissionDenied):
            api.context("another")
