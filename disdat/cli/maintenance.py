"""For who looks after a home: finding what is damaged, and making a catalog again."""

from __future__ import annotations

from collections.abc import Iterator

import click

from disdat import ops
from disdat.cli import findings, opening, options, remotecare, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import ByteBar
from disdat.core.canonical import Json
from disdat.errors import Corrupt
from disdat.ops.findings import Finding, Use, VerifyReport


def _share(ctx: click.Context, _: click.Parameter, value: str | None) -> float | None:
    """``1%`` or ``0.01`` as a share above 0 and up to 1."""
    if value is None:
        return None
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise WrongUsage(f"{value!r} is not a share", "write 1% or 0.01; more than nothing, and up to 100%", ctx)
    return share


@click.command(cls=Verb)
@click.option("--sample", callback=_share, metavar="SHARE", help="Read only this share, such as 1%, chosen at random.")
@click.option("--remote", "of_remote", is_flag=True, help="Whether the remote has all that was published.")
@click.option("--repair", "repairs", is_flag=True, help="With --remote: send again what is wrong there and is here.")
@options.json()
@click.argument("ref", callback=options.text, required=False)
@click.pass_obj
def verify(
    choices: Choices, ref: str | None, *, sample: float | None, of_remote: bool, repairs: bool, as_json: bool
) -> None:
    """
    Read everything, and find what is damaged.

    Of REF, or of every bundle of the context and its log: every byte is read, whatever is known from before. What is
    damaged, missing or changed is listed with the bundles that need it and what to do, and the exit code is 1. What is
    on the remote only is counted.

    With --remote it is looked whether all that was published is there, and as long as it was; its bytes are read with
    --sample only, such as --sample 100%.
    """
    if of_remote:
        remotecare.verify(choices, ref, sample=sample, repairs=repairs, as_json=as_json)
        return
    if repairs:
        raise WrongUsage("--repair goes with --remote", "what is wrong here says itself what to do")
    context = opening.context(choices)
    with ByteBar("verifying", shown=opening.wants_progress(choices)) as progress:
        report = ops.maintain.verify(context, reference=ref, sample=sample, progress=progress)
    render.out(render.as_json(_report_json(report)) if as_json else _report_lines(report))
    if harm := _harm(report):
        raise Corrupt(
            f"{render.count(harm, 'thing')} damaged in the context {context.name}", hint="each says what to do"
        )


@click.command(cls=Verb)
@options.json("Print how many bundles there are as JSON.")
@click.pass_obj
def reindex(choices: Choices, *, as_json: bool) -> None:
    """
    Make the catalog of a context again from its log.

    Nothing is lost by it: the log is the truth, and the catalog its index. Others may read and write meanwhile.
    """
    context = opening.context(choices)
    bundles = ops.maintain.reindex(context)
    if as_json:
        render.out(render.as_json({"context": context.name, "bundles": bundles}))
    else:
        render.say(choices, f"Indexed {render.count(bundles, 'bundle')} of context {context.name}")


def _report_lines(report: VerifyReport) -> Iterator[str]:
    for finding in report.findings:
        yield from findings.lines(finding.wrong, ("file", str(finding.path)), finding.uses, finding.remedy)
    seen = [
        render.count(report.bundles, "bundle"),
        render.count(report.objects, "object"),
        render.count(report.files, "file"),
    ]
    result = "not all is right" if _harm(report) else "all is right"
    yield f"Verified {', '.join(seen)}, {render.size(report.size_bytes)}: {result}."
    if report.remote_only:
        yield f"{render.count(report.remote_only, 'object')} more on the remote only, not read."
    for each in report.unbound:
        where = f"a remote no longer bound: {each.name}@{each.url}"
        yield f"Bytes of {render.count(len(each.uuids), 'bundle')} are on {where}; `{each.remedy}` binds to it again."


def _harm(report: VerifyReport) -> int:
    return sum(not finding.harmless for finding in report.findings)


def _report_json(report: VerifyReport) -> Json:
    return {
        "context": report.context,
        "sound": report.is_sound,
        "bundles": report.bundles,
        "objects": report.objects,
        "files": report.files,
        "events": report.events,
        "size_bytes": report.size_bytes,
        "remote_only": report.remote_only,
        "unbound": [{"url": each.url, "name": each.name, "bundles": list(each.uuids)} for each in report.unbound],
        "findings": [_finding_json(finding) for finding in report.findings],
    }


def _finding_json(finding: Finding) -> Json:
    return {
        "kind": finding.kind,
        "wrong": finding.wrong,
        "remedy": finding.remedy,
        "path": str(finding.path),
        "digest": finding.digest,
        "harmless": finding.harmless,
        "bundles": [_use_json(use) for use in finding.uses],
    }


def _use_json(use: Use) -> Json:
    return {"uuid": use.uuid, "name": use.name, "path": use.path}
