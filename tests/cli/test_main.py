"""How commands start and end, as processes of their own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from disdat.cli.progress import DELAY_S
from tests.cli.conftest import Dsdt

COMMAND = str(Path(sys.executable).with_name("dsdt"))
SLOW_ADD = """
import signal, sys, time
from disdat import ops
from disdat.cli.main import main

def slowly(*_, **__):
    print("ready", flush=True)
    time.sleep(30)

signal.signal(signal.SIGINT, signal.default_int_handler)
ops.add.add = slowly
sys.exit(main(["add", "data", "."]))
"""


def shell(line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """What a shell makes of *line*, in which ``dsdt`` is ours."""
    path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, check=False, env={**os.environ, "PATH": path, **env}, timeout=60
    )


def readable(terminal: int, timeout_s: float) -> bool:
    """Whether there is something to read; of any file descriptor, which select() is not."""
    poller = select.poll()
    poller.register(terminal, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


def at_a_terminal(
    args: list[str], *, asked: bytes = b"", typed: bytes = b"", reading: Path | None = None
) -> tuple[int, bytes]:
    """
    How a command ends whose streams are all one terminal, at which *typed* answers *asked*; and what is seen.

    Once it reads the file *reading*, it stands still for longer than people wait without a sign.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may have it ignored
        os.execv(COMMAND, [COMMAND, *args])
    if reading is not None:
        hold_while_it_reads(pid, reading)
    seen = b""
    while readable(terminal, 10):
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:  # Linux says so when the command has ended
            break
        if typed and asked in seen:
            time.sleep(0.2)  # Python sees an interrupt just before it begins to read only when the read ends
            os.write(terminal, typed)
            typed = b""
    os.kill(pid, signal.SIGKILL)  # no matter to one that has ended
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen


def hold_while_it_reads(pid: int, path: Path) -> None:
    """Stop a process for a while, as soon as it has opened a file."""
    deadline_s = time.monotonic() + 60
    while not has_open(pid, path):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(DELAY_S)
    os.kill(pid, signal.SIGCONT)


def has_open(pid: int, path: Path) -> bool:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if each.samefile(path):
                return True
    return False


def test_a_reader_that_stops_ends_the_command_quietly(demo: Dsdt, add):
    for n in range(30):
        add(f"{n:03}-{'x' * 9_000}")
    ended = shell("set -o pipefail; dsdt ls | head -c 1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, b"0", b"")


def test_a_reader_that_was_never_there_ends_it_quietly_too(demo: Dsdt):
    ended = shell("set -o pipefail; (sleep 0.5; exec dsdt --help) | true")
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("dsdt ls >&-", 1, b"dsdt: cannot write the output: it is closed\n"),
        ("dsdt tag data k:v --quiet >&-", 0, b""),
        ("dsdt ls none 2>&-", 1, b""),
        ("set -o pipefail; (sleep 0.5; exec dsdt ls none) 2>&1 >&- | true", 1, b""),
    ],
)
def test_closed_streams_are_no_reason_to_fall_over(demo: Dsdt, add, line, code, err):
    add("data")
    ended = shell(line)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, b"", err)


def test_a_full_disk_under_the_output_is_said_on_one_line(demo: Dsdt, add):
    add("data")
    ended = shell("dsdt ls > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == b"dsdt: cannot write the output: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", "größe-東京\n".encode()),
        ("latin-1", "größe-".encode("latin-1") + b"\\u6771\\u4eac\n"),
        ("ascii", b"gr\\xf6\\xdfe-\\u6771\\u4eac\n"),
    ],
)
def test_any_encoding_of_the_output_takes_any_name(demo: Dsdt, add, encoding, printed):
    add("größe-東京")
    ended = shell("dsdt ls", PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stdout) == (0, printed)


def test_a_path_that_is_not_text_is_printed_as_the_bytes_it_is(demo: Dsdt):
    name = b"caf\xe9.txt"
    Path(os.fsdecode(name)).write_text("content", "utf-8")
    demo("add", "data", os.fsdecode(name))
    assert shell('cat "$(dsdt cat data)"', PYTHONUTF8="1").stdout == b"content"


