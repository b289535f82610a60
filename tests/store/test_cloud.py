"""A bucket keeps the contract of backends, on two implementations of S3; what goes wrong there is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from disdat.config import Settings
from disdat.store.backend import Backend, open_backend
from disdat.testing.backend_contract import BackendContract
from tests.servers.s3 import S3Server


def settings(*, timeout_s: int = 10) -> Settings:
    return Settings(home=Path("/nowhere"), remote_timeout_s=timeout_s)


def use(monkeypatch: pytest.MonkeyPatch, server: S3Server) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


class TestMinistack(BackendContract):
    @pytest.fixture
    def backend(self, ministack: S3Server, monkeypatch: pytest.MonkeyPatch) -> Backend:
        use(monkeypatch, ministack)
        return open_backend(f"s3://{ministack.fresh_bucket()}/some/prefix", settings())


class TestMoto(BackendContract):
    @pytest.fixture
    def backend(self, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Backend:
        use(monkeypatch, moto)
        return open_backend(f"s3://{moto.fresh_bucket()}", settings())
