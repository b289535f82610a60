"""A checkout that is cut short anywhere leaves what is the user's, nothing half, and any next one completes it."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from disdat.context import Context, Home
from disdat.errors import StorageError
from disdat.ops import add, contexts, maintain
from disdat.ops.checkout import checkout
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk
from tests.faults.processes import child
from tests.faults.test_full_disk import LEFT_KIB, disk, filled

__all__ = ["disk"]

LARGE = bytes(range(256)) * 300
Files: TypeAlias = "dict[str, bytes]"
FIRST: Files = {"a": b"1", "d/b": b"1", "d/large": LARGE, "e/f/c": b"1", "p": b"1", "q/r": b"1", "same": b"same"}
SECOND: Files = {"a": b"2", "d/b": b"2", "d/large": LARGE[::-1], "n/m/g": b"2", "p/s": b"2", "q": b"2", "same": b"same"}
THIRD: Files = {"a": b"3", "z/large": LARGE[1:], "n/h": b"3"}
VERSIONS = [FIRST, SECOND, THIRD]
MINE: Files = {"mine": b"mine", "d/mine": b"mine"}


@dataclass(frozen=True)
class Case:
    """A checkout of version *to* where version *of*, if any, was checked out."""

    name: str
    of: int | None
    to: int
    link: bool = False


CASES = [
    Case("a new directory", None, 1),
    Case("another version", 0, 1),
    Case("the version before", 1, 0),
    Case("links", 0, 1, link=True),
    Case("links to what were copies", 2, 2, link=True),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def write(root: Path, files: Files) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read(root: Path) -> Files:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if not path.is_dir()}


def prepare(root: Path, of: int | None) -> None:
    """A home with the three versions, the directory with one of them, and files of the user's beside."""
    context = contexts.create(Home(root / "home"), "demo")
    for files in VERSIONS:
        shutil.rmtree(root / "source", ignore_errors=True)
        write(root / "source", files)
        add.add(context, "data", [root / "source"])
    if of is not None:
        checkout(context, version(of), root / "out")
        write(root / "out", MINE)


def version(number: int) -> str:
    return f"data@-{len(VERSIONS) - 1 - number}"


def assert_nothing_half(root: Path, case: Case) -> None:
    """Every file that is there is the user's, or as in the old version, or as in the new one."""
    found = {name: data for name, data in read(root / "out").items() if ".dsdt-" not in name}
    old = {} if case.of is None else VERSIONS[case.of] | MINE
    for name, data in found.items():
        assert data in (old.get(name), VERSIONS[case.to].get(name)), name
    for name, data in MINE.items() if case.of is not None else ():
        assert found[name] == data


def assert_completes(root: Path, case: Case, to: int) -> None:
    """A next checkout, of whatever version, makes all of it right and leaves nothing behind."""
    context = Home(root / "home").context("demo")
    checkout(context, version(to), root / "out", link=case.link)
    assert read(root / "out") == VERSIONS[to] | (MINE if case.of is not None else {})
    assert not [*root.glob(".dsdt-*"), *root.rglob(".dsdt-*")]
    again = checkout(context, version(to), root / "out", link=case.link)
    assert (again.written, again.replaced, again.deleted) == ((), (), ())
    assert maintain.verify(context).findings == ()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory where that can be had: nothing is synced, and nothing need be."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield path
    shutil.rmtree(path)


def cut_at_every_step(
    place: Path, case: Case, error: Callable[[], BaseException], expected: type[BaseException]
) -> int:
    """Let the disk fail at every step in turn; how many there are. Always in one place, which the record knows."""
    prepare(place / "root", case.of)
    shutil.copytree(place / "root", place / "ready")
    at, reached = 0, True
    while reached:
        at += 1
        shutil.rmtree(place / "root")
        shutil.copytree(place / "ready", place / "root")
        Home(place / "root" / "home").ensure()
        disk = FailingDisk(at, error=error)
        try:
            context = Home(place / "root" / "home", disk=disk).context("demo")
            checkout(context, version(case.to), place / "root" / "out", link=case.link)
        except expected as exc:
            assert not isinstance(exc, StorageError) or "free some space" in exc.hint  # noqa: PT017 - or it is done
        reached = disk.reached
        if (place / "root" / "out").exists():
            assert_nothing_half(place / "root", case)
        assert_completes(place / "root", case, (case.to + at) % len(VERSIONS))
    return at


@every_case
@pytest.mark.slow
def test_a_checkout_that_is_killed_at_any_step_is_completed_by_the_next(case: Case, place: Path) -> None:
    assert cut_at_every_step(place, case, Crash, Crash) > 8


