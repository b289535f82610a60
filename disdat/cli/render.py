"""Values to text: what goes to standard output and standard error, and how things look there."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from disdat.core import printable
from disdat.core.canonical import Json
from disdat.errors import StorageError

if TYPE_CHECKING:  # click, which a shell that completes a word does not wait for
    from disdat.cli.choices import Choices

one_line = printable.one_line

_ENCODING_ERRORS = "disdat-output"
_TENTHS_BELOW_S = 9.95


def prepare_streams() -> None:
    """
    Let anything be printed, whatever the terminal's encoding.

    A byte of a file name that is not text is written as it is, so that the path still works; a character
    the encoding lacks is written as its escape.
    """
    codecs.register_error(_ENCODING_ERRORS, _replace_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODING_ERRORS)


def _replace_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return character.encode("unicode_escape").decode("ascii"), error.start + 1


def out(lines: Iterable[str]) -> None:
    """
    Print results, a line each.

    Raises:
        BrokenPipeError: Whoever read them stopped.
        StorageError: They cannot be written.
    """
    with _writing():
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        for each in lines:
            sys.stdout.write(each + "\n")


def flush() -> None:
    """Make sure that what was printed arrived. Raises what :func:`out` does."""
    with _writing():
        if sys.stdout is not None:
            sys.stdout.flush()


def drop_output() -> None:
    """Let the interpreter's last flush go nowhere, where nobody reads what was printed: it would fail again."""
    for stream in (sys.stdout, sys.stderr):
        _drop(stream)


def _drop(stream: TextIO | None) -> None:
    if stream is None:
        return
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # it is closed, or no file
        os.dup2(nowhere.fileno(), stream.fileno())


def error(message: str, hint: str = "") -> None:
    """Say on standard error what went wrong, on one line, and on a second one how to go on."""
    said = [f"dsdt: {one_line(message)}\n", f"hint: {one_line(hint)}\n" if hint else ""]
    try:
        sys.stderr.write("".join(said))
        sys.stderr.flush()
    except (OSError, AttributeError):  # it is closed, or nobody reads it: the exit code tells
        _drop(sys.stderr)


def note(choices: Choices, message: str) -> None:
    """Say on standard error what explains the result, unless the user wants it quiet."""
    if not choices.quiet:
        try:
            sys.stderr.write(f"{one_line(message)}\n")
        except (OSError, AttributeError):  # it is closed, or nobody reads it: the result is whole without
            _drop(sys.stderr)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        _drop(sys.stdout)
        raise StorageError(f"cannot write the output: {exc.strerror}") from exc


def say(choices: Choices, message: str) -> None:
    """Confirm what was done, unless the user wants it quiet."""
    if not choices.quiet:
        out([one_line(message)])


def as_json(value: Json) -> list[str]:
    """The lines of *value* as JSON for other programs: ASCII only, and so safe in every encoding."""
    return [json.dumps(value, indent=2)]


def pairs(mapping: Mapping[str, str]) -> str:
    """Tags or parameters as Disdat lists them: ``[k]:[v] [k]:[v]``."""
    return " ".join(f"[{one_line(key)}]:[{one_line(value)}]" for key, value in mapping.items())


def table(rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Rows of cells below each other, each column as wide as its widest cell; no line is longer than *width*."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [cut("  ".join(map(str.ljust, row, widths)).rstrip(), width) for row in rows]


def cut(line: str, width: int | None) -> str:
    """*line* as far as *width* characters hold it; None is as long as it is."""
    if width is None or len(line) <= width:
        return line
    end = "…" if can_show("…") else "..."
    return line[: max(0, width - len(end))] + end


def can_show(text: str) -> bool:
    """Whether standard output has all characters of *text*; what stands in for it for a while may not say."""
    encodings = (getattr(stream, "encoding", None) for stream in (sys.stdout, sys.__stdout__))
    try:
        text.encode(next(filter(None, encodings), "ascii"))
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def fields(items: Iterable[tuple[str, str]]) -> list[str]:
    """Names and values below each other, values aligned; those that are empty are left out."""
    shown = [(name, value) for name, value in items if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name + ':':<{width + 1}}  {value}" for name, value in shown]


def size(size_bytes: int) -> str:
    """A number of bytes for people: ``512 B``, ``1.5 kB``, ``20.0 GB``."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} PB"


def duration(seconds: float) -> str:
    """A time for people: ``0.4 s``, ``12 s``, ``4 min 10 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, unit_s, below, below_s in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= unit_s:
            rest = whole % unit_s // below_s
            return f"{whole // unit_s:,} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def count(number: int, thing: str) -> str:
    """A number and what it counts: ``1 bundle``, ``1,024 files``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
