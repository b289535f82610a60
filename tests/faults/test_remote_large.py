"""Large objects move in little memory; who interrupts is told what was kept, and the next one goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.ops import find
from tests.faults import sharing
from tests.faults.sharing import Remote
from tests.servers.faults import Delay, Rule
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

MIB = 1 << 20
DSDT = str(Path(sys.executable).with_name("dsdt"))
PEAK_MIB = 150_000_000 >> 20
PUSH = "push.push(context, push.selected(context))"
LOCALIZE = "fetching.fetch(context); localizing.localize(context, find.search(context, Filter()))"
MEASURED = """
import sys
from pathlib import Path
from disdat.catalog.queries import Filter
from disdat.context import Home
from disdat.ops import fetching, find, localizing, push
context = Home(Path(sys.argv[1])).context("work")
{act}
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) >> 10)
"""


def large_file(path: Path, size_bytes: int) -> Path:
    """A file of bytes of which no two mebibytes are alike, most of them zeros, so that it is soon made."""
    path.parent.mkdir()
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.seek(start)
            file.write(os.urandom(64))
        file.truncate(size_bytes)
    return path


def peak_mib(act: str, home: Path, environment: Mapping[str, str]) -> int:
    """How much memory a process takes at most that does something in a home."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(act=act), str(home)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def move_large(server: S3Server, tmp_path: Path, size_bytes: int) -> None:
    environment = server.environment()
    remote = Remote(server, None, server.fresh_bucket())  # type: ignore[arg-type]  # nothing is to go wrong
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    sharing.add(ann, "large", large_file(tmp_path / "files" / "large", size_bytes))
    assert peak_mib(PUSH, ann.home.root, environment) < PEAK_MIB
    assert peak_mib(LOCALIZE, bob.home.root, environment) < PEAK_MIB
    assert next(size for _, size in bob.home.store.sizes() if size > MIB) == size_bytes
    sharing.check_whole(bob)


@pytest.fixture
def server(ministack: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    return ministack


def test_an_object_of_200_mb_moves_in_little_memory(server: S3Server, tmp_path: Path) -> None:
    move_large(server, tmp_path, 200 * MIB)


@pytest.mark.soak
def test_an_object_of_1_5_gb_moves_in_little_memory(server: S3Server, tmp_path: Path) -> None:
    move_large(server, tmp_path, 1500 * MIB)


def interrupted(remote: Remote, home: Path, *args: str, after: int, method: str) -> tuple[int, str]:
    """Interrupt a command when so many of its requests of a kind were answered; its exit code, and what it says."""
    process = subprocess.Popen(
        [DSDT, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISDAT_HOME": str(home), "DISDAT_CONTEXT": sharing.CONTEXT},
        # Whoever runs the tests may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - it takes no lock
    )
    deadline_s = time.monotonic() + 30
    while len(objects(remote, method)) < after:
        assert time.monotonic() < deadline_s
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


def objects(remote: Remote, method: str) -> list[str]:
    """The objects and packs that were sent or asked for, and answered."""
    asked = [each for each in remote.proxy.requests() if each.method == method and each.status in (200, 206)]
    return [each.target.partition("?")[0] for each in asked if "/objects/" in each.target or "/packs/" in each.target]


COUNT = 12


def test_who_interrupts_a_push_is_told_what_was_kept_and_the_next_goes_on(remote: Remote, tmp_path: Path) -> None:
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    sharing.add(ann, "many", sharing.files(tmp_path / "files", [200_000 + number for number in range(COUNT)]))
    remote.proxy.reset()
    remote.proxy.add(Rule(Delay(150), method="PUT"))
    code, said = interrupted(remote, ann.home.root, "push", "--jobs", "2", after=4, method="PUT")
    assert code == 130
    assert said.count("\n") == 1
    assert "objects are on the remote" in said
    sent = Counter(objects(remote, "PUT"))
    assert 4 <= len(sent) < COUNT
    sharing.fetch_all(bob)
    assert sharing.state(bob) == {}
    remote.proxy.reset()
    sharing.push_all(ann)
    again = Counter(objects(remote, "PUT"))
    # What was on its way when the interrupt came may have arrived without our knowing.
    assert sum((sent & again).values()) <= 2
    assert len(sent | again) >= COUNT
    sharing.fetch_all(bob)
    sharing.check_whole(bob)


def test_who_interrupts_a_pull_is_told_what_was_kept_and_the_next_goes_on(remote: Remote, tmp_path: Path) -> None:
    ann, bob = remote.joined(tmp_path / "ann"), remote.joined(tmp_path / "bob")
    sharing.add(ann, "many", sharing.files(tmp_path / "files", [200_000 + number for number in range(COUNT)]))
    sharing.push_all(ann)
    remote.proxy.reset()
    remote.proxy.add(Rule(Delay(150), method="GET", path="/objects/"))
    code, said = interrupted(remote, bob.home.root, "pull", "many", "-l", "--jobs", "2", after=4, method="GET")
    assert code == 130
    assert said.count("\n") == 1
    assert "kept" in said
    got = Counter(objects(remote, "GET"))
    remote.proxy.reset()
    now = Home(bob.home.root).context(sharing.CONTEXT)
    assert find.need(now, "many").name == "many"
    sharing.localize_all(now)
    again = Counter(objects(remote, "GET"))
    assert sum((got & again).values()) <= 3
    sharing.check_whole(now)
