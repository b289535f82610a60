"""From what the user chose to the home and the context a command works on."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

from disdat import config, ops
from disdat.cli.choices import Choices
from disdat.config import Settings
from disdat.context import Context, Home, resolve


def settings(choices: Choices) -> Settings:
    """The settings, with what stands on the command line over what the environment and the file say."""
    if choices.profile is not None:
        config.set_aws_profile(choices.profile)  # for what opens remotes by itself, and for tasks in other processes
    found = config.load()
    return found if choices.context is None else replace(found, context=choices.context)


def home(choices: Choices) -> Home:
    """The home; nothing is written to it by opening."""
    return Home.open(settings(choices))


def context(choices: Choices, *, as_of: int | None = None) -> Context:
    """The context that is meant, now or as of a moment in µs since the epoch; NotConfigured says how to get one."""
    chosen = settings(choices)
    home = Home.open(chosen)
    found = resolve(home, None) if chosen.context is None else ops.contexts.named(home, chosen.context)
    return found if as_of is None else found.as_of(as_of)


def width() -> int | None:
    """How many characters of a line the user sees; None where results go elsewhere, and are not for his eyes."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


def wants_progress(choices: Choices) -> bool:
    """Whether a person looks at standard error and wants to see how far things are."""
    return sys.stderr.isatty() and not choices.quiet and not config.load().plain
