"""Completing words: what may follow, quoted as each shell wants it, quickly, and without a trace."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from disdat.cli import complete, grammar
from disdat.cli.bashline import Line
from disdat.cli.choices import EVERYWHERE
from disdat.cli.commands import COMMANDS
from disdat.cli.complete import candidates
from disdat.context import Home
from disdat.ops import bundles, find
from disdat.ops.bundles import Birth
from disdat.remote import unbound
from disdat.remote.binding import Binding
from disdat.remote.unbound import Left
from tests.cli.conftest import Dsdt
from tests.cli.test_main import readable
from tests.conftest import require
from tests.ops.test_doctor import everything
from tests.test_layers import HEAVY, loaded_by

BIN = Path(sys.executable).parent
NAMES = ["my data", "my:data", "plain", "it's", 'say "x"', "a$b", "ünï", "star*"]


@pytest.fixture
def stocked(demo: Dsdt, home: Path) -> Path:
    """A home with bundles of names that need quoting; where it is."""
    context = Home(home).context("demo")
    for name in NAMES:
        bundles.write(context, 1, Birth(name, tags={"colour": "dark red", "k:": "v:w"}))
    demo("context", "demo two")
    Home(home).context("demo two").bind(Binding("s3://bucket/prefix", "shared", "01M81M2HHB2M1552Z8ZPM7XSGS", "packed"))
    context.catalog.close()
    return home


def uuid_of(home: Path, name: str) -> str:
    context = Home(home).context("demo")
    found = find.resolve(context, name).uuid
    context.catalog.close()
    return found


@pytest.mark.parametrize(
    ("before", "prefix", "found"),
    [
        ([], "sw", ["switch"]),
        (["--quiet"], "sw", ["switch"]),
        (["--context", "demo"], "sw", ["switch"]),
        ([], "--ver", ["--verbose", "--version"]),
        (["--context"], "", ["demo", "demo two"]),
        ([], "--context=demo ", ["--context=demo two"]),
        (["switch"], "demo t", ["demo two"]),
        (["cat"], "my", ["my data", "my:data"]),
        (["cat", "plain"], "", []),
        (["cat", "--"], "pl", ["plain"]),
        (["copy", "plain", "my data"], "my:", ["my:data"]),
        (["copy", "plain", "--to"], "demo t", ["demo two"]),
        (["copy", "--to", "demo two"], "pl", ["plain"]),
        (["rm", "-t"], "co", ["colour:dark red"]),
        (["rm", "--tag"], "k::", ["k::v:w"]),
        (["diff", "--key", "n", "plain"], "pl", ["plain"]),
        (["tag", "plain"], "col", ["colour:dark red"]),
        (["untag", "plain"], "", ["colour", "k:"]),
        (["add"], "pl", ["plain"]),
        (["add", "plain"], "", []),
        (["completion"], "z", ["zsh"]),
        (["push"], "pl", ["plain"]),
        (["pull", "--all"], "pl", ["plain"]),
        (["clone"], "s", ["s3://bucket/prefix"]),
        (["remote", "shared"], "", ["s3://bucket/prefix"]),
        (["remote"], "sh", ["shared"]),
        (["remote"], "demo t", ["demo two"]),
        (["clone"], "file:///et", ["file:///etc"]),
        (["clone"], "file://et", []),
        (["nonsense"], "", []),
        (["--context", "demo two", "cat"], "", []),
        (["cat", "--context", "nowhere"], "", []),
    ],
)
def test_what_may_follow(stocked: Path, before: list[str], prefix: str, found: list[str]):
    assert candidates(before, prefix) == found


def test_versions_and_uuids_are_references(stocked: Path):
    uuid = uuid_of(stocked, "plain")
    assert candidates(["cat"], "plain@") == [f"plain@{uuid[:8]}"]
    assert candidates(["cat"], f"plain@{uuid[:2]}") == [f"plain@{uuid[:8]}"]
    assert candidates(["cat"], uuid[:6]) == [uuid]
    assert candidates(["rm", "-u"], uuid[:2])[0].startswith(uuid[:2])
    assert candidates(["rm"], uuid[:6]) == [], "a uuid is none where names are meant"


def test_the_options_of_a_command_are_completed(stocked: Path):
    assert "--dry-run" in candidates(["copy"], "--")
    assert "--complete" not in candidates(["completion"], "--")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_known_of_a_command_is_so(name: str):
    command, known = COMMANDS[name].load(), grammar.of(name)
    params = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    options = [param for param in params if isinstance(param, click.Option) and not param.hidden]
    takes_value = {spelling: not option.is_flag for option in options for spelling in option.opts}
    assert {spelling: kind is not None for spelling, kind in known.options.items()} == takes_value
    assert any(isinstance(param, click.Argument) for param in params) == bool(known.arguments)


def test_of_a_word_that_is_no_command_the_options_of_all_are_known():
    spellings = {spelling for option in EVERYWHERE for spelling in option.opts}
    assert grammar.of(None).options.keys() == spellings | {"-h", "--help"}


def test_a_shell_that_completes_waits_for_nothing_it_does_without(stocked: Path):
    asked = [["cat", "pl"], ["copy", "--to", "de"], ["ls", "--"], ["rm", "-t", "co"]]
    for *before, prefix in asked:
        arguments = ["completion", "zsh", "--complete", prefix, "--", *before]
        assert (
            loaded_by(f"from disdat.cli.main import main\nmain({arguments!r})") & (HEAVY | {"click", "rich"}) == set()
        )


def test_a_shell_that_stops_reading_ends_it_without_a_word(stocked: Path):
    asked = [sys.executable, "-c", "from disdat.cli.main import main; raise SystemExit(main())", "completion", "zsh"]
    with subprocess.Popen(
        [*asked, "--complete", "", "--", "cat"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 1)


def test_names_that_cannot_be_typed_are_left_out(demo: Dsdt, home: Path):
    context = Home(home).context("demo")
    for name in ("a\nb", "a\x1b[0m", "ab"):
        bundles.write(context, 1, Birth(name))
    context.catalog.close()  # what was written in a row may wait until then
    assert candidates(["cat"], "a") == ["ab"]


def test_so_many_names_at_most_whatever_there_is(demo: Dsdt, home: Path):
    context = Home(home).context("demo")
    bundles.write_many(context, [(n, Birth(f"n{n % 350:03}")) for n in range(700)])
    assert candidates(["cat"], "n0") == [f"n{n:03}" for n in range(100)]
    assert len(candidates(["cat"], "n")) == 300


def test_what_another_process_wrote_and_has_open_is_found(demo: Dsdt, home: Path):
    context = Home(home).context("demo")
    bundles.write(context, 1, Birth("fresh"))
    assert (context.directory / os.readlink(context.directory / "catalog.db")).with_suffix(".db-wal").stat().st_size
    assert candidates(["cat"], "f") == ["fresh"]


@pytest.mark.parametrize("shell", complete.SHELLS)
def test_nothing_is_written_and_nothing_said_whatever_is_wrong(stocked: Path, dsdt: Dsdt, shell: str):
    def ask() -> str:
        before = everything(stocked)
        ended = dsdt.run("completion", shell, "--complete", "", "--", *(["dsdt cat "] if shell == "bash" else ["cat"]))
        assert (ended.code, ended.err) == (0, "")
        assert everything(stocked) == before
        return ended.out

    assert "plain" in ask()
    link = stocked / "context" / "demo" / "catalog.db"
    link.resolve().write_bytes(b"no database")
    assert ask() == ""
    link.unlink()
    assert ask() == ""
    (stocked / "format").write_bytes(b"{")
    (stocked / "current").write_bytes(b"\xff")
    assert ask() == ""


@pytest.mark.parametrize(
    ("line", "words", "quote"),
    [
        ("dsdt cat ", ["dsdt", "cat", ""], ""),
        ("dsdt cat my\\ d", ["dsdt", "cat", "my d"], ""),
        ("dsdt cat 'my d", ["dsdt", "cat", "my d"], "'"),
        ('dsdt cat "a\\"b', ["dsdt", "cat", 'a"b'], '"'),
        ("x |dsdt ls ''", ["dsdt", "ls", ""], ""),
        ("", [""], ""),
        ("\\", [""], ""),
    ],
)
def test_a_line_is_read_as_a_shell_reads_it(line: str, words: list[str], quote: str):
    typed = Line(line)
    assert (typed.words, typed.quote) == (words, quote)


def shell_environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


BASH = r"""
eval "$(dsdt completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_dsdt_completion dsdt "$2" ""
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "last", "inserted"),
    [
        ("dsdt cat my", "my", ["my\\ data", "my:data"]),
        ("dsdt cat my:d", "d", ["data"]),
        ("dsdt cat 'my d", "my d", ["my data"]),
        ("dsdt cat it", "it", ["it\\'s"]),
        ("dsdt cat a", "a", ["a\\$b"]),
        ("dsdt cat ün", "ün", ["ünï"]),
        ("dsdt rm -t colour:d", "d", ["dark\\ red"]),
        ("dsdt sw", "sw", ["switch"]),
        ("true; dsdt swi", "swi", ["switch"]),
        ("dsdt cat nothing", "nothing", [""]),
    ],
)
def test_bash_completes(stocked: Path, line: str, last: str, inserted: list[str]):
    command = [require("bash"), "--norc", "-c", BASH, "bash", line, last]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=shell_environment())
    assert (done.stdout.removesuffix("\n").split("\n"), done.stderr) == (inserted, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("dsdt cat my", ["my data", "my:data"]),
        ("dsdt cat my:", ["my:data"]),
        ("dsdt cat 'my d", ["my data"]),
        ("dsdt cat my\\ d", ["my data"]),
        ("dsdt rm -t colour:d", ["colour:dark red"]),
        ("dsdt switch ", ["demo", "demo two"]),
        ("dsdt sw", ["switch"]),
    ],
)
def test_fish_completes(stocked: Path, line: str, found: list[str]):
    script = "dsdt completion fish | source; complete -C $argv[1]"
    command = [require("fish"), "--no-config", "-c", script, line]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=shell_environment())
    assert done.stderr == ""
    assert [shown.replace("\\", "").strip("'") for shown in done.stdout.splitlines()] == found


