"""Tables: equal, of their dtypes and index, whatever row groups store them, and named by content."""

from __future__ import annotations

import decimal
import io
import json
import zoneinfo
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.errors import Corrupt, UnknownFormat, Unserializable
from disdat.testing.memory import MemoryBundle
from disdat.values import dump, load, table
from tests.values.strategies import SCALARS

DAYS = pd.date_range("2026-01-01", periods=5, freq="D")
NUMBERS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bool complex64 complex128"
MASKED = "Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 boolean string"


def objects(*cells: object) -> pd.Series:
    return pd.Series(cells, dtype=object)


def intervals(*pairs: object, closed: str = "right") -> pd.arrays.IntervalArray:
    return pd.arrays.IntervalArray.from_tuples(list(pairs), closed=closed)


FRAMES = {
    "numbers": pd.DataFrame({dtype: np.arange(3).astype(dtype) for dtype in NUMBERS.split()}),
    "extremes": pd.DataFrame({"a": [2**63 - 1, -(2**63)], "b": [np.inf, -0.0], "c": np.array([2**64 - 1, 0], "u8")}),
    "nan": pd.DataFrame({"f": [1.5, np.nan], "c": [complex(np.nan, 1), 2j]}),
    "strided": pd.DataFrame(np.arange(12.0).reshape(4, 3)),
    "big-endian": pd.DataFrame({"a": np.arange(3, dtype=">i4"), "b": np.arange(3, dtype=">f8")}),
    "masked": pd.DataFrame({dtype: pd.array([1, None, 0], dtype=dtype) for dtype in MASKED.split()}),
    "nan-and-NA": pd.DataFrame({"a": pd.array([0, 1, None], dtype="Float64") / pd.array([0, 1, 1], dtype="Float64")}),
    "strings": pd.DataFrame(
        {
            f"{storage} {missing}": pd.array(["a", None, ""], dtype=pd.StringDtype(storage, missing))
            for storage in ("python", "pyarrow")
            for missing in (pd.NA, np.nan)
        }
    ),
    "categories": pd.DataFrame(
        {
            "text": pd.Categorical(["a", None, "b"], categories=["unused", "b", "a"]),
            "ordered": pd.Categorical([3, 1, 3], categories=[3, 1, 2], ordered=True),
            "intervals": pd.cut([1, 2, 3], 2),
            "mixed": pd.Categorical(["a", 1, "a"]),
            "none": pd.Categorical([None, None, None]),
        }
    ),
    "moments": pd.DataFrame(
        {
            **{unit: DAYS.as_unit(unit) for unit in ("s", "ms", "us", "ns")},
            **{f"zoned {unit}": DAYS.as_unit(unit).tz_localize("Europe/Berlin") for unit in ("s", "ns")},
            **{f"delta {unit}": (DAYS - DAYS[0]).as_unit(unit) for unit in ("s", "ms", "us", "ns")},
            "utc": DAYS.tz_localize(UTC),
            "offset": DAYS.tz_localize(timezone(timedelta(hours=2))),
            "period": DAYS.to_period("W"),
        }
    ),
    "no-moment": pd.DataFrame(
        {
            "a": pd.to_datetime(["2026-01-01", None]),
            "b": pd.to_timedelta([None, "1s"]),
            "c": pd.PeriodIndex(["2026-01", None], freq="M"),
            "d": pd.to_datetime(["2026-01-01", None]).tz_localize("America/New_York"),
        }
    ),
    "intervals": pd.DataFrame(
        {
            "int": pd.interval_range(0, 3),
            "float": intervals((1.5, 2), np.nan, (2, 3), closed="both"),
            "time": pd.interval_range(DAYS[0], DAYS[3]),
        }
    ),
    "objects": pd.DataFrame(
        {
            "none": objects("a", None, "b"),
            "nan": objects("a", np.nan, "b"),
            "NA": objects("a", pd.NA, "b"),
            "NaT": objects(date(2026, 1, 1), pd.NaT, date(1, 1, 1)),
            "all markers": objects(None, np.nan, pd.NA),
            "two markers": objects("a", None, np.nan),
            "decimals": objects(decimal.Decimal("1.0"), decimal.Decimal("1.00"), None),
            "bytes": objects(b"x", None, b""),
            "lists": objects([1], [2, "a", {"b": (3,)}], []),
            "integers": objects(1, 2, None),
            "big integers": objects(1, 2**80, None),
            "booleans": objects(True, None, False),
            "floats": objects(1.5, None, np.nan),
            "datetimes": objects(datetime(2026, 1, 1, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)),
            "nothing": objects(None, None, None),
        }
    ),
    "arrow": pd.DataFrame(
        {
            "lists": pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            "seconds": pd.Series([1, None], dtype=pd.ArrowDtype(pa.timestamp("s"))),
            "text": pd.Series(["a", "b"], dtype=pd.ArrowDtype(pa.string())),
        }
    ),
    "duplicate labels": pd.DataFrame([[1, "a", 2.5]], columns=["a", "a", "a#2"]),
    "labels of any type": pd.DataFrame([[1, 2, 3, 4, 5]], columns=["a", 1, (1, 2), None, b"x"]),
    "labels are moments": pd.DataFrame([[1] * 5], columns=DAYS),
    "labels are categories": pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"], name="c")),
    "labels in levels": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
    ),
    "odd labels": pd.DataFrame([[1, 2, 3]], columns=["", "a\0b", "\U0001f600"]),
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": np.empty(0, "i4"), "b": pd.array([], dtype="str"), "c": objects()}),
    "no rows of anything": pd.DataFrame(
        {
            "c": pd.Categorical([]),
            "p": pd.PeriodIndex([], freq="M"),
            "z": DAYS[:0].tz_localize("UTC"),
            "i": pd.arrays.IntervalArray.from_tuples([], dtype="interval[int64]"),
            "x": np.empty(0, "c16"),
        }
    ),
    "no columns": pd.DataFrame(index=range(5)),
    "no columns, named rows": pd.DataFrame(index=["a", "b"]),
    "index: range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2, name="r")),
    "index: range backwards": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(1, -1, -1)),
    "index: text": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", None], name="a")),
    "index: objects": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", 1], dtype=object)),
    "index: moments": pd.DataFrame({"a": range(5)}, index=DAYS.rename("day")),
    "index: moments without frequency": pd.DataFrame({"a": [1, 2]}, index=DAYS[[0, 3]].tz_localize("Asia/Tokyo")),
    "index: deltas": pd.DataFrame({"a": range(3)}, index=pd.timedelta_range("1h", periods=3)),
    "index: periods": pd.DataFrame({"a": range(5)}, index=DAYS.to_period("D")),
    "index: intervals": pd.DataFrame({"a": range(3)}, index=pd.interval_range(0, 3)),
    "index: categories": pd.DataFrame({"a": [1, 2]}, index=pd.CategoricalIndex(["a", "b"], ["b", "a"], ordered=True)),
    "index: booleans": pd.DataFrame({"a": [1, 2]}, index=[True, False]),
    "index: levels": pd.DataFrame(
        {"a": range(4)}, index=pd.MultiIndex.from_product([["a", None], DAYS[:2]], names=["k", ("t", 1)])
    ),
    "index: one level": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([["a", "b"]])),
}
SERIES = {
    "plain": pd.Series([1.0, np.nan]),
    "named": pd.Series([1, 2], name="x", index=["a", "b"]),
    "named 0": pd.Series([1], name=0),
    "named by a tuple": pd.Series(["a"], name=("a", 1)),
    "objects": objects(None, "a"),
    "categories": pd.Series(["a", "b"], dtype="category"),
    "moments": pd.Series(DAYS, index=DAYS),
    "empty": pd.Series([], dtype=object),
}
ARROW = {
    "plain": pa.table({"a": [1, None], "b": ["x", "y"]}),
    "metadata": pa.table({"a": pa.array([1])}, metadata={"k": "v"}),
    "narrowed by Parquet": pa.table(
        {
            "timestamp": pa.array([1, None], pa.timestamp("s", "UTC")),
            "time": pa.array([1, None], pa.time32("s")),
            "date": pa.array([86_400_000, None], pa.date64()),
        }
    ),
    "dictionaries": pa.table(
        {
            "text": pa.DictionaryArray.from_arrays(pa.array([0, None, 2], pa.int8()), ["a", "unused", "b"]),
            "ordered": pa.DictionaryArray.from_arrays([1, 0, 1], [5.5, 6.5], ordered=True),
        }
    ),
    "nested": pa.table(
        {
            "list": [[1], None],
            "struct": [{"x": 1, "y": [None]}, None],
            "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
            "fixed": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
            "view": pa.array([[1], None], pa.list_view(pa.int8())),
        }
    ),
    "wide": pa.table(
        {"view": pa.array(["a", None], pa.string_view()), "large": pa.array([b"a", b""], pa.large_binary())}
    ),
    "decimals": pa.table(
        {
            "d32": pa.array([1, None], pa.decimal32(5, 2)),
            "d128": pa.array([1, None], pa.decimal128(30, 2)),
            "d256": pa.array([1, None], pa.decimal256(60, 2)),
        }
    ),
    "fixed": pa.table({"half": pa.array([1, None], pa.float16()), "bytes": pa.array([b"abc", None], pa.binary(3))}),
    "duplicate names": pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["x", "x"]),
    "extension": pa.table({"uuid": pa.array([b"0123456789abcdef", None], pa.uuid())}),
    "null": pa.table({"null": pa.nulls(3)}),
    "chunked": pa.concat_tables([pa.table({"a": ["x"]}), pa.table({"a": ["y", None]})]),
    "empty": pa.table({}),
    "no rows": pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.dictionary(pa.int8(), pa.string()))}),
}
POLARS = {
    "plain": pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [1.5, float("nan")]}),
    "categories": pl.DataFrame(
        {
            "free": pl.Series(["b", "a", None], dtype=pl.Categorical),
            "fixed": pl.Series(["x", "y", "x"], dtype=pl.Enum(["unused", "y", "x"])),
        }
    ),
    "times": pl.DataFrame({"t": [datetime(2026, 1, 1, tzinfo=UTC)], "d": [date(1, 1, 1)], "x": [timedelta(1)]}),
    "nested": pl.DataFrame(
        {"l": [[1], None], "s": [{"a": 1}, None], "a": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2))}
    ),
    "others": pl.DataFrame(
        {"d": [decimal.Decimal("1.5")], "b": [b"x"], "n": [None], "i": pl.Series([1], dtype=pl.Int8)}
    ),
    "empty": pl.DataFrame(),
    "no rows": pl.DataFrame(schema={"a": pl.Int64, "c": pl.Categorical}),
}


