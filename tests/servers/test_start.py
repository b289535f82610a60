"""Where a server is not installed, what to do is said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.servers import start


@pytest.mark.parametrize(
    ("server", "named"),
    [
        (start.ministack, "ministack"),
        (start.ministack_iam, "ministack"),
        (start.rclone, "rclone"),
        (start.azurite, "azurite-blob"),
    ],
)
def test_a_server_that_is_not_installed_is_named_with_what_installs_it(
    server: Callable[[Path], AbstractContextManager[object]],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(start, "ENVIRONMENT", tmp_path)
    with pytest.raises(start.NotInstalled, match=rf"^{named} \(make servers\)$"), server(tmp_path / "place"):
        pass
