"""Contexts: list, create, switch, delete, and what is in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core import similar
from disdat.core.contextname import check_context_name
from disdat.errors import BadName, ContextNotFound


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """One line of the listing of contexts."""

    name: str
    current: bool
    remote: str | None
    remote_name: str
    directory: Path


@dataclass(frozen=True, slots=True)
class Status:
    """What is in a context."""

    context: str
    home: Path
    remote: str | None
    remote_name: str | None
    """The remote context it is bound to."""
    bundles: int
    names: int
    committed: int
    uncommitted: int
    files: int
    size_bytes: int
    """Bytes of values and files, counted once per bundle that has them."""
    remote_only: int
    """Bundles of which nothing is here, and all on the remote."""
    partial: int
    """Bundles of which only some is here."""
    unpublished: int
    """Committed bundles of which others do not know all that is said of them here."""


def listing(home: Home) -> list[ContextInfo]:
    """Every context of the home, by name."""
    current = home.current_name()
    contexts = [home.context(name) for name in home.context_names()]
    return [ContextInfo(c.name, c.name == current, _url(c), c.remote_name, c.directory) for c in contexts]


def create(home: Home, name: str) -> Context:
    """
    Make a context; ``remote/local`` also records the name it goes by on a remote.

    Raises:
        AlreadyExists: There is one of this name.
        BadName: It cannot be a context's name.
    """
    remote_name, slash, local = name.rpartition("/")
    if not slash:
        return home.create_context(name)
    if "/" in remote_name:
        raise BadName(f"{name!r} has more than one slash", hint="write REMOTE/LOCAL")
    check_context_name(remote_name)
    return home.create_context(local, settings={"remote_name": remote_name})


def named(home: Home, name: str) -> Context:
    """
    The context ``local`` or ``remote/local``.

    Raises:
        ContextNotFound: There is none, or it goes by another name on its remote.
        BadName: No context can be named so.
    """
    remote_name, slash, local = name.rpartition("/")
    context = home.context(local)
    if slash and context.remote_name != remote_name:
        raise ContextNotFound(name, hint=f"{local} goes by {context.remote_name!r} on a remote")
    return context


def local_name(name: str) -> str:
    """The local part of ``remote/local``."""
    return name.rpartition("/")[2]


def delete(home: Home, name: str) -> Path:
    """Move a context with everything it says to the store's trash; returns where it is now. Its objects stay."""
    return home.trash_context(to_delete(home, name).name)


def to_delete(home: Home, name: str) -> Context:
    """As :func:`named`, but who means to delete is not told how to create."""
    try:
        return named(home, name)
    except ContextNotFound as exc:
        hint = similar.hint(local_name(name), home.context_names(), otherwise="`dsdt context` lists those there are")
        raise ContextNotFound(name, hint=hint) from exc


def status(context: Context) -> Status:
    """Counts and sizes of what is in a context."""
    counts = context.catalog.counts()
    kept = _kept(context)
    return Status(
        context=context.name,
        home=context.home.root,
        remote=_url(context),
        remote_name=context.binding.name if context.binding else None,
        bundles=counts.bundles,
        names=counts.names,
        committed=counts.committed,
        uncommitted=counts.bundles - counts.committed,
        files=counts.files,
        size_bytes=counts.size_bytes,
        remote_only=kept.get("remote", 0),
        partial=kept.get("partial", 0),
        unpublished=_unpublished(context),
    )


def _kept(context: Context) -> Mapping[str, int]:
    """How many bundles are here, by how much of them is."""
    if context.binding is None:
        return {}
    from disdat.ops import presence  # most contexts have no remote, and every command reads this module

    uuids = [row.uuid for row in context.catalog.search(Filter())]
    return Counter(state.value for state in presence.kept(context, uuids).values())


def _unpublished(context: Context) -> int:
    """How many committed bundles a push would say something of."""
    if context.binding is None:
        return 0
    from disdat.ops import push  # most contexts have no remote, and every command reads this module

    return push.count_unpublished(context)


def _url(context: Context) -> str | None:
    return context.binding.url if context.binding else None