def logical(value: object, tmp_path) -> str:
    return dump(value, MemoryBundle(tmp_path))[0].logical


def check_objects(read: pd.DataFrame, frame: pd.DataFrame) -> None:
    for n in range(frame.shape[1]):
        if frame.dtypes.iloc[n].kind == "O":
            kinds, expected = (list(map(type, one.iloc[:, n])) for one in (read, frame))
            assert kinds == expected


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back_with_every_dtype_and_index(name, bundle):
    frame = FRAMES[name]
    (stored,) = frames = dump(frame, bundle)
    read = load(frames, bundle)
    pd.testing.assert_frame_equal(read, frame, check_exact=True, check_column_type=True, check_index_type=True)
    assert type(read.index) is type(frame.index)
    assert list(read.columns.names) == list(frame.columns.names)
    assert stored.shape == frame.shape
    check_objects(read, frame)
    assert logical(read, bundle.root) == stored.logical


@pytest.mark.parametrize("name", SERIES)
def test_series_come_back_with_their_name(name, bundle):
    read = load(dump(SERIES[name], bundle), bundle)
    pd.testing.assert_series_equal(read, SERIES[name], check_exact=True)
    assert type(read.name) is type(SERIES[name].name)
    check_objects(read.to_frame(), SERIES[name].to_frame())


