"""The backend in memory keeps the contract, and is found by its name."""

from __future__ import annotations

import pytest

from disdat.store.backend import Backend, open_backend
from disdat.store.memory import MemoryBackend
from disdat.testing.backend_contract import BackendContract


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


def test_a_memory_url_names_one_backend_in_a_process() -> None:
    open_backend("memory://shared").put("key", b"bytes")
    assert open_backend("memory://shared").get("key") == b"bytes"
    assert list(open_backend("memory://other").list()) == []
