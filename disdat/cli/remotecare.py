"""For who shares bundles with everybody, or takes them back; and what `gc` and `verify` say of a remote."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set

import click

from disdat import ops
from disdat.cli import findings, listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.interrupting import interruptible
from disdat.cli.options import WrongUsage
from disdat.cli.progress import ByteBar, Phases
from disdat.core.canonical import Json
from disdat.errors import Conflict, Corrupt, DisdatError
from disdat.ops.gc import Policy
from disdat.ops.marks import Amount
from disdat.ops.remotegc import RemoteDone, RemotePlan
from disdat.ops.repairing import Repaired
from disdat.ops.rmr import Removal
from disdat.ops.sharing import Shared
from disdat.ops.verifyremote import RemoteFinding, RemoteReport

_S = 1_000_000


@click.command(cls=Verb)
@options.tags("Only versions with this tag; repeatable.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.json("Print what was removed as JSON.")
@click.argument("refs", metavar="REF...", nargs=-1, required=True, callback=options.text)
@click.pass_obj
def rmr(
    choices: Choices, refs: Sequence[str], *, tags: Mapping[str, str], dry_run: bool, yes: bool, as_json: bool
) -> None:
    """
    Remove bundles for everybody who shares the remote.

    REF is exact: a name (its latest version), NAME@VERSION, or a whole uuid. It asks first, for which it needs a
    terminal. `dsdt undo` and then `dsdt push` bring them back, for everybody, until they are collected.
    """
    context = opening.context(choices)
    ops.fetching.fetch(context)
    removals = ops.rmr.selected(context, refs, tags=tags)
    if not dry_run:
        if not yes and not _confirmed(removals):
            raise DisdatError("nothing was removed")
        ops.rmr.remove(context, removals)
    if as_json:
        render.out(render.as_json({"removed": not dry_run, "bundles": [_removal_json(each) for each in removals]}))
        return
    verb = "Would remove" if dry_run else "Removed for everybody"
    for each in removals:
        render.out([f"{verb}: {_described(each)}"]) if dry_run else render.say(choices, f"{verb}: {_described(each)}")


@click.command(cls=Verb)
@click.option(
    "--expires",
    metavar="TIME",
    default="24h",
    callback=options.duration,
    show_default=True,
    help="So long the URLs are good: days, or like 36h; at most 7 days.",
)
@options.json("Print the URLs as JSON.")
@click.argument("ref", callback=options.text)
@click.pass_obj
def share(choices: Choices, ref: str, *, expires: int, as_json: bool) -> None:
    """
    Print URLs by which anybody can read the files and values of a bundle.

    Who has a URL needs no disdat, no account and no permission. They are of copies, so nothing else is given away;
    until the time is over nothing takes them back.
    """
    context = opening.context(choices)
    bar = ByteBar("Sharing", shown=opening.wants_progress(choices))
    with bar, interruptible(lambda: "what was copied goes when its time is over", stop=bar.stop):
        shared = ops.sharing.share(context, ref, expires_s=expires, progress=bar)
    render.out(render.as_json(_shared_json(shared)) if as_json else _shared_lines(shared))


def collect(choices: Choices, policy: Policy, *, applies: bool, forget: Set[str], as_json: bool) -> None:
    """What `dsdt gc --remote` does."""
    context = opening.context(choices)
    progress = Phases(shown=opening.wants_progress(choices))
    if not applies:
        with progress, interruptible(lambda: "nothing was changed", stop=progress.stop):
            plan = ops.remotegc.plan(context, policy, say=progress)
        render.out(render.as_json(_plan_json(plan)) if as_json else _plan_lines(plan))
        return
    with progress, interruptible(lambda: "`dsdt gc --remote --apply` goes on", stop=progress.stop):
        done = ops.remotegc.collect(context, policy, forget=forget, say=progress)
    render.out(render.as_json(_done_json(done)) if as_json else _done_lines(done))
    if done.overtaken:
        raise Conflict("another collection goes on with what this one began", hint="look again when it is done")


def verify(choices: Choices, ref: str | None, *, sample: float | None, repairs: bool, as_json: bool) -> None:
    """What `dsdt verify --remote` does."""
    context = opening.context(choices)
    progress = ByteBar("verifying", shown=opening.wants_progress(choices))
    good_for = "what was sent again is there" if repairs else "nothing was changed"
    with progress, interruptible(lambda: good_for, stop=progress.stop):
        report = ops.verifyremote.verify(context, reference=ref, sample=sample, progress=progress)
        repaired = ops.repairing.repair(context, report.findings) if repairs else None
    if as_json:
        render.out(
            render.as_json(_report_json(report) | ({} if repaired is None else {"repaired": _repaired(repaired)}))
        )
    else:
        render.out([*_report_lines(report), *([] if repaired is None else _repaired_lines(repaired))])
    harm = len(report.findings if repaired is None else repaired.left)
    if harm:
        raise Corrupt(f"{render.count(harm, 'object')} damaged or missing at {report.url}", hint="each says what to do")


def _confirmed(removals: Sequence[Removal]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUsage("cannot ask whether to remove: this is not a terminal", "--yes removes without asking")
    for each in removals:
        click.echo(_described(each), err=True)
    return click.confirm(f"Remove {render.count(len(removals), 'bundle')} for everybody?", err=True)


def _described(removal: Removal) -> str:
    if removal.row is not None:
        return listing.summary(removal.row)
    return f"{listing.shown_name(removal.name)} {removal.uuid}, which was removed here before"


def _removal_json(removal: Removal) -> Json:
    return {"uuid": removal.uuid, "name": removal.name}


def _shared_lines(shared: Shared) -> Iterator[str]:
    until = listing.local_time(shared.until_us)
    yield f"{listing.summary(shared.row)}, for anybody until {until}:"
    for link in shared.links:
        yield f"{render.one_line(link.name)}  {render.size(link.size_bytes)}"
        yield f"  {link.url}"


def _shared_json(shared: Shared) -> Json:
    return {
        "uuid": shared.row.uuid,
        "name": shared.row.name,
        "until": listing.utc(shared.until_us),
        "links": [{"name": each.name, "size_bytes": each.size_bytes, "url": each.url} for each in shared.links],
    }


def _plan_lines(plan: RemotePlan) -> Iterator[str]:
    of = render.count(len(plan.contexts), "context")
    yield f"Needed by {of} at {plan.url}: {_things(plan.kept)}."
    yield f"Needed by nobody: {_things(plan.garbage)}."
    if plan.young.count:
        grace = options.shown_duration(plan.policy.grace_us // _S)
        yield f"Too young to tell, as a push may be about to publish it: {_things(plan.young)}, written within {grace}."
    yield from _unpublished_lines(plan)
    for each in plan.waiting:
        yield f"Condemned as {each.id}: {render.count(each.keys, 'thing')}, {each.why}."
    if plan.shares:
        yield f"Shared for a time that is over: {render.count(plan.shares, 'file')}."
    if plan.missing:
        missing = render.count(plan.missing, "object")
        yield f"Missing: {missing} that bundles need; `dsdt verify --remote` finds whose."
    if plan.garbage.count or plan.waiting or plan.shares:
        yield "`dsdt gc --remote --apply` condemns it, and deletes what was condemned for the grace."


def _unpublished_lines(plan: RemotePlan) -> Iterator[str]:
    for each in plan.unpublished:
        since = listing.local_time(each.since_us)
        bundles = render.count(each.bundles, "bundle")
        yield f"Kept for the home {each.home}, which did not push {bundles} yet, since {since}: {_things(each.files)}."


def _done_lines(done: RemoteDone) -> Iterator[str]:
    spared = f"; {render.count(done.spared, 'thing')} needed again, and spared" if done.spared else ""
    yield f"Deleted: {render.count(done.deleted, 'thing')}{spared}."
    yield from _unpublished_lines(done.plan)
    if done.released:
        yield f"Given up: the files of {render.count(done.released, 'bundle')} that nobody is going to push."
    grace = options.shown_duration(done.plan.policy.grace_us // _S)
    yield f"Condemned: {render.count(done.condemned, 'thing')}, to be deleted by who collects after {grace}."
    for each in done.plan.waiting:
        yield f"Condemned as {each.id}: {render.count(each.keys, 'thing')}, {each.why}."
    if done.plan.missing:
        missing = render.count(done.plan.missing, "object")
        yield f"Missing: {missing} that bundles need; `dsdt verify --remote` finds whose."


def _plan_json(plan: RemotePlan) -> dict[str, Json]:
    return {
        "url": plan.url,
        "retention_s": plan.policy.retention_us // _S,
        "grace_s": plan.policy.grace_us // _S,
        "contexts": list(plan.contexts),
        "kept": _amount_json(plan.kept),
        "young": _amount_json(plan.young),
        "garbage": _amount_json(plan.garbage),
        "waiting": [{"id": each.id, "count": each.keys, "why": each.why} for each in plan.waiting],
        "shares": plan.shares,
        "missing": plan.missing,
        "unpublished": [
            {
                "home": each.home,
                "bundles": each.bundles,
                "since": listing.utc(each.since_us),
                **_amount_json(each.files),
            }
            for each in plan.unpublished
        ],
    }


def _done_json(done: RemoteDone) -> Json:
    return {
        "plan": _plan_json(done.plan),
        "condemned": done.condemned,
        "deleted": done.deleted,
        "spared": done.spared,
        "overtaken": done.overtaken,
        "released": done.released,
    }


def _report_lines(report: RemoteReport) -> Iterator[str]:
    for finding in report.findings:
        yield from findings.lines(finding.wrong, ("key", finding.key), finding.uses, finding.remedy)
    seen = f"{render.count(report.bundles, 'bundle')}, {render.count(report.objects, 'object')}"
    read = (
        f"{report.objects_read:,} of them read, {render.size(report.size_bytes)}"
        if report.objects_read
        else "none read"
    )
    yield f"Verified {seen}, {read}: {'all is right' if report.is_sound else 'not all is right'}."


def _report_json(report: RemoteReport) -> dict[str, Json]:
    return {
        "context": report.context,
        "url": report.url,
        "sound": report.is_sound,
        "bundles": report.bundles,
        "objects": report.objects,
        "objects_read": report.objects_read,
        "size_bytes": report.size_bytes,
        "findings": [_finding_json(finding) for finding in report.findings],
    }


def _finding_json(finding: RemoteFinding) -> Json:
    return {
        "wrong": finding.wrong,
        "remedy": finding.remedy,
        "key": finding.key,
        "digest": finding.digest,
        "bundles": [{"uuid": use.uuid, "name": use.name, "path": use.path} for use in finding.uses],
    }


def _repaired(repaired: Repaired) -> Json:
    return {"sent": list(repaired.sent), "left": list(repaired.left), "bytes_sent": repaired.bytes_sent}


def _repaired_lines(repaired: Repaired) -> Iterator[str]:
    yield f"Sent again: {render.count(len(repaired.sent), 'object')}, {render.size(repaired.bytes_sent)}."
    if repaired.left:
        yield f"Not here either: {render.count(len(repaired.left), 'object')}."


def _things(amount: Amount) -> str:
    return f"{render.count(amount.count, 'thing')}, {render.size(amount.size_bytes)}"


def _amount_json(amount: Amount) -> dict[str, Json]:
    return {"count": amount.count, "size_bytes": amount.size_bytes}
