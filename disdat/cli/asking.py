"""Why a task ran, or did not, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from typing import cast

from disdat.cli import render
from disdat.core.branches import Strokes, branches
from disdat.core.bundle import Run
from disdat.core.canonical import Json
from disdat.core.printable import brief
from disdat.ops import when
from disdat.pipeline.asking import Answer, Decided, Read
from disdat.pipeline.reasons import short

_SHORT = 8
_SHOWN = 20
_BECAME = {"made": "ran", "reused": "did not run", "not run": "did not run", "interrupted": "was interrupted"}


def lines(found: Answer, *, strokes: Strokes) -> Iterator[str]:
    """What ``dsdt why`` prints."""
    yield from _decision(found.last, found, strokes)
    yield from (f"  {line}" for line in render.fields(_components(found)))
    if found.made is not None:
        yield ""
        yield from _decision(found.made, found, strokes)


def _decision(each: Decided, found: Answer, strokes: Strokes) -> Iterator[str]:
    took = f", {each.seconds:.1f} s" if each.decision == "made" else ""
    yield render.one_line(f"{_became(each)} on {when.local(each.time_us):%Y-%m-%d %H:%M:%S}{took}")
    for reason in _reasons(each):
        yield f"  because  {reason}"
    # A root that stands for what was said already, so that what it read are branches of their own.
    for twig in branches(each, _below, strokes=strokes):
        if twig.each is not each:
            told = "; ".join(_reasons(twig.each))
            yield f"  {twig.line(f'{render.one_line(_became(twig.each))}: {told}')}"
    for uuid in dict.fromkeys(str(reason["against"]) for reason in each.reasons if "against" in reason):
        yield f"  since    {render.one_line(found.compared.get(uuid, 'what is not here any more'))} {uuid[:_SHORT]}"
    if each.run is not None:
        yield f"  by       {render.one_line(_command(each.run))}"


def _became(each: Decided) -> str:
    return f"{brief(each.task)} {_BECAME.get(each.decision, each.decision)}"


def _command(run: Run) -> str:
    """Who gave which command; of the program its name only."""
    program, *arguments = run.argv or ("",)
    return f"{run.user}@{run.host}: {' '.join([PurePath(program).name, *arguments])}"


def _below(each: Decided) -> Sequence[tuple[str, Decided]]:
    return [("", one) for one in each.because]


def _reasons(each: Decided) -> list[str]:
    told = [str(reason["text"]) for reason in each.reasons] or each.why.split("; ")
    return [render.one_line(text) for text in told]


def _components(found: Answer) -> list[tuple[str, str]]:
    """What the result is known by."""
    if not found.components:
        return []
    bundle = (found.last.bundle or "")[:_SHORT]
    params = cast("Mapping[str, Json]", found.components["params"])
    contents = cast("Mapping[str, Json]", found.components["inputs"])
    return [
        ("result", bundle),
        ("class", str(found.components["class"])),
        ("params", render.one_line(" ".join(f"{name}={short(str(text))}" for name, text in params.items()))),
        ("code", _code(cast("Mapping[str, Json]", found.components["code"]))),
        *islice((_input(argument, each, contents.get(argument)) for argument, each in found.inputs.items()), _SHOWN),
        ("and", f"{len(found.inputs) - _SHOWN:,} more" if len(found.inputs) > _SHOWN else ""),
    ]


def _input(argument: str, read: Read, content: Json) -> tuple[str, str]:
    if read.yielded is not None:  # it is no part of what its result is known by
        return "yielded", render.one_line(f"{read.yielded} {read.uuid[:_SHORT]}")
    known = "" if content is None else f", content {short(str(content))}"
    return f"input {render.one_line(argument)}", render.one_line(f"{read.name} {read.uuid[:_SHORT]}{known}")


def _code(code: Mapping[str, Json]) -> str:
    definitions = cast("Mapping[str, str]", code.get("definitions", {}))
    files = {name.rpartition(":")[0] for name in definitions}
    counted = f"{render.count(len(definitions), 'definition')} in {render.count(len(files), 'file')}" if files else ""
    exact = short(str(code.get("digest") or code.get("version") or code.get("commit") or ""))
    return ", ".join(filter(None, (str(code["policy"]), counted, exact)))
