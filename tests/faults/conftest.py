"""A remote that is reached through a proxy, for tests of what goes wrong on the way."""

from __future__ import annotations

import pytest

from tests.faults.sharing import Remote
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server


@pytest.fixture
def remote(ministack: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Remote:
    for name, text in ministack.at(proxy.endpoint).environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("DISDAT_REMOTE_TIMEOUT", "5")
    return Remote(ministack, proxy, ministack.fresh_bucket())