@pytest.mark.parametrize("name", ARROW)
def test_arrow_tables_come_back_with_their_schema(name, bundle):
    (stored,) = frames = dump(ARROW[name], bundle)
    read = load(frames, bundle)
    assert read.equals(ARROW[name], check_metadata=True)
    assert logical(read, bundle.root) == stored.logical


@pytest.mark.parametrize("name", POLARS)
def test_polars_frames_come_back_with_their_schema(name, bundle):
    (stored,) = frames = dump(POLARS[name], bundle)
    read = load(frames, bundle)
    assert read.schema == POLARS[name].schema
    assert read.equals(POLARS[name])
    assert logical(read, bundle.root) == stored.logical


def test_zones_are_of_zoneinfo_again(bundle):
    frame = pd.DataFrame({"a": DAYS.tz_localize("Europe/Berlin")})
    assert load(dump(frame, bundle), bundle)["a"].dt.tz == zoneinfo.ZoneInfo("Europe/Berlin")


def test_attrs_come_back_and_must_be_literals(bundle):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"source": "x", 1: [2.5]}
    assert load(dump(frame, bundle), bundle).attrs == frame.attrs
    assert logical(frame, bundle.root) == logical(pd.DataFrame({"a": [1]}), bundle.root)
    frame.attrs = {"a": object()}
    with pytest.raises(Unserializable, match=r"value\.attrs"):
        dump(frame, bundle)


