"""The keys on a remote are pinned: others find by them what was written before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import places
from disdat.core.digest import of_bytes
from disdat.core.tree import encode_path
from disdat.store.backend import check_key

HEX = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_keys_are_those_of_the_format() -> None:
    assert places.MARKER == "disdat.json"
    assert places.object_key(of_bytes(b"")) == f"objects/blake3/af/{HEX}"
    assert places.pack_key(HEX) == f"packs/{HEX}.pack"
    assert places.context_key("storms") == "context/storms/"
    assert places.context_key("storms", "events/") == "context/storms/events/"
    assert places.file_key("storms", "0b", "a b/c%FF") == "context/storms/files/0b/a b/c%FF"
    assert places.file_key("storms", "0b", "100%25 %25FF\n") == "context/storms/files/0b/100% %25FF%0A"
    assert places.lease_key("01") == "leases/01.json"
    assert places.collection_key("01") == "gc/01.json"


NAMES = st.lists(
    st.one_of(st.sampled_from([b"%", b"25", b"0A", b"FF", b"\n", b"\\", b"\xff", "é￾".encode(), b" "]), st.binary()),
    min_size=1,
)


@given(NAMES)
def test_a_file_is_found_by_its_key_again_whatever_it_is_called(parts: list[bytes]) -> None:
    path = encode_path(b"".join(parts))
    key = places.key_of_path(path)
    assert places.path_of_key(key) == path


@given(NAMES.map(b"".join).filter(lambda name: name.strip(b"./") and b"/" not in name))
def test_every_file_has_a_key(name: bytes) -> None:
    check_key(places.key_of_path(encode_path(name[:200])))


@pytest.mark.parametrize(
    "name", ["a b.csv", "50%.csv", "día.csv", "ts=2020-01-01 00%3A00", "a%20b", "a#b?c", "%", "%25"]
)
def test_a_file_lies_under_its_own_name(name: str) -> None:
    assert places.key_of_path(encode_path(name.encode())) == name


def test_urls_are_quoted_of_directories_only() -> None:
    assert places.url_of("s3://bucket/some", "context/c/a b.csv") == "s3://bucket/some/context/c/a b.csv"
    assert places.url_of("file:///some%20where", "context/c/a b.csv") == "file:///some%20where/context/c/a%20b.csv"
