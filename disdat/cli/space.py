"""For who wants disk space back: what takes it, what nobody needs, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import click

from disdat import ops
from disdat.cli import listing, opening, options, remotecare, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import Phases
from disdat.core.canonical import Json
from disdat.core.reach import Fate, Owner, Verdict
from disdat.errors import StorageError
from disdat.ops.gc import Done, ObjectPlan, Plan, Policy, Step
from disdat.ops.marks import Amount
from disdat.ops.usage import Report, Usage
from disdat.ops.why import Why
from disdat.store.collect import Left

_SHOWN = 5
_S = 1_000_000


@click.command(cls=Verb)
@click.option("--apply", "applies", is_flag=True, help="Move what nobody needs to the trash.")
@click.option("--purge", "purges", is_flag=True, help="Delete for good what lay in the trash for the grace.")
@click.option(
    "--why",
    "digest",
    metavar="DIGEST",
    callback=options.text,
    help="Say what keeps this object; 8 or more of its digits do.",
)
@click.option(
    "--retention", metavar="TIME", callback=options.duration, help="Keep what was removed so long: days, or like 36h."
)
@click.option(
    "--grace", metavar="TIME", callback=options.duration, help="Leave in the trash so long: days, or like 36h."
)
@click.option("-v", "--list", "each", is_flag=True, help="List every object, and why it is kept or not.")
@click.option("--remote", "of_remote", is_flag=True, help="Of the remote of the current context, not of the home.")
@click.option(
    "--forget",
    metavar="HOME",
    multiple=True,
    callback=options.text,
    help="With --remote --apply: this home does not come back to push what it has files of there; repeatable.",
)
@options.json()
@click.pass_obj
def gc(
    choices: Choices,
    *,
    applies: bool,
    purges: bool,
    digest: str | None,
    retention: int | None,
    grace: int | None,
    each: bool,
    of_remote: bool,
    forget: Sequence[str],
    as_json: bool,
) -> None:
    """
    Find what nobody needs, and get its space back.

    Says what would be done, and does nothing without --apply or --purge. Bundles of every context of the home count,
    those that were removed not longer ago than the retention, and what is being written. Of a remote, those of every
    context there; --apply condemns what nobody needs, and deletes what was condemned for the grace.
    """
    if of_remote:
        if purges or digest is not None or each:
            raise WrongUsage("--remote goes with --apply only", "leave out --purge, --why and --list")
        if forget and not applies:
            raise WrongUsage("--forget goes with --apply", "without it nothing is changed")
        policy = _policy(choices, retention, grace)
        remotecare.collect(choices, policy, applies=applies, forget=frozenset(forget), as_json=as_json)
        return
    if forget:
        raise WrongUsage("--forget goes with --remote", "homes have no say here")
    if digest is not None and (applies or purges or each):
        raise WrongUsage("--why changes nothing and lists nothing else", "give it alone")
    if each and (applies or purges):
        raise WrongUsage("--list is for a plan", "leave out --apply and --purge")
    home = opening.home(choices)
    policy = _policy(choices, retention, grace)
    if digest is not None:
        found = ops.why.why(home, digest, policy)
        render.out(render.as_json(_why_json(found)) if as_json else _why_lines(found))
        return
    steps = frozenset(step for step, wanted in ((Step.APPLY, applies), (Step.PURGE, purges)) if wanted)
    if steps:
        with Phases(shown=opening.wants_progress(choices)) as progress:
            done = ops.gc.collect(home, policy, steps, progress=progress)
        render.out(render.as_json(_done_json(done)) if as_json else _done_lines(done))
        _refuse_left(done.left)
        return
    objects: list[Json] = []
    with Phases(shown=opening.wants_progress(choices)) as progress:
        plan = ops.gc.plan(home, policy, each=_lister(objects, as_json=as_json) if each else None, progress=progress)
    listed = {"objects": objects} if each else {}
    render.out(render.as_json({**_plan_json(plan), **listed}) if as_json else _plan_lines(plan))


@click.command(cls=Verb)
@click.option("--versions", is_flag=True, help="Each version by itself.")
@options.json()
@click.argument("names", metavar="[NAME...]", nargs=-1, callback=options.any_text)
@click.pass_obj
def du(choices: Choices, names: Sequence[str], *, versions: bool, as_json: bool) -> None:
    """
    Show what takes space, and what removing it would free.

    Of every name, or of each NAME, what most is freed by first. UNIQUE is what no other bundle needs, of any context of
    the home. FREES is what is freed of it, once the retention is over and it was collected and purged: of a pack of
    small objects nothing, while half of it is needed.
    """
    context = opening.context(choices)
    policy = _policy(choices, None, None)
    with Phases(shown=opening.wants_progress(choices)) as progress:
        report = ops.usage.usage(context, names, policy, versions=versions, progress=progress)
    render.out(render.as_json(_report_json(report)) if as_json else _report_lines(report, policy, versions=versions))


def _policy(choices: Choices, retention_s: int | None, grace_s: int | None) -> Policy:
    found = opening.settings(choices)
    return Policy.of(
        replace(
            found,
            gc_retention_s=found.gc_retention_s if retention_s is None else retention_s,
            gc_grace_s=found.gc_grace_s if grace_s is None else grace_s,
        )
    )


def _plan_lines(plan: Plan) -> Iterator[str]:
    of = render.count(len(plan.contexts), "context") + (
        f" and {render.count(plan.deleted, 'deleted one')}" if plan.deleted else ""
    )
    retention = _time(plan.policy.retention_us)
    history = f", {render.count(plan.history, 'bundle')} removed within {retention} included" if plan.history else ""
    yield f"Needed by {of}{history}: {_objects(plan.kept)}."
    yield f"Needed by nobody: {_objects(plan.garbage)}."
    for owner, amount in plan.reasons[:_SHOWN]:
        yield f"  {_objects(amount)}: {_last(owner)}"
    if others := plan.other_reasons + max(0, len(plan.reasons) - _SHOWN):
        yield f"  and more: {render.count(others, 'other bundle')} needed them last"
    if plan.staying.count:
        yield f"  {_objects(plan.staying)} of it stay, in packs of which most is needed"
    yield from _to_do(plan)
    yield from _trash_lines(plan)
    if plan.missing:
        missing = render.count(plan.missing, "object")
        yield f"Missing: {missing} that bundles need, or needed before they were removed; `dsdt verify` finds whose."
    yield from _left_lines(plan.left)
    if not plan.nothing:
        yield "`dsdt gc --apply` moves it to the trash, where it still can be had."


def _to_do(plan: Plan) -> Iterator[str]:
    parts = [
        _objects(plan.files) if plan.files.count else "",
        f"{render.count(plan.packs.count, 'pack')} ({render.size(plan.packs.size_bytes)})" if plan.packs.count else "",
        f"{render.count(plan.rewritten.count, 'pack')} written anew without {render.size(plan.rewritten.size_bytes)}"
        if plan.rewritten.count
        else "",
        f"{render.count(plan.staged.count, 'unfinished file')} ({render.size(plan.staged.size_bytes)})"
        if plan.staged.count
        else "",
        f"{_directories(len(plan.orphans))} of bundles that are not there" if plan.orphans else "",
    ]
    done = "; ".join(filter(None, parts))
    yield f"To do: {done}." if done else "To do: nothing."
    if plan.open:
        yield f"Left alone: {render.count(len(plan.open), 'bundle')} being written."


def _trash_lines(plan: Plan) -> Iterator[str]:
    everything = plan.in_trash
    if not everything.count:
        return
    purged, back = plan.trashed(Verdict.PURGED), plan.trashed(Verdict.TAKEN_BACK)
    yield (
        f"Trash: {_things(everything)}; {_things(purged)} lay there for {_time(plan.policy.grace_us)}"
        + (f"; {_things(back)} needed again, and taken back" if back.count else "")
        + "."
    )
    if purged.count:
        yield "`dsdt gc --purge` deletes that for good."


def _done_lines(done: Done) -> Iterator[str]:
    if done.moved:
        yield from _to_do(done.plan) if done.plan.nothing else (f"Moved to the trash: {_moved(done.plan)}.",)
    if done.taken_back:
        yield f"Taken back from the trash, since it is needed: {render.count(done.taken_back, 'thing')}."
    if done.purged is not None:
        yield f"Deleted for good: {_things(done.purged)}."
    yield from _left_lines(done.left)


def _moved(plan: Plan) -> str:
    return next(_to_do(plan)).removeprefix("To do: ").removesuffix(".")


def _left_lines(left: Sequence[Left]) -> Iterator[str]:
    for each in left[:_SHOWN]:
        yield f"Left as it is: {each.kind} {render.one_line(each.name)}: {render.one_line(each.why)}"
    if len(left) > _SHOWN:
        yield f"Left as they are: {len(left) - _SHOWN:,} more"


def _refuse_left(left: Sequence[Left]) -> None:
    """End as what failed does, where not all could be done."""
    if left:
        raise StorageError(
            f"{render.count(len(left), 'thing')} could not be moved or deleted, the first for: {left[0].why}",
            hint="all else was done; mend that, and collect again",
        )


def _lister(objects: list[Json], *, as_json: bool) -> Callable[[ObjectPlan], None]:
    """Takes what becomes of every object: kept for JSON, or printed at once."""

    def show(each: ObjectPlan) -> None:
        if as_json:
            objects.append(_object_json(each))
        else:
            render.out([f"{each.digest}  {render.size(each.size_bytes):>9}  {_becomes(each)}"])

    return show


def _becomes(each: ObjectPlan) -> str:
    if each.needed and each.owner is not None:
        return f"kept: {_need(each.owner)}"
    kept = "kept, as most of its pack is needed" if each.fate is Fate.KEPT else "trashed"
    return f"{kept}: {_last(each.owner)}"


def _need(owner: Owner) -> str:
    if owner.is_run:
        return f"needed by the run {owner.uuid} of {owner.context}"
    removed = f", removed {listing.local_time(owner.gone_us)}" if owner.gone_us is not None else ""
    return f"needed by {listing.shown_name(owner.name)} {owner.uuid} of {owner.context}{removed}"


def _last(owner: Owner | None) -> str:
    if owner is None or owner.gone_us is None:
        return "no bundle ever needed it"
    when = listing.local_time(owner.gone_us)
    return f"last needed by {listing.shown_name(owner.name)} {owner.uuid} of {owner.context}, removed {when}"


def _why_lines(why: Why) -> Iterator[str]:
    size = "" if why.size_bytes is None else f" {render.size(why.size_bytes)}"
    yield f"{why.digest}{size}"
    if why.way is not None:
        yield f"  {_need(why.way.owner)}"
        yield from (f"  node {node}" for node in why.way.nodes)
        if why.way.path:
            yield f"  path {render.one_line(why.way.path)}"
    else:
        yield f"  {_last(why.last)}"
    yield f"  {_planned(why)}"


def _planned(why: Why) -> str:
    if why.fate is Fate.KEPT:
        return "it stays" if why.way else "it stays, as most of its pack is needed"
    if why.fate is not None:
        return "`dsdt gc --apply` moves it to the trash"
    if why.trashed is None:
        return "it is missing: `dsdt verify` says what to do"
    if why.trashed.verdict is Verdict.TAKEN_BACK:
        return "it is in the trash, and taken back"
    return f"it is in the trash; `dsdt gc --purge` deletes it from {listing.local_time(why.trashed.purged_from_us)} on"


def _report_lines(report: Report, policy: Policy, *, versions: bool) -> Iterator[str]:
    if report.entries:
        head = ("NAME", "UUID" if versions else "VERSIONS", "SIZE", "UNIQUE", "FREES")
        yield from render.table([head, *(_usage_cells(each) for each in report.entries)])
    else:
        yield f"No bundles in context {report.context}."
    if len(report.entries) > 1:
        yield f"All of them removed would free {render.size(report.frees_bytes)}."
    if any(each.frees_bytes < each.unique_bytes for each in report.entries):
        yield "What is unique and not freed lies in packs of which most is needed, until less than half is."
    removed = (
        f", those of {report.history:,} removed within {_time(policy.retention_us)} included" if report.history else ""
    )
    yield f"Store: {_objects(report.bundles)} that bundles need{removed}; {_objects(report.garbage)} that nobody needs."
    yield f"Trash: {_things(report.trash)}; {_things(report.purgeable)} may be purged."


def _usage_cells(each: Usage) -> tuple[str, ...]:
    which = f"{each.versions:,}" if each.uuid is None else each.uuid
    return (
        listing.shown_name(each.name),
        which,
        *map(render.size, (each.size_bytes, each.unique_bytes, each.frees_bytes)),
    )


def _objects(amount: Amount) -> str:
    return f"{render.count(amount.count, 'object')}, {render.size(amount.size_bytes)}"


def _things(amount: Amount) -> str:
    return f"{render.count(amount.count, 'thing')}, {render.size(amount.size_bytes)}"


def _directories(count: int) -> str:
    return f"{count:,} director{'y' if count == 1 else 'ies'}"


def _time(us: int) -> str:
    return options.shown_duration(us // _S)


def _plan_json(plan: Plan) -> dict[str, Json]:
    return {
        "retention_s": plan.policy.retention_us // _S,
        "grace_s": plan.policy.grace_us // _S,
        "contexts": list(plan.contexts),
        "deleted_contexts": plan.deleted,
        "removed_bundles": plan.history,
        "kept": _amount_json(plan.kept),
        "garbage": _amount_json(plan.garbage),
        "staying": _amount_json(plan.staying),
        "files": _amount_json(plan.files),
        "packs": _amount_json(plan.packs),
        "rewritten": _amount_json(plan.rewritten),
        "staged": _amount_json(plan.staged),
        "directories": [{"context": each.context, "path": str(each.path)} for each in plan.orphans],
        "open": [
            {"context": each.context, "uuid": each.uuid, "pid": each.pid, "host": each.host} for each in plan.open
        ],
        "reasons": [{"last": _owner_json(owner), **_amount_json(amount)} for owner, amount in plan.reasons],
        "other_reasons": plan.other_reasons,
        "trash": {verdict.value: _amount_json(plan.trashed(verdict)) for verdict in Verdict},
        "missing": plan.missing,
        "left": _left_json(plan.left),
    }


def _done_json(done: Done) -> Json:
    return {
        "plan": _plan_json(done.plan),
        "moved": done.moved,
        "purged": None if done.purged is None else _amount_json(done.purged),
        "taken_back": done.taken_back,
        "left": _left_json(done.left),
    }


def _why_json(why: Why) -> Json:
    way = why.way
    return {
        "digest": why.digest,
        "size_bytes": why.size_bytes,
        "needed": way is not None,
        "by": _owner_json(way.owner if way else why.last),
        "path": way.path if way else "",
        "nodes": list(way.nodes) if way else [],
        "planned": why.fate.value if why.fate else None,
        "trash": why.trashed.verdict.value if why.trashed else None,
    }


def _report_json(report: Report) -> Json:
    return {
        "context": report.context,
        "entries": [
            {
                "name": each.name,
                "uuid": each.uuid,
                "versions": each.versions,
                "size_bytes": each.size_bytes,
                "unique_bytes": each.unique_bytes,
                "frees_bytes": each.frees_bytes,
            }
            for each in report.entries
        ],
        "unique_bytes": report.unique_bytes,
        "frees_bytes": report.frees_bytes,
        "bundles": _amount_json(report.bundles),
        "removed_bundles": report.history,
        "garbage": _amount_json(report.garbage),
        "trash": _amount_json(report.trash),
        "purgeable": _amount_json(report.purgeable),
    }


def _object_json(each: ObjectPlan) -> Json:
    return {
        "digest": each.digest,
        "size_bytes": each.size_bytes,
        "planned": each.fate.value,
        "needed": each.needed,
        "by": _owner_json(each.owner),
    }


def _amount_json(amount: Amount) -> dict[str, Json]:
    return {"count": amount.count, "size_bytes": amount.size_bytes}


def _left_json(left: Sequence[Left]) -> list[Json]:
    return [{each.kind: each.name, "why": each.why} for each in left]


def _owner_json(owner: Owner | None) -> Json:
    if owner is None:
        return None
    gone = None if owner.gone_us is None else listing.utc(owner.gone_us)
    kind = "run" if owner.is_run else "bundle"
    return {"kind": kind, "context": owner.context, "uuid": owner.uuid, "name": owner.name, "removed": gone}
