"""What ``dsdt`` is made of: its commands, each loaded when it is asked for, and the help that lists them."""

from __future__ import annotations

import click

from disdat.cli.choices import EVERYWHERE, placed
from disdat.cli.commands import COMMANDS, OTHER_WORDS, SECTIONS
from disdat.cli.options import WrongUsage

START = """\
Disdat keeps versions of your data as bundles. To start:

  dsdt context NAME       make a data context, a named collection of bundles
  dsdt switch NAME        make it the current one
  dsdt add NAME PATH      put a file or a directory into a bundle
  dsdt ls                 see what is there

`dsdt --help` lists every command."""

EPILOG = """\
A bundle's NAME means its latest version, NAME@-1 the one before, NAME@2026-03-01 the latest as of then. With --as-of
DATE, ls, cat, show, lineage and log see the context as it was. `dsdt COMMAND --help` explains a command."""


class Program(click.Group):
    """``dsdt`` itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with placed(ctx):
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise WrongUsage(f"no command {args[0]!r}", _suggestion(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in section.items()])


def _suggestion(word: str) -> str:
    from difflib import get_close_matches  # 5 ms that only a mistyped command costs

    close = [OTHER_WORDS[word]] if word in OTHER_WORDS else get_close_matches(word, COMMANDS, n=2)
    return f"did you mean {' or '.join(f'`dsdt {name}`' for name in close)}?" if close else ""


@click.group(
    "dsdt",
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=list(EVERYWHERE),
    epilog=EPILOG,
)
@click.pass_context
def dsdt(ctx: click.Context) -> None:
    """Version data as bundles: values, tables, arrays and files, with where they came from."""
    if ctx.invoked_subcommand is None:
        click.echo(START)
