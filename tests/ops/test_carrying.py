"""Whoever runs a task hears how far its transfers are."""

from __future__ import annotations

import threading

import pytest

from disdat.ops import carrying


def test_who_hears_is_told_of_the_first_and_of_the_last_and_not_of_each(monkeypatch: pytest.MonkeyPatch):
    """A large transfer tells a thousand times a second; a process of a pool would write all of that to a pipe."""
    monkeypatch.setattr(carrying, "INTERVAL_S", 3600.0)
    told: list[tuple[str, int, int]] = []
    with carrying.heard(lambda *each: told.append(each)):
        tell = carrying.listener("pulled")
        assert tell is not None
        for done in range(1, 1001):
            tell(done, 1000)
    assert told == [("pulled", 1, 1000), ("pulled", 1000, 1000)]


def test_of_what_has_no_size_nothing_is_told():
    told: list[tuple[str, int, int]] = []
    with carrying.heard(lambda *each: told.append(each)):
        tell = carrying.listener("pushed")
    assert tell is not None
    tell(0, 0)
    assert told == []


def test_nobody_hears_outside_the_block_nor_of_what_other_threads_begin():
    found: list[object] = []
    with carrying.heard(lambda *_: None):
        other = threading.Thread(target=lambda: found.append(carrying.listener("pulled")))
        other.start()
        other.join()
    assert found == [None]
    assert carrying.listener("pulled") is None
