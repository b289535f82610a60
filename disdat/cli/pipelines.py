"""For who runs pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

import click

from disdat import config, ops
from disdat.cli import opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.config import Rerun
from disdat.context import Context
from disdat.errors import InvalidInput
from disdat.pipeline import params, run
from disdat.pipeline.loading import load_class
from disdat.pipeline.outcome import Outcome
from disdat.pipeline.task import PipeTask

_SHORT = 8


@click.command(cls=Verb, context_settings={"allow_interspersed_args": False})
@click.option(
    "-o", "--output-bundle", callback=options.text, default="-", metavar="NAME", help="Name the last task's output so."
)
@click.option("-f", "--force", is_flag=True, help="Run the last task even if its output is up to date.")
@click.option("--force-all", is_flag=True, help="Run every task.")
@click.option("-w", "--workers", type=options.AtLeast(1), metavar="N", help="Run so many tasks at the same time.")
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
@click.option(
    "--rerun",
    type=click.Choice(["content", "version"]),
    help="Run a task again when an input's content differs, or (version) when there is a newer input.",
)
@click.option("--incremental-push", is_flag=True, help="Commit and push each result as soon as it is made.")
@click.option("--incremental-pull", is_flag=True, help="Localize the inputs of each task before it reads them.")
@click.option("--recompute", is_flag=True, help="Make anew what is on a remote only that does not answer.")
@options.json("Print what became of each task as JSON.")
@click.argument("task", metavar="MODULE.CLASS", callback=options.text)
@click.argument("words", metavar="[--PARAM VALUE]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def apply(
    choices: Choices,
    task: str,
    words: Sequence[str],
    *,
    output_bundle: str,
    force: bool,
    force_all: bool,
    workers: int | None,
    central_scheduler: bool,
    input_tags: Mapping[str, str],
    output_tags: Mapping[str, str],
    rerun: Rerun | None,
    incremental_push: bool,
    incremental_pull: bool,
    recompute: bool,
    as_json: bool,
) -> None:
    """
    Run a pipeline up to a task; what is up to date is not run again.

    What the task needs is run first; what is up to date is used again. The module is looked for in the current
    directory first. All that follows MODULE.CLASS are the task's parameters; options stand before it.
    """
    if choices.profile is not None:
        config.set_aws_profile(choices.profile)
    transform = load_class(task)
    if _asks_for_help(words):
        render.out(_help(task, transform))
        return
    settings, context = opening.settings(choices), opening.context(choices)
    given = _given(task, transform, words)
    told: list[tuple[str, Outcome]] = []
    try:
        run.apply(
            context,
            transform,
            given,
            output_bundle=output_bundle,
            output_tags=output_tags,
            force=force,
            force_all=force_all,
            central_scheduler=central_scheduler,
            workers=workers or settings.workers,
            rerun=rerun,
            verbose=choices.verbose,
            incremental_push=incremental_push,
            incremental_pull=incremental_pull,
            recompute=recompute,
            tell=lambda name, outcome: told.append((name, outcome)),
        )
    finally:
        if as_json:
            render.out(render.as_json([outcome.to_json(name) for name, outcome in told]))
        elif not choices.quiet:
            render.out(render.table([_cells(name, outcome) for name, outcome in told]))
    if incremental_push and not as_json:
        render.say(choices, _pushed(context, {outcome.bundle for _, outcome in told if outcome.bundle}))


def _pushed(context: Context, uuids: Set[str]) -> str:
    """How many bundles of the run others can have now."""
    count = len(uuids - ops.holding.unpublished(context, sorted(uuids)))
    of = f"{count:,} of {render.count(len(uuids), 'bundle')}" if count < len(uuids) else render.count(count, "bundle")
    assert context.binding is not None
    return f"{of} of this run pushed to {context.binding.name}@{context.binding.url}"


def _given(task: str, transform: type[PipeTask], words: Sequence[str]) -> dict[str, object]:
    """The task's parameters; who wrote an option of dsdt among them is told where it stands."""
    try:
        return params.parse(transform, words)
    except InvalidInput as exc:
        ctx = click.get_current_context()
        options_of_dsdt = {flag for param in ctx.command.get_params(ctx) for flag in param.opts}
        misplaced = next((word for word in words if word.partition("=")[0] in options_of_dsdt), None)
        if misplaced is None:
            raise
        hint = f"options of dsdt stand before the class: `dsdt apply {misplaced} … {task}`"
        raise InvalidInput(exc.message, hint=hint) from exc


def _asks_for_help(words: Sequence[str]) -> bool:
    return "--help" in words or list(words) == ["-h"]


def _help(task: str, transform: type[PipeTask]) -> Iterator[str]:
    """What may follow the class."""
    found = params.explain(transform)
    yield f"Parameters of {task}:" if found else f"{task} has no parameters."
    for line in render.table([_parameter(each) for each in found]):
        yield f"  {line}"
    yield "Options of dsdt stand before the class; `dsdt apply --help` lists them."


def _parameter(found: params.Described) -> list[str]:
    default = "must be given" if found.default is None else f"default: {found.default or repr('')}"
    return [f"--{found.name}", found.kind, render.one_line(default), render.one_line(found.description)]


def _cells(task: str, outcome: Outcome) -> list[str]:
    took = f"{outcome.seconds:.1f} s" if outcome.decision == "made" else ""
    return [
        outcome.decision,
        render.one_line(task),
        (outcome.bundle or "")[:_SHORT],
        took,
        render.one_line(outcome.why),
    ]
