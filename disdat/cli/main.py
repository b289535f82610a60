"""Where ``dsdt`` starts: what a shell asks while somebody types is answered at once, all else is a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """The user had enough, and the process may end although threads of it are at work."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsdt`` with *argv* (the process's own arguments, if None) and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        return _run(arguments, is_program=argv is None)
    except KeyboardInterrupt as exc:  # also while modules are imported, which for some commands takes longest
        tell_interrupted(*map(str, exc.args))
        if isinstance(exc, Interrupted) and argv is None:
            end_interrupted()
        return INTERRUPTED


def tell_interrupted(*good_for: str) -> None:
    """Say on standard error that the user had enough, and what the work so far is good for."""
    with suppress(OSError, AttributeError):  # it is closed, or nobody reads it: the exit code tells
        sys.stderr.write(": ".join(["dsdt: interrupted", *good_for]) + "\n")


def end_interrupted() -> NoReturn:
    """End the process now: Python itself waits for threads, and they for servers."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(INTERRUPTED)


def _run(arguments: list[str], *, is_program: bool) -> int:
    match arguments:
        case ["completion", "bash" | "zsh" | "fish" as shell, "--complete", prefix, "--", *words]:
            from disdat.cli import complete  # sqlite3, which help does without

            return complete.tell(shell, prefix, words)
        case _:
            from disdat.cli import running  # click, which takes longer than to find all words

            if is_program:
                running.end_as_interrupted()
            return running.run(arguments)
