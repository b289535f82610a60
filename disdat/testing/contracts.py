"""
What every extension must keep, as classes of tests: subclass one in a test module, and pytest runs them.

    class TestMySerializer(SerializerContract):
        serializer = MySerializer()

        kind = "mine"

        def values(self, directory: Path) -> list[object]:
            return [MyValue(1), MyValue(2)]
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from disdat.core.bundle import Frame
from disdat.core.digest import LogicalDigest
from disdat.errors import Corrupt, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values.serializer import Serializer


class SerializerContract:
    """What :class:`~disdat.values.serializer.Serializer` promises."""

    serializer: Serializer
    kind: str
    """The kind its frames have."""

    def values(self, directory: Path) -> list[object]:
        """Return values it stores, no two equal; files they need may be made in *directory*."""
        raise NotImplementedError

    def foreign(self) -> object:
        """Return a value it does not store."""
        return object()

    def same(self, value: object, read: object) -> bool:
        """Whether what was read is equal to what was written."""
        return type(value) is type(read) and bool(value == read)

    def test_what_goes_in_comes_out(self, tmp_path: Path) -> None:
        """A value is read back equal and of its type."""
        bundle = MemoryBundle(tmp_path)
        for value in self.values(tmp_path):
            frame = self.serializer.dump(value, "value", bundle)
            assert self.same(value, self.serializer.load(frame, bundle)), value

    def test_a_frame_says_where_its_bytes_are(self, tmp_path: Path) -> None:
        """A frame has the serializer's kind, the empty name, and one of inline value, object and path."""
        bundle = MemoryBundle(tmp_path)
        for value in self.values(tmp_path):
            frame = self.serializer.dump(value, "value", bundle)
            assert (frame.kind, frame.name) == (self.kind, "")
            assert [frame.inline, frame.digest, frame.path].count(None) == 2
            assert frame.digest is None or frame.size_bytes == len(bundle.objects[frame.digest])

    def test_equal_values_have_one_logical_digest_and_others_another(self, tmp_path: Path) -> None:
        """The logical digest is a function of the value, and tells values apart."""
        first = self._logical(tmp_path)
        again = self._logical(tmp_path)
        assert first == again
        assert len(set(first)) == len(first)
        assert all(LogicalDigest.parse(digest) == digest for digest in first)

    def _logical(self, directory: Path) -> list[LogicalDigest]:
        bundle = MemoryBundle(directory)
        return [self.serializer.dump(value, "value", bundle).logical for value in self.values(directory)]

    def test_a_value_it_does_not_store_is_refused_with_its_place(self, tmp_path: Path) -> None:
        """Unserializable says where in the whole value the refused one is."""
        refused = _refusal(self.serializer, self.foreign(), "value['a'][3]", MemoryBundle(tmp_path))
        assert refused.where.startswith("value['a'][3]")

    def test_an_object_that_is_something_else_is_corrupt(self, tmp_path: Path) -> None:
        """Bytes the serializer did not write are reported as damage."""
        bundle = MemoryBundle(tmp_path)
        for value in self.values(tmp_path):
            frame = self.serializer.dump(value, "value", bundle)
            if frame.digest is not None:
                _check_reports_damage(self.serializer, replace(frame, digest=bundle.put(b"?")[0]), bundle)


def _refusal(serializer: Serializer, value: object, where: str, bundle: MemoryBundle) -> Unserializable:
    try:
        frame = serializer.dump(value, where, bundle)
    except Unserializable as exc:
        return exc
    raise AssertionError(f"{value!r} was stored as {frame}")


def _check_reports_damage(serializer: Serializer, frame: Frame, bundle: MemoryBundle) -> None:
    try:
        read = serializer.load(frame, bundle)
    except Corrupt:
        return
    raise AssertionError(f"{frame} was read as {read!r}")
