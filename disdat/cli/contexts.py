"""For who starts: settings, contexts, and what is where."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from disdat import config as configuration
from disdat import ops
from disdat.catalog.queries import Filter
from disdat.cli import listing, opening, options, render
from disdat.cli.choices import Choices, Verb
from disdat.cli.options import WrongUsage
from disdat.context import Context, Home
from disdat.core.canonical import Json
from disdat.errors import AlreadyExists, DisdatError, NotConfigured
from disdat.ops.contexts import ContextInfo, Status

_SHOWN_NAMES = 10


@click.command(cls=Verb)
@click.pass_obj
def init(choices: Choices) -> None:
    """
    Write a settings file, every default in it, to be edited.

    Nothing needs this first. A file that is there already is left as it is.
    """
    path = opening.settings(choices).config_file
    if path is None:
        raise NotConfigured("no place for settings is known", hint="set HOME, or DISDAT_CONFIG to a file")
    if not configuration.write_default(path):
        raise AlreadyExists(f"Disdat already initialized in {path.parent}.", hint="`dsdt config` shows every setting")
    render.say(choices, f"Wrote {path}")


@click.command(cls=Verb)
@click.argument("name", callback=options.text, required=False)
@click.option("-d", "--delete", is_flag=True, help="Delete NAME. Asks first, for which it needs a terminal.")
@click.option("-y", "--yes", is_flag=True, help="With -d: do not ask.")
@click.option("-f", "--force", is_flag=True, help="With -d: the same as --yes.")
@click.option("-r", "--remote", "of_all", is_flag=True, help="With -d: remove its bundles for everybody first.")
@options.json("List the contexts as JSON.")
@click.pass_obj
def context(
    choices: Choices, name: str | None, *, delete: bool, yes: bool, force: bool, of_all: bool, as_json: bool
) -> None:
    """
    List data contexts, create one, or delete one.

    Without NAME it lists them, the current one marked by a star. With NAME it creates that context,
    without switching to it; REMOTE/LOCAL also records the name it goes by on a remote.
    """
    home = opening.home(choices)
    if of_all and not delete:
        raise WrongUsage("--remote is for deleting", "add -d to delete, or leave it out")
    if name is not None:
        act = _delete_for_all if of_all else _delete if delete else _create
        act(choices, home, name, sure=yes or force)
    elif delete:
        raise WrongUsage("no context is named", "`dsdt context -d NAME` deletes it")
    else:
        found = ops.contexts.listing(home)
        if not found and not as_json:
            render.note(choices, f"no contexts at {home.root}; `dsdt context NAME` makes one")
        render.out(render.as_json([_context_json(each) for each in found]) if as_json else map(_context_line, found))


@click.command(cls=Verb)
@click.argument("name", callback=options.text)
@click.pass_obj
def switch(choices: Choices, name: str) -> None:
    """Make a data context the current one, which commands work in."""
    home = opening.home(choices)
    wanted = ops.contexts.named(home, name)
    already = home.current_name() == wanted.name
    home.switch(wanted.name)
    render.say(choices, f"{'Already within' if already else 'Switched to'} context {wanted.name}")


@click.command(cls=Verb)
@options.json()
@click.pass_obj
def status(choices: Choices, *, as_json: bool) -> None:
    """Show the current context and what is in it."""
    here = opening.context(choices)
    found, names = ops.contexts.status(here), _uncommitted(here)
    render.out(render.as_json(_status_json(found, names)) if as_json else _status_lines(found, names))


@click.command(cls=Verb)
@options.json()
@click.pass_obj
def config(choices: Choices, *, as_json: bool) -> None:
    """Show every setting and where it comes from."""
    chosen = _settings(choices)
    if as_json:
        render.out(render.as_json({each.name: {"value": each.value, "from": each.origin} for each in chosen}))
    else:
        shown = [(each.name, "-" if each.value is None else str(each.value), each.origin) for each in chosen]
        render.out(render.table([[render.one_line(cell) for cell in row] for row in shown]))


def _create(choices: Choices, home: Home, name: str, *, sure: bool) -> None:
    if sure:
        raise WrongUsage("--yes and --force are for deleting", "add -d to delete, or leave them out to create")
    made = ops.contexts.create(home, name)
    full_name = f"{made.remote_name}/{made.name}"
    render.say(choices, f"Disdat created data context {full_name} at object dir {made.objects}.")


def _delete(choices: Choices, home: Home, name: str, *, sure: bool) -> None:
    found = ops.contexts.status(ops.contexts.to_delete(home, name))
    question = f"Delete the context {found.context} with {render.count(found.bundles, 'bundle')}?"
    if not sure and not _confirmed(question):
        raise DisdatError("nothing was deleted")
    ops.contexts.delete(home, name)
    render.say(choices, f"Disdat deleted data context {found.context}.")


def _delete_for_all(choices: Choices, home: Home, name: str, *, sure: bool) -> None:
    found = ops.contexts.to_delete(home, name)
    removals = ops.rmr.published(found)
    names = sorted({each.name for each in removals})
    what = f"{render.count(len(removals), 'bundle')}{_of_names(names)} for everybody, and the context {found.name}"
    if not sure and not _confirmed(f"Remove {what}?"):
        raise DisdatError("nothing was deleted")
    ops.rmr.remove(found, removals)
    ops.contexts.delete(home, name)
    render.say(choices, f"Removed {what}.")


def _confirmed(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUsage("cannot ask whether to delete: this is not a terminal", "--yes deletes without asking")
    return click.confirm(question, err=True)


def _context_line(found: ContextInfo) -> str:
    remote = f"{found.remote_name}@{found.remote}" if found.remote else "no remote"
    return "\t".join(["*" if found.current else "", found.name, f"[{remote}]"])


def _context_json(found: ContextInfo) -> Json:
    return {
        "name": found.name,
        "current": found.current,
        "remote": found.remote,
        "remote_name": found.remote_name,
        "directory": str(found.directory),
    }


def _uncommitted(here: Context) -> list[str]:
    """The names of which the latest version, or an older one, is not committed."""
    return sorted({row.name for row in ops.find.search(here, Filter(committed=False))})


def _status_lines(found: Status, uncommitted: list[str]) -> list[str]:
    return render.fields(
        [
            ("context", found.context),
            ("home", render.one_line(str(found.home))),
            ("remote", f"{found.remote_name}@{found.remote}" if found.remote else "none"),
            ("bundles", f"{found.bundles:,} of {render.count(found.names, 'name')}"),
            ("files", f"{found.files:,}"),
            ("size", render.size(found.size_bytes)),
            ("not here", _not_here(found)),
            ("committed", f"{found.committed:,}"),
            ("not pushed", f"{render.count(found.unpublished, 'bundle')}" if found.unpublished else ""),
            ("uncommitted", f"{found.uncommitted:,}" + _of_names(uncommitted)),
        ]
    )


def _not_here(found: Status) -> str:
    only = f"{render.count(found.remote_only, 'bundle')} on the remote only" if found.remote_only else ""
    return ", ".join(part for part in (only, f"{found.partial:,} in part" if found.partial else "") if part)


def _of_names(names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(map(listing.shown_name, names[:_SHOWN_NAMES]))
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return f" of {render.count(len(names), 'name')}: {shown}{more}"


def _status_json(found: Status, uncommitted: list[str]) -> Json:
    return {
        "context": found.context,
        "home": str(found.home),
        "remote": found.remote,
        "remote_name": found.remote_name,
        "bundles": found.bundles,
        "names": found.names,
        "files": found.files,
        "size_bytes": found.size_bytes,
        "remote_only": found.remote_only,
        "partial": found.partial,
        "unpublished": found.unpublished,
        "committed": found.committed,
        "uncommitted": found.uncommitted,
        "uncommitted_names": uncommitted,
    }


@dataclass(frozen=True, slots=True)
class _Setting:
    """One line of ``dsdt config``."""

    name: str
    value: str | int | bool | None
    origin: str


def _settings(choices: Choices) -> list[_Setting]:
    found = opening.settings(choices)
    origins = configuration.origins()
    options_given = {"context": choices.context, "profile": choices.profile}
    origins |= {name: f"--{name}" for name, value in options_given.items() if value is not None}
    context_name = found.context
    if context_name is None and (context_name := Home.open(found).current_name()):
        origins["context"] = "`dsdt switch`"
    return [
        _Setting("config_file", str(found.config_file) if found.config_file else None, _state(found)),
        _Setting("home", str(found.home), origins["home"]),
        _Setting("context", context_name, origins["context"]),
        _Setting("profile", found.profile, origins["profile"]),
        _Setting("rerun", found.rerun, origins["rerun"]),
        _Setting("code_version", found.code_version, origins["code_version"]),
        _Setting("packages", found.packages, origins["packages"]),
        _Setting("workers", found.workers, origins["workers"]),
        _Setting("layout", found.layout, origins["layout"]),
        _Setting("remote_timeout", found.remote_timeout_s, origins["remote_timeout_s"]),
        _Setting("remote_weak_from", found.remote_weak_from_bytes, origins["remote_weak_from_bytes"]),
        _Setting("remote_trusted", " ".join(found.remote_trusted) or None, origins["remote_trusted"]),
        _Setting("gc_retention", options.shown_duration(found.gc_retention_s), origins["gc_retention_s"]),
        _Setting("gc_grace", options.shown_duration(found.gc_grace_s), origins["gc_grace_s"]),
        _Setting("plain", found.plain, origins["plain"]),
    ]


def _state(found: configuration.Settings) -> str:
    there = found.config_file is not None and found.config_file.exists()
    return "is there" if there else "not there; `dsdt init` writes it"
