"""Why a task ran, or did not, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from disdat.cli import listing, render
from disdat.core.branches import Strokes, branches
from disdat.core.canonical import Json
from disdat.pipeline.asking import Answer, Decided
from disdat.pipeline.reasons import short

_SHORT = 8
_BECAME = {"made": "ran", "reused": "did not run", "not run": "did not run", "interrupted": "was interrupted"}


def lines(found: Answer, *, strokes: Strokes) -> Iterator[str]:
    """What ``dsdt why`` prints."""
    yield from _decision(found.last, strokes)
    yield from (f"  {line}" for line in render.fields(_components(found)))
    if found.made is not None:
        yield ""
        yield from _decision(found.made, strokes)


def _decision(each: Decided, strokes: Strokes) -> Iterator[str]:
    what = _BECAME.get(each.decision, each.decision)
    run = each.run
    who = f" ({run.user}@{run.host}: {' '.join(run.argv)})" if run is not None else ""
    took = f", {each.seconds:.1f} s" if each.decision == "made" else ""
    yield render.one_line(f"{each.task} {what} on {listing.local_time(each.time_us).strip()}{took}{who}")
    for reason in _reasons(each):
        yield f"  because  {reason}"
    # A root that stands for what was said already, so that what it read are branches of their own.
    for twig in branches(each, _below, strokes=strokes):
        if twig.each is not each:
            told = "; ".join(_reasons(twig.each))
            yield f"  {twig.line(f'{render.one_line(twig.each.task)} ran: {told}')}"


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
        *(
            (f"input {argument}", render.one_line(_input(name, uuid, contents.get(argument))))
            for argument, (name, uuid) in found.inputs.items()
        ),
    ]


def _input(name: str, uuid: str, content: Json) -> str:
    # What a task yielded is no part of what its result is known by.
    return f"{name} {uuid[:_SHORT]}, {'yielded' if content is None else f'content {short(str(content))}'}"


def _code(code: Mapping[str, Json]) -> str:
    definitions = cast("Mapping[str, str]", code.get("definitions", {}))
    files = {name.rpartition(":")[0] for name in definitions}
    counted = f"{render.count(len(definitions), 'definition')} in {render.count(len(files), 'file')}" if files else ""
    exact = short(str(code.get("digest") or code.get("version") or code.get("commit") or ""))
    return ", ".join(filter(None, (str(code["policy"]), counted, exact)))
