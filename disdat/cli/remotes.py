"""For who shares bundles: remotes, and what goes there and comes from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from disdat import ops
from disdat.catalog.queries import Row
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.cli.progress import ByteBar
from disdat.core.canonical import Json
from disdat.errors import NotConfigured
from disdat.ops.fetching import FetchResult
from disdat.ops.pull import PullResult
from disdat.ops.push import PushResult
from disdat.ops.remotes import Bound
from disdat.remote.binding import Binding

_JOBS = click.option("--jobs", type=options.AtLeast(1), help="So many transfers at once.")
_LAYOUT = click.option(
    "--layout",
    type=click.Choice(["packed", "plain"]),
    help="How files lie there: packed, or plain, where others read them by their URLs.",
)


@click.command(cls=Verb)
@click.option("--unbind", is_flag=True, help="Bind the current context to no remote.")
@_LAYOUT
@options.json()
@click.argument("name", metavar="REMOTE_CONTEXT", callback=options.text, required=False)
@click.argument("url", callback=options.text, required=False)
@click.pass_obj
def remote(
    choices: Choices, name: str | None, url: str | None, *, unbind: bool, layout: str | None, as_json: bool
) -> None:
    """
    Show, set or remove the remote of the current context.

    With REMOTE_CONTEXT and URL, such as s3://bucket/prefix or file:///shared/disk, the context is bound to
    the remote context of that name there. Nothing is moved.
    """
    context = opening.context(choices)
    if unbind:
        if name is not None:
            raise WrongUsage("--unbind takes no name", "leave out REMOTE_CONTEXT and URL")
        before = ops.remotes.unbind(context)
        render.say(choices, f"Unbound from {_named(before)}" if before else f"{context.name} has no remote")
    elif name is None:
        _show(choices, context.binding, context.name, as_json=as_json)
    elif url is None:
        raise WrongUsage("no URL is given", f"`dsdt remote {name} s3://BUCKET/PREFIX` binds to it")
    else:
        chosen = layout or opening.settings(choices).layout
        bound = ops.remotes.bind(context, name, url, layout=chosen)
        render.out(render.as_json(_bound_json(bound)) if as_json else _bound_lines(bound))


@click.command(cls=Verb)
@options.tags("Only bundles with this tag; repeatable.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@click.option("--all", "every", is_flag=True, help="Every committed version of NAME, not only the latest.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@_JOBS
@options.json("Print what was sent as JSON.")
@click.argument("name", callback=options.any_text, required=False)
@click.pass_obj
def push(
    choices: Choices,
    name: str | None,
    *,
    tags: Mapping[str, str],
    uuid: str | None,
    every: bool,
    dry_run: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """
    Send committed bundles to the remote.

    Of NAME the newest committed version; without NAME all committed bundles. What the remote has is not sent again, and
    others see what was sent only when all of it is there.
    """
    context = opening.context(choices)
    rows = ops.push.selected(context, name, uuid=uuid, tags=tags, every_version=every)
    if dry_run:
        done = ops.push.plan(context, rows)
    else:
        with ByteBar("Pushing", shown=opening.wants_progress(choices)) as bar:
            done = ops.push.push(context, rows, progress=bar, **_with_jobs(jobs))
    if as_json:
        render.out(render.as_json(_pushed_json(done)))
    else:
        render.out(_pushed_lines(done, would=dry_run, where=context.binding))


@click.command(cls=Verb)
@options.tags("Only bundles with this tag; repeatable.")
@options.uuid("The bundle with this uuid.")
@click.option("--all", "every", is_flag=True, help="Every version of NAME, not only the latest.")
@click.option("-l", "--localize", is_flag=True, help="Fetch the bytes too, not only what is known of the bundles.")
@_JOBS
@options.json("Print what came as JSON.")
@click.argument("name", callback=options.any_text, required=False)
@click.pass_obj
def pull(
    choices: Choices,
    name: str | None,
    *,
    tags: Mapping[str, str],
    uuid: str | None,
    every: bool,
    localize: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """
    Get bundles that others pushed.

    Of NAME the newest version; without NAME all that is new. Bytes come with -l, or when they are first asked for.
    """
    context = opening.context(choices)
    with ByteBar("Pulling", shown=opening.wants_progress(choices)) as bar:
        done = ops.pull.pull(
            context,
            name,
            uuid=uuid,
            tags=tags,
            every_version=every,
            with_bytes=localize,
            progress=bar,
            **_with_jobs(jobs),
        )
    _warn(choices, done.fetched)
    render.out(render.as_json(_pulled_json(done)) if as_json else _pulled_lines(done))


@click.command(cls=Verb)
@options.json("Print what came as JSON.")
@click.pass_obj
def fetch(choices: Choices, *, as_json: bool) -> None:
    """Learn what others pushed, removed and tagged; bytes stay where they are."""
    context = opening.context(choices)
    done = ops.fetching.fetch(context)
    _warn(choices, done)
    render.out(render.as_json(_fetched_json(done)) if as_json else [_fetched_line(done)])


@click.command(cls=Verb)
@click.option(
    "--context", "name", metavar="REMOTE_CONTEXT", callback=options.text, help="Which one; if there are several."
)
@_LAYOUT
@click.argument("url", callback=options.text)
@click.argument("local", metavar="CONTEXT", callback=options.text, required=False)
@click.pass_obj
def clone(choices: Choices, url: str, local: str | None, *, name: str | None, layout: str | None) -> None:
    """
    Make a context that has what a remote has.

    It is named as the remote context is, unless CONTEXT is given. Bytes come when they are asked for.
    """
    home = opening.home(choices)
    chosen = name or ops.remotes.only_context(url)
    made = ops.remotes.clone(
        home, url, chosen, local=local or chosen, layout=layout or opening.settings(choices).layout
    )
    _warn(choices, made.fetched)
    where = made.bound.context.name
    render.say(choices, f"Cloned {_named(made.bound.binding)} into the context {where}: {_fetched_line(made.fetched)}")


def _with_jobs(jobs: int | None) -> dict[str, int]:
    return {} if jobs is None else {"jobs": jobs}


def _show(choices: Choices, binding: Binding | None, name: str, *, as_json: bool) -> None:
    if as_json:
        render.out(render.as_json(binding.to_json() if binding else None))
    elif binding is None:
        raise NotConfigured(
            f"the context {name} has no remote", hint=f"`dsdt remote {name} s3://BUCKET/PREFIX` binds it"
        )
    else:
        render.out(render.fields([("url", binding.url), ("context", binding.name), ("layout", binding.layout)]))


def _named(binding: Binding) -> str:
    return f"{binding.name}@{binding.url}"


def _bound_lines(bound: Bound) -> Sequence[str]:
    lines = []
    if bound.before is not None and bound.before != bound.binding:
        lines.append(f"It was bound to {_named(bound.before)} before; what came from there stays.")
    lines.append(f"Context {bound.context.name} is bound to {_named(bound.binding)}, layout {bound.binding.layout}")
    can = bound.abilities
    if not (can.creates_once and can.swaps):
        lines.append("This store has no conditional writes: bundles work, `dsdt gc --remote` and refs do not.")
    if not can.checksums:
        lines.append("It computes no checksums: proof that it has bytes means to read them back.")
    return lines


def _bound_json(bound: Bound) -> Json:
    can = bound.abilities
    abilities: dict[str, Json] = {
        "conditional_create": can.creates_once,
        "compare_and_swap": can.swaps,
        "signed_urls": can.signs,
        "checksums": can.checksums,
    }
    return bound.binding.to_json() | {"abilities": abilities}


def _pushed_lines(done: PushResult, *, would: bool, where: Binding | None) -> Sequence[str]:
    if not done.sent:
        return ["Nothing to push: the remote has it all."]
    verb, target = ("Would push", "") if would else ("Pushed", f" to {_named(where)}" if where else "")
    lines = [f"{verb} {listing.summary(row)}" for row in done.sent]
    what = f"{render.count(len(done.sent), 'bundle')}, {render.size(done.bytes_sent)}{target}"
    return [*lines, what + ("" if would else f" in {done.seconds:.1f} s")]


def _pushed_json(done: PushResult) -> Json:
    return {
        "sent": _rows_json(done.sent),
        "skipped": _rows_json(done.skipped),
        "objects": done.objects,
        "bytes_sent": done.bytes_sent,
        "seconds": done.seconds,
    }


def _pulled_lines(done: PullResult) -> Sequence[str]:
    if not done.rows:
        return ["Nothing new.", *_localized(done)]
    return [*(f"Pulled {listing.summary(row)}" for row in done.rows), *_localized(done)]


def _localized(done: PullResult) -> Sequence[str]:
    if not done.localized:
        return []
    of = render.count(len(done.localized), "bundle")
    return [f"Fetched {render.size(done.bytes_received)} of {of} in {done.seconds:.1f} s"]


def _pulled_json(done: PullResult) -> Json:
    return {
        "bundles": _rows_json(done.rows),
        "localized": [row.uuid for row in done.localized],
        "objects": done.objects,
        "bytes_received": done.bytes_received,
        "fetched": _fetched_json(done.fetched),
        "seconds": done.seconds,
    }


def _fetched_line(done: FetchResult) -> str:
    parts = [f"{len(done.new)} new" if done.new else "", f"{len(done.gone)} gone" if done.gone else ""]
    changed = "" if done.new or done.gone else "changes to what is here" if done.publications else "nothing new"
    return ", ".join(part for part in (*parts, changed) if part)


def _fetched_json(done: FetchResult) -> Json:
    return {
        "new": list(done.new),
        "gone": list(done.gone),
        "publications": done.publications,
        "refused": [{"key": each.key, "why": each.why} for each in done.refused],
        "seconds": done.seconds,
    }


def _warn(choices: Choices, done: FetchResult) -> None:
    for each in done.refused:
        render.note(choices, f"left out {each.key}: {each.why}")


def _rows_json(rows: Sequence[Row]) -> list[Json]:
    return [listing.as_json(row) for row in rows]
