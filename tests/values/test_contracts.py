"""Every serializer of ours keeps the contract that others' must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from disdat.testing.contracts import SerializerContract
from disdat.testing.memory import MemoryBundle
from disdat.values import SERIALIZERS, Pickled


class TestArray(SerializerContract):
    serializer = SERIALIZERS.get("array")
    kind = "array"

    def values(self, directory: Path) -> list[object]:
        return [np.arange(3), np.zeros((2, 2)), np.float32(1), np.array(["a"], np.dtypes.StringDType())]

    def same(self, value: object, read: object) -> bool:
        return type(value) is type(read) and np.array_equal(value, read)


class TestTable(SerializerContract):
    serializer = SERIALIZERS.get("table")
    kind = "table"

    def values(self, directory: Path) -> list[object]:
        columns = {"a": [1, 2], "b": ["x", None]}
        return [pd.DataFrame(columns), pd.Series([1.5]), pa.table({"c": [1]}), pl.DataFrame({"d": [1]})]

    def foreign(self) -> object:
        return pd.DataFrame({"a": [object()]})

    def same(self, value: object, read: object) -> bool:
        return type(value) is type(read) and value.equals(read)


class TestFile(SerializerContract):
    serializer = SERIALIZERS.get("file")
    kind = "file"

    def values(self, directory: Path) -> list[object]:
        for name in "ab":
            (directory / name).write_text(name)
        return [directory / "a", directory / "b"]

    def foreign(self) -> object:
        return "names nothing"

    def same(self, value: object, read: object) -> bool:
        return type(value) is type(read) and value.read_bytes() == read.read_bytes()


class TestDirectory(TestFile):
    serializer = SERIALIZERS.get("directory")
    kind = "directory"

    def values(self, directory: Path) -> list[object]:
        for name in "cd":
            (directory / name).mkdir(exist_ok=True)
            (directory / name / "file").write_text(name)
        return [directory / "c", directory / "d"]

    def same(self, value: object, read: object) -> bool:
        return super().same(value / "file", read / "file")


class TestPickle(SerializerContract):
    serializer = SERIALIZERS.get("pickle")
    kind = "pickle"

    def values(self, directory: Path) -> list[object]:
        return [Pickled([1]), Pickled({"a"})]

    def same(self, value: object, read: object) -> bool:
        return value.value == read


class Forgetful:
    """A serializer that loses what it is given."""

    def dump(self, value, where, sink):
        return SERIALIZERS.get("pickle").dump(Pickled(0), where, sink)

    def load(self, frame, source):
        return 0


class Broken(TestPickle):
    __test__ = False
    serializer = Forgetful()


@pytest.mark.parametrize("name", sorted(name for name in vars(SerializerContract) if name.startswith("test_")))
def test_the_contract_finds_a_serializer_that_breaks_it(name, tmp_path, monkeypatch):
    """Each rule but that of the frame's fields is broken by one that loses everything."""
    if name == "test_a_frame_says_where_its_bytes_are":
        monkeypatch.setattr(Broken, "kind", "other")
    with pytest.raises(AssertionError):
        getattr(Broken(), name)(tmp_path)


def test_equal_bytes_in_memory_are_one_object(tmp_path):
    bundle = MemoryBundle(tmp_path)
    assert bundle.put(b"x") == bundle.put(b"x")
    assert len(bundle.objects) == 1
