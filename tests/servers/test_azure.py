"""The server of Azure's blobs does what remotes count on, through the client they use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import AzureStore

from tests.servers.azure import AzureServer

pytestmark = pytest.mark.slow


@pytest.fixture
def store(azurite: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureStore:
    """A container of the test's own, reached with nothing but the environment to go by."""
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    return AzureStore(azurite.fresh_container())


def test_what_is_written_is_read_and_listed_in_order(store: AzureStore):
    for key in ("b/2", "a", "b/1"):
        obstore.put(store, key, key.encode())
    assert [found["path"] for page in obstore.list(store) for found in page] == ["a", "b/1", "b/2"]
    assert bytes(obstore.get(store, "b/2").bytes()) == b"b/2"


def test_one_of_sixteen_creates_an_object(store: AzureStore):
    def create(writer: int) -> bool:
        try:
            obstore.put(store, "ref", b"%d" % writer, mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(create, range(16))).count(True) == 1


def test_an_object_is_replaced_only_by_who_knows_it(store: AzureStore):
    first = obstore.put(store, "ref", b"1")["e_tag"]
    obstore.put(store, "ref", b"2", mode={"e_tag": first})
    with pytest.raises(PreconditionError):
        obstore.put(store, "ref", b"3", mode={"e_tag": first})
    assert bytes(obstore.get(store, "ref").bytes()) == b"2"