ZSH = """\
PS1=; unsetopt prompt_cr prompt_sp beep; autoload -Uz compinit; compinit -u -D
eval "$(dsdt completion zsh)"; compdef _dsdt_completion shown; shown() { print -r -- "<${(j:|:)@}>" }
print REA""DY
"""


def by_zsh(typed: str) -> str:
    """What a command is given that was typed so, and a tab."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(require("zsh"), ["zsh", "-f", "-i"], shell_environment())
    try:
        os.write(terminal, ZSH.encode())
        _read_until(terminal, b"READY")
        os.write(terminal, f"shown {typed}\t".encode())
        time.sleep(1)  # what is typed before the tab is dealt with would be part of the word
        os.write(terminal, b"\r")
        said = _read_until(terminal, b">")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    text = said.decode()
    return text[text.rindex("<") : text.rindex(">") + 1]


def _read_until(terminal: int, mark: bytes) -> bytes:
    said = b""
    while mark not in said:
        ready = readable(terminal, 20)
        assert ready, said
        said += os.read(terminal, 10_000)
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("cat pl", "<cat|plain>"),
        ("cat my:", "<cat|my:data>"),
        ("cat my\\ ", "<cat|my data>"),
        ("cat 'my ", "<cat|my data>"),
        ("cat it", "<cat|it's>"),
        ("rm -t colour:", "<rm|-t|colour:dark red>"),
        ("sw", "<switch>"),
    ],
)
def test_zsh_completes(stocked: Path, typed: str, given: str):
    require("zsh")
    assert by_zsh(typed) == given


def test_a_remote_that_is_needed_again_is_offered(stocked: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/other"
    binding = Binding(url, "gone", "01M81M2HHB2M1552Z8ZPM7XSGS", "packed")
    (stocked / "context" / "demo" / unbound.NAME).write_bytes(unbound.line([Left(binding, frozenset({"some"}))]))
    assert candidates(["remote"], "go") == ["gone"]
    assert url in candidates(["remote", "gone"], "file://")
