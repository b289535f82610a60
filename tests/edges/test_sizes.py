"""A hundred thousand files, and files far larger than the disk has room for, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing

GB = 1_000_000_000
# VmHWM, since what getrusage() calls the peak of a process is at least that of the one that started it.
MEASURED = """\
import json, sys, time
from pathlib import Path
from disdat.context import Home
from disdat.ops import add, contexts, details, find
context = contexts.create(Home(Path(sys.argv[1])), "demo")
began = time.perf_counter()
made = add.add(context, "n", [sys.argv[2]])
seconds = time.perf_counter() - began
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
found = details.of(context, find.resolve(context, "n"))
files, size = len(found.files), found.row.size_bytes
print(json.dumps({"seconds": seconds, "peak_bytes": int(peak) * 1024, "files": files, "size": size}))
"""


def add_measured(home: Path, path: Path) -> Any:  # what JSON holds
    """What adding *path* took, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURED, home, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def allocated(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


def make_sparse(path: Path, size_bytes: int) -> None:
    """A file of holes but for a few bytes here and there."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for number in range(8):
            file.seek(size_bytes // 8 * number + 12_345)
            file.write(os.urandom(5000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_files_are_one_bundle(in_memory: Path) -> None:
    """Measured on two cores: 10 s and 200 MB."""
    directory = in_memory / "many"
    directory.mkdir()
    for number in range(100_000):
        with open(directory / str(number), "wb") as file:
            file.write(b"%d" % number if number % 10 == 0 else b"")
    took = add_measured(in_memory / "home", directory)
    assert took["files"] == 100_000
    assert took["size"] == sum(len(str(number)) for number in range(0, 100_000, 10))
    assert took["seconds"] < 120
    assert took["peak_bytes"] < 400 * 1_000_000
    assert sum(1 for path in (in_memory / "home").rglob("*") if path.is_file()) < 500


@pytest.mark.slow
def test_a_sparse_file_takes_the_room_of_its_data(in_memory: Path) -> None:
    """Measured on two cores: 2 s and 45 MB of memory for 2 GB."""
    make_sparse(in_memory / "sparse", 2 * GB)
    took = add_measured(in_memory / "home", in_memory / "sparse")
    assert took["size"] == 2 * GB
    assert took["peak_bytes"] < 100 * 1_000_000
    assert allocated(in_memory / "home") < 20_000_000


@pytest.mark.soak
def test_a_sparse_file_may_be_larger_than_the_disk(tmp_path: Path) -> None:
    make_sparse(tmp_path / "sparse", 20 * GB)
    if allocated(tmp_path) > GB:
        missing("a file system with sparse files")
    took = add_measured(tmp_path / "home", tmp_path / "sparse")
    assert took["size"] == 20 * GB
    assert took["peak_bytes"] < 100 * 1_000_000
    assert allocated(tmp_path / "home") < 20_000_000