def test_what_was_left_unfinished_in_a_directory_is_no_file_of_the_users(place: Path) -> None:
    """So a file may take the place of the directory, wherever in it a checkout was killed."""
    versions: list[Files] = [{"d": b"1"}, {"d/a": b"2"}, {"d/a": b"3", "d/e/f": b"3", "d/large": LARGE}]
    context = contexts.create(Home(place / "home"), "demo")
    for files in versions:
        shutil.rmtree(place / "source", ignore_errors=True)
        write(place / "source", files)
        add.add(context, "data", [place / "source"])
    at, reached, left = 0, True, set()
    while reached:
        at += 1
        checkout(context, "data@-1", place / "out")
        disk = FailingDisk(at, error=Crash)
        with suppress(Crash):
            checkout(Home(place / "home", disk=disk).context("demo"), "data", place / "out")
        reached = disk.reached
        left |= {name.partition(".dsdt-")[2][16:] for name in read(place / "out") if ".dsdt-" in name}
        checkout(context, "data@-2", place / "out")
        assert read(place / "out") == versions[0]
    assert left == {"/0/f", "-new"}


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@every_case
@pytest.mark.slow
def test_a_disk_that_is_full_at_any_step_leaves_what_was_there(case: Case, place: Path) -> None:
    assert cut_at_every_step(place, case, _full, StorageError) > 8


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_what_was_there(disk: Path) -> None:
    case = Case("another version", 0, 1)
    outcomes = []
    for left_kib in [kib for kib in LEFT_KIB if kib < 300]:
        prepare(disk / "root", case.of)
        with filled(disk, left_kib):
            try:
                checkout(Home(disk / "root" / "home").context("demo"), version(1), disk / "root" / "out")
                outcomes.append("done")
            except StorageError as exc:
                assert "free some space" in exc.hint  # noqa: PT017 - or it is done
                outcomes.append("refused")
                left = read(disk / "root" / "out")
                assert left.keys() >= FIRST.keys() - {"p", "q/r"}, "something was deleted, and nothing is in its place"
            assert_nothing_half(disk / "root", case)
        assert_completes(disk / "root", case, len(outcomes) % len(VERSIONS))
        shutil.rmtree(disk / "root")
    assert set(outcomes) == {"done", "refused"}


def test_names_are_given_to_whole_files_only_and_the_record_comes_last(place: Path) -> None:
    prepare(place, 0)
    recorder = RecordingDisk(place)
    checkout(Home(place / "home", disk=recorder).context("demo"), version(1), place / "out")
    calls = [call for call in recorder.calls if "state.db" not in call.path and not call.path.endswith(".lock")]
    below = [number for number, call in enumerate(calls) if call.path.startswith("out")]
    making = [calls[number] for number in below if calls[number].name in {"create", "write", "chmod", "set_mtime"}]
    assert making
    assert all("/.dsdt-" in call.path for call in making)
    records = [number for number, call in enumerate(calls) if call.target.startswith("home/checkouts/")]
    assert len(records) == 2
    assert records[0] < below[0]
    assert below[-1] < records[1] == len(calls) - 1


def many(number: int) -> Files:
    """The files of a version that takes a while to write."""
    chance = random.Random(number)
    small = {f"{n % 5}/{n}": b"%d-%d" % (n, number if chance.random() < 0.5 else 0) for n in range(150)}
    large = {f"large/{n}": LARGE + b"%d" % (n * number) for n in range(4)}
    only = {f"only{number}/{n}/x": b"%d" % number for n in range(10)}
    return small | large | only


def kill_again_and_again(times: int, place: Path) -> None:
    context = contexts.create(Home(place / "home"), "demo")
    versions = [many(number) for number in range(3)]
    for files in versions:
        shutil.rmtree(place / "source", ignore_errors=True)
        write(place / "source", files)
        add.add(context, "data", [place / "source"])
    context.home.store.close()
    chance = random.Random(times)
    out = place / "out"
    interrupted = 0
    for _ in range(times):
        if chance.random() < 0.3:
            shutil.rmtree(out, ignore_errors=True)
        link = chance.random() < 0.3
        with child(forever(place / "home", out, link=link)) as (pid, reading):
            assert os.read(reading, 6) == b"ready\n"
            time.sleep(chance.uniform(0, 0.08))
            os.kill(pid, signal.SIGKILL)
            lines = _read_all(reading)
        assert b"failed" not in lines, lines
        interrupted += not lines.endswith(b"done\n")
        for name, data in read(out).items() if out.exists() else ():
            whole = [files[name] for files in versions if name in files]
            assert ".dsdt-" in name or data in [*whole, b"mine"], name
        if out.exists():
            write(out, {"0/mine": b"mine"})
        to = chance.randrange(3)
        checkout(Home(place / "home").context("demo"), f"data@-{2 - to}", out, link=link)
        mine = {"0/mine": b"mine"} if (out / "0/mine").exists() else {}
        assert read(out) == versions[to] | mine
        assert not list(place.glob(".dsdt-*"))
    assert interrupted > times / 2, "hardly a checkout was cut short"
    assert maintain.verify(Home(place / "home").context("demo")).findings == ()


def forever(home: Path, out: Path, *, link: bool) -> Callable[[Callable[[str], None]], None]:
    """Check out one version after another."""

    def act(say: Callable[[str], None]) -> None:
        context: Context = Home(home).context("demo")
        say("ready")
        for number in range(10**6):
            checkout(context, f"data@-{number % 3}", out, link=link)
            say("done")
            say("next")

    return act


def _read_all(reading: int) -> bytes:
    found = b""
    while piece := os.read(reading, 1 << 16):
        found += piece
    return found


@pytest.mark.slow
def test_a_checkout_that_is_killed_is_completed_by_the_next(place: Path) -> None:
    kill_again_and_again(12, place)


@pytest.mark.soak
def test_checkouts_that_are_killed_three_hundred_times_are_completed(place: Path) -> None:
    kill_again_and_again(300, place)
