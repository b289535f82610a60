"""A context of its own that begins as another one is: its log and its catalog, and no byte of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from disdat import making
from disdat.catalog.queries import Filter
from disdat.context import FORMAT, Context
from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.contextname import check_context_name
from disdat.durable import storage_errors
from disdat.ops import presence
from disdat.remote.known import Presence


def fork(source: Context, name: str) -> Context:
    """
    Make a context that has every bundle of *source*, and all its history; both go on by themselves.

    It is there whole or not at all. Whoever changes *source* waits meanwhile. Its remote is not taken over,
    unless bytes of some bundles are only there: the fork is bound to it then too.

    Raises:
        AlreadyExists: There is a context of this name.
        BadName: It cannot be a context's name.
        PermissionDenied: *source* or the home may not be written.
        InvalidInput: *source* is seen as of a moment.
    """
    source.check_is_now()
    check_context_name(name)
    home, target = source.home, source.directory.parent / name
    home.ensure()
    if (target / "context.json").exists():
        raise making.taken(name)
    with (
        home.store.kept(),
        storage_errors(f"fork the context {source.name!r}"),
        making.made(target, disk=home.disk, now_us=home.clock_us()) as hidden,
    ):
        _fill(source, hidden)
    return home.context(name)


def _is_lacking(source: Context) -> bool:
    """Whether bytes of some bundles are not kept here."""
    states = presence.kept(source, [row.uuid for row in source.catalog.search(Filter())])
    return any(state is not Presence.LOCAL for state in states.values())


def _fill(source: Context, hidden: Path) -> None:
    disk, now_us = source.home.disk, source.home.clock_us()
    source.catalog.fork(hidden)
    disk.mkdir(hidden / "objects")
    settings = dict(cast("Mapping[str, Json]", source.settings.get("settings", {})))
    settings.pop("remote_name", None)
    fields: dict[str, Json] = {
        "format": FORMAT,
        "id": event.ulid(now_us),
        "remote": source.binding.to_json() if source.binding is not None and _is_lacking(source) else None,
        "settings": settings,
        "forked": {"id": source.id, "name": source.name, "time": now_us},
    }
    with disk.create(hidden / "context.json") as file:
        disk.write(file, canonical.encode(fields) + b"\n")
        disk.sync(file)
    disk.sync_dir(hidden)
