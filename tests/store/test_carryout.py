"""What a checkout writes takes the place of nothing that it did not find there."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.context import Home
from disdat.durable import Disk
from disdat.errors import Conflict
from disdat.ops import add, contexts
from disdat.ops.checkout import checkout


class _Racing(Disk):
    """Somebody makes a file in the moment before one gets its name there."""

    def rename(self, source: Path, target: Path) -> None:
        self._overtake(target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._overtake(target)
        super().link(source, target)

    def _overtake(self, target: Path) -> None:
        if target.parent.name == "out" and target.name == "file":
            target.write_text("the user's own")


@pytest.mark.parametrize("size_bytes", [10, 200_000])
def test_a_file_that_is_made_in_the_moment_before_stays(home: Path, tmp_path: Path, size_bytes: int) -> None:
    source, out = tmp_path / "file", tmp_path / "out"
    source.write_bytes(b"x" * size_bytes)
    out.mkdir()
    add.add(contexts.create(Home(home), "demo"), "a", [str(source)])
    with pytest.raises(Conflict, match="was changed"):
        checkout(Home(home, disk=_Racing()).context("demo"), "a", out)
    assert (out / "file").read_text() == "the user's own"
    assert [path.name for path in out.iterdir()] == ["file"]
