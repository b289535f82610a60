"""Running pipelines, and asking what that would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import reduce
from typing import NamedTuple, TypedDict, Unpack

import click

from disdat import ops
from disdat.cli import given, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.interrupting import interruptible
from disdat.cli.telling import Teller
from disdat.config import Rerun
from disdat.context import Context
from disdat.errors import ApplyError
from disdat.pipeline import run
from disdat.pipeline.loading import load_class
from disdat.pipeline.task import PipeTask

_GRACE_S = 10.0
"""So long tasks that run, and the processes they run in, may take to end after Ctrl-C."""

_DECIDING = (
    click.option(
        "-o",
        "--output-bundle",
        callback=options.text,
        default="-",
        metavar="NAME",
        help="Name the last task's output so.",
    ),
    click.option("-f", "--force", is_flag=True, help="Run the last task even if its output is up to date."),
    click.option("--force-all", is_flag=True, help="Run every task."),
    click.option(
        "--rerun",
        type=click.Choice(["content", "version"]),
        help="Run a task again when an input's content differs, or (version) when there is a newer input.",
    ),
    click.option("--recompute", is_flag=True, help="Make anew what is on a remote only that does not answer."),
    given.params_json(),
)
_task = click.argument("task", metavar="MODULE.CLASS", callback=options.text)


class Deciding(TypedDict):
    """The options that change what is decided: those of a plan are those of an apply."""

    output_bundle: str
    force: bool
    force_all: bool
    rerun: Rerun | None
    recompute: bool


def _deciding(command: options.F) -> options.F:
    """Give a command what :class:`Deciding` holds, and ``--params-json``."""
    return reduce(lambda made, option: option(made), reversed(_DECIDING), command)


@click.command(cls=Verb, context_settings=given.OPTIONS_FIRST)
@_deciding
@click.option("-w", "--workers", type=options.AtLeast(1), metavar="N", help="Run so many tasks at the same time.")
@click.option("--executor", callback=options.text, metavar="NAME", help="Where tasks run: inline, pool or dask.")
@click.option(
    "--scheduler", callback=options.text, metavar="URL", help="Run them on the workers of this Dask scheduler."
)
@click.option("-cs", "--central-scheduler", is_flag=True, help="Let a running luigid schedule the tasks.")
@click.option(
    "-it",
    "--input-tag",
    "input_tags",
    multiple=True,
    metavar="KEY:VALUE",
    callback=options.key_values,
    help="Without effect, as ever; for scripts that have it.",
)
@click.option(
    "-ot",
    "--output-tag",
    "output_tags",
    multiple=True,
    metavar="KEY:VALUE",
    callback=options.key_values,
    help="Give the last task's output this tag; repeatable.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="End a task that takes longer; it fails.")
@click.option("--incremental-push", is_flag=True, help="Commit and push each result as soon as it is made.")
@click.option("--incremental-pull", is_flag=True, help="Localize the inputs of each task before it reads them.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would run, and run nothing: the same as dsdt plan.")
@options.json("Print what became of each task as JSON.")
@_task
@given.words
@click.pass_obj
def apply(
    choices: Choices,
    task: str,
    words: Sequence[str],
    *,
    params_json: str | None,
    workers: int | None,
    executor: str | None,
    scheduler: str | None,
    central_scheduler: bool,
    input_tags: Mapping[str, str],
    output_tags: Mapping[str, str],
    timeout: float | None,
    incremental_push: bool,
    incremental_pull: bool,
    only_plan: bool,
    as_json: bool,
    **deciding: Unpack[Deciding],
) -> None:
    """
    Run a pipeline up to a task; what is up to date is not run again.

    What the task needs is run first; what is up to date is used again. The module is looked for in the current
    directory first. All that follows MODULE.CLASS are the task's parameters; options stand before it.
    """
    if only_plan:
        _plan(choices, task, words, params_json, deciding, every=False, as_json=as_json)
        return
    asked = _asked(choices, task, words, params_json)
    if asked is None:
        return
    settings, context = opening.settings(choices), opening.context(choices)
    with _told(choices, context, as_json=as_json) as teller:
        run.apply(
            context,
            asked.transform,
            asked.params,
            output_tags=output_tags,
            central_scheduler=central_scheduler,
            workers=workers or settings.workers,
            verbose=choices.verbose,
            executor=executor,
            scheduler=scheduler,
            timeout=timeout,
            incremental_push=incremental_push,
            incremental_pull=incremental_pull,
            tell=teller.concluded,
            events=teller,
            **deciding,
        )
    if incremental_push and not as_json:
        render.say(choices, _pushed(context, {each.bundle for _, each in teller.outcomes if each.bundle}))


@click.command(cls=Verb, context_settings=given.OPTIONS_FIRST)
@_deciding
@click.option("--all", "every", is_flag=True, help="Show every task, however many there are.")
@options.json("Print the plan as JSON.")
@_task
@given.words
@click.pass_obj
def plan(
    choices: Choices,
    task: str,
    words: Sequence[str],
    *,
    params_json: str | None,
    every: bool,
    as_json: bool,
    **deciding: Unpack[Deciding],
) -> None:
    """
    Show what an apply would do, and why; nothing runs.

    Each task is shown below the one that needs it: whether it would run, be reused, or cannot be known yet, as what it
    reads runs and may come out as before; how long it took when it last ran, and what is to be fetched for it. What a
    task that runs yielded last time is shown as what that would be now; it may yield others.
    """
    _plan(choices, task, words, params_json, deciding, every=every, as_json=as_json)


class _Asked(NamedTuple):
    """A task that is asked for."""

    transform: type[PipeTask]
    params: dict[str, object]


def _asked(choices: Choices, task: str, words: Sequence[str], params_json: str | None) -> _Asked | None:
    """What is asked for; None where that is what the task may be told, which is printed."""
    opening.settings(choices)  # the module may open remotes when it is imported
    transform = load_class(task)
    if given.asks_for_help(transform, words):
        render.out(given.help_lines(task, transform))
        return None
    return _Asked(transform, given.given(task, transform, words, params_json))


@contextmanager
def _told(choices: Choices, context: Context, *, as_json: bool) -> Iterator[Teller]:
    """Tell of a run while it goes on, and when it has ended, however it did."""
    teller = Teller(
        lines=not (as_json or choices.quiet),
        person=opening.wants_progress(choices),
        saved_s=lambda uuids: ops.lineage.seconds(context, uuids),
        columns=opening.width(),
    )
    try:
        with teller, interruptible(teller.kept, stop=teller.stop, grace_s=_GRACE_S):
            yield teller
    finally:
        if as_json:
            render.out(render.as_json([outcome.to_json(name) for name, outcome in teller.outcomes]))
        elif teller.outcomes and not choices.quiet:
            render.say(choices, teller.summary())


def _plan(
    choices: Choices,
    task: str,
    words: Sequence[str],
    params_json: str | None,
    deciding: Deciding,
    *,
    every: bool,
    as_json: bool,
) -> None:
    from disdat.cli import planning, trees  # what runs tasks does not show plans, and begins sooner
    from disdat.pipeline.preview import preview  # likewise

    asked = _asked(choices, task, words, params_json)
    if asked is None:
        return
    found = preview(opening.context(choices), asked.transform, asked.params, **deciding)
    if as_json:
        render.out(render.as_json(found.to_json()))
    else:
        render.out(planning.lines(found, strokes=trees.strokes(), every=every, width=opening.width()))
    if found.missing:
        hint = "an external input is never made here: make or add it first"
        raise ApplyError(found.missing, {"success": False, "did_work": False}, hint=hint)


def _pushed(context: Context, uuids: Set[str]) -> str:
    """How many bundles of the run others can have now."""
    count = len(uuids - ops.holding.unpublished(context, sorted(uuids)))
    of = f"{count:,} of {render.count(len(uuids), 'bundle')}" if count < len(uuids) else render.count(count, "bundle")
    assert context.binding is not None
    return f"{of} of this run pushed to {context.binding.name}@{context.binding.url}"
