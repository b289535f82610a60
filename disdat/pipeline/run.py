"""Running a pipeline: plan, run what is open, record what was decided."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from disdat.catalog.queries import Filter
from disdat.context import Context
from disdat.core.canonical import Json
from disdat.core.printable import brief
from disdat.errors import ApplyError, InvalidInput
from disdat.ops import given, runs, watching
from disdat.pipeline import noise, observed, plan
from disdat.pipeline import params as parameters
from disdat.pipeline.events import Events, Quiet
from disdat.pipeline.garbage import rarely_collected
from disdat.pipeline.graph import Asked, Node, Plan, missing_inputs
from disdat.pipeline.ledger import Ledger
from disdat.pipeline.loading import load_class
from disdat.pipeline.outcome import Outcome
from disdat.pipeline.reuse import Rerun
from disdat.pipeline.session import Session, of_run
from disdat.pipeline.sharing import Sharing, publish
from disdat.pipeline.task import PipeTask, build

if TYPE_CHECKING:  # see `way` below
    from disdat.pipeline.driver import Terms

Way = Callable[[], "Terms"]
Tell = Callable[[str, Outcome], None]
"""Called with a task, as people write it, and what became of it."""

_SHOWN = 3


def apply(
    context: Context,
    transform: type[PipeTask] | str,
    params: Mapping[str, object] | None = None,
    *,
    output_bundle: str = "-",
    output_tags: Mapping[str, str] | None = None,
    force: bool = False,
    force_all: bool = False,
    output_bundle_uuid: str | None = None,
    central_scheduler: bool = False,
    workers: int = 1,
    rerun: Rerun | None = None,
    code_version: str | None = None,
    recompute: bool = False,
    verbose: bool = False,
    executor: str | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    incremental_push: bool = False,
    incremental_pull: bool = False,
    tell: Tell = lambda _, __: None,
    events: Events | None = None,
) -> dict[str, bool]:
    """
    Run the task *transform* (a class, or ``module.Class``) and all it depends on, reusing what is up to date.

    *rerun* and *code_version* default to the settings. *workers* are processes; inside a task there is one, which
    is this. The *executor* is ``inline``, this process, ``pool``, processes, or ``dask``, a cluster: that of the
    *scheduler* at ``tcp://host:port``, or one of this process; None takes what so many workers need. A task that takes
    longer than *timeout* seconds, or than its own ``worker_timeout``, is ended and fails. With *incremental_push*
    each result is committed and pushed before what reads it begins, but a transient one; with *incremental_pull* the
    bytes of inputs are localized first. With *recompute*, results that are on a remote only that does not answer are
    made anew.

    Returns ``{"success": True, "did_work": whether a task ran}``. What a task raised is logged when it
    happens, to ``disdat.pipeline``; *tell* is told at the end what became of every task, inputs first, and *events*
    what happens meanwhile.

    Raises:
        ApplyError: A task failed, its push too, or an external input is missing; finished results are kept.
        Unavailable: The bytes of earlier results are on the remote only, which does not answer, and not *recompute*.
        NotConfigured: *incremental_push* or *incremental_pull*, and the context has no remote, or what the *executor*
            takes is not installed; nothing was changed. Or the workers of a cluster take a remote, and it has none.
        NotFound: There is no such *executor*.
        InvalidInput: *transform*, *params* or an option cannot be used; nothing was changed.
    """
    root = build(load_class(transform) if isinstance(transform, str) else transform, params or {})
    asked = Asked(plan.name_of(output_bundle), dict(output_tags or {}), force, _uuid(output_bundle_uuid))
    given.check_tags(asked.tags)
    if not isinstance(workers, int) or workers < 1:
        raise InvalidInput(f"workers is a whole number above 0, not {workers!r}")
    if timeout is not None and not timeout > 0:
        raise InvalidInput(f"timeout is a number of seconds above 0, not {timeout!r}", hint="leave it out for none")
    session = of_run(
        context,
        rerun=rerun,
        code_version=code_version,
        force_all=force_all,
        recompute=recompute,
        verbose=verbose,
        sharing=Sharing(push=incremental_push, pull=incremental_pull),
    )
    session.sharing.check(context)

    def way() -> Terms:
        from disdat.pipeline import ways  # much, that an apply does without which finds everything there

        return ways.chosen(executor, workers, scheduler, timeout, is_central=central_scheduler)

    if executor is not None or scheduler is not None:
        way()  # what cannot be is refused before anything is changed
    with watching.watched(None):  # what is looked up here is not what the task looks for that may have called
        return _carry_out(_plan(root, session, asked), session, way, tell, events or Quiet())


def _carry_out(planned: Plan, session: Session, way: Way, tell: Tell, events: Events) -> dict[str, bool]:
    if session.sharing.push:
        there = [node.outcome.bundle for node in planned.nodes if node.outcome and node.outcome.bundle]
        publish(session.context, there)
    try:
        _run(planned, session, way, events)
    finally:
        _record(planned.nodes, session, tell)
    return _result(planned.nodes)


@rarely_collected()
def _plan(root: PipeTask, session: Session, asked: Asked) -> Plan:
    planned = plan.discover(root, session, asked)
    if missing := missing_inputs(planned.nodes):
        raise ApplyError(missing, _nothing_done(), hint="an external input is never made here: make or add it first")
    plan.decide_known(planned, planned.nodes)
    return planned


def _run(planned: Plan, session: Session, way: Way, events: Events) -> None:
    """Run what is open; afterwards every node has its outcome."""
    if all(node.outcome is not None for node in planned.nodes):
        Ledger(planned, events).add(planned.nodes)
        return
    from disdat.pipeline import driver  # as above

    runs.record(session.context, session.run)
    with noise.luigis(verbose=session.verbose):
        driver.run(planned, way(), events)


@rarely_collected()
def _record(nodes: Sequence[Node], session: Session, tell: Tell) -> None:
    decided = [(node, node.outcome) for node in nodes if node.outcome is not None]
    numbers = {node: number for number, (node, _) in enumerate(decided)}
    decisions = [
        {**outcome.to_json(parameters.describe(node.task)), **_inputs(node, numbers)} for node, outcome in decided
    ]
    runs.conclude(session.context, session.run, decisions, reaffirmed=_to_reaffirm(decided, session))
    for node, outcome in decided:
        tell(parameters.describe(node.task), outcome)


def _inputs(node: Node, numbers: Mapping[Node, int]) -> dict[str, Json]:
    """What a task read, by argument: of what the run decided the number, of an external one the uuid."""
    made = node.upstream
    for each in node.yielded.values():
        made[observed.argument_of(each.task, made)] = each
    found: dict[str, Json] = {argument: numbers[each] for argument, each in made.items() if each in numbers}
    found |= {argument: each.bundle.uuid for argument, each in node.external.items() if each.bundle}
    return {"inputs": found} if found else {}


def _to_reaffirm(decided: Sequence[tuple[Node, Outcome]], session: Session) -> list[str]:
    """
    The bundles that were used again and of whose name another one is the latest.

    Of several of one name in a run the last counts, so that the next run like this one changes nothing.
    """
    used_again = {node.work.name for node, outcome in decided if outcome.decision == "reused"}
    by_name: dict[str, list[str]] = {name: [] for name in used_again}
    for node, outcome in decided:
        if outcome.bundle is not None and node.work.name in used_again:
            by_name[node.work.name].append(outcome.bundle)
    if not by_name:
        return []
    latest = session.context.catalog.search_each([Filter(name=name, limit=1) for name in by_name])
    found = zip(by_name.values(), latest, strict=True)
    return [uuids[-1] for uuids, rows in found if rows and rows[0].uuid not in uuids]


def _result(nodes: Sequence[Node]) -> dict[str, bool]:
    outcomes = [(node, node.outcome) for node in nodes if node.outcome is not None]
    faults = [(node, outcome) for node, outcome in outcomes if outcome.bundle is None]
    result = {"success": not faults, "did_work": any(outcome.decision == "made" for _, outcome in outcomes)}
    if faults:
        # What only waited for others is told by these.
        causes = [(node, each) for node, each in faults if each.decision == "failed" or node.task.disabled]
        told = "; ".join(f"{brief(parameters.describe(node.task))}: {each.why}" for node, each in causes[:_SHOWN])
        more = "; ..." if len(causes) > _SHOWN else ""
        hints = [outcome.hint for _, outcome in causes if outcome.hint]
        hint = hints[0] if hints else "finished results are kept: correct the task and apply again"
        raise ApplyError(f"{_count(faults, len(nodes))}: {told}{more}", result, hint=hint)
    return result


def _count(faults: Sequence[tuple[Node, Outcome]], total: int) -> str:
    """How many tasks failed, and how many did not run since they need those."""
    failed = sum(outcome.decision == "failed" for _, outcome in faults)
    rest = len(faults) - failed
    if not failed:
        return f"{rest} of {total} tasks did not run"
    needs = f"{'it needs' if rest == 1 else 'they need'} {'it' if failed == 1 else 'them'}"
    why = "" if any(node.task.disabled for node, _ in faults) else f" since {needs}"
    return f"{failed} of {total} tasks failed" + (f", {rest} not run{why}" if rest else "")


def _nothing_done() -> dict[str, bool]:
    return {"success": False, "did_work": False}


def _uuid(wanted: str | None) -> str | None:
    try:
        return None if wanted is None else str(uuids.UUID(wanted))
    except ValueError as exc:
        raise InvalidInput(f"not a uuid: {wanted!r}", hint="leave it out to get a new one") from exc
