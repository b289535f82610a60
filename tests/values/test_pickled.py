"""Pickles: only where asked for, read only where trusted."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from disdat.errors import PermissionDenied, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import Pickled, dump, load


def test_an_object_is_pickled_only_when_marked_and_comes_back_as_itself(bundle):
    value = {"f": lambda x: x + 1}
    with pytest.raises(Unserializable) as raised:
        dump(value, bundle)
    assert "Pickled" in raised.value.hint
    assert load(dump(Pickled(value), bundle), bundle)["f"](1) == 2


def test_a_pickle_inside_a_value_is_a_frame(bundle):
    frames = dump([1, {"a": Pickled({1, 2})}], bundle)
    assert [frame.kind for frame in frames] == ["literal", "pickle"]
    assert load(frames, bundle) == [1, {"a": {1, 2}}]


def test_a_pickle_of_an_untrusted_writer_is_never_loaded(tmp_path, bundle):
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (tmp_path / "exploded").touch, ()

    frames = dump([Pickled(Bomb())], bundle)
    with pytest.raises(PermissionDenied) as raised:
        load(frames, replace(bundle, trusted=False))
    assert raised.value.hint
    assert not (tmp_path / "exploded").exists()


def test_what_cannot_be_pickled_is_refused_by_its_place(bundle):
    with pytest.raises(Unserializable, match=r"value\['a'\]"):
        dump({"a": Pickled(threading.Lock())}, bundle)


def test_equal_pickles_have_one_logical_digest(tmp_path):
    one, other = (dump(Pickled((1, "a")), MemoryBundle(tmp_path))[0].logical for _ in range(2))
    assert one == other
    assert one.rule == "pickle1"
