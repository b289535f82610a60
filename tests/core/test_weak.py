"""A file nobody read is known by what S3 says of it: by all of that, and by nothing that says too little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import canonical, tree
from disdat.core.canonical import Json
from disdat.core.checksum import CRC64NVME, SHA256, Checksum
from disdat.core.digest import of_bytes
from disdat.core.tree import Entry, Tree
from disdat.core.weak import SMALLEST_BYTES, Weak
from disdat.errors import Corrupt, InvalidInput

ETAG = "0123456789abcdef" * 2
SIZE = 70_000

hex_digits = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: text.strip("0"))
etags = st.one_of(hex_digits, st.builds("{}-{}".format, hex_digits, st.integers(1, 10_000)))
checksums = st.one_of(
    st.none(),
    st.builds(Checksum, st.just(CRC64NVME), st.binary(min_size=8, max_size=8)),
    st.builds(Checksum, st.just(SHA256), st.binary(min_size=32, max_size=32), st.integers(0, 10_000)),
)


def told(etag: str, checksum: Checksum | None) -> Weak:
    found = Weak.of(etag, checksum)
    assert found is not None
    return found


weaks = st.builds(told, etags, checksums)
sizes = st.integers(SMALLEST_BYTES, 1 << 50)


@given(weak=weaks, size_bytes=sizes, executable=st.booleans())
def test_it_comes_back_from_a_tree_as_it_was(weak: Weak, size_bytes: int, executable: bool) -> None:
    whole = Tree({"dir/file": Entry(weak.digest(size_bytes), size_bytes, executable, weak)})
    back = tree.from_json(canonical.decode(canonical.encode(tree.to_json(whole))))
    ref, nodes = tree.to_nodes(whole)
    for found in (back, tree.from_nodes(ref.root, nodes.__getitem__)):
        assert found == whole
        assert found["dir/file"].weak == weak


@given(one=st.tuples(weaks, sizes), other=st.tuples(weaks, sizes))
def test_two_are_equal_where_all_that_is_said_is(one: tuple[Weak, int], other: tuple[Weak, int]) -> None:
    assert (one[0].digest(one[1]) == other[0].digest(other[1])) == (one == other)


def test_its_digest_is_pinned() -> None:
    expected = b'weak1{"crc64nvme":"OCBieXRlcy4=","etag":"0123456789abcdef0123456789abcdef-7","size":70000}'
    assert told(f'"{ETAG}-7"', Checksum(CRC64NVME, b"8 bytes.")).digest(SIZE) == of_bytes(expected)
    assert Weak(ETAG).digest(SIZE) == of_bytes(b'weak1{"etag":"%b","size":70000}' % ETAG.encode())


@pytest.mark.parametrize("etag", [ETAG, f'"{ETAG}"', f'"{ETAG}-12"'])
def test_an_etag_as_s3_makes_them_tells_objects_apart(etag: str) -> None:
    assert Weak.of(etag, None) == Weak(etag.strip('"'))


@pytest.mark.parametrize(
    "etag",
    ["", "x", "0" * 32, "0" * 32 + "-1", ETAG.upper(), ETAG[1:], ETAG + "0", f"{ETAG}-0", f"{ETAG}-", f"W/{ETAG}"],
)
def test_any_other_tells_nothing(etag: str) -> None:
    assert Weak.of(etag, Checksum(CRC64NVME, b"8 bytes.")) is None


@pytest.mark.parametrize(
    "fields",
    [
        None,
        "weak",
        [],
        {},
        {"crc64nvme": "OCBieXRlcy4="},
        {"etag": None},
        {"etag": 7},
        {"etag": "0" * 32},
        {"etag": f'"{ETAG}"'},
        {"etag": ETAG, "md5": "OCBieXRlcy4="},
        {"etag": ETAG, "crc64nvme": 7},
        {"etag": ETAG, "crc64nvme": "%%%"},
        {"etag": ETAG, "crc64nvme": "OCBieXRlcy4=-x"},
        {"etag": ETAG, "crc64nvme": "OCBieXRlcy4=-0"},
        {"etag": ETAG, "crc64nvme": "A" * 1_000_000},
        {"etag": ETAG, "crc64nvme": ""},
        {"etag": ETAG, "sha256": "OCBieXRlcy4="},
    ],
)
def test_what_is_none_is_refused(fields: Any) -> None:
    with pytest.raises(InvalidInput):
        Weak.from_json(fields)


@pytest.mark.parametrize(
    ("digest", "size_bytes"),
    [
        (of_bytes(b"any"), SIZE),
        (Weak(ETAG).digest(SIZE), SIZE + 1),
        (Weak(ETAG).digest(SMALLEST_BYTES - 1), SMALLEST_BYTES - 1),
    ],
)
def test_a_tree_with_another_digest_than_what_is_said_gives_is_refused(digest: str, size_bytes: int) -> None:
    entry: dict[str, Json] = {"name": "file", "digest": digest, "size": size_bytes, "weak": {"etag": ETAG}}
    node = canonical.encode({"format": 1, "entries": [entry]})
    with pytest.raises(Corrupt):
        tree.from_nodes(of_bytes(node), lambda _: node)
