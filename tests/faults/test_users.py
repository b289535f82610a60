"""As root and as somebody else: everything works in a home of one's own, and somebody else's is read only."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from disdat.cli.commands import COMMANDS
from disdat.cli.main import main
from disdat.context import Home
from disdat.errors import PermissionDenied
from disdat.ops import bundles, contexts, find, maintain, undo
from disdat.ops.bundles import Birth
from disdat.ops.history import log
from tests.conftest import NOBODY, missing
from tests.faults.processes import child
from tests.faults.scenarios import SCENARIOS, prepare, state

STRANGER = NOBODY - 1


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may enter, and where ``nobody`` has one of its own."""
    if os.geteuid() != 0:
        missing("root, who alone can become somebody else")
    path = Path(tempfile.mkdtemp(prefix="disdat-test-"))
    path.chmod(0o755)
    (path / "own").mkdir()
    os.chown(path / "own", NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def as_user(user: int, act: Callable[[], None]) -> str:
    """Run in a process that has become *user* for good; what it failed with."""

    def become(_: Callable[[str], None]) -> None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        act()

    with child(become) as (_, reading):
        return os.read(reading, 1 << 16).decode()


def everything(root: Path) -> None:
    """Make every change of the crash tests, each in a home of its own."""
    for number, scenario in enumerate(SCENARIOS):
        place = root / str(number)
        place.mkdir()
        prepare(place)
        before = state(Home(place / "home"))
        scenario.act(Home(place / "home").context("demo"), place)
        assert state(Home(place / "home")) != before
    another = contexts.create(Home(place / "home"), "one more")
    bundles.write(another, 1, Birth("n"))
    assert maintain.reindex(another) == 1
    assert maintain.verify(another).findings == ()


@pytest.mark.slow
def test_everything_works_as_root(shared: Path) -> None:
    (shared / "roots").mkdir()
    everything(shared / "roots")


@pytest.mark.slow
def test_everything_works_as_another_user(shared: Path) -> None:
    assert as_user(NOBODY, lambda: everything(shared / "own")) == ""
    assert {path.lstat().st_uid for path in (shared / "own").rglob("*")} == {NOBODY}


def test_somebody_elses_home_is_read_and_refuses_to_change(shared: Path) -> None:
    assert as_user(NOBODY, lambda: prepare(shared / "own")) == ""
    before = everything_below(shared / "own")

    def look_and_try() -> None:
        home = Home(shared / "own" / "home")
        context = home.context("demo")
        assert len(state(home)["demo"]["old"]) == 2  # type: ignore[index, arg-type]
        assert maintain.verify(context).findings == ()
        assert maintain.verify(context, reference="old@-1").is_sound
        removed = next(log(context))
        then = context.as_of(removed.time_us - 1)
        assert bundles.value(then, find.resolve(then, "gone").uuid)
        assert [each.name for each in undo.plan(context).back] == ["gone"]
        for change in (
            lambda: bundles.write(context, 1, Birth("n")),
            lambda: bundles.tag(context, find.resolve(context, "old"), set_to={"a": "b"}),
            lambda: bundles.remove(context, [find.resolve(context, "old")]),
            lambda: undo.undo(context),
            lambda: maintain.reindex(context),
            lambda: contexts.create(home, "mine"),
            lambda: contexts.delete(home, "demo"),
            lambda: home.switch("demo"),
        ):
            with pytest.raises(PermissionDenied):
                change()

    assert as_user(STRANGER, look_and_try) == ""
    assert everything_below(shared / "own") == before


def dsdt_as(user: int, home: Path, *words: str) -> tuple[int, str, str]:
    """How ``dsdt`` ends for *user*, and what it prints."""
    for entry in COMMANDS.values():
        entry.load()  # the interpreter's own files may be out of the user's reach

    def run() -> None:
        os.environ.update(DISDAT_HOME=str(home), HOME=str(home.parent))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["--context", "demo", *words])
        raise Ended(json.dumps([code, out.getvalue(), err.getvalue()]))

    told = as_user(user, run)
    code, out, err = json.loads(told[told.index("[") : told.rindex("]") + 1])
    return code, out, err


class Ended(Exception):
    """Says how a command ended."""

    def __repr__(self) -> str:
        return str(self)


@pytest.mark.parametrize(
    "words",
    [["ls", "-v"], ["show", "old"], ["cat", "old"], ["status"], ["verify"], ["lineage", "old"], ["context"], ["log"]],
    ids=lambda words: words[0],
)
def test_the_command_line_reads_somebody_elses_home(shared: Path, words: list[str]) -> None:
    assert as_user(NOBODY, lambda: prepare(shared / "own")) == ""
    code, out, err = dsdt_as(STRANGER, shared / "own" / "home", *words)
    assert (code, err) == (0, "")
    assert out


def test_the_command_line_refuses_to_change_somebody_elses_home_in_one_line(shared: Path) -> None:
    assert as_user(NOBODY, lambda: prepare(shared / "own")) == ""
    before = everything_below(shared / "own")
    for words in (
        ["add", "n", __file__],
        ["rm", "old"],
        ["tag", "old", "a:b"],
        ["undo"],
        ["reindex"],
        ["context", "mine"],
    ):
        code, out, err = dsdt_as(STRANGER, shared / "own" / "home", *words)
        assert (code, out) == (1, ""), words
        assert err.startswith("dsdt: cannot "), err
        assert "permission denied" in err
        assert len(err.splitlines()) <= 2
    assert everything_below(shared / "own") == before


def everything_below(root: Path) -> str:
    """Every path below *root*, with what is there."""
    return json.dumps(
        {
            str(path): [path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes().hex()]
            for path in sorted(root.rglob("*"))
        }
    )
