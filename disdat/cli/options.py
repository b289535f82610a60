"""How words on the command line are read: tags, dates, names; and the options several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from disdat import configtext

F = TypeVar("F", bound=Callable[..., Any])  # a command's function, whatever it takes
Words = TypeVar("Words", str, tuple[str, ...], None)


class WrongUsage(click.UsageError):
    """Words that do not make a command; :attr:`hint` says how to put it."""

    def __init__(self, message: str, hint: str, ctx: click.Context | None = None) -> None:
        super().__init__(message, ctx)
        self.hint = hint


def text(ctx: click.Context, param: click.Parameter, value: Words) -> Words:
    """What was given, which must be Unicode and not empty."""
    for word in _each(value):
        if not word:
            raise WrongUsage(f"{_called(param)} is empty", "give it a value, or leave it out", ctx)
    return any_text(ctx, param, value)


def any_text(ctx: click.Context, param: click.Parameter, value: Words) -> Words:
    """What was given, which must be Unicode: a name may be empty."""
    for word in _each(value):
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as exc:
            what = f"{_called(param)} is not valid Unicode: {word!r}"
            raise WrongUsage(what, "write it in UTF-8", ctx) from exc
    return value


def not_empty(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """What was given, of any bytes, as the name of a file may be."""
    if value == "":
        raise WrongUsage(f"{_called(param)} is empty", "give it a value, or leave it out", ctx)
    return value


def key_values(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    """``key:value`` pairs, each split at its first colon; one key given two values is a contradiction."""
    found: dict[str, str] = {}
    for word in any_text(ctx, param, tuple(value)):
        key, colon, given = word.partition(":")
        if not colon or not key:
            raise WrongUsage(f"{word!r} is not a tag", "write KEY:VALUE; the value may hold colons", ctx)
        if found.setdefault(key, given) != given:
            raise WrongUsage(f"the tag {key!r} is given twice", "give each key one value", ctx)
    return found


def moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """A date as µs since the epoch."""
    from disdat.ops import when  # `dsdt --help` reads this module, and does without the service layer

    return None if value is None else when.parse(value)


def last_moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """A date as µs since the epoch; of a whole second the last."""
    from disdat.ops import when  # `dsdt --help` reads this module, and does without the service layer

    return None if value is None else when.parse_last(value)


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A time as the settings have it, in seconds: ``30`` days, or ``36h``."""
    try:
        return None if value is None else configtext.duration_s(value)
    except ValueError as exc:
        raise WrongUsage(f"{value!r} is not a time: {exc}", f"write {_called(param)} 7, or 36h", ctx) from exc


def shown_duration(seconds: int) -> str:
    """A time in the largest unit that it is a whole number of: ``30d``, ``36h``."""
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % unit_s == 0:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


class AtLeast(click.ParamType[int]):
    """A whole number that is not less than another one."""

    name = "number"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"{value!r} is no whole number", param, ctx)
        if number < self._least:
            self.fail(f"{number} is less than {self._least}", param, ctx)
        return number


def tags(help_text: str) -> Callable[[F], F]:
    """The option ``-t KEY:VALUE``, repeatable."""
    return click.option("-t", "--tag", "tags", multiple=True, metavar="KEY:VALUE", callback=key_values, help=help_text)


def as_of() -> Callable[[F], F]:
    """The option ``--as-of DATE``."""
    help_text = "See the context as it was at that moment."
    return click.option("--as-of", callback=last_moment, metavar="DATE", help=help_text)


def uuid(help_text: str) -> Callable[[F], F]:
    """The option ``-u UUID``."""
    return click.option("-u", "--uuid", callback=text, metavar="UUID", help=help_text)


def jobs() -> Callable[[F], F]:
    """The option ``--jobs N``."""
    return click.option("--jobs", type=AtLeast(1), help="So many transfers at once.")


def with_jobs(jobs: int | None) -> dict[str, int]:
    """The argument that ``--jobs`` is to a function; none where it was not given."""
    return {} if jobs is None else {"jobs": jobs}


def json(help_text: str = "Print JSON for other programs.") -> Callable[[F], F]:
    """The option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def _each(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _called(param: click.Parameter) -> str:
    """What people know a parameter by: an option's long form, an argument's name."""
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name.strip("[].")
