"""Why a task ran, or did not."""

from __future__ import annotations

from collections.abc import Sequence

import click

from disdat.cli import asking, given, opening, options, render, trees
from disdat.cli.choices import Choices, Verb
from disdat.pipeline import asking as decisions
from disdat.pipeline import params
from disdat.pipeline.asking import Answer
from disdat.pipeline.loading import load_class
from disdat.pipeline.task import build


@click.command(cls=Verb, context_settings=given.OPTIONS_FIRST)
@given.params_json()
@options.json("Print the answer as JSON.")
@click.argument("what", metavar="REF|MODULE.CLASS", callback=options.text)
@given.words
@click.pass_obj
def why(choices: Choices, what: str, words: Sequence[str], *, params_json: str | None, as_json: bool) -> None:
    """
    Show why a task ran, or why its result was used again.

    Of a bundle, why it was made, and why it was used again since; of a task, what was last decided about it: of the
    one with these parameters, or without any of the class's last one.
    """
    found = _answer(choices, what, words, params_json)
    render.out(render.as_json(found.to_json()) if as_json else asking.lines(found, strokes=trees.strokes()))


def _answer(choices: Choices, what: str, words: Sequence[str], params_json: str | None) -> Answer:
    context = opening.context(choices)
    row = None if words or params_json is not None else decisions.bundle_named(context, what)
    if row is not None:
        return decisions.of_bundle(context, row)
    transform = load_class(what)
    parameters = given.given(what, transform, words, params_json)
    meant = params.describe(build(transform, parameters)) if parameters else None
    return decisions.of_task(context, decisions.family(transform), meant)
