"""A shell is told words of a catalog that is whole, and nothing of one that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from disdat.catalog.completing import words
from tests.catalog.contexts import add, bundle, open_catalog


def test_beside_a_journal_that_nobody_reads_there_are_no_words(tmp_path: Path) -> None:
    """Without its shared memory the journal cannot be read, and without its journal the file is not whole."""
    directory = tmp_path / "context"
    catalog = open_catalog(directory)
    add(catalog, bundle("named"))
    with words(directory) as found:
        assert found.names("") == ["named"]
    left = tmp_path / "left"
    shutil.copytree(directory, left, symlinks=True)
    [shared] = left.glob("*-shm")
    [journal] = left.glob("*-wal")
    assert journal.stat().st_size > 0
    shared.unlink()
    before = sorted(left.iterdir())
    with pytest.raises(FileNotFoundError), words(left):
        """Nothing is asked."""
    assert sorted(left.iterdir()) == before
    catalog.close()


@pytest.mark.parametrize("name", ["50% a?b#c %41", "data ünï", "byte \udcff"])
def test_a_context_of_any_name_has_words(tmp_path: Path, name: str) -> None:
    """The path is part of a URI, in which some characters mean something else."""
    catalog = open_catalog(tmp_path / name)
    add(catalog, bundle("named"))
    with words(tmp_path / name) as found:
        assert found.names("") == ["named"]
    catalog.close()
