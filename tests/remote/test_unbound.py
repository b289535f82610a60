"""What is only on remotes that a context has left is known until it is bound to them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.remote import unbound
from disdat.remote.binding import Binding
from disdat.remote.unbound import Left

A, B = (Binding(f"file:///{name}", "team", name, "packed") for name in "ab")
OF_A, OF_B = (Left(binding, frozenset({"1", "2"})) for binding in (A, B))


@pytest.mark.parametrize(
    ("before", "left", "bound", "after"),
    [
        ([], OF_A, None, [OF_A]),
        ([OF_A], OF_B, None, [OF_A, OF_B]),
        ([OF_A, OF_B], None, A, [OF_B]),
        ([OF_A], Left(A, frozenset({"3"})), B, [Left(A, frozenset({"3"}))]),
        ([OF_A], Left(A, frozenset()), None, []),
    ],
)
def test_each_remote_is_noted_with_what_was_left_there_last(
    before: list[Left], left: Left | None, bound: Binding | None, after: list[Left]
) -> None:
    assert unbound.noted(before, left, bound) == after


def test_what_is_noted_is_read(tmp_path: Path) -> None:
    assert unbound.read(tmp_path) == []
    (tmp_path / unbound.NAME).write_bytes(unbound.line([OF_A, OF_B]))
    assert unbound.read(tmp_path) == [OF_A, OF_B]


@pytest.mark.parametrize("written", [b"", b"\xff", b"[]", b'{"format":2}\n', b'{"format":1,"remotes":[1]}\n'])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, written: bytes) -> None:
    (tmp_path / unbound.NAME).write_bytes(written)
    assert unbound.read(tmp_path) == []
