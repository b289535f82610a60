"""The commands as a whole: found, explained, documented, and quick to start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from disdat.cli.choices import EVERYWHERE
from disdat.cli.commands import COMMANDS, OTHER_WORDS, SECTIONS
from disdat.cli.program import dsdt as program
from tests.cli.conftest import Dsdt
from tests.test_layers import HEAVY, loaded_by

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
BARE = [sys.executable, "-c", "pass"]


def commands() -> list[tuple[str, click.Command]]:
    return [(name, entry.load()) for name, entry in COMMANDS.items()]


def own_options(command: click.Command) -> Iterator[click.Option]:
    for param in command.params:
        if isinstance(param, click.Option) and param not in EVERYWHERE:
            yield param


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_option_has_help_and_is_in_the_reference(name, command):
    section = re.search(rf"^### `dsdt {name}.*?(?=^##|\Z)", REFERENCE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert re.search(rf"^\$ .*\bdsdt {name}\b", section[0], re.MULTILINE)
    assert command.help
    for option in own_options(command):
        assert option.help
        assert all(f"`{spelling}" in section[0] for spelling in [*option.opts, *option.secondary_opts])


def test_the_options_of_every_command_are_in_the_reference():
    text = REFERENCE.read_text("utf-8")
    assert all(f"`{option.opts[0]}" in text and option.help for option in EVERYWHERE)


@pytest.mark.parametrize(("name", "command"), commands())
def test_the_line_in_the_help_of_all_is_the_first_of_the_commands_own(name, command):
    assert command.help.strip().split("\n\n")[0].replace("\n", " ") == COMMANDS[name].summary


def test_no_command_is_named_as_what_people_mistake_it_for():
    assert OTHER_WORDS.keys().isdisjoint(COMMANDS)
    assert set(OTHER_WORDS.values()) <= COMMANDS.keys() | {"--help", "--version"}


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_there_for_every_command(dsdt: Dsdt, name, flag):
    shown = dsdt(*([name] if name else []), flag).out
    assert shown.startswith(f"Usage: dsdt {name}")
    assert "--context NAME" in shown


def test_the_help_of_all_has_every_command_with_what_it_does_under_its_heading(dsdt: Dsdt):
    shown = " ".join(dsdt("--help").out.split())
    at = 0
    for title, section in SECTIONS.items():
        for words in (f"{title}:", *(f" {name} {entry.summary}" for name, entry in section.items())):
            at = shown.index(words, at)


@pytest.mark.parametrize("args", [("--version",), ("ls", "--version"), ("--version", "ls")])
def test_the_version_is_printed_wherever_it_is_asked_for(dsdt: Dsdt, args):
    assert re.fullmatch(r"Running Disdat version 2\.\S+\n", dsdt(*args).out)


def test_alone_it_says_how_to_start(dsdt: Dsdt):
    shown = dsdt().out
    assert "dsdt context NAME" in shown
    assert "dsdt --help" in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lst", "`dsdt ls`"),
        ("contxt", "`dsdt context`"),
        ("list", "`dsdt ls`"),
        ("export", "`dsdt checkout`"),
        ("version", "`dsdt --version`"),
    ],
)
def test_a_mistyped_command_gets_the_one_that_was_meant(dsdt: Dsdt, typed, meant):
    ended = dsdt.run(typed)
    assert ended.code == 2
    assert ended.err == f"dsdt: no command '{typed}'\nhint: did you mean {meant}?\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_in_the_help_are_options(dsdt: Dsdt, name: str):
    """Not arguments, of which the line of usage says all there is."""
    _, *lists = re.split(r"^Options.*:\n", dsdt(name, "--help").out, flags=re.MULTILINE)
    for line in "".join(lists).splitlines():
        assert re.match(r"  -|   {8}|$", line), line


def test_a_mistyped_option_gets_the_one_that_was_meant(dsdt: Dsdt):
    assert "--committed" in dsdt.fails("ls", "--comitted", code=2)


@pytest.mark.parametrize("args", [["--help"], ["--version"], [], ["lst"]])
def test_help_and_version_load_nothing_heavy(args):
    loaded = loaded_by(f"from disdat.cli.main import main\nmain({args!r})")
    assert loaded & (HEAVY | {"rich", "sqlite3"}) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["ls"], {"sqlalchemy"}),
        (["ls", "-v", "-p", "-a", "--json"], {"sqlalchemy"}),
        (["status"], {"sqlalchemy"}),
        (["add", "x", __file__], {"sqlalchemy"}),
        (["cat", "x"], {"sqlalchemy"}),
    ],
)
def test_a_command_loads_only_what_it_uses(demo: Dsdt, args, allowed):
    demo("add", "x", __file__)
    assert loaded_by(f"from disdat.cli.main import main\nmain({args!r})") & HEAVY <= allowed


@pytest.mark.slow
def test_help_starts_quickly(home: Path):
    """Not 80 ms of processor time over an interpreter that does nothing; the best of several, on a busy machine."""

    def seconds(command: list[str]) -> float:
        timer = f"import resource as r, subprocess as s; s.run({command!r}, check=True, stdout=s.DEVNULL); "
        timer += "used = r.getrusage(r.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
        runs = [subprocess.run([sys.executable, "-c", timer], capture_output=True, check=True) for _ in range(6)]
        return min(float(run.stdout) for run in runs)

    command = str(Path(sys.executable).with_name("dsdt"))
    bare = seconds(BARE)
    for flag in ("--help", "--version"):
        assert seconds([command, flag]) - bare < 0.080


def test_the_program_is_named_as_it_is_typed():
    assert program.name == "dsdt"
