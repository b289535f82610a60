"""
The logical digests of every rule, as literals: one that changes here has changed for everybody's data.

Where a digest is also computed step by step, the steps are those of docs/format.md.
"""

from __future__ import annotations

import math
import uuid
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from blake3 import blake3

from disdat.core import canonical
from disdat.testing.memory import MemoryBundle
from disdat.values import Pickled, dump

STRINGS = np.dtypes.StringDType(na_object=None)
VALUES = {
    "none": None,
    "true": True,
    "1": 1,
    "1.0": 1.0,
    "'1'": "1",
    "-0.0": -0.0,
    "nan": math.nan,
    "inf": -math.inf,
    "big": 2**53,
    "complex": complex(1, -0.0),
    "text": "é\U0001f600",
    "surrogate": "\ud800",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"\x00\xff"),
    "datetime": datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
    "datetime utc": datetime(2026, 1, 1, tzinfo=UTC),
    "time": time(1, 2, 3, tzinfo=timezone(timedelta(hours=-1), "X")),
    "date": date(2026, 1, 1),
    "timedelta": timedelta(-1, 2, 3),
    "decimal": Decimal("1.00"),
    "uuid": uuid.UUID(int=1),
    "scalar": [np.float32(1.5), np.str_("a"), np.bytes_(b"a")],
    "list": [1, [2]],
    "tuple": (1, (2,)),
    "dict": {"a": 1, (1, None): {}},
    "set": {1, "a", None},
    "frozenset": frozenset({1.5}),
    "nested frame": [np.arange(3, dtype="i4")],
    "array": np.arange(6, dtype=">i4").reshape(2, 3),
    "array 0-d": np.array(1.5),
    "array empty": np.zeros((0, 3), "M8[ns]"),
    "array nan": np.array([math.nan, -0.0], "f2"),
    "array struct": np.array([(1, (2.5, b"x"))], dtype=[("a", "i1"), ("b", [("c", "f8"), ("d", "S2")])]),
    "array sub": np.zeros(2, dtype=[("a", "f4", (2, 2))]),
    "array text": np.array(["a", "é"], "U3"),
    "array strings": np.array(["a", None, "é"], STRINGS),
    "pickle": Pickled(None),
    "table": pa.table({"a": pa.array([1, None], pa.int8()), "b": ["x", None]}),
    "table empty": pd.DataFrame(),
    "table floats": pd.DataFrame({"x": [math.nan, -0.0]}),
    "table bool": pa.table({"x": [True, None, False]}),
    "table times": pa.table(
        {
            "t": pa.array([1, None], pa.timestamp("s", "UTC")),
            "d": pa.array([1, None], pa.date32()),
            "c": pa.array([1, None], pa.time32("ms")),
            "u": pa.array([1, None], pa.duration("ns")),
        }
    ),
    "table decimal": pa.table({"x": pa.array([Decimal("1.5"), None], pa.decimal128(5, 2))}),
    "table bytes": pa.table({"v": pa.array([b"a", None]), "f": pa.array([b"ab", None], pa.binary(2))}),
    "table nested": pa.table(
        {
            "l": [[1, None], None],
            "f": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
            "s": [{"a": 1}, None],
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
            "e": pa.array([b"0123456789abcdef", None], pa.uuid()),
            "n": pa.nulls(2),
        }
    ),
    "table categories": pd.DataFrame({"c": pd.Categorical(["b", None], ["a", "b"], ordered=True)}),
    "table periods": pd.DataFrame({"p": pd.PeriodIndex(["2026-01", None], freq="M")}),
    "table intervals": pd.DataFrame({"i": pd.interval_range(0, 2)}),
    "table complex": pd.DataFrame({"c": [1 + 2j]}),
    "table literals": pd.DataFrame({"o": pd.Series([Decimal(1), None], dtype=object)}),
    "table index": pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", 2)], names=["k", None])),
    "table range": pd.DataFrame({0: [1, 2]}, index=pd.RangeIndex(5, 9, 2)),
    "series": pd.Series(["a"], name="s"),
}
PINNED = {
    "none": "literal1:blake3:c9168f7b81ebe514212d53ce35e308490ff2554759962787696f89b23ed5bd41",
    "true": "literal1:blake3:e99146327642397ebd24df3567f073dd2de5b5054616ba4d44acb54d0b59dd4a",
    "1": "literal1:blake3:e2ee77364cc8517746addeb7c5b80d8df9c23d606c4089eda70019b091c8309e",
    "1.0": "literal1:blake3:b3b66f4f818c541ce1392e6724310c95526019efe6e965b4e3d29789411dc08f",
    "'1'": "literal1:blake3:e21ce99a83b95441bfe3594f85e0e4ca31bcc08811ef7a97f2af51117c894a2e",
    "-0.0": "literal1:blake3:a0580135f86318100b8c572465d20e9dd8bb5a47d1879ba9e4d9c57dd60046ba",
    "nan": "literal1:blake3:a521ea6b665f9e5262fc82f2e185715d7e561c9d99472ee4d9a4da7c2f8c06b3",
    "inf": "literal1:blake3:f9076521fb863a1a97a68d58569caaa6befec942ec594bf6f5c6df0d0492d0d2",
    "big": "literal1:blake3:73e3ef0bedee4785582fc91faf66e17bc269f3833481b9d0191cffc7842eb656",
    "complex": "literal1:blake3:95aa9457e8416c0989c858bf3bbad78b545bfa6c7513477515cf3707a844b769",
    "text": "literal1:blake3:882f5b42fbcf39d6ae5c1378936d8ecb85c4f2cdac0a36eeaf2e4fb2a8777563",
    "surrogate": "literal1:blake3:c7391c83a81efa07664dbff75f824d07befab06ca508d5b0a14453366d77753b",
    "bytes": "literal1:blake3:27e52b1bb8c45eba632f486fae94940a4c287ee53e516a3a4c9c669c64f61012",
    "bytearray": "literal1:blake3:8773d981d471697aec082c7443014b011eb5849043abfe65ccc5c665f3b440de",
    "datetime": "literal1:blake3:1a23678466fe7b7f723b8f8408ee426814db5724938a44c38817ea0719b24f50",
    "datetime utc": "literal1:blake3:141d6733da9570cae6af4a53cbf2292d186f8f425284b463dd85d6d09185993b",
    "time": "literal1:blake3:3ad41d7c73cd9717b5dac7a0966562fd2ec53d416a2520b7b9c2d632ab6e1503",
    "date": "literal1:blake3:e3e05b98462b9c26b684af1f5300713225e4f81bbc792aced78b0f1b3126a13f",
    "timedelta": "literal1:blake3:acd3c2bb76e537c04dc8b8d78d2d17fd4a8e42b8fc7b3c0b7aa73820d8dd6890",
    "decimal": "literal1:blake3:833bd3633a6137f01b35f8795664907a5ea2266b456f00b1d817bc10296d7812",
    "uuid": "literal1:blake3:6593dcd270f4ea9b6c401e6da72f5a359aa5f3ccaa9783d9f22df4b644701c0a",
    "scalar": "literal1:blake3:3e899e2659698820df0686219e892f19121cf56949e08d813d4a2757c42e3692",
    "list": "literal1:blake3:521b2daa35febae6545bb0c1a9ce9941252d3b917c14464438bb1a315651ebfb",
    "tuple": "literal1:blake3:77cca7cacb492338dcff7f64402d02b7d899f4d478a1290cc15e3dcfe0c00632",
    "dict": "literal1:blake3:6f0ccc31ce48b298715110c15a18e384309fcd119964687015ad784de6d659ea",
    "set": "literal1:blake3:da6950395968bc56e04acbee0b2d8e2ffe58bd856f2b11bc2d4def039a6a6f8e",
    "frozenset": "literal1:blake3:a76c096ebbe706eebca882e811164226946d04d03b85f67b02ecb65188ae2686",
    "nested frame": "literal1:blake3:f9314a19a27e7bf9e0c2e48baa4ac432015592ac7e03fee98447c51e24d52f5c",
    "array": "array1:blake3:69fea9f8b2856aef5c2c147841bf4cd1eb7d57de77f2501dc76bed088b9a3862",
    "array 0-d": "array1:blake3:74464dc5b738c49c1411711bed2c5bd11ce3c128aa9e6c50028262654e2879fe",
    "array empty": "array1:blake3:511d38df7d2c8624ec007c493f149079f054d9f865ed4263e63490c3e639988f",
    "array nan": "array1:blake3:47db7f18dc739280608d6fac68e6ad69fcdb2d28932207b9612664d4f5e9817a",
    "array struct": "array1:blake3:e51451ae2f967383ddbd0c34ed92c4517854c9cb7fdd8909cab51a900d1aa633",
    "array sub": "array1:blake3:7c03cd915e80579a76c4e6781b26d4464d6b9f433bcd030dfb8d36c280b3a372",
    "array text": "array1:blake3:e9c57bc692a98838226f088a7fe5a921074725e446c5892188e153a147eff662",
    "array strings": "array1:blake3:9f658dd63a5561d33837a7e1b6844168358cfb877a6053242e19b8fb057f11a3",
    "pickle": "pickle1:blake3:09f06d4b475045802dd7a88a9281b6940c3b1793464d64acaec4189c295c6795",
    "table": "table1:blake3:3cb4a33851209d1706f29a67114ab4893fa1d7f50c3d7b27fb3ef8012494f616",
    "table empty": "table1:blake3:d7dcca0082a29cc1ef90f18b31932030d2d99aa9cdccb16bc68c808d72fd7211",
    "table floats": "table1:blake3:1ba9e068336ef6d77e17ecf77cb3ae33f7f2781e810eb41fbf983ceb5035ddef",
    "table bool": "table1:blake3:cc9e8179125e01304214158d16736429bbe853ca3ecada95a51569d1d5a9ca6c",
    "table times": "table1:blake3:5a9225e98ed809902f5b9f146a04110bd19bb3b58827f4620dd4f8b596006529",
    "table decimal": "table1:blake3:8fc57b8c10bc32b89012f5cd947aad2e88c87dc3bb552331ed872ae490ed4753",
    "table bytes": "table1:blake3:7182fd27b09c26c0a0006451ae7b2b5ed197187c713bd5d603aa338f88df5972",
    "table nested": "table1:blake3:2f713ed3359da547910301e846895a1eb7eba11caff9ed8e40b8d220c7366225",
    "table categories": "table1:blake3:796211d0ff309ad216b20f859a951ae14ffa0beb0422d0453fa392bb257eb5b4",
    "table periods": "table1:blake3:e3f38f1e89c44c17977bdc611c7b7fef6670a1739bd636566af5e2452345bbef",
    "table intervals": "table1:blake3:956b10e6c7ee35d4d509eef8791ce5b412d7750e05134a8618b62ee79cd9920d",
    "table complex": "table1:blake3:4360ac807d77ed62dd85035a6e765a2da752b883bd76875c617546f745fb5be4",
    "table literals": "table1:blake3:97d772bf8329288030a998bf01bc348af1b663d49136ddc99ed2d57e34eefb18",
    "table index": "table1:blake3:a040d060174fd3dd6ad12ce4cc134222987eec972e47a50e84166ea6c1871df0",
    "table range": "table1:blake3:03db6437dd556803f22bdcb6dbb7888924686db71ea42fac16d2a351d27f2d2e",
    "series": "table1:blake3:2db5e14eb897f27b8b93bc62a99c00bb73ffa0e3d508e519dd205587c7f0cc0b",
}
FILES = {
    "file": "file1:blake3:e8d8616601c657ab57ff2d9754de1a52d8a87a3170dec89f2b0f54825d8db1d0",
    "executable": "file1:blake3:e8f52f2091f64ae27035ce74a6b6f742eae7eced8e354be148e3540af9746119",
    "directory": "tree1:blake3:cb48eac33b475764f2a36425b64938fdb921e199d2de92d38662c5da0baf0445",
    "column": "table1:blake3:a8dbc921329ecf72e156b2371a9fd7704cb1d5dc762e3b1005b7f67b5df06a52",
    "list": "literal1:blake3:90bee3bebc35e2874a1e3f76ac5190b0ca4268167cf1bb3608c61573c3b11c01",
}


