"""Arrays: equal, of their dtype and shape, streamed, mapped, named by content."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from disdat.core.digest import of_bytes
from disdat.errors import Corrupt, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import dump, load
from disdat.values.array import MAPPED_FROM_BYTES

SCALAR_DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.byte_string_dtypes(min_len=1),
    hnp.unicode_string_dtypes(endianness="?", min_len=1),
)
DTYPES = SCALAR_DTYPES | hnp.array_dtypes(SCALAR_DTYPES, max_size=3)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and one.shape == other.shape
        and items(one) == items(other)
    )


def items(array: np.ndarray) -> str:
    return repr(array.tolist())


def logical(array: object, tmp_path) -> str:
    return dump(array, MemoryBundle(tmp_path))[0].logical


@given(ARRAYS, st.booleans())
def test_what_goes_in_comes_out(tmp_path_factory, array, fortran):
    bundle = MemoryBundle(tmp_path_factory.getbasetemp())
    given_ = np.asfortranarray(array) if fortran and array.ndim else array
    assert same(load(dump(given_, bundle), bundle), array)


@given(ARRAYS)
def test_byte_order_and_layout_do_not_count(tmp_path_factory, array):
    root = tmp_path_factory.getbasetemp()
    swapped = array.astype(array.dtype.newbyteorder())
    strided = np.repeat(array, 2, axis=0)[::2] if array.ndim else array
    assert logical(array, root) == logical(swapped, root) == logical(strided, root)


@given(ARRAYS, ARRAYS)
def test_arrays_that_differ_have_different_logical_digests(tmp_path_factory, one, other):
    root = tmp_path_factory.getbasetemp()
    if logical(one, root) == logical(other, root):
        assert one.shape == other.shape
        assert items(one) == items(other)


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.array([], dtype=">i4"),
        np.zeros((0, 3)),
        np.zeros((2, 0, 3), dtype="U5"),
        np.arange(12).reshape(3, 4).T,
        np.arange(100)[::-7],
        np.broadcast_to(np.arange(3), (4, 3)),
        np.zeros(3, dtype="V5"),
        np.zeros(2, dtype=[("a", "i1"), ("b", "<f8", (2, 3)), ("c", [("é", ">u2")])]),
        np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.array([1, 2], dtype=np.longdouble),
        np.array(["NaT", "2026-01-01"], dtype="M8[ns]"),
        np.array(["a", "bcd", "\U0001f600", ""], dtype="U"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_of_every_kind_come_back(array, bundle):
    array.flags.writeable = False
    read = load(dump(array, bundle), bundle)
    assert same(read, array)
    assert read.flags.writeable


@pytest.mark.parametrize("count", [0, 1, 3, 65_535, 65_536, 65_537])
def test_strings_of_any_length_come_back(count, bundle):
    array = np.array(["é" * (n % 5) for n in range(count)], dtype=np.dtypes.StringDType())
    assert same(load(dump(array, bundle), bundle), array)


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtypes.StringDType(),
        np.dtypes.StringDType(coerce=False),
        np.dtypes.StringDType(na_object=None),
        np.dtypes.StringDType(na_object=float("nan"), coerce=False),
    ],
    ids=str,
)
def test_the_marker_of_missing_strings_is_kept(dtype, bundle):
    missing = [dtype.na_object] if hasattr(dtype, "na_object") else []
    array = np.array([["a", *missing], ["", *missing]], dtype=dtype)[:, ::-1]
    read = load(dump(array, bundle), bundle)
    assert (str(read.dtype), read.shape, items(read)) == (str(array.dtype), array.shape, items(array))


@pytest.mark.parametrize("marker", ["gone", 3])
def test_another_marker_is_refused(marker, bundle):
    with pytest.raises(Unserializable, match="StringDType") as raised:
        dump(np.array(["a"], dtype=np.dtypes.StringDType(na_object=marker)), bundle)
    assert "None or nan" in raised.value.hint


@pytest.mark.parametrize(
    "scalar", [np.float32(0.1), np.int64(3), np.bool_(True), np.datetime64(3, "s"), np.void(b"ab")]
)
def test_a_scalar_comes_back_as_a_scalar(scalar, bundle):
    (frame,) = frames = dump(scalar, bundle)
    read = load(frames, bundle)
    assert (type(read), read, read.dtype) == (type(scalar), scalar, scalar.dtype)
    assert (frame.kind, frame.form, frame.shape) == ("array", "scalar", ())


@pytest.mark.parametrize("scalar", [np.str_("é\0"), np.bytes_(b"a\0"), np.str_("")], ids=repr)
def test_text_of_numpy_is_a_literal_and_keeps_its_nuls(scalar, bundle):
    (frame,) = frames = dump(scalar, bundle)
    read = load(frames, bundle)
    assert (type(read), len(read), read) == (type(scalar), len(scalar), scalar)
    assert frame.kind == "literal"


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.zeros(1, dtype=[("a", "O")]),
        np.ma.masked_array([1], mask=[True]),
        np.asarray([[1]]).view(np.matrix),
        np.rec.array([(1,)], dtype=[("a", int)]),
        np.dtype("f8"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_is_refused_by_its_place(value, bundle):
    with pytest.raises(Unserializable) as raised:
        dump({"a": [value]}, bundle)
    assert raised.value.where == "value['a'][0]"
    assert raised.value.hint


def test_nan_is_one_value_and_negative_zero_another(tmp_path):
    def bits(*patterns: int) -> np.ndarray:
        return np.array(patterns, "<u8").view("<f8")

    one = logical(bits(0x7FF8000000000000), tmp_path)
    assert one == logical(bits(0xFFF8000000000001), tmp_path) == logical(bits(0x7FF0000000000001), tmp_path)
    assert logical(bits(0x7FF8000000000000).view([("x", "<f8")]), tmp_path) == logical(
        bits(0xFFF8000000000001).view([("x", "<f8")]), tmp_path
    )
    assert logical(np.array([0.0]), tmp_path) != logical(np.array([-0.0]), tmp_path)
    complex_ = [np.array([complex(0, float("nan"))]), np.array([complex(0, -float("nan"))])]
    assert logical(complex_[0], tmp_path) == logical(complex_[1], tmp_path)


def test_padding_does_not_count(tmp_path):
    aligned = np.dtype([("a", "i1"), ("b", "i4")], align=True)
    arrays = [np.frombuffer(bytes([1, fill, fill, fill, 2, 0, 0, 0]), aligned) for fill in (0, 7)]
    packed = np.array([(1, 2)], dtype=[("a", "i1"), ("b", "i4")])
    assert len({logical(array, tmp_path) for array in (*arrays, packed)}) == 1
    longs = [np.frombuffer(np.longdouble(1).tobytes()[:10] + bytes([fill]) * 6, np.longdouble) for fill in (0, 7)]
    if np.finfo(np.longdouble).nmant == 63:
        assert logical(longs[0], tmp_path) == logical(longs[1], tmp_path)


def test_dtype_and_shape_count(tmp_path):
    arrays = [np.zeros(4, "i4"), np.zeros(4, "u4"), np.zeros(4, "f4"), np.zeros(2, "i8"), np.zeros((2, 2), "i4")]
    arrays += [np.zeros(4, "U1"), np.zeros(4, "S4"), np.zeros(4, "M8[s]"), np.zeros(4, "M8[ms]"), np.zeros(0, "i4")]
    arrays += [np.zeros(4, [("a", "i4")]), np.zeros(4, [("b", "i4")]), np.zeros(0, "f4")]
    assert len({logical(array, tmp_path) for array in arrays}) == len(arrays)


@pytest.mark.parametrize("length", [MAPPED_FROM_BYTES // 8 - 100, MAPPED_FROM_BYTES // 8, 10**6])
def test_a_big_array_is_mapped_and_writing_to_it_changes_nothing_stored(length, bundle):
    array = np.arange(float(length))
    (frame,) = frames = dump(array, bundle)
    read = load(frames, bundle)
    assert type(read) is np.ndarray
    assert isinstance(read.base, np.memmap) == (frame.size_bytes >= MAPPED_FROM_BYTES)
    read[:] = -1
    path, offset, stored = bundle.open_path(frame.digest)
    assert path.read_bytes()[offset : offset + stored] == bundle.objects[frame.digest]
    assert np.array_equal(load(frames, bundle), array)


def test_numpy_itself_reads_what_is_stored(bundle, tmp_path):
    array = np.arange(6, dtype=">i2").reshape(2, 3)
    (frame,) = dump(array, bundle)
    (tmp_path / "array.npy").write_bytes(bundle.objects[frame.digest])
    assert same(np.load(tmp_path / "array.npy"), array)


class Forgetful:
    digest = of_bytes(b"")
    size_bytes = 0

    def write(self, piece) -> int:
        return memoryview(piece).nbytes


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, lambda array: np.repeat(array, 2, axis=1)[:, ::2]])
def test_a_big_array_is_never_copied_whole(make, tmp_path):
    class Nothing(MemoryBundle):
        """A bundle that forgets what is written to it, so that only copies of the array take memory."""

        @contextmanager
        def blob(self):
            yield Forgetful()

    array = make(np.ones((3000, 1500)))
    tracemalloc.start()
    dump(array, Nothing(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"x" + data,
        lambda data: data.replace(b"<f8", b"|O8"),
        lambda data: data.replace(b"(3,)", b"(-3)"),
        lambda data: data[:9],
        lambda data: b"",
    ],
)
def test_what_is_no_array_is_damage(damage, bundle):
    (frame,) = dump(np.arange(3.0), bundle)
    broken = replace(frame, digest=bundle.put(damage(bundle.read(frame.digest)))[0])
    with pytest.raises(Corrupt):
        load([broken], bundle)
