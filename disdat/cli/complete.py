"""Which words may stand where the cursor is: commands, options, and what the home has of names, tags and contexts."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from disdat import config
from disdat.catalog.completing import Words, words
from disdat.cli import grammar, render
from disdat.cli.bashline import Line
from disdat.cli.commands import COMMANDS
from disdat.core.reserved import is_reserved
from disdat.errors import DisdatError, StorageError

SHELLS = ("bash", "zsh", "fish")

_HEX = re.compile(r"[0-9a-f]{4}[0-9a-f-]*")
_SHORT = 8
_FILE = "file://"
_PLAIN = re.compile(r"[\w.-]+", re.ASCII)


class _Place(NamedTuple):
    """Where the cursor is: what stands there, after which words, in which context."""

    kind: str
    arguments: tuple[str, ...] = ()
    context: str | None = None
    command: str | None = None


def tell(shell: str, prefix: str, words: Sequence[str]) -> int:
    """Print what :func:`answer` gives, a line each, and return the exit code; nothing is said of what is wrong."""
    render.prepare_streams()
    try:
        render.out(answer(shell, prefix, words))
        render.flush()
    except (BrokenPipeError, StorageError):  # who types on is not disturbed
        render.drop_output()
        return 1
    return 0


def answer(shell: str, prefix: str, words: Sequence[str]) -> list[str]:
    """
    What a shell's script is told: what may stand for *prefix* after *words*.

    Bash's gives its whole line as the only one of *words*, and readline's last word of it as *prefix*.
    """
    if shell != "bash":
        return candidates(words, prefix)
    line = Line("".join(words[:1]))
    return line.insertions(candidates(line.words[1:-1], line.words[-1]), last=prefix)


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
            kind = grammar.of(command).options.get(name)
            if not equals and kind is not None:
                given = next(rest, None)
                if given is None:
                    return _Place(kind, tuple(arguments), context, command)
                value = given
            if name == "--context":
                context = value
        elif command is None:
            command = word
        else:
            arguments.append(word)
    if command is None:
        return _Place("command", (), context)
    return _Place(grammar.of(command).argument(len(arguments)), tuple(arguments), context, command)


def _found(place: _Place, prefix: str) -> list[str]:
    if prefix.startswith("-"):
        return sorted(name for name in grammar.of(place.command).options if name.startswith(prefix))
    if place.kind == "command":
        return [name for name in COMMANDS if name.startswith(prefix)]
    if place.kind == "shell":
        return [name for name in SHELLS if name.startswith(prefix)]
    try:
        found = _of_home(place, prefix)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        sqlite3.Error,
        DisdatError,
    ):  # who runs a command is told what is wrong
        return []
    return [word for word in found if word.isprintable() and word]


def _of_home(place: _Place, prefix: str) -> list[str]:
    settings = config.load()
    if place.kind == "context":
        return [name for name in _contexts(settings.home) if name.startswith(prefix)]
    if place.kind == "remote":
        names = {*(binding["name"] for binding in _bindings(settings.home)), *_contexts(settings.home)}
        return sorted(name for name in names if name.startswith(prefix))
    if place.kind == "url":
        urls = {binding["url"] for binding in _bindings(settings.home)}
        return sorted({*(url for url in urls if url.startswith(prefix)), *_directories(prefix)})
    if place.kind in {grammar.FILE, "nothing"}:
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


def _bindings(home: Path) -> list[Mapping[str, str]]:
    """The remotes that contexts of the home are bound to, or were, while bundles have bytes only there."""
    found: list[Mapping[str, str]] = []
    for name in _contexts(home):
        directory = home / "context" / name
        now = json.loads((directory / "context.json").read_bytes())["remote"]
        with suppress(FileNotFoundError):
            found += [each["remote"] for each in json.loads((directory / "unbound.json").read_bytes())["remotes"]]
        found += [now] if now else []
    return found


def _directories(prefix: str) -> list[str]:
    """The URLs of directories that begin so; of a path that needs no escapes in a URL."""
    scheme, path = prefix[: len(_FILE)], prefix[len(_FILE) :]
    if scheme != _FILE or not path.startswith("/") or "%" in path:
        return []
    above, _, begun = path.rpartition("/")
    below = [each for each in Path(above or "/").iterdir() if each.name.startswith(begun) and each.is_dir()]
    shown = [each for each in below if _PLAIN.fullmatch(each.name) and (begun or not each.name.startswith("."))]
    return [f"{_FILE}{above}/{each.name}" for each in shown]


def _is_systems(tag: str) -> bool:
    return is_reserved(tag.partition(":")[0])


def _contexts(home: Path) -> list[str]:
    visible = [path for path in (home / "context").iterdir() if not path.name.startswith(".")]
    return sorted(path.name for path in visible if (path / "context.json").exists())
