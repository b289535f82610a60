"""What every backend promises, as tests to inherit."""

from __future__ import annotations

import io
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from disdat.core.checksum import SHA256, sha256
from disdat.errors import InvalidInput, NotFound, StorageError
from disdat.store.backend import PIECE_BYTES, Backend, part_bytes, probe

KEYS = ("a", "a-b", "a.b/c", "ab/c", "ab/d/e", "b", "b%2F", "Ä/ö", "z/\U0001f600", "z/\ufffd")
ODD_KEYS = (
    "with space",
    "100%/a%20b",
    "q+r&s=t",
    "#/?x",
    " lead/trail ",
    "e\u0301/é",
    "~*'\"<>|^`[]{}",
    ".../.a",
    "c:",
)


def _put_each(backend: Backend, versions: list[bytes]) -> None:
    for data in versions:
        backend.put("key", data)


class BackendContract:
    """Inherit, and give a backend that is empty: ``TestMine(BackendContract)`` with a fixture ``backend``."""

    @pytest.fixture
    def backend(self) -> Backend:
        """Return an empty backend; to be overridden."""
        raise NotImplementedError

    @pytest.mark.parametrize("data", [b"", b"bytes", bytes(range(256)) * 5000])
    def test_what_is_put_is_got(self, backend: Backend, data: bytes) -> None:
        """All bytes come back, at once and in ranges; a range past the end is short."""
        backend.put("some/key", data)
        assert backend.get("some/key") == data
        assert backend.get_range("some/key", 1, 3) == data[1:4]
        assert backend.get_range("some/key", max(len(data) - 2, 0), 9) == data[-2:]
        assert backend.get_range("some/key", len(data) + 1, 9) == b""

    def test_what_is_put_again_is_replaced(self, backend: Backend) -> None:
        """The last write counts."""
        backend.put("key", b"first")
        backend.put("key", b"second")
        assert backend.get("key") == b"second"
        assert [stored.key for stored in backend.list()] == ["key"]

    def test_what_was_not_put_is_not_found(self, backend: Backend) -> None:
        """A key that begins others is not one itself, nor is one that goes on after another."""
        backend.put("some/key", b"")
        for key in ("other", "some", "some/key/more", "som"):
            for read in (backend.get, backend.head, lambda key: backend.get_range(key, 0, 1)):
                with pytest.raises(NotFound, match=key):
                    read(key)

    def test_the_beginning_of_a_key_is_no_key_to_delete(self, backend: Backend) -> None:
        backend.put("some/key", b"x")
        backend.delete("some")
        assert backend.get("some/key") == b"x"

    def test_what_is_deleted_is_not_found(self, backend: Backend) -> None:
        """To delete what is not there is fine."""
        backend.put("some/key", b"")
        backend.delete("some/key")
        backend.delete("some/key")
        backend.delete("never/there")
        with pytest.raises(NotFound):
            backend.get("some/key")
        assert list(backend.list()) == []

    def test_only_the_first_of_many_who_put_if_absent_is_told_so(self, backend: Backend) -> None:
        """And its bytes are those that are kept."""
        with ThreadPoolExecutor(16) as pool:
            told = list(pool.map(lambda n: backend.put_if_absent("key", b"%d" % n), range(32)))
        assert told.count(True) == 1
        assert backend.get("key") == b"%d" % told.index(True)
        backend.delete("key")
        assert backend.put_if_absent("key", b"again")

    def test_readers_see_a_write_whole_or_not_at_all(self, backend: Backend) -> None:
        """While one key is written over and over."""
        versions = [bytes([n]) * (200_000 + n) for n in range(8)]
        backend.put("key", versions[0])
        with ThreadPoolExecutor(2) as pool:
            writing = pool.submit(_put_each, backend, versions * 5)
            while not writing.done():
                assert backend.get("key") in versions
            writing.result()

    def test_keys_are_listed_in_the_order_of_their_bytes(self, backend: Backend) -> None:
        """Whatever the order they were put in."""
        for key in reversed(KEYS):
            backend.put(key, key.encode())
        expected = sorted(KEYS, key=str.encode)
        assert [stored.key for stored in backend.list()] == expected
        assert [stored.size_bytes for stored in backend.list()] == [len(key.encode()) for key in expected]

    @pytest.mark.parametrize("prefix", ["", "a", "ab/", "ab/d", "b", "z/", "nothing"])
    @pytest.mark.parametrize("start_after", ["", "a", "ab/c", "ab/ca", "zzzz"])
    def test_a_listing_is_the_keys_with_a_prefix_after_another(
        self, backend: Backend, prefix: str, start_after: str
    ) -> None:
        """A prefix is text, not a part; the key to start after need not be there."""
        for key in KEYS:
            backend.put(key, b"")
        found = [stored.key for stored in backend.list(prefix, start_after=start_after)]
        assert found == sorted(key for key in KEYS if key.startswith(prefix) and key > start_after)

    def test_head_says_what_a_listing_says(self, backend: Backend) -> None:
        """Size, etag, and the time it was written; one of them may know the time to the second only."""
        before = time.time_ns() // 1000
        backend.put("key", b"bytes")
        head = backend.head("key")
        (listed,) = backend.list()
        assert (head.key, head.size_bytes) == (listed.key, listed.size_bytes) == ("key", 5)
        assert listed.etag in {head.etag, ""}
        assert abs(listed.modified_us - head.modified_us) < 1_000_000
        assert abs(head.modified_us - before) < 60_000_000

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "a//b", "a/../b", ".", "..", "a\0b", "a\nb", "a\udc80", "k" * 1025]
    )
    def test_what_is_no_key_is_refused(self, backend: Backend, key: str) -> None:
        """Nothing can be put outside the backend."""
        acts = (
            backend.get,
            backend.get_versioned,
            backend.head,
            backend.checksum,
            backend.delete,
            lambda k: backend.put(k, b""),
            lambda k: backend.put_if_absent(k, b""),
            lambda k: backend.put_if_match(k, b"", "x"),
            lambda k: backend.put_file(k, io.BytesIO(), 0),
            lambda k: next(backend.read_pieces(k)),
            lambda k: backend.delete_many([k]),
            lambda k: backend.copy(k, "key"),
        )
        for act in acts:
            with pytest.raises(InvalidInput, match="not a key"):
                act(key)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_a_key_is_any_text_that_a_person_types(self, backend: Backend, key: str) -> None:
        """No character in it means anything to the backend, or to a URL."""
        backend.put(key, b"bytes")
        backend.copy(key, f"copy/{key}")
        assert backend.get(f"copy/{key}") == b"bytes"
        assert {key, f"copy/{key}"} == {stored.key for stored in backend.list()}
        assert b"".join(backend.read_pieces(key)) == b"bytes"
        backend.delete_many([key, f"copy/{key}"])
        assert list(backend.list()) == []

    def test_the_parts_below_a_prefix_are_named_once(self, backend: Backend) -> None:
        """Objects and what begins the keys of others alike, those one level down only."""
        for key in KEYS:
            backend.put(key, b"")
        assert list(backend.list_below("")) == sorted({key.partition("/")[0] for key in KEYS})
        assert list(backend.list_below("ab/")) == ["c", "d"]
        assert list(backend.list_below("nothing/")) == []
        backend.delete("ab/d/e")
        assert list(backend.list_below("ab/")) == ["c"]
        with pytest.raises(InvalidInput):
            backend.list_below("ab")

    def test_many_are_deleted_at_once(self, backend: Backend) -> None:
        """Those that are not there too; others stay."""
        for n in range(20):
            backend.put(f"some/{n}", b"")
        backend.delete_many(f"some/{n}" for n in range(1, 30))
        backend.delete_many([])
        assert [stored.key for stored in backend.list()] == ["some/0"]

    def test_what_is_copied_is_the_same_bytes(self, backend: Backend) -> None:
        """In place of what was there; what is not there cannot be copied."""
        backend.put("source", b"bytes")
        backend.put("a/target", b"other")
        backend.copy("source", "a/target")
        assert backend.get("a/target") == backend.get("source") == b"bytes"
        with pytest.raises(NotFound):
            backend.copy("nothing", "source")
        assert backend.get("source") == b"bytes"

    def test_bytes_are_replaced_only_by_who_knows_them(self, backend: Backend) -> None:
        """An etag is good once, and not for an object made again; what is not there is not made."""
        backend.put("key", b"1")
        first = backend.get_versioned("key")
        assert first.data == b"1"
        assert backend.head("key").etag == first.etag != ""
        second = backend.put_if_match("key", b"2", first.etag)
        assert second == backend.get_versioned("key").etag
        assert backend.put_if_match("key", b"3", first.etag) is None
        assert backend.put_if_match("nothing", b"3", first.etag) is None
        assert [backend.get(stored.key) for stored in backend.list()] == [b"2"]
        backend.put("key", b"4")
        assert second is not None
        assert backend.put_if_match("key", b"5", second) is None
        backend.delete("key")
        assert backend.put_if_match("key", b"6", second) is None
        with pytest.raises(NotFound):
            backend.get_versioned("key")

    def test_of_many_who_swap_at_once_one_is_told_so(self, backend: Backend) -> None:
        """Sixteen count to thirty-two together, and nobody's turn is lost."""
        backend.put("count", b"0")

        def count(_: int) -> None:
            while True:
                seen = backend.get_versioned("count")
                if backend.put_if_match("count", b"%d" % (int(seen.data) + 1), seen.etag):
                    return

        seen = backend.get_versioned("count")
        with ThreadPoolExecutor(16) as pool:
            told = list(pool.map(lambda _: backend.put_if_match("count", b"1", seen.etag), range(16)))
            assert len([etag for etag in told if etag]) == 1
            list(pool.map(count, range(31)))
        assert backend.get("count") == b"32"

    @pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 5])
    def test_a_file_comes_back_in_pieces(self, backend: Backend, size_bytes: int) -> None:
        """Progress hears of each byte once; an offset and a length choose what comes."""
        data = random.Random(size_bytes).randbytes(size_bytes)
        heard: list[int] = []
        file = io.BytesIO(b"skipped" + data + b"more")
        file.seek(7)
        backend.put_file("key", file, size_bytes, progress=heard.append)
        assert sum(heard) == size_bytes
        pieces = list(backend.read_pieces("key"))
        assert b"".join(pieces) == data
        assert max(map(len, pieces), default=0) <= PIECE_BYTES
        assert b"".join(backend.read_pieces("key", offset=size_bytes // 3)) == data[size_bytes // 3 :]
        assert b"".join(backend.read_pieces("key", offset=1, length=PIECE_BYTES + 7)) == data[1 : PIECE_BYTES + 8]
        assert b"".join(backend.read_pieces("key", offset=size_bytes, length=9)) == b""
        assert b"".join(backend.read_pieces("key", length=0)) == b""

    @pytest.mark.parametrize("size_bytes", [10, PIECE_BYTES + 10])
    def test_a_file_that_ends_too_early_is_not_kept(self, backend: Backend, size_bytes: int) -> None:
        """What was there before stays."""
        backend.put("key", b"before")
        with pytest.raises(StorageError, match="too early"):
            backend.put_file("key", io.BytesIO(bytes(size_bytes - 1)), size_bytes)
        assert [backend.get(stored.key) for stored in backend.list()] == [b"before"]

    def test_what_is_not_there_has_no_pieces(self, backend: Backend) -> None:
        """The first piece tells; there are no bytes before the first."""
        for read in (backend.read_pieces("none"), backend.read_pieces("none", length=0)):
            with pytest.raises(NotFound):
                next(read)
        with pytest.raises(NotFound):
            backend.get_ranges("none", [(0, 1)])
        with pytest.raises(NotFound):
            backend.checksum("none")
        backend.put("key", b"x")
        with pytest.raises(InvalidInput):
            next(backend.read_pieces("key", offset=-1))
        with pytest.raises(InvalidInput):
            backend.get_range("key", -1, 1)

    def test_ranges_come_in_the_order_they_were_asked_for(self, backend: Backend) -> None:
        """Close or far, overlapping, empty, past the end, and absurd."""
        data = random.Random(0).randbytes(3_000_000)
        backend.put("key", data)
        ranges = [(2_999_990, 20), (0, 10), (5, 10), (1_500_000, 0), (20, 1000), (9_000_000, 5), (2_000_000, 1 << 60)]
        assert list(backend.get_ranges("key", ranges)) == [data[start : start + length] for start, length in ranges]
        assert list(backend.get_ranges("key", [])) == []

    def test_a_checksum_is_that_of_the_bytes(self, backend: Backend) -> None:
        """If it is a SHA-256: of a large object, that of its parts."""
        for size_bytes in (5, PIECE_BYTES + 5):
            data = random.Random(size_bytes).randbytes(size_bytes)
            backend.put_file("key", io.BytesIO(data), size_bytes)
            found = backend.checksum("key")
            if found is not None and found.algorithm == SHA256:
                parts = part_bytes(size_bytes) if size_bytes > PIECE_BYTES else None
                assert found == sha256([data], part_bytes=parts)

    def test_trying_what_it_can_leaves_nothing(self, backend: Backend) -> None:
        """And says what the tests above have seen."""
        found = probe(backend, "some/")
        assert (found.creates_once, found.swaps) == (True, True)
        assert list(backend.list()) == []
