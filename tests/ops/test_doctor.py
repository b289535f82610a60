"""The doctor finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat import config
from disdat.catalog.lock import ContextLock
from disdat.context import Context, Home
from disdat.ops import abilities, bundles, contexts, doctor, installed
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.diagnosis import Finding, Verdict
from disdat.ops.doctor import Diagnosis
from disdat.testing.faults import FailingDisk
from tests.conftest import missing, unprivileged

MINUTE_US = 60_000_000


@pytest.fixture
def demo(home: Path) -> Context:
    """A context with a bundle, in the home that the environment names."""
    context = contexts.create(Home(home), "demo")
    bundles.write(context, "x" * 40_000, Birth("a"))
    context.catalog.close()
    return context


def worse(diagnosis: Diagnosis) -> list[Finding]:
    """What is not as it should be, but for the machine's space and programs."""
    others = {"space", "inodes", "git"}
    return [each for each in diagnosis.findings if each.verdict is not Verdict.OK and each.check not in others]


def the_one(diagnosis: Diagnosis) -> Finding:
    [finding] = worse(diagnosis)
    return finding


def everything(root: Path) -> dict[str, tuple[int, str]]:
    """Every path with its inode and content."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(directory, name)
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (path.lstat().st_ino, digest)
    return found


def test_all_is_well_in_a_home_that_works(demo: Context):
    diagnosis = doctor.examine()
    assert worse(diagnosis) == []
    assert diagnosis.is_well
    checks = [finding.check for finding in diagnosis.findings]
    for check in ("locks", "catalog journal", "hard links", "reflinks", "clock", "space", "inodes", "context demo"):
        assert check in checks


def test_before_there_is_a_home_all_is_well_and_none_is_made(home: Path):
    assert worse(doctor.examine()) == []
    assert not home.exists()


def _lose_the_catalog(context: Context) -> None:
    for path in context.directory.glob("catalog*"):
        path.unlink()


def _damage_the_catalog(context: Context) -> None:
    (context.directory / "catalog.db").write_bytes(b"no database" * 100)


def _tear_the_log(context: Context) -> None:
    with (context.directory / "log" / "00000001.log").open("ab") as log:
        log.write(b"REC1 half a record")


def _leave_a_dead_lease(context: Context) -> None:
    leases = context.home.root / "store" / "leases"
    leases.mkdir(exist_ok=True)
    (leases / "00000000-0000-4000-8000-000000000000").write_bytes(b"{}")


def _leave_staging(context: Context) -> None:
    staging = context.home.root / "store" / "staging"
    staging.mkdir(exist_ok=True)
    (staging / "half").write_bytes(b"x" * 1_000_000)


def _damage(context: Context) -> None:
    _damage_the_catalog(context)
    _leave_a_dead_lease(context)
    _leave_staging(context)


@pytest.mark.parametrize("spoil", [lambda _: None, _lose_the_catalog, _damage, _tear_the_log])
def test_nothing_is_changed(demo: Context, home: Path, spoil: Callable[[Context], None]):
    spoil(demo)
    before = everything(home.parent)
    doctor.examine()
    assert everything(home.parent) == before


def test_a_read_only_home_is_looked_at_without_probes(demo: Context, home: Path):
    for path in [home, *home.rglob("*")]:
        if path.is_dir():
            path.chmod(0o555)
    for path in (*home.parents, Path.home()):
        path.chmod(path.stat().st_mode | 0o055)
    before = everything(home)
    with unprivileged():
        diagnosis = doctor.examine()
    assert everything(home) == before
    finding = the_one(diagnosis)
    assert (finding.check, finding.verdict) == ("permissions", Verdict.NOTE)
    assert "may only be read" in finding.found


def test_what_another_user_owns_in_a_home_of_mine_is_a_problem(demo: Context, home: Path):
    if os.geteuid() != 0:
        missing("the right to give files away")
    for path in (*home.parents, Path.home()):
        path.chmod(path.stat().st_mode | 0o055)
    for path in [home, *home.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    os.chown(demo.directory / "log", 0, 0)
    with unprivileged():
        finding = the_one(doctor.examine())
    assert (finding.check, finding.verdict) == ("permissions", Verdict.PROBLEM)
    assert str(demo.directory / "log") in finding.found
    assert "chown" in finding.remedy


@pytest.mark.parametrize(
    ("content", "said", "remedy"),
    [
        (b"[run]\nworkres = 2\n", "[run] workres is not a setting", "[run] knows"),
        (b"[run]\nworkers = none\n", "it must be a whole number", "correct that"),
        (b"no settings\n", "cannot be read", "correct that"),
        (b"\xff\xfe", "is not UTF-8", "correct that"),
    ],
)
def test_settings_that_cannot_be_used_are_a_problem(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str, remedy: str
):
    file = tmp_path / "disdat.cfg"
    file.write_bytes(content)
    monkeypatch.setenv("DISDAT_CONFIG", str(file))
    finding, unseen = worse(doctor.examine())
    assert (finding.check, finding.verdict) == ("settings", Verdict.PROBLEM)
    assert said in finding.found
    assert remedy in finding.remedy
    assert unseen.check == "home"


def test_settings_that_may_not_be_read_are_a_problem(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "disdat.cfg"
    file.touch(mode=0o000)
    monkeypatch.setenv("DISDAT_CONFIG", str(file))
    for path in home.parents:
        path.chmod(path.stat().st_mode | 0o055)
    with unprivileged():
        finding = worse(doctor.examine())[0]
    assert (finding.verdict, finding.found) == (Verdict.PROBLEM, f"may not read {file}")


def test_what_nobody_reads_in_file_and_environment_is_noted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "disdat.cfg"
    file.write_text("[rnu]\nworkers = 2\n")
    monkeypatch.setenv("DISDAT_CONFIG", str(file))
    monkeypatch.setenv("DISDAT_HOEM", "/nowhere")
    settings, environment = worse(doctor.examine())
    assert "[rnu]" in settings.found
    assert "DISDAT_HOEM" in environment.found
    assert {settings.verdict, environment.verdict} == {Verdict.NOTE}


def test_every_variable_that_is_read_is_known():
    """The list follows the settings: none of those that the commented file names is taken for a mistake."""
    named = {word.strip(",") for word in config.COMMENTED_DEFAULTS.split() if word.startswith("DISDAT_")} - {"DISDAT_*"}
    assert "DISDAT_HOME" in named
    assert config.unknown_variables(dict.fromkeys(named, "x")) == []


@pytest.mark.parametrize(
    ("ahead_us", "verdict"), [(-MINUTE_US, None), (30_000_000, Verdict.NOTE), (120 * MINUTE_US, Verdict.PROBLEM)]
)
def test_a_change_made_in_the_future_of_the_clock_is_found(demo: Context, ahead_us: int, verdict: Verdict | None):
    newest_us = max(each.time_us for each in demo.catalog.events())
    demo.catalog.close()
    diagnosis = doctor.examine(clock_us=lambda: newest_us - ahead_us)
    if verdict is None:
        assert worse(diagnosis) == []
        return
    finding = the_one(diagnosis)
    assert (finding.check, finding.verdict) == ("clock", verdict)
    assert "demo" in finding.found
    assert finding.remedy


def test_a_clock_that_is_years_behind_is_a_problem(home: Path):
    assert the_one(doctor.examine(clock_us=lambda: 0)).check == "clock"


def test_a_home_of_another_version_and_one_that_is_none_are_problems(demo: Context, home: Path, tmp_path: Path):
    (home / "format").write_text('{"format":9}\n')
    assert the_one(doctor.examine()).found.endswith("has format 9; this version reads 1")
    (home / "format").unlink()
    finding = the_one(doctor.examine())
    assert "is not a disdat home" in finding.found
    assert "DISDAT_HOME" in finding.remedy


def test_a_copied_home_is_noted(demo: Context, home: Path):
    shutil.copytree(home, home.with_name("copy"), symlinks=True)
    shutil.rmtree(home)
    home.with_name("copy").rename(home)
    assert "copy of another" in the_one(doctor.examine()).found


def test_a_damaged_catalog_is_a_problem_and_reindex_mends_it(demo: Context):
    _damage_the_catalog(demo)
    finding = the_one(doctor.examine())
    assert (finding.check, finding.verdict) == ("context demo", Verdict.PROBLEM)
    assert "dsdt reindex --context demo" in finding.remedy
    demo.catalog.reindex()
    demo.catalog.close()
    assert worse(doctor.examine()) == []


def test_damage_deep_in_a_catalog_is_found(demo: Context):
    bundles.write_many(demo, [(n, Birth(f"name{n}")) for n in range(200)])
    demo.catalog.reindex()
    demo.catalog.close()
    path = (demo.directory / "catalog.db").resolve()
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) * 3 // 4] = bytes(len(content) * 3 // 4 - len(content) // 4)
    path.write_bytes(content)
    assert "is damaged" in the_one(doctor.examine()).found


def test_a_catalog_of_another_version_is_noted(demo: Context):
    path = (demo.directory / "catalog.db").resolve()
    content = bytearray(path.read_bytes())
    content[60:64] = (77).to_bytes(4, "big")
    path.write_bytes(content)
    finding = the_one(doctor.examine())
    assert (finding.verdict, "of version 77" in finding.found) == (Verdict.NOTE, True)


def test_a_log_that_lost_its_end_is_a_problem(demo: Context):
    log = demo.directory / "log" / "00000001.log"
    os.truncate(log, log.stat().st_size - 10)
    found = worse(doctor.examine())
    assert Verdict.PROBLEM in [finding.verdict for finding in found]
    assert "the log is damaged" in found[-1].found
    assert "backup" in found[-1].remedy


def test_a_damaged_end_that_was_acknowledged_and_not_indexed_is_a_problem(demo: Context, home: Path):
    """It was of a process that was killed, and is no change that was not finished."""
    pid = os.fork()
    if pid == 0:
        context = Home(home).context("demo")
        for number in range(3):
            bundles.write(context, number, Birth("b"))
        os._exit(0)  # as one that is killed: what waits is not indexed
    assert os.waitpid(pid, 0)[1] == 0
    log = demo.directory / "log" / "00000001.log"
    os.truncate(log, log.stat().st_size - 10)
    found = the_one(doctor.examine())
    assert "the log is damaged" in found.found
    assert "backup" in found.remedy


def test_a_torn_tail_is_noted(demo: Context):
    _tear_the_log(demo)
    assert "never acknowledged" in the_one(doctor.examine()).found


def test_settings_of_a_context_that_are_damaged_are_a_problem(demo: Context):
    (demo.directory / "context.json").write_bytes(b"{")
    finding = the_one(doctor.examine())
    assert (finding.check, finding.verdict) == ("context demo", Verdict.PROBLEM)


def test_a_current_context_that_is_gone_is_noted(demo: Context):
    demo.home.switch("demo")
    shutil.rmtree(demo.directory)
    assert "`dsdt switch` chose demo, which is not there" in the_one(doctor.examine()).found


def test_what_dead_writers_left_is_noted_and_what_live_ones_have_is_not(demo: Context):
    writer = BundleWriter(demo)
    writer.directory()
    _leave_staging(demo)
    assert worse(doctor.examine()) == []
    writer.abandon()
    _leave_a_dead_lease(demo)
    leases, staging = worse(doctor.examine())
    assert (leases.check, staging.check) == ("stale leases", "staging")
    assert "1 of writers that died" in leases.found
    assert "1.0 MB" in staging.found
    assert leases.remedy == staging.remedy == "`dsdt gc --apply` removes them"


def test_what_was_being_made_when_somebody_was_killed_is_noted(demo: Context, home: Path):
    (home / "context" / "half" / "log").mkdir(parents=True)
    (home / ".new-01").touch()
    finding = the_one(doctor.examine())
    assert finding.check == "unfinished"
    assert str(home / ".new-01") in finding.remedy
    subprocess.run(["sh", "-c", finding.remedy.split(": ")[1]], check=True)
    assert worse(doctor.examine()) == []


def test_a_lock_that_is_held_and_one_that_is_stale_are_told_apart(demo: Context, home: Path):
    with ContextLock(demo.directory).held():
        assert "the context demo" in the_one(doctor.examine()).found
    with (home / "store" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "a collection runs" in the_one(doctor.examine()).found
    (home / "store" / "lock.turn").touch()
    assert the_one(doctor.examine()).check == "stale lock"


def test_a_disk_that_refuses_the_probes_is_a_problem_and_the_rest_is_looked_at(demo: Context, home: Path):
    diagnosis = doctor.examine(disk=FailingDisk(1, error=lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    finding = the_one(diagnosis)
    assert (finding.check, finding.verdict) == ("file system", Verdict.PROBLEM)
    assert finding.remedy == "free some space"
    assert "context demo" in [each.check for each in diagnosis.findings]
    assert list(home.glob(f"{abilities.PROBES}*")) == []


@pytest.mark.parametrize(
    ("name", "bounds", "fault"),
    [
        ("click", ">=8.1", ""),
        ("click", ">=8.1,<9000", ""),
        ("click", ">=9000", "is not >= 9000"),
        ("click", "<8", "is not < 8"),
        ("no-such-library", ">=1", "no-such-library is not installed"),
    ],
)
def test_a_library_that_is_missing_or_too_old_is_named(name: str, bounds: str, fault: str):
    found = installed._fault(name, bounds)
    assert found == fault if not fault else fault in found


@pytest.mark.parametrize(
    ("version", "numbers"), [("3.0", (3,)), ("2.10.1", (2, 10, 1)), ("2.0rc1", (2,)), ("3.0.0.dev0", (3,))]
)
def test_versions_compare_as_numbers(version: str, numbers: tuple[int, ...]):
    assert installed._numbers(version) == numbers
