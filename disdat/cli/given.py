"""The parameters of a task as they stand on a command line: after the class, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from disdat.cli import options, render
from disdat.durable import storage_errors
from disdat.errors import InvalidInput
from disdat.pipeline import params
from disdat.pipeline.task import PipeTask

OPTIONS_FIRST = {"allow_interspersed_args": False}
"""The settings of a command that takes a task: what follows that are the task's parameters."""

words = click.argument("words", metavar="[--PARAM VALUE]...", nargs=-1, type=click.UNPROCESSED)
"""Takes them."""

_JSON_HINT = "give a JSON object of parameters, or a file that holds one"


def params_json() -> Callable[[options.F], options.F]:
    """The option ``--params-json FILE|JSON``."""
    return click.option(
        "--params-json",
        callback=options.not_empty,
        metavar="FILE|JSON",
        help="Take the task's parameters from a JSON object, or from a file that holds one.",
    )


def given(task: str, transform: type[PipeTask], words: Sequence[str], as_json: str | None) -> dict[str, object]:
    """The task's parameters; who wrote an option of dsdt among them is told where it stands."""
    found = params.from_json(transform, _read(as_json)) if as_json is not None else {}
    words = words[1:] if words[:1] == ("--",) else words
    try:
        parsed = params.parse(transform, words)
    except InvalidInput as exc:
        ctx = click.get_current_context()
        options_of_dsdt = {flag for param in ctx.command.get_params(ctx) for flag in param.opts}
        misplaced = next((word for word in words if word.partition("=")[0] in options_of_dsdt), None)
        if misplaced is None:
            raise
        hint = f"options of dsdt stand before the class: `{ctx.command_path} {misplaced} … {task}`"
        raise InvalidInput(exc.message, hint=hint) from exc
    if twice := sorted(found.keys() & parsed.keys()):
        raise InvalidInput(f"parameter {twice[0]} is given twice", hint="as JSON or after the class")
    return found | parsed


def asks_for_help(transform: type[PipeTask], words: Sequence[str]) -> bool:
    """Whether the words after the class ask what may stand there; not where that is a parameter's name."""
    names = {name for name, _ in transform.get_params()}
    return ("--help" in words and "help" not in names) or list(words) == ["-h"]


def help_lines(task: str, transform: type[PipeTask]) -> Iterator[str]:
    """What may follow the class."""
    found = params.explain(transform)
    yield f"Parameters of {task}:" if found else f"{task} has no parameters."
    for line in render.table([_parameter(each) for each in found]):
        yield f"  {line}"
    command = click.get_current_context().command_path
    yield f"Options of dsdt stand before the class; `{command} --help` lists them."


def _parameter(found: params.Described) -> list[str]:
    default = "must be given" if found.default is None else f"default: {found.default or repr('')}"
    return [f"--{found.name}", found.kind, render.one_line(default), render.one_line(found.description)]


def _read(text: str) -> Mapping[str, object]:
    """A JSON object, written out or in a file."""
    source = "the parameters"
    if not text.lstrip().startswith("{"):
        source = text
        with storage_errors(f"read {text}"):
            try:
                text = Path(text).read_text("utf-8")
            except UnicodeDecodeError as exc:
                raise InvalidInput(f"{source} is not UTF-8", hint=_JSON_HINT) from exc
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except ValueError as exc:
        raise InvalidInput(f"cannot read {source} as JSON: {exc}", hint=_JSON_HINT) from exc
    if not isinstance(found, dict):
        raise InvalidInput(f"{source} is JSON, but no object", hint=_JSON_HINT)
    return found


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return found
