"""The keys on a remote are pinned: others find by them what was written before."""

from __future__ import annotations

from disdat.core import places
from disdat.core.digest import of_bytes

HEX = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_keys_are_those_of_the_format() -> None:
    assert places.MARKER == "disdat.json"
    assert places.object_key(of_bytes(b"")) == f"objects/blake3/af/{HEX}"
    assert places.pack_key(HEX) == f"packs/{HEX}.pack"
    assert places.context_key("storms") == "context/storms/"
    assert places.context_key("storms", "events/") == "context/storms/events/"
    assert places.file_key("storms", "0b", "a b/c%FF") == "context/storms/files/0b/a b/c%FF"
    assert places.lease_key("01") == "leases/01.json"
    assert places.collection_key("01") == "gc/01.json"
