"""What a transfer shows of how far it is, to a person or to a program, and how it ends when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from disdat.cli import opening, options
from disdat.cli.choices import Choices
from disdat.cli.interrupting import interruptible
from disdat.cli.progress import ByteBar, JsonLines, Phases

Tell = Callable[[int, int], None]
"""Is told how much of how much is done."""


def progress() -> Callable[[options.F], options.F]:
    """The option ``--progress json|none``."""
    return click.option(
        "--progress",
        "how",
        type=click.Choice(["json", "none"]),
        help="Print how far it is to standard error, a line of JSON each second; or never.",
    )


@contextmanager
def of_bytes(choices: Choices, doing: str, *, how: str | None, kept: Callable[[int, int], str]) -> Iterator[Tell]:
    """
    Show how many bytes of how many have travelled: by default at a terminal, as a bar.

    *kept* says, of how many bytes of how many, what they are good for when it is interrupted.
    """
    shown = _shown(choices, doing, how)
    so_far = [0, 0]

    def tell(done: int, total: int) -> None:
        so_far[:] = done, total
        shown(done, total)

    with shown, interruptible(lambda: kept(so_far[0], so_far[1]), stop=shown.stop):
        yield tell


@contextmanager
def of_publications(choices: Choices, doing: str, *, how: str | None, kept: Callable[[], str]) -> Iterator[Tell]:
    """Show how many publications of how many were read."""
    phases = Phases(shown=how is None and opening.wants_progress(choices))
    lines = JsonLines(doing, unit="publications", shown=how == "json")

    def tell(done: int, total: int) -> None:
        phases(f"read {done:,} of {total:,} publications")
        lines(done, total)

    phases("asking what was published")
    with phases, lines, interruptible(kept, stop=phases.stop):
        yield tell


def _shown(choices: Choices, doing: str, how: str | None) -> ByteBar | JsonLines:
    if how is None:
        return ByteBar(doing.capitalize(), shown=opening.wants_progress(choices))
    return JsonLines(doing, unit="bytes", shown=how == "json")