@pytest.mark.slow
def test_output_is_clean_where_nobody_looks(demo: Dsdt, add):
    add("data", "-t", f"long:{'x' * 500}")
    ended = shell("dsdt ls -v -p; dsdt status; dsdt show data; dsdt config", FORCE_COLOR="1")
    assert b"\x1b" not in ended.stdout
    assert b"x" * 500 in ended.stdout.splitlines()[1]


def test_ctrl_c_ends_with_one_line(demo: Dsdt):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_ADD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "dsdt: interrupted\n")


@pytest.mark.parametrize("arguments", [["ls"], ["completion", "zsh", "--complete", "x", "--", "cat"]])
def test_ctrl_c_while_it_starts_ends_with_one_line(arguments: list[str]):
    program = f"""
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name in ("click", "sqlite3"):
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from disdat.cli.main import main
raise SystemExit(main({arguments!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "dsdt: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code", "left"), [(b"y\n", 0, ""), (b"n\n", 1, "demo"), (b"\n", 1, "demo"), (b"\x03", 130, "demo")]
)
def test_at_a_terminal_it_asks_before_it_deletes(demo: Dsdt, add, answer, code, left):
    add("data")
    ended, seen = at_a_terminal(["context", "-d", "demo"], asked=b"[y/N]", typed=answer)
    assert ended == code
    assert b"Delete the context demo with 1 bundle? [y/N]" in seen
    assert [context["name"] for context in demo.json("context")] == left.split()


@pytest.mark.slow
def test_at_a_terminal_a_long_table_is_its_head_and_tail(demo: Dsdt):
    Path("t.csv").write_text("n\n" + "\n".join(map(str, range(1000))), "utf-8")
    demo("add", "-i", "data", "t.csv")
    _, seen = at_a_terminal(["cat", "data"])
    assert b"[1000 rows x 1 columns]" in seen
    assert len(seen.splitlines()) < 40
    assert len(demo("cat", "data").lines) == 1001


def test_what_nobody_foresaw_is_one_line_and_the_traceback_is_to_be_had(demo: Dsdt):
    Path("odd_module.py").write_text("def __getattr__(name):\n    raise ZeroDivisionError(name)\n", "utf-8")
    ended = demo.run("apply", "odd_module.Task")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "dsdt: internal error: ZeroDivisionError: Task",
        "hint: `dsdt --verbose …` shows the traceback",
    ]
    assert "Traceback (most recent call last)" in demo.run("--verbose", "apply", "odd_module.Task").err


@pytest.mark.parametrize("args", [("--verbose", "show", "none"), ("show", "none", "--verbose")])
def test_the_traceback_of_a_foreseen_failure_is_shown_when_asked_for(demo: Dsdt, args):
    assert "BundleNotFound" in demo.run(*args).err
    assert "Traceback" not in demo.run("show", "none").err


def of_holes(name: str, size_bytes: int) -> Path:
    path = Path(name)
    path.touch()
    os.truncate(path, size_bytes)
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_terminal_sees_how_far_a_long_add_is_and_nobody_else_does(demo: Dsdt):
    """A file of holes takes time to read, and no room."""
    large, quiet = of_holes("large", 6_000_000_000), of_holes("quiet", 1_000_000_000)
    with subprocess.Popen([COMMAND, "add", "data", "quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as adding:
        hold_while_it_reads(adding.pid, quiet)
        assert adding.communicate()[1] == b""
    code, seen = at_a_terminal(["add", "data", "large"], reading=large)
    assert (adding.returncode, code) == (0, 0)
    plain = re.sub(rb"\x1b\[[\d;?]*[A-Za-z]", b"", seen).decode()
    assert re.search(r"adding \S+ +[1-9]\d*\.\d/6\.0 GB +[\d.]+ [MG]B/s +\d:\d\d:\d\d", plain)
    assert plain.splitlines()[-1].startswith("Added data ")