@given(st.lists(st.tuples(st.integers(-5, 5) | st.none(), st.text(max_size=3) | st.none(), st.floats(width=32))))
def test_rows_of_any_content_come_back(tmp_path_factory, rows):
    bundle = MemoryBundle(tmp_path_factory.getbasetemp())
    frame = pd.DataFrame(rows, columns=["i", "s", "f"]).astype({"i": "Int64", "s": "str", "f": "float32"})
    pd.testing.assert_frame_equal(load(dump(frame, bundle), bundle), frame, check_exact=True)


@given(
    st.lists(SCALARS, min_size=1, max_size=5).map(
        lambda cells: [cell for cell in cells if type(cell) is type(cells[0])]
    )
)
def test_cells_of_any_one_literal_type_come_back(tmp_path_factory, cells):
    bundle = MemoryBundle(tmp_path_factory.getbasetemp())
    values = np.empty(len(cells), object)
    values[:] = cells
    series = pd.Series(values, dtype=object)
    if any(type(cell) is str and not cell.isprintable() and _has_surrogate(cell) for cell in cells):
        with pytest.raises(Unserializable, match="valid Unicode"):
            dump(series, bundle)
    else:
        read = load(dump(series, bundle), bundle)
        assert [(type(cell), repr(cell)) for cell in read] == [(type(cell), repr(cell)) for cell in cells]


