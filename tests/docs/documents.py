"""
Runs the examples of a document as a reader would: the blocks of one file in order, in one directory and home.

In a ``console`` block a line that begins with ``$ `` is a command, which lines that begin with ``> `` go on; what
follows is its output, standard error included. In a ``python`` block the whole block is run; one that is followed by
a ``text`` block prints that. In an expected output ``...`` stands for anything on its line, a line that is only
``...`` for any lines, and uuids, times, seconds and digests are compared by their form.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from disdat.cli.main import main

_BLOCK = re.compile(r"^```(console|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLAIN = re.compile(r"(?:[A-Z_]+=\S+ )*dsdt (?!apply|plan|why)[^|&;<>()`\n]+")
_FORMS = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d\d-\d\d-\d\d \d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"blake3:[0-9a-f]+"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "<short>"),
    (re.compile(r"(?:\d+(?:\.\d+)?|\.\.\.) s\b"), "<seconds>"),
]


@dataclass(frozen=True)
class Example:
    """One thing a reader types, and what the document says it prints (None: it does not say)."""

    line: int
    command: list[str]
    shown: str
    expected: str | None

    @property
    def is_plain(self) -> bool:
        """Whether it is ``dsdt`` and leaves a shell nothing to do; not ``apply``, which imports what examples edit."""
        return _PLAIN.fullmatch(self.shown) is not None


def examples(document: Path) -> Iterator[Example]:
    """Every example of a document, in order."""
    text = document.read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    for index, block in enumerate(blocks):
        line = text.count("\n", 0, block.start(2)) + 1
        if block[1] == "console":
            yield from _commands(block[2], line)
        elif block[1] == "python":
            after = blocks[index + 1] if index + 1 < len(blocks) else None
            adjacent = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
            yield Example(
                line, [sys.executable, "-c", block[2]], block[2], after[2] if after is not None and adjacent else None
            )


def run(example: Example, *, cwd: Path) -> str:
    """What the example prints, both streams in the order of writing; an AssertionError if it fails."""
    done = subprocess.run(
        example.command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        timeout=120,
    )
    _check(example, done.returncode, done.stdout)
    return done.stdout


def run_here(example: Example) -> str:
    """What an example that is plain prints, run in this process and directory: to start one takes the longest."""
    words = shlex.split(os.path.expandvars(example.shown))
    settings = list(itertools.takewhile(lambda word: word != "dsdt", words))
    printed = io.BytesIO()
    stream = io.TextIOWrapper(printed, encoding="utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stream), redirect_stderr(stream):
        for name, _, value in (setting.partition("=") for setting in settings):
            patch.setenv(name, os.path.expanduser(value))
        patch.setattr(sys, "argv", words[len(settings) :])
        code = main(sys.argv[1:])
        output = printed.getvalue().decode("utf-8")
    _check(example, code, output)
    return output


def _check(example: Example, code: int, output: str) -> None:
    """An AssertionError if it ended otherwise than it shows."""
    expects_failure = example.expected is not None and "dsdt: " in example.expected
    assert (code != 0) == expects_failure, f"exit {code}: {example.shown}\n{output}"


def agrees(expected: str, printed: str) -> bool:
    """Whether what was printed has the form the document shows."""
    lines = _form(expected).splitlines()
    pattern = "".join("(?:.*\n)*?" if line == "..." else _line_pattern(line) for line in lines)
    return re.fullmatch(pattern, _form(printed)) is not None


def _line_pattern(line: str) -> str:
    return ".*?".join(map(re.escape, line.split("..."))) + "\n"


def _typed(part: str) -> tuple[str, str]:
    """The command, with the lines typed at the shell's second prompt, and its output."""
    lines = part.splitlines(keepends=True)
    more = list(itertools.takewhile(lambda line: line.startswith(">"), lines[1:]))
    command = lines[0] + "".join(line[2:] or "\n" for line in more)
    return command.rstrip("\n"), "".join(lines[1 + len(more) :])


def _form(text: str) -> str:
    for pattern, name in _FORMS:
        text = pattern.sub(name, text)
    lines = [re.sub(r"[ \t]+", " ", line).rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def _commands(block: str, first_line: int) -> Iterator[Example]:
    parts = re.split(r"(?m)^\$ ", block)
    line = first_line + parts[0].count("\n")
    for part in parts[1:]:
        typed, output = _typed(part)
        yield Example(line, ["bash", "-c", typed], typed, output)
        line += part.count("\n")
