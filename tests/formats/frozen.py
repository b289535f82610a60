"""
What the frozen homes hold, and how one is made: once for each released format, by the version that released it.

``python -m tests.formats.frozen tests/formats/home-1.tar.xz`` freezes a new one. One that was released stays as it is.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa

from disdat import api

CONTEXT = "frozen"
VALUES: Mapping[str, Any] = {
    "literal": {
        "none": None,
        "flags": [True, False],
        "int": 2**80,
        "float": -0.0,
        "text": "größe 東京",
        "bytes": b"\x00\xff",
        "when": (datetime(2026, 3, 1, 9, 30, tzinfo=UTC), date(2026, 3, 1)),
        "exact": Decimal("1.10"),
        "uuid": UUID("12345678-1234-4678-8234-567812345678"),
        "set": {1, "a"},
    },
    "long text": "x" * 100_000,
    "array": np.arange(24, dtype="<i4").reshape(2, 3, 4),
    "large array": np.zeros(20_000),
    "frame": pd.DataFrame(
        {"n": [1, 2, 3], "t": ["a", None, "c"], "c": pd.Categorical(["x", "y", "x"])},
        index=pd.Index([7, 8, 9], name="k"),
    ),
    "series": pd.Series([1.5, None], name="s"),
    "table": pa.table({"a": [1, 2], "b": [["x"], []]}),
    "nested": {"parts": [np.float32(1.5), {"deep": pd.DataFrame({"a": [1]})}]},
}
FILES: Mapping[str, bytes] = {"a.txt": b"small\n", "sub/large.bin": bytes(range(256)) * 400, "sub/größe": b""}
MANY = 300
"""Files of one directory: more than lie in a manifest."""


def fill(directory: Path) -> None:
    """Make in the home of the environment one of everything; *directory* is for files to add."""
    api.context(CONTEXT)
    for name, value in VALUES.items():
        api.Bundle(CONTEXT, name=name, data=value, tags={"kind": name})
    for path, data in FILES.items():
        (directory / "few" / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / "few" / path).write_bytes(data)
    (directory / "many").mkdir()
    for number in range(MANY):
        (directory / "many" / f"{number:03d}").write_bytes(b"%d" % number)
    api.add(CONTEXT, "few", directory / "few")
    api.add(CONTEXT, "many", directory / "many")
    change()


def change() -> None:
    """What may become of a bundle: a second version, a version made from others, tags, a commit, a removal."""
    api.Bundle(CONTEXT, name="literal", data="newer")
    with api.Bundle(CONTEXT, name="made") as made:
        made.add_dependencies([api.get(CONTEXT, "array"), api.get(CONTEXT, "frame")])
        made.add_params({"rate": "0.1"})
        made.add_data(1)
    api.tag(CONTEXT, "array", {"later": "yes"})
    api.untag(CONTEXT, "frame", ["kind"])
    api.commit(CONTEXT, "frame")
    api.Bundle(CONTEXT, name="gone", data=1)
    api.rm(CONTEXT, "gone")


def freeze(archive: Path) -> None:
    """Fill a new home, and pack it."""
    archive = archive.absolute()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.chdir(directory)
        # What is recorded of whoever freezes it is nobody's business.
        sys.argv, socket.gethostname, platform.platform = ["freeze"], lambda: "laptop", lambda: "Linux"
        os.environ |= {"DISDAT_HOME": str(directory / "home"), "LOGNAME": "ada", "XDG_CONFIG_HOME": name}
        fill(directory)
        with tarfile.open(archive, "w:xz") as packed:
            packed.add(directory / "home", "home", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    freeze(Path(sys.argv[1]))
