"""For who shares bundles: remotes, and what goes there and comes from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import click

from disdat import ops
from disdat.catalog.queries import Row
from disdat.cli import here, listing, opening, options, render, transferring
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.context import Context, Home
from disdat.core.canonical import Json
from disdat.errors import NotConfigured
from disdat.ops import when
from disdat.ops.coming import Coming, PullPlan
from disdat.ops.fetching import FetchResult
from disdat.ops.pull import PullResult
from disdat.ops.push import PushResult
from disdat.ops.remotes import Bound, Cloned
from disdat.remote.binding import URLS, Binding
from disdat.remote.known import Presence
from disdat.remote.unbound import Left
from disdat.store.backend import Abilities

_NAMES_SHOWN = 3
_LOOKED_AT = 200

_LAYOUT = click.option(
    "--layout",
    type=click.Choice(["packed", "plain"]),
    help="How files lie there: packed, or plain, where others read them by their URLs.",
)


@click.command(cls=Verb)
@click.option("--unbind", is_flag=True, help="Bind the current context to no remote.")
@_LAYOUT
@options.json()
@click.argument("name", metavar="[REMOTE_CONTEXT]", callback=options.text, required=False)
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
    if unbind and name is not None:
        raise WrongUsage("--unbind takes no name", "leave out REMOTE_CONTEXT and URL")
    if layout is not None and url is None:
        raise WrongUsage("--layout is for binding", "give REMOTE_CONTEXT and URL, or leave it out")
    if unbind:
        left = ops.remotes.unbind(context)
        if as_json:
            render.out(render.as_json(_left_json(left)))
        for line in [] if as_json else _left_lines(left) if left else [f"{context.name} has no remote"]:
            render.say(choices, line)
    elif name is None:
        _show(choices, context.binding, context.name, as_json=as_json)
    elif url is None:
        words = f"{context.remote_name} {name}" if "://" in name else f"{name} URL"
        raise WrongUsage("it takes both a remote context and a URL", f"`dsdt remote {words}` binds to it; {URLS}")
    else:
        chosen = layout or opening.settings(choices).layout
        bound = ops.remotes.bind(context, name, url, layout=chosen)
        render.out(render.as_json(_bound_json(bound)) if as_json else _bound_lines(bound))


@click.command(cls=Verb)
@options.tags("Only bundles with this tag; repeatable.")
@options.uuid("The bundle with this uuid, or first digits of it.")
@click.option("--all", "every", is_flag=True, help="Every committed version of NAME, not only the latest.")
@click.option("--inputs", is_flag=True, help="Commit and send what they were made from, too.")
@click.option("-d", "--delocalize", is_flag=True, help="Then drop the bytes here that it is proved to have.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@options.jobs()
@transferring.progress()
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
    inputs: bool,
    delocalize: bool,
    dry_run: bool,
    jobs: int | None,
    how: str | None,
    as_json: bool,
) -> None:
    """
    Send committed bundles to the remote.

    Of NAME the newest committed version; without NAME all committed bundles. What the remote has is not sent again, and
    others see what was sent only when all of it is there. With -d the bytes are dropped here, as by `dsdt delocalize`.
    """
    context = opening.context(choices)
    is_all = name is None and uuid is None and not tags and not inputs
    needs_rows = not is_all or dry_run or delocalize
    rows = ops.push.selected(context, name, uuid=uuid, tags=tags, every_version=every) if needs_rows else []
    if dry_run:
        also_sent = ops.holding.left_behind(context, [row.uuid for row in rows]) if inputs else []
        done = ops.push.plan(context, [*also_sent, *rows])
    else:
        with transferring.of_bytes(choices, "pushing", how=how, kept=partial(_kept_there, context)) as tell:
            rows = ops.push.with_inputs(context, rows) if inputs else rows
            push_them = partial(ops.push.push_all, context) if is_all else partial(ops.push.push, context, rows)
            done = push_them(progress=tell, **options.with_jobs(jobs))
    dropped = ops.delocalizing.delocalize(context, rows) if delocalize and rows and not dry_run else None
    left = [] if dry_run else ops.holding.left_behind(context, [row.uuid for row in done.sent])
    if as_json:
        also: dict[str, Json] = {"delocalized": here.delocalized_json(dropped)} if dropped else {}
        also["inputs_left"] = [row.uuid for row in left]
        render.out(render.as_json(_pushed_json(done) | also))
        return
    if done.sent:
        render.out(_pushed_lines(done, would=dry_run, where=context.binding))
    else:
        why = "the remote has it all" if ops.push.has_committed(context) else "no bundle is committed"
        render.out([f"Nothing to push: {why}."])
    if left:
        render.out([_left_line(left, of=name or (f"-u {uuid}" if uuid else ""))])
    if dropped:
        render.out(here.delocalized_lines(dropped))


@click.command(cls=Verb)
@options.tags("Only bundles with this tag; repeatable.")
@options.uuid("The bundle with this uuid.")
@click.option("--all", "every", is_flag=True, help="Every version of NAME, not only the latest.")
@click.option("-l", "--localize", is_flag=True, help="Fetch the bytes too, not only what is known of the bundles.")
@click.option("--dry-run", is_flag=True, help="Say what would come, and take over nothing.")
@options.jobs()
@transferring.progress()
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
    dry_run: bool,
    jobs: int | None,
    how: str | None,
    as_json: bool,
) -> None:
    """
    Get bundles that others pushed.

    Of NAME the newest version; without NAME all that is new. Bytes come with -l, or when they are first asked for.
    """
    context = opening.context(choices)
    if dry_run:
        planned = ops.coming.plan(context, name, uuid=uuid, tags=tags, every_version=every, with_bytes=localize)
        render.out(render.as_json(_planned_json(planned)) if as_json else _planned_lines(planned, localize=localize))
        return
    with transferring.of_bytes(choices, "pulling", how=how, kept=here.kept("dsdt pull -l", "dsdt pull")) as tell:
        done = ops.pull.pull(
            context,
            name,
            uuid=uuid,
            tags=tags,
            every_version=every,
            with_bytes=localize,
            progress=tell,
            **options.with_jobs(jobs),
        )
    _warn(choices, done.fetched)
    render.out(render.as_json(_pulled_json(done)) if as_json else _pulled_lines(context, done, of=name or ""))


@click.command(cls=Verb)
@transferring.progress()
@options.json("Print what came as JSON.")
@click.pass_obj
def fetch(choices: Choices, *, how: str | None, as_json: bool) -> None:
    """Learn what others pushed, removed and tagged; bytes stay where they are."""
    context = opening.context(choices)
    with transferring.of_publications(choices, "fetching", how=how, kept=lambda: _kept_by("dsdt fetch")) as tell:
        done = ops.fetching.fetch(context, progress=tell)
    _warn(choices, done)
    render.out(render.as_json(_fetched_json(done)) if as_json else [_fetched_line(done)])


@click.command(cls=Verb)
@_LAYOUT
@transferring.progress()
@options.json("Print what came as JSON.")
@click.argument("url", callback=options.text)
@click.argument("name", metavar="[CONTEXT]", callback=options.text, required=False)
@click.pass_obj
def clone(choices: Choices, url: str, name: str | None, *, layout: str | None, how: str | None, as_json: bool) -> None:
    """
    Make a context that has what a remote has.

    It is named as the remote context is, unless CONTEXT is given; REMOTE/LOCAL says which of several remote contexts
    is meant, and how it is called here. Does not switch to it. Bytes come when they are asked for.
    """
    home = opening.home(choices)
    chosen = layout or opening.settings(choices).layout
    meant = ops.remotes.meant(url, name)
    with transferring.of_publications(choices, "cloning", how=how, kept=lambda: _kept_of(home, meant.local)) as tell:
        made = ops.remotes.clone(home, url, meant, layout=chosen, progress=tell)
    _warn(choices, made.fetched)
    if as_json:
        render.out(render.as_json(_cloned_json(made)))
    else:
        for line in _cloned_lines(made):
            render.say(choices, line)


def _kept_there(context: Context, _: int, __: int) -> str:
    """What a push that was cut short was good for."""
    sent = ops.push.sent_so_far(context)
    return f"{render.count(sent, 'object')} {'is' if sent == 1 else 'are'} on the remote; `dsdt push` goes on"


def _kept_of(home: Home, name: str) -> str:
    """What a clone that was cut short was good for."""
    return _kept_by(f"dsdt --context {name} fetch") if name in home.context_names() else "no context was made"


def _kept_by(command: str) -> str:
    return f"what was taken over is kept; `{command}` goes on"


def _show(choices: Choices, binding: Binding | None, name: str, *, as_json: bool) -> None:
    if as_json:
        render.out(render.as_json(binding.to_json() if binding else None))
    elif binding is None:
        raise NotConfigured(f"the context {name} has no remote", hint=f"`dsdt remote {name} URL` binds it; {URLS}")
    else:
        render.out(render.fields([("url", binding.url), ("context", binding.name), ("layout", binding.layout)]))


def _named(binding: Binding) -> str:
    return f"{binding.name}@{binding.url}"


def _bound_lines(bound: Bound) -> Sequence[str]:
    lines = []
    if bound.before is not None and bound.before != bound.binding:
        lines.append(f"It was bound to {_named(bound.before)} before; what came from there stays.")
        lines += _only_there(bound.left) if bound.left else []
    lines.append(f"Context {bound.context.name} is bound to {_named(bound.binding)}, layout {bound.binding.layout}")
    return [*lines, _what_is_there(bound), *_abilities(bound.abilities)]


def _what_is_there(bound: Bound) -> str:
    name, others = bound.binding.name, ", ".join(each for each in bound.contexts if each != bound.binding.name)
    if bound.is_new:
        return "Nothing was there before: it is new, and empty."
    if name in bound.contexts:
        return f"{name} is there already: `dsdt pull` tells what it has." + (f" Beside it: {others}." if others else "")
    return f"Nobody pushed to {name} yet." + (f" There are: {others}." if others else "")


def _left_lines(left: Left) -> Iterator[str]:
    yield f"Unbound from {_named(left.binding)}"
    yield from _only_there(left)


def _only_there(left: Left) -> Iterator[str]:
    if count := len(left.uuids):
        of = "1 bundle has" if count == 1 else f"{count:,} bundles have"
        yield f"{of} bytes only there, and cannot be read until `{left.remedy}` binds to it again"


def _left_json(left: Left | None) -> Json:
    return None if left is None else left.binding.to_json() | {"bundles": sorted(left.uuids)}


def _abilities(can: Abilities) -> Sequence[str]:
    if not can.writes:
        return ["You may not write there: fetch, pull and clone work, push does not."]
    return render.fields(
        [
            (
                "conditional writes",
                "yes" if can.creates_once and can.swaps else "no, so nothing can be collected there",
            ),
            ("checksums", "yes" if can.checksums else "no, so proof that bytes are there means to read them back"),
            ("signed URLs", "yes" if can.signs else "no, so there are no links to share"),
        ]
    )


def _bound_json(bound: Bound) -> Json:
    can = bound.abilities
    abilities: dict[str, Json] = {
        "write": can.writes,
        "conditional_create": can.creates_once,
        "compare_and_swap": can.swaps,
        "signed_urls": can.signs,
        "checksums": can.checksums,
    }
    what: dict[str, Json] = {"new": bound.is_new, "contexts": list(bound.contexts), "abilities": abilities}
    return bound.binding.to_json() | what


def _cloned_lines(made: Cloned) -> Iterator[str]:
    local, new = made.bound.context.name, made.fetched.new
    what = render.count(len(new), "bundle") if new else "no bundles"
    yield f"Cloned {_named(made.bound.binding)} into the context {local}: {what}"
    yield f"`dsdt switch {local}` makes it the current one"


def _cloned_json(made: Cloned) -> Json:
    binding = made.bound.binding.to_json()
    return {"context": made.bound.context.name, "remote": binding, "fetched": _fetched_json(made.fetched)}


def _pushed_lines(done: PushResult, *, would: bool, where: Binding | None) -> Sequence[str]:
    verb, target = ("Would push", "") if would else ("Pushed", f" to {_named(where)}" if where else "")
    lines = [f"{verb} {listing.summary(row)}" for row in done.sent]
    what = f"{render.count(len(done.sent), 'bundle')}, {render.size(done.bytes_sent)}{target}"
    return [*lines, what + ("" if would else f" in {done.seconds:.1f} s")]


def _pushed_json(done: PushResult) -> dict[str, Json]:
    return {
        "sent": _rows_json(done.sent),
        "skipped": _rows_json(done.skipped),
        "objects": done.objects,
        "bytes_sent": done.bytes_sent,
        "seconds": done.seconds,
    }


def _left_line(left: Sequence[Row], *, of: str) -> str:
    """What is said of inputs of what was pushed that others cannot have."""
    names = list(dict.fromkeys(listing.shown_name(row.name) for row in left))
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    stay, them = ("stays", "it") if len(left) == 1 else ("stay", "them")
    command = " ".join(filter(None, ("dsdt push --inputs", of)))
    return f"{render.count(len(left), 'bundle')} this was made from {stay} here ({shown}): `{command}` sends {them} too"


def _pulled_lines(context: Context, done: PullResult, *, of: str) -> Sequence[str]:
    if not done.rows:
        return [_fetched_line(done.fetched), *_localized(done)]
    pulled = [f"Pulled {listing.summary(row)}" for row in done.rows]
    return [*pulled, *(_localized(done) or _absent(context, done.rows, of=of))]


def _absent(context: Context, rows: Sequence[Row], *, of: str) -> Sequence[str]:
    """Where the bytes are of what was pulled, of which only the newest are looked at."""
    here = ops.presence.of_rows(context, [row.uuid for row in rows[:_LOOKED_AT]])
    if all(state is Presence.LOCAL for state in here.values()):
        return []
    command = " ".join(filter(None, ("dsdt pull -l", of)))
    them = "it" if len(rows) == 1 else "them"
    return [f"What is known of {them} is here; bytes come when they are read, or now with `{command}`"]


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


def _planned_lines(planned: PullPlan, *, localize: bool) -> Iterator[str]:
    new = [each for each in planned.bundles if each.is_new]
    if not new:
        yield "Nothing new."
    yield from (f"Would pull {_coming(each)}" for each in new)
    if localize:
        yield f"Would fetch {render.size(planned.bytes_wanted)} of {render.count(len(planned.bundles), 'bundle')}"


def _coming(each: Coming) -> str:
    name = "(of a name not known yet)" if each.name is None else listing.shown_name(each.name)
    return f"{name} {each.uuid} of {when.local(each.made_us):%Y-%m-%d %H:%M:%S}"


def _planned_json(planned: PullPlan) -> Json:
    found: list[Json] = [
        {
            "uuid": each.uuid,
            "name": each.name,
            "made": listing.utc(each.made_us),
            "size_bytes": each.size_bytes,
            "new": each.is_new,
        }
        for each in planned.bundles
    ]
    return {"would_pull": found, "objects": planned.objects, "bytes_wanted": planned.bytes_wanted}


def _fetched_line(done: FetchResult) -> str:
    new = f"{render.count(len(done.new), 'bundle')} new" if done.new else ""
    gone = f"{len(done.gone):,} gone" if done.gone else ""
    changed = "" if new or gone else "Changes to what is here" if done.publications else "Nothing new"
    return ", ".join(part for part in (new, gone, changed) if part) + "."


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
