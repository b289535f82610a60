"""Which words may stand where the cursor is: commands, options, and what the home has of names, tags and contexts."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from disdat import config
from disdat.catalog.completing import Words, words
from disdat.cli.choices import EVERYWHERE
from disdat.cli.program import COMMANDS
from disdat.core.reserved import is_reserved
from disdat.errors import DisdatError

SHELLS = ("bash", "zsh", "fish")

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "add": ("name",),
    "apply": ("file",),
    "cat": ("ref",),
    "checkout": ("ref",),
    "commit": ("name",),
    "completion": ("shell",),
    "context": ("context",),
    "copy": ("ref", "…"),
    "diff": ("ref", "ref"),
    "du": ("name", "…"),
    "fork": ("context",),
    "lineage": ("ref",),
    "log": ("name",),
    "ls": ("name",),
    "move": ("ref", "…"),
    "rename": ("ref", "name"),
    "rm": ("name",),
    "show": ("ref",),
    "switch": ("context",),
    "tag": ("ref", "tag", "…"),
    "undo": ("nothing",),
    "untag": ("ref", "key", "…"),
    "verify": ("ref",),
}
"""What the arguments of each command are; the one before ``…`` is repeated. Others are files, or nobody knows."""
_OPTIONS: Mapping[str, str] = {
    "--context": "context",
    "--profile": "nothing",
    "--to": "context",
    "--tag": "tag",
    "-t": "tag",
    "--uuid": "uuid",
    "-u": "uuid",
}
"""What the values of some options are, in every command that has them."""
_HEX = re.compile(r"[0-9a-f]{4}[0-9a-f-]*")
_SHORT = 8
_HELP = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the cursor is: what stands there, after which words, in which context."""

    kind: str
    arguments: tuple[str, ...] = ()
    context: str | None = None
    command: str | None = None


def candidates(before: Sequence[str], prefix: str) -> list[str]:
    """
    The words that begin with *prefix* and may follow *before*, the words of the line without ``dsdt`` itself.

    Empty where that is for the shell to say, as of files. Names with characters that cannot be typed are left out.
    Writes nothing, and raises nothing for what is wrong in the home.
    """
    option, equals, value = prefix.partition("=")
    if prefix.startswith("--") and equals:
        return [f"{option}={found}" for found in _found(_place([*before, option]), value)]
    return _found(_place(before), prefix)


def _place(before: Sequence[str]) -> _Place:
    command: str | None = None
    context: str | None = None
    arguments: list[str] = []
    rest, ended = iter(before), False
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--" and not ended:
            ended = True
        elif word.startswith("-") and not ended:
            if not equals and _takes_value(command, name):
                given = next(rest, None)
                if given is None:
                    return _Place(_OPTIONS.get(name, "file"), tuple(arguments), context, command)
                value = given
            if name == "--context":
                context = value
        elif command is None:
            command = word
        else:
            arguments.append(word)
    if command is None:
        return _Place("command", (), context)
    return _Place(_argument(command, len(arguments)), tuple(arguments), context, command)


def _takes_value(command: str | None, name: str) -> bool:
    # A command is loaded, which takes longer than all else here, only for an option that nobody knows.
    if name in _OPTIONS:
        return True
    option = options_of(command).get(name)
    return option is not None and not option.is_flag


def options_of(command: str | None) -> dict[str, click.Option]:
    """The options of a command, or those that stand before one, by their spellings."""
    params: Iterable[click.Parameter] = EVERYWHERE
    if entry := COMMANDS.get(command or ""):
        loaded = entry.load()
        # Click remembers the names of the help option from the first context it is asked in.
        params = loaded.get_params(click.Context(loaded, help_option_names=list(_HELP)))
    return {name: param for param in params if isinstance(param, click.Option) for name in param.opts}


def _argument(command: str, number: int) -> str:
    kinds = _ARGUMENTS.get(command, ())
    if kinds[-1:] == ("…",):
        return kinds[min(number, len(kinds) - 2)]
    return kinds[number] if number < len(kinds) else "file"


def _found(place: _Place, prefix: str) -> list[str]:
    if prefix.startswith("-"):
        options = [name for name, option in options_of(place.command).items() if not option.hidden]
        return sorted(name for name in {*options, *_HELP} if name.startswith(prefix))
    if place.kind == "command":
        return [name for name in COMMANDS if name.startswith(prefix)]
    if place.kind == "shell":
        return [name for name in SHELLS if name.startswith(prefix)]
    try:
        found = _of_home(place, prefix)
    except (OSError, ValueError, sqlite3.Error, DisdatError):  # who runs a command is told what is wrong
        return []
    return [word for word in found if word.isprintable() and word]


def _of_home(place: _Place, prefix: str) -> list[str]:
    settings = config.load()
    if place.kind == "context":
        return [name for name in _contexts(settings.home) if name.startswith(prefix)]
    if place.kind in {"file", "nothing"}:
        return []
    context = place.context or settings.context or (settings.home / "current").read_text("utf-8").rstrip("\n")
    with words(settings.home / "context" / context.rpartition("/")[2]) as known:
        match place.kind:
            case "name":
                return known.names(prefix)
            case "tag":
                return [tag for tag in known.tags(prefix) if not _is_systems(tag)]
            case "uuid":
                return known.uuids(prefix)
            case "key":
                return _keys(known, place.arguments, prefix)
            case _:
                return _references(known, prefix)


def _references(known: Words, prefix: str) -> list[str]:
    found = known.names(prefix)
    name, at, version = prefix.rpartition("@")
    if at:
        found += [f"{name}@{version}" for version in _short(known.versions(name, version))]
    if not found and _HEX.fullmatch(prefix):
        found = known.uuids(prefix)
    return found


def _short(uuids: Sequence[str]) -> list[str]:
    """First digits of uuids, where these are enough to tell them apart."""
    short = [uuid[:_SHORT] for uuid in uuids]
    return short if len(set(short)) == len(short) else list(uuids)


def _keys(known: Words, arguments: Sequence[str], prefix: str) -> list[str]:
    """The keys of the tags of the bundle that the first argument names."""
    tags = json.loads(known.tags_of(arguments[0]) or "{}")
    return [key for key in tags if key.startswith(prefix) and not _is_systems(key)]


def _is_systems(tag: str) -> bool:
    return is_reserved(tag.partition(":")[0])


def _contexts(home: Path) -> list[str]:
    visible = [path for path in (home / "context").iterdir() if not path.name.startswith(".")]
    return sorted(path.name for path in visible if (path / "context.json").exists())