def _has_surrogate(cell: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in cell)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (pd.DataFrame({"x": [1, "a"]}), "value.column 'x' row 1"),
        ({"a": [0, 1, 2, pd.DataFrame({"y": [1], "x": [object()]})]}, "value['a'][3].column 'x' row 0"),
        (pd.DataFrame({"x": objects(None, [1], [len])}), "value.column 'x' row 2"),
        (pd.DataFrame({"x": objects("\ud800")}), "value.column 'x'"),
        (pd.DataFrame({"x": pd.arrays.SparseArray([1, 2])}), "value.column 'x'"),
        (pd.DataFrame({"x": np.array([1], np.longdouble)}), "value.column 'x'"),
        (pd.DataFrame({"x": [1]}, index=pd.Index([object()])), "value.index level 0 row 0"),
        (pd.DataFrame([[1]], columns=pd.Index([object()])), "value.columns level 0 row 0"),
        (pd.Series([1], name=pd.Timestamp(0)), "value.name"),
        (pd.Series([object()]), "value row 0"),
        (pa.table({"x": pa.nulls(1, pa.month_day_nano_interval())}), "value.column 'x'"),
        (pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}), "value.column 'x'"),
        ([pd.Timestamp(0)], "value[0]"),
        (pd.Index([1]), "value"),
        (pl.Series([1]), "value"),
        (type("Sub", (pd.DataFrame,), {})({"a": [1]}), "value"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_stored_is_refused_by_its_place_with_a_hint(value, where, bundle):
    with pytest.raises(Unserializable) as raised:
        dump(value, bundle)
    assert raised.value.where == where
    assert raised.value.hint


def test_a_mixed_column_names_both_types(bundle):
    with pytest.raises(Unserializable, match="mixes int and str"):
        dump(pd.DataFrame({"x": objects(None, 1, 2, "a")}), bundle)


class TestContent:
    """What counts for the logical digest, and what does not."""

    def test_the_library_does_not_count(self, tmp_path):
        columns = {"a": [1, 2], "b": ["x", None], "c": [1.5, 2.5]}
        values = [pd.DataFrame(columns), pa.table(columns), pl.DataFrame(columns)]
        assert len({logical(value, tmp_path) for value in values}) == 1

    def test_types_of_text_are_one(self, tmp_path):
        kinds = pa.string(), pa.large_string(), pa.string_view()
        assert len({logical(pa.table({"a": pa.array(["x", None], kind)}), tmp_path) for kind in kinds}) == 1
        dtypes = "str", "string", object, pd.StringDtype("python")
        assert (
            len({logical(pd.DataFrame({"a": pd.array(["x", None], dtype=dtype)}), tmp_path) for dtype in dtypes}) == 1
        )

    def test_other_types_differ(self, tmp_path):
        dtypes = [*"bBhilfdFD?", "str", "category"]
        frames = [pd.DataFrame({"a": np.array([0, 1])}).astype({"a": dtype}) for dtype in dtypes]
        frames += [pd.DataFrame({"a": pd.to_datetime([0, 1]).as_unit(unit)}) for unit in ("s", "ms", "us", "ns")]
        frames += [pd.DataFrame({"a": pd.to_datetime([0, 1]).tz_localize(zone)}) for zone in ("UTC", "Asia/Tokyo")]
        frames += [pd.DataFrame({"a": objects(*cells)}) for cells in ((b"0", b"1"), (0.0, 1.0), ([0], [1]))]
        digests = {logical(frame, tmp_path) for frame in frames}
        assert len(digests) == len(frames)

    def test_what_lies_under_a_null_does_not_count(self, tmp_path):
        def masked(hidden: int) -> pa.Table:
            valid = pa.py_buffer(b"\x05")
            numbers = pa.Array.from_buffers(pa.int64(), 3, [valid, pa.py_buffer(np.array([1, hidden, 3]))])
            offsets, text = pa.py_buffer(np.array([0, 1, 1 + hidden, 2 + hidden], "i4")), pa.py_buffer(b"a" * 20)
            texts = pa.Array.from_buffers(pa.string(), 3, [valid, offsets, text])
            flags = pa.Array.from_buffers(pa.bool_(), 3, [valid, pa.py_buffer(bytes([5 + 2 * (hidden & 1)]))])
            lists = pa.Array.from_buffers(pa.list_(pa.int64()), 3, [valid, offsets], children=[pa.array([5] * 20)])
            structs = pa.StructArray.from_arrays([numbers], ["x"])
            return pa.table({"n": numbers, "t": texts, "f": flags, "s": structs, "l": lists})

        one, other = masked(0), masked(7)
        assert logical(one, tmp_path) == logical(other, tmp_path)
        assert logical(one, tmp_path) != logical(one.set_column(0, "n", pa.array([1, 0, 3])), tmp_path)

    def test_nan_is_one_value_not_a_null_and_negative_zero_another(self, tmp_path):
        patterns = [0x7FF8000000000000, 0xFFF8000000000001]
        one, other = (logical(pd.DataFrame({"a": np.array([bits], "u8").view("f8")}), tmp_path) for bits in patterns)
        assert one == other
        cells = [pa.array([value], pa.float64()) for value in (None, 0.0, -0.0)]
        assert len({one, *(logical(pa.table({"a": cell}), tmp_path) for cell in cells)}) == 4

    def test_index_labels_and_order_count(self, tmp_path):
        frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
        others = [
            frame[["b", "a"]],
            frame.rename(columns={"a": "x"}),
            frame.iloc[::-1],
            frame.set_index("a"),
            frame.set_index("a").rename_axis("x"),
            frame.rename_axis("x"),
            frame.set_axis([1, 0]),
            frame.set_axis(["a", 1], axis=1),
            frame.iloc[:1],
            frame.iloc[:0],
        ]
        assert len({logical(one, tmp_path) for one in (frame, *others)}) == 1 + len(others)

    def test_a_range_counts_as_its_integers(self, tmp_path):
        frame = pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2))
        assert logical(frame, tmp_path) == logical(frame.set_axis(np.array([5, 7])), tmp_path)

    def test_categories_and_their_order_count(self, tmp_path):
        def of(categories: list[str], *, ordered: bool = False) -> pd.DataFrame:
            return pd.DataFrame({"a": pd.Categorical(["x"], categories, ordered=ordered)})

        frames = [of(["x"]), of(["x", "y"]), of(["y", "x"]), of(["x"], ordered=True)]
        assert len({logical(frame, tmp_path) for frame in (*frames, pd.DataFrame({"a": ["x"]}))}) == 5

    def test_categories_of_polars_do_not_depend_on_what_the_process_has_seen(self, tmp_path):
        first = logical(pl.DataFrame({"a": pl.Series(["q1", "q2"], dtype=pl.Categorical)}), tmp_path)
        pl.Series(["q0", "q3", "q2"], dtype=pl.Categorical)
        again = pl.DataFrame({"a": pl.Series(["q2", "q1", "q2"], dtype=pl.Categorical)})[1:]
        assert logical(again, tmp_path) == first

    @pytest.mark.parametrize("rows", [0, 1, 65_535, 65_536, 65_537, 200_000])
    def test_row_groups_and_chunks_do_not_count(self, rows, tmp_path, monkeypatch):
        numbers = np.arange(rows)
        frame = pd.DataFrame({"n": numbers, "t": numbers.astype("str"), "m": pd.array(numbers % 3, "Int8")})
        frame.loc[numbers % 7 == 0, "t"] = None
        expected = logical(frame, tmp_path)
        monkeypatch.setattr(table, "ROW_GROUP_BYTES", 1)
        assert logical(frame, tmp_path) == expected
        whole = pa.Table.from_pandas(frame, preserve_index=False)
        pieces = [whole.slice(start, 30_001) for start in range(0, rows, 30_001)] or [whole]
        assert logical(pa.concat_tables(pieces), tmp_path) == expected