def logical(value: object, bundle: MemoryBundle) -> str:
    return dump(value, bundle)[0].logical


@pytest.mark.parametrize("name", VALUES)
def test_the_logical_digest_of_a_value_never_changes(name, bundle):
    assert logical(VALUES[name], bundle) == PINNED[name]


def test_the_logical_digests_of_files_never_change(bundle):
    directory = bundle.root / "data"
    directory.mkdir()
    path = directory / "é.txt"
    path.write_bytes(b"hello")
    tool = directory / "tool"
    tool.write_bytes(b"")
    tool.chmod(0o755)
    column = pd.DataFrame({"f": [str(path), None]})
    found = {"file": path, "executable": tool, "directory": directory, "column": column, "list": [path]}
    assert {name: logical(value, MemoryBundle(bundle.root)) for name, value in found.items()} == FILES


def length(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little")


def hashed(rule: str, *parts: bytes) -> str:
    return f"{rule}:blake3:{blake3(rule.encode() + b''.join(parts)).hexdigest()}"


def with_length(value: object) -> bytes:
    data = canonical.encode(value)
    return length(data) + data


def test_a_literal_by_the_rule(bundle):
    assert logical({"a": (1, 2.0)}, bundle) == hashed("literal1", with_length({"dict": [["a", {"tuple": [1, 2.0]}]]}))


def test_a_set_by_the_rule(bundle):
    codes = sorted([1, "a", None], key=lambda code: hashed("literal1", with_length(code)))
    assert logical({1, "a", None}, bundle) == hashed("literal1", with_length({"set": codes}))


def test_a_value_with_a_frame_by_the_rule(bundle):
    array = hashed("array1", with_length(["i4", [2]]), b"\1\0\0\0\2\0\0\0")
    assert logical(np.array([1, 2], ">i4"), bundle) == array
    assert logical([np.array([1, 2], "<i4")], bundle) == hashed("literal1", with_length([{"frame": array}]))


def test_a_container_of_height_32_by_the_rule(bundle):
    inner: object = []
    for _ in range(31):
        inner = [inner]
    expected = hashed("literal1", with_length([{"frame": hashed("literal1", with_length(inner))}]))
    assert logical([inner], bundle) == expected


def test_strings_by_the_rule(bundle):
    lengths = np.array([1, -1, 2], "<i8").tobytes()
    assert logical(VALUES["array strings"], bundle) == hashed(
        "array1", with_length(["strings", [3]]), lengths, "aé".encode()
    )


def test_a_table_by_the_rule(bundle):
    rows = (2).to_bytes(8, "little")
    numbers = blake3(with_length("int8") + rows + b"\1\1" + b"\1\0").digest()
    texts = blake3(with_length("string") + rows + b"\1\1" + np.array([1, 0], "<i8").tobytes() + b"x").digest()
    head = {"rows": 2, "index": [], "columns": [["a", "int8"], ["b", "string"]]}
    assert logical(VALUES["table"], bundle) == hashed("table1", with_length(head), numbers, texts)


def test_categories_by_the_rule(bundle):
    categories = blake3(
        with_length("string") + (2).to_bytes(8, "little") + b"\0" + np.array([1, 1], "<i8").tobytes() + b"ab"
    )
    kind = ["dictionary", True, "string"]
    codes = (2).to_bytes(8, "little") + b"\1\1" + np.array([1, 0], "<i4").tobytes()
    column = blake3(with_length(kind) + categories.digest() + codes).digest()
    head = {"rows": 2, "index": [], "columns": [["c", kind]]}
    assert logical(VALUES["table categories"], bundle) == hashed("table1", with_length(head), column)


def test_an_index_by_the_rule(bundle):
    one = (1).to_bytes(8, "little")
    columns = [
        blake3(with_length("string") + one + b"\0" + one + b"x").digest(),
        blake3(with_length("int64") + one + b"\0" + (2).to_bytes(8, "little")).digest(),
        blake3(with_length("int64") + one + b"\0" + one).digest(),
    ]
    head = {"rows": 1, "index": [["k", "string"], [None, "int64"]], "columns": [["a", "int64"]]}
    assert logical(VALUES["table index"], bundle) == hashed("table1", with_length(head), *columns)
