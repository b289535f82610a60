"""What every backend promises, as tests to inherit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from disdat.errors import InvalidInput, NotFound
from disdat.store.backend import Backend

KEYS = ("a", "a-b", "a.b/c", "ab/c", "ab/d/e", "b", "b%2F", "Ä/ö", "z/\U0001f600", "z/\uffff")


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
        with ThreadPoolExecutor(8) as pool:
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
        """Size, and the time it was written."""
        before = time.time_ns() // 1000
        backend.put("key", b"bytes")
        stored = backend.head("key")
        assert list(backend.list()) == [stored]
        assert (stored.key, stored.size_bytes) == ("key", 5)
        assert abs(stored.modified_us - before) < 60_000_000

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", ".", "..", "a\0b", "k" * 1025])
    def test_what_is_no_key_is_refused(self, backend: Backend, key: str) -> None:
        """Nothing can be put outside the backend."""
        for act in (backend.get, backend.head, backend.delete, lambda k: backend.put(k, b"")):
            with pytest.raises(InvalidInput, match="not a key"):
                act(key)