@pytest.mark.slow
def test_a_big_table_is_written_in_several_row_groups_and_read_again(bundle, monkeypatch):
    monkeypatch.setattr(table, "ROW_GROUP_BYTES", 1)
    rows = 150_000
    frame = pd.DataFrame(
        {
            "n": np.arange(rows),
            "c": np.arange(rows) * 1j,
            "t": np.arange(rows).astype("str"),
            "k": pd.Categorical(np.arange(rows) % 5),
            "o": np.array(["x", None] * (rows // 2), object),
            "p": pd.PeriodIndex(["2026-01"] * rows, freq="M"),
        },
        index=pd.Index(np.arange(rows)[::-1], name="i"),
    )
    (stored,) = frames = dump(frame, bundle)
    assert pq.ParquetFile(io.BytesIO(bundle.read(stored.digest))).num_row_groups == 3
    pd.testing.assert_frame_equal(load(frames, bundle), frame)


def test_anybody_reads_what_is_stored(bundle):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], ("c", 1): [1.5, 2.5]}, index=pd.Index([7, 8], name="id"))
    (stored,) = dump(frame, bundle)
    read = pq.read_table(io.BytesIO(bundle.read(stored.digest)))
    assert read.column_names == ["a", "b", "('c', 1)", "id"]
    assert read.to_pydict()["b"] == ["x", "y"]
    assert stored.details["columns"] == ["a", "b", "('c', 1)"]


def stored_with(fields: dict[str, object], bundle: MemoryBundle) -> object:
    """A table whose own description was changed."""
    (stored,) = dump(pd.DataFrame({"a": [1, 2]}), bundle)
    read = pq.read_table(io.BytesIO(bundle.read(stored.digest)))
    described = json.loads(read.schema.metadata[b"disdat"]) | fields
    file = io.BytesIO()
    pq.write_table(read.replace_schema_metadata({"disdat": json.dumps(described)}), file)
    return load([replace(stored, digest=bundle.put(file.getvalue())[0])], bundle)


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 3},
        {"columns": []},
        {"columns": [{"column": "a", "cells": {}}]},
        {"columns": [{"column": "a", "cells": {"numpy": "nonsense"}}]},
        {"labels": {}},
        {"index": {"levels": [], "names": []}},
    ],
)
def test_a_description_that_does_not_fit_is_damage(fields, bundle):
    assert stored_with({}, bundle).equals(pd.DataFrame({"a": [1, 2]}))
    with pytest.raises(Corrupt):
        stored_with(fields, bundle)


def test_a_later_format_is_refused(bundle):
    with pytest.raises(UnknownFormat, match="format 2"):
        stored_with({"format": 2}, bundle)
