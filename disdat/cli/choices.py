"""What every command may be told: the options that stand before or after its name, and what they chose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from disdat import __version__


@dataclass(slots=True)
class Choices:
    """What one run of ``dsdt`` was told by the options that go with every command; filled while they are read."""

    context: str | None = None
    profile: str | None = None
    verbose: bool = False
    quiet: bool = False
    failed: int = 1
    """What the process ends with when the command fails; some commands say something else with 1."""


def record(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # click's values have no type
    """Keep what was given; an option that was not given leaves what stood before the command's name."""
    if value is not None and value is not False:
        setattr(ctx.ensure_object(Choices), str(param.name), value)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"Running Disdat version {__version__}")
        ctx.exit()


EVERYWHERE: tuple[click.Option, ...] = (
    click.Option(
        ["--context"],
        metavar="NAME",
        callback=record,
        expose_value=False,
        help="Work in this data context instead of the current one.",
    ),
    click.Option(
        ["--profile"],
        metavar="NAME",
        callback=record,
        expose_value=False,
        help="Take credentials from this profile of AWS's own files.",
    ),
    click.Option(
        ["--verbose"],
        is_flag=True,
        callback=record,
        expose_value=False,
        help="When something fails, show the traceback too.",
    ),
    click.Option(
        ["--quiet"],
        is_flag=True,
        callback=record,
        expose_value=False,
        help="Print results and errors only: no confirmations, no progress.",
    ),
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        callback=_print_version,
        expose_value=False,
        help="Print the version and stop.",
    ),
)


@contextmanager
def placed(ctx: click.Context) -> Iterator[None]:
    """Let what is wrong with the words of *ctx* know it, so that its help can be named."""
    try:
        yield
    except click.UsageError as exc:
        exc.ctx = exc.ctx or ctx
        raise


class Verb(click.Command):
    """
    A command that also takes the options of :data:`EVERYWHERE`.

    Where it has an option of the same name itself, its own counts.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with placed(ctx):
            return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {name for param in own for name in param.opts}
        return own + [option for option in EVERYWHERE if taken.isdisjoint(option.opts)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the command's own options, then those that every command takes."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        shared = [option for option in options if option in EVERYWHERE]
        own = [option for option in options if option not in EVERYWHERE]
        for title, params in (("Options", own), ("Options of every command", shared)):
            records = [shown for param in params if (shown := param.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
