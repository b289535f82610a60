"""What is decided about backends before any is asked: URLs, keys, and which ranges are read as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.errors import InvalidInput
from disdat.store.backend import (
    COALESCED_BYTES,
    PIECE_BYTES,
    Abilities,
    Unsupported,
    coalesced,
    cut,
    open_backend,
    part_bytes,
    probe,
)
from disdat.store.memory import MemoryBackend

RANGES = st.lists(st.tuples(st.integers(0, 4 * COALESCED_BYTES), st.integers(0, 2 * COALESCED_BYTES)), max_size=8)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/tmp",
        "ftp://host/x",
        "file://host/x",
        "file://",
        "://",
        "file:///x?y=1",
        "s3://",
        "s3:///key",
        "s3://b",
        "s3://bucket?x=1",
        "s3://user@bucket/x",
    ],
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot open"):
        open_backend(url)


@pytest.mark.parametrize("url", ["s3://bucket/a//b", "s3://bucket/../b", "s3://bucket/a\nb"])
def test_a_prefix_is_a_key(url: str) -> None:
    with pytest.raises(InvalidInput, match="not a key"):
        open_backend(url)


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://my.bucket/some/prefix/", "s3://my.bucket/some/prefix"),
        ("gs://bucket/ä%20b", "gs://bucket/ä%20b"),
        ("az://container/x", "az://container/x"),
    ],
)
def test_a_bucket_has_one_url(url: str, opened: str) -> None:
    """Nobody is asked for it."""
    assert open_backend(url).url == opened


@given(RANGES)
def test_what_is_cut_out_of_coalesced_reads_is_what_was_asked_for(ranges: list[tuple[int, int]]) -> None:
    """In as few reads as there are gaps that are too wide."""
    content = bytes(range(251)) * (3 * COALESCED_BYTES // 251)
    spans = coalesced(ranges)
    read = [content[span.offset : span.offset + span.length] for span in spans]
    assert cut(ranges, spans, read) == [content[start : start + length] for start, length in ranges]
    ends = [span.offset + span.length for span in spans]
    assert all(after.offset - end > COALESCED_BYTES for end, after in zip(ends, spans[1:], strict=False))


class Careless(MemoryBackend):
    """One of those that say yes to conditions and do not look."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        self.put(key, data)
        return self.head(key).etag


class Unable(MemoryBackend):
    """One of those that know no conditions."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        raise Unsupported("cannot create")

    def put_if_match(self, key: str, data: bytes, etag: str) -> str | None:
        raise Unsupported("cannot swap")


@pytest.mark.parametrize("backend", [Careless(), Unable()], ids=type)
def test_a_backend_without_conditions_is_found_out(backend: MemoryBackend) -> None:
    """By what is there afterwards, not by what it says; nothing is left."""
    backend.put("other", b"")
    assert probe(backend, "some/") == Abilities(creates_once=False, swaps=False, signs=False, checksums=False)
    assert [stored.key for stored in backend.list()] == ["other"]


@pytest.mark.parametrize("size_bytes", [1, PIECE_BYTES, 5 << 30, 5 << 40])
def test_no_object_takes_more_than_ten_thousand_parts(size_bytes: int) -> None:
    """Of at most 5 GiB each, which S3 sets too; parts are small while they may be."""
    part = part_bytes(size_bytes)
    assert -(-size_bytes // part) <= 10_000
    assert part == PIECE_BYTES or part > size_bytes // 10_000
