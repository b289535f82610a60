"""Names that a file system cannot have are found before anything is written, on whichever it is."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.errors import Conflict, PermissionDenied
from disdat.store import names
from disdat.store.names import Refused
from tests.conftest import unprivileged


@pytest.mark.parametrize(
    ("paths", "clashes"),
    [
        ([], []),
        (["a", "b/a", "c/A"], []),
        (["a/b", "A/c"], []),
        (["a", "A"], [("A", "a")]),
        (["d/x", "D/X", "e"], [("D/X", "d/x")]),
        (["caf\u00e9", "cafe\u0301"], [("cafe\u0301", "caf\u00e9")]),
        (["Stra\u00dfe", "strasse"], [("Stra\u00dfe", "strasse")]),
        (["a", "A/b"], [("A", "a")]),
    ],
)
def test_names_that_some_file_systems_take_for_one_are_told(paths: list[str], clashes: list[tuple[str, ...]]) -> None:
    assert names.clashes(paths) == clashes


def check(paths: list[str], target: str, trial_in: Path) -> None:
    names.check(paths, target, alike=names.clashes(paths), trial_in=str(trial_in))


class Elsewhere:
    """A file system as others have: case does not count, nor how accents are composed, and some names cannot be."""

    def __init__(self, *, refuses: str = "") -> None:
        self._refuses = refuses
        self._there: set[str] = set()

    def make(self, path: str) -> None:
        if any(character in self._refuses for character in path):
            raise OSError(22, "Invalid argument")
        self._there.add(self._folded(path))

    def has(self, path: str) -> bool:
        return self._folded(path) in self._there

    def _folded(self, path: str) -> str:
        return unicodedata.normalize("NFD", path).casefold()


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a", "b/a"], None),
        (["A.txt", "a.txt"], Refused(("A.txt", "a.txt"), "are one name there")),
        (["d/x", "D/X", "e"], Refused(("D/X", "d/x"), "are one name there")),
        (["caf\u00e9", "cafe\u0301"], Refused(("cafe\u0301", "caf\u00e9"), "are one name there")),
        (["a", "A/b"], Refused(("A", "a"), "are one name there")),
        (["12:00", "d/at 13:00/x"], Refused(("12:00",), "cannot be a name there (Invalid argument)")),
        (["d/at 13:00/x"], Refused(("d/at 13:00",), "cannot be a name there (Invalid argument)")),
    ],
)
def test_what_cannot_be_elsewhere_is_found_by_trying(paths: list[str], found: Refused | None) -> None:
    assert names.refused(Elsewhere(refuses=":"), names.clashes(paths), names.odd(paths)) == found


@pytest.mark.parametrize(
    ("paths", "odd"),
    [
        (["a", "d/e.txt", "caf\u00e9", "50%25", "console", "a con", "x.con"], []),
        (["a:b", "c:d"], ["a:b"]),
        (["d./x", "e "], ["d.", "e "]),
        (["con", "d/NUL.txt", "aux/x"], ["con", "d/NUL.txt", "aux"]),
        (["%FF%FE"], ["%FF%FE", "%FF%FE"]),
        (["d/" + "n" * 256 + "/x"], ["d/" + "n" * 256]),
        (["n" * 255, "a/" * 200 + "b"], []),
        (['q"?'], ['q"?', 'q"?']),
    ],
)
def test_of_odd_names_one_is_tried_for_each_reason(paths: list[str], odd: list[str]) -> None:
    assert names.odd(paths) == odd


@given(st.sets(st.text(st.sampled_from("aAeE\u00e9\u0301:. /"), min_size=1, max_size=6), max_size=6))
def test_where_all_are_told_apart_nothing_clashes(texts: set[str]) -> None:
    """And what is refused elsewhere is never of one path alone, unless that cannot be at all."""
    paths = {text for text in texts if not {"", ".", ".."} & set(text.split("/"))}
    found = names.refused(Elsewhere(), names.clashes(paths), names.odd(paths))
    assert found is None or len(found.paths) == 2


def test_a_name_that_is_too_long_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    long = "d/" + "n" * 300
    with pytest.raises(Conflict, match=r"cannot be a name there .File name too long.*nothing was done") as told:
        check([long, "fine"], "/out", tmp_path)
    assert "/out" in str(told.value)
    with pytest.raises(Conflict, match="too long a path"):
        check(["d/" * 2500 + "x"], "/out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_can_be_here_is_let_pass(tmp_path: Path) -> None:
    paths = ["A.txt", "a.txt", "12:00", "con", "d./x", "%FF", "\u00e9", "e\u0301", "n" * 255]
    check(paths, str(tmp_path), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_odd_nothing_is_tried(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o555)
    with unprivileged():
        check(["a", "b"], "/out", tmp_path)
        with pytest.raises(PermissionDenied):
            check(["a", "A"], "/out", tmp_path)
