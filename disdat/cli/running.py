"""A command from its words to its end: whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Mapping, Sequence

import click

from disdat.cli import render
from disdat.cli.choices import Choices
from disdat.cli.options import WrongUsage
from disdat.cli.program import dsdt
from disdat.errors import DisdatError

DONE = 0
USAGE = 2
READER_GONE = 141
"""As a program that the shell's SIGPIPE ended: whoever read the output stopped reading."""

EXIT_CODES: Mapping[str, int] = {"bad-name": USAGE, "bad-query": USAGE}
"""Kind of error -> exit code; every other kind is ``Choices.failed``."""


def end_as_interrupted() -> None:
    """Have this process go Ctrl-C's way when it is told to end, or its terminal is closed: what it began is removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, signal.default_int_handler)


def run(arguments: Sequence[str]) -> int:
    """Run ``dsdt`` with *arguments* and return its exit code."""
    render.prepare_streams()
    choices = Choices()
    try:
        code = _run(list(arguments), choices)
        render.flush()
    except BrokenPipeError:
        render.drop_output()
        return READER_GONE
    except click.Abort as exc:
        raise KeyboardInterrupt from exc
    except Exception as exc:  # noqa: BLE001 - the one place where whatever went wrong becomes a line
        return _report(exc, choices)
    return code


def _run(arguments: list[str], choices: Choices) -> int:
    # Not click's own main(), which makes exit codes and lines of its own of interrupts and closed pipes.
    try:
        with dsdt.make_context("dsdt", arguments, obj=choices) as ctx:
            code = dsdt.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return code if isinstance(code, int) else DONE


def _report(exc: Exception, choices: Choices) -> int:
    if choices.verbose:
        traceback.print_exception(exc)
    match exc:
        case DisdatError():
            render.error(exc.message or type(exc).__name__, exc.hint)
            return EXIT_CODES.get(exc.kind, choices.failed)
        case WrongUsage():
            render.error(exc.message, exc.hint or _help_hint(exc))
            return USAGE
        case click.UsageError():
            render.error(_lowered(exc.format_message()), _help_hint(exc))
            return USAGE
    render.error(f"internal error: {type(exc).__name__}: {exc}", "`dsdt --verbose …` shows the traceback")
    return choices.failed


def _lowered(message: str) -> str:
    """Click's sentence as one of ours: on one line, without the capital and the full stop."""
    words = " ".join(message.split())
    return words[:1].lower() + words[1:].removesuffix(".")


def _help_hint(exc: click.UsageError) -> str:
    return f"`{exc.ctx.command_path} --help` shows how" if exc.ctx else ""
