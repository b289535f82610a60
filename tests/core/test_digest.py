"""Digests name bytes: the same bytes by the same name, however they are read."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.core import digest
from disdat.core.digest import Digest, Hasher, LogicalDigest
from disdat.errors import InvalidInput

EMPTY = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
ABC = "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


def test_digests_are_those_of_blake3() -> None:
    """The values its specification gives for no bytes and for ``abc``."""
    assert digest.of_bytes(b"") == EMPTY
    assert digest.of_bytes(b"abc") == ABC


def test_json_is_named_by_its_canonical_bytes() -> None:
    assert digest.of_json({"b": 1, "a": [1.0, "é"]}) == digest.of_bytes(rb'{"a":[1.0,"\u00e9"],"b":1}')


@given(st.lists(st.binary(max_size=50)))
def test_pieces_hash_as_the_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    hasher = Hasher()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.digest() == digest.of_chunks(pieces) == digest.of_bytes(whole)
    assert hasher.size_bytes == len(whole)


def test_several_threads_hash_as_one() -> None:
    data = bytes(range(256)) * 32_768
    assert len(data) >= digest.THREADED_FROM_BYTES
    assert digest.of_chunks([data], expected_bytes=len(data)) == digest.of_chunks([data]) == digest.of_bytes(data)


def test_a_forked_child_hashes_on_several_threads_as_its_parent_did() -> None:
    """Threads do not survive a fork: who waits for those of the parent waits for ever."""
    data = bytes(digest.THREADED_FROM_BYTES)
    assert digest.of_chunks([data], expected_bytes=len(data)) == digest.of_bytes(data)
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        os._exit(digest.of_chunks([data], expected_bytes=len(data)) != digest.of_bytes(data))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_any_buffer_is_hashed_by_its_bytes() -> None:
    hasher = Hasher()
    hasher.update(memoryview(b"abcd").cast("H"))
    assert (hasher.digest(), hasher.size_bytes) == (digest.of_bytes(b"abcd"), 4)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_and_its_raw_bytes_are_one(raw: bytes) -> None:
    name = Digest.from_raw(raw)
    assert (name.raw, name.algorithm, name.hex) == (raw, "blake3", raw.hex())
    assert Digest.parse(name) == name
    assert isinstance(Digest.parse(str(name)), Digest)


@given(st.binary(min_size=32, max_size=32))
def test_a_logical_digest_names_its_rule(raw: bytes) -> None:
    name = digest.logical("table1", raw)
    assert (name.rule, name.digest) == ("table1", Digest.from_raw(raw))
    assert LogicalDigest.parse(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blake3:",
        EMPTY.upper(),
        EMPTY[:-1],
        f"{EMPTY}0",
        f"{EMPTY}\n",
        f" {EMPTY}",
        EMPTY.replace("blake3", "sha256"),
        EMPTY.removeprefix("blake3:"),
        f"file1:{EMPTY}",
        "../../etc/passwd",
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        Digest.parse(text)


@pytest.mark.parametrize(
    "text", ["", EMPTY, f"1file:{EMPTY}", f"file:{EMPTY}", f"file1:{EMPTY[:-1]}", f"File1:{EMPTY}"]
)
def test_what_is_no_logical_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a logical digest"):
        LogicalDigest.parse(text)
