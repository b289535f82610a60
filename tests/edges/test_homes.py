"""Where a home may be, and who may change what is current in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.ops import add, bundles, contexts, maintain
from tests.cli.conftest import Dsdt

SWITCHING = """\
import sys
from pathlib import Path
from disdat.context import Home
home = Home(Path(sys.argv[1]))
sys.stdin.read(1)
for _ in range(int(sys.argv[3])):
    home.switch(sys.argv[2])
"""


def test_without_home_it_says_what_to_set(demo: Dsdt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("DISDAT_HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    for line in ("ls", "context new", "switch demo", "add n a.txt", "config", "status", "verify", "reindex"):
        ended = demo.run(*line.split())
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == (
            "dsdt: HOME is not set, so there is no default place for bundles\n"
            "hint: set HOME, or DISDAT_HOME to the directory for bundles\n"
        )


def test_without_home_a_named_place_is_enough(demo: Dsdt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert demo("ls").out == ""
    assert "no place for settings is known" in demo.fails("init")


def device(path: Path) -> int:
    return path.stat().st_dev


def test_files_of_another_file_system_are_added_and_placed(elsewhere: Path, tmp_path: Path) -> None:
    """No link leads across, so that bytes are copied."""
    for home, source in ((elsewhere / "home", tmp_path / "data"), (tmp_path / "home", elsewhere / "data")):
        context = contexts.create(Home(home), "demo")
        source.mkdir()
        for name, content in {"small": b"small", "large": os.urandom(1 << 20), "run": b"#!" + bytes(1 << 18)}.items():
            (source / name).write_bytes(content)
        (source / "run").chmod(0o755)
        made = add.add(context, "n", [source])
        assert contents(context, made.uuid) == {path.name: path.read_bytes() for path in source.iterdir()}
        assert maintain.verify(context).is_sound
        moved = context.bundle_directory(made.uuid)
        assert os.access(moved / "run", os.X_OK)


def test_a_home_may_be_a_link_to_another_file_system(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(elsewhere)
    context = contexts.create(Home(tmp_path / "link" / "home"), "demo")
    (tmp_path / "a").write_bytes(os.urandom(1 << 20))
    made = add.add(context, "n", [tmp_path / "a"])
    reached = Home(elsewhere / "home").context("demo")
    assert Path(str(bundles.value(reached, made.uuid))).read_bytes() == (tmp_path / "a").read_bytes()


def test_directories_of_the_home_may_be_on_other_file_systems(elsewhere: Path, tmp_path: Path) -> None:
    """Where the objects cannot be linked to, what users see is a copy of them."""
    home = tmp_path / "home"
    contexts.create(Home(home), "demo")
    objects = home / "context" / "demo" / "objects"
    objects.rmdir()
    objects.symlink_to(elsewhere)
    context = Home(home).context("demo")
    (tmp_path / "a").write_bytes(os.urandom(1 << 20))
    made = add.add(context, "n", [tmp_path / "a"])
    shown = Path(str(bundles.value(context, made.uuid)))
    assert shown.read_bytes() == (tmp_path / "a").read_bytes()
    assert device(shown) == device(elsewhere)


def contents(context: Context, uuid: str) -> dict[str, bytes]:
    value = bundles.value(context, uuid)
    assert isinstance(value, list)
    return {Path(path).name: Path(path).read_bytes() for path in value}


@pytest.mark.slow
def test_the_current_context_is_always_one_that_somebody_switched_to(in_memory: Path) -> None:
    names = ["a", "bb" * 90, "ccc"]
    home = Home(in_memory / "home")
    for name in names:
        home.create_context(name)
    home.switch(names[0])
    command = [sys.executable, "-c", SWITCHING, str(home.root)]
    switching = [subprocess.Popen([*command, name, "300"], stdin=subprocess.PIPE) for name in names * 2]
    for process in switching:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.close()
    seen: set[str | None] = set()
    while any(process.poll() is None for process in switching):
        seen.add(home.current_name())
    assert [process.wait() for process in switching] == [0] * len(switching)
    assert seen <= set(names)
    assert len(seen) > 1
    assert {path.name for path in home.root.iterdir()} == {"context", "current", "format"}
