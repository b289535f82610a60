"""Remotes: binding a context to one, and beginning a context as a copy of one."""

from __future__ import annotations

from dataclasses import dataclass

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.contextname import check_context_name
from disdat.errors import BadQuery, BundleNotFound, InvalidInput, PathNotFound
from disdat.ops import contexts, fetching, presence
from disdat.ops.fetching import FetchResult
from disdat.remote.binding import Binding, claimed, store_id
from disdat.remote.known import Presence
from disdat.remote.unbound import Left
from disdat.store.backend import Abilities, Backend, open_backend, probe
from disdat.store.local import LocalBackend

LAYOUTS = ("packed", "plain")


@dataclass(frozen=True, slots=True)
class Bound:
    """A context's remote, and what that can do; what it was bound to before."""

    context: Context
    binding: Binding
    abilities: Abilities
    before: Binding | None
    left: Left | None
    """The bundles whose bytes are only on the remote that it was bound to before."""
    is_new: bool
    """Whether nobody bound anything to this URL before."""
    contexts: tuple[str, ...]
    """The remote contexts there that something was pushed to."""


@dataclass(frozen=True, slots=True)
class Cloned:
    """A context that began as a copy of a remote one."""

    bound: Bound
    fetched: FetchResult


def bind(context: Context, name: str, url: str, *, layout: str) -> Bound:
    """
    Bind a context to the remote context *name* below *url*; nothing is moved. Several contexts may share one.

    The place is tried: the bucket must be there, of a directory the one above it, and what it can do is in the result.
    Who is the first to bind something to it must be allowed to write there; others may be allowed to read only.

    Raises:
        InvalidInput: It is no URL of a remote, or there are other things at it.
        BadName: No context can be named so.
        PathNotFound: There is no directory above the one that is meant.
        PermissionDenied, Unavailable: The place may not be used, or does not answer; nothing was changed.
        UnknownFormat: A later version made it.
    """
    check_context_name(name)
    if layout not in LAYOUTS:
        raise InvalidInput(f"no such layout: {layout!r}", hint=f"it is one of {', '.join(LAYOUTS)}")
    url = url.rstrip("/") if url.partition("://")[2].strip("/") else url
    backend = open_backend(url)
    found = store_id(backend)
    if found is None:
        _check_directory(backend)
    id_ = found or claimed(backend, now_us=context.home.clock_us)
    abilities = probe(backend, "leases/")
    there = () if found is None else tuple(backend.list_below("context/"))
    before = context.binding
    binding = Binding(backend.url, name, id_, layout)
    is_same = before is not None and (before.id, before.name) == (id_, name)
    left = None if before is None or is_same else _left(context, before)
    bound = context if binding == before else context.bind(binding, left=left)
    return Bound(bound, binding, abilities, before, left, found is None, there)


def unbind(context: Context) -> Left | None:
    """
    Bind a context to no remote. What was fetched stays; bytes are not moved.

    The remote it was bound to, and the bundles not all of whose bytes are here.
    """
    before = context.binding
    if before is None:
        return None
    left = _left(context, before)
    context.bind(None, left=left)
    return left


def _left(context: Context, binding: Binding) -> Left:
    """What would be on the remote only, if it were not known any more."""
    states = presence.of_rows(context, [row.uuid for row in context.catalog.search(Filter())])
    return Left(binding, frozenset(uuid for uuid, state in states.items() if state is not Presence.LOCAL))


def _check_directory(backend: Backend) -> None:
    """Refuse a directory in a directory that is not there: it was mistyped, or a disk is not mounted."""
    if isinstance(backend, LocalBackend) and not backend.root.parent.is_dir():
        raise PathNotFound(
            f"no such directory: {backend.root.parent}",
            hint="check the URL, and whether the disk is mounted; only the last directory of it is made",
        )


@dataclass(frozen=True, slots=True)
class Meant:
    """A remote context to clone, and how it is to be called here."""

    name: str
    local: str


def meant(url: str, name: str | None) -> Meant:
    """
    Which remote context below a URL is to be cloned, and as what: ``remote/local``, or one name for the local one.

    Without a remote name it is the only one there is, or of several that of the local name.

    Raises:
        BundleNotFound: Nothing was pushed there.
        BadQuery: There are several; the message names them.
        BadName: No context can be named so.
    """
    remote, slash, local = (name or "").rpartition("/")
    for each in [remote, local] if slash else [local] if name else []:
        check_context_name(each)
    if slash:
        return Meant(remote, local)
    backend = open_backend(url)
    there = backend.list_below("context/") if store_id(backend) is not None else []
    if not there:
        raise BundleNotFound(
            f"nothing was pushed to {url}", hint="check the URL; `dsdt remote` and `dsdt push` fill it"
        )
    if len(there) > 1 and local not in there:
        raise BadQuery(
            f"{url} has several contexts: {', '.join(there)}", hint=f"say which one: `dsdt clone {url} {there[0]}`"
        )
    chosen = local if local in there else there[0]
    return Meant(chosen, local or chosen)


def clone(home: Home, url: str, chosen: Meant, *, layout: str, progress: fetching.Progress | None = None) -> Cloned:
    """
    Make a context, bind it, and fetch what a remote context has; no bytes of values and files.

    Raises:
        AlreadyExists: There is a context of this name.
        As :func:`bind`, in which case no context is made.
    """
    context = contexts.create(home, chosen.local)
    try:
        bound = bind(context, chosen.name, url, layout=layout)
        fetched = fetching.fetch(bound.context, progress=progress)
    except BaseException:
        if not context.catalog.counts().bundles:
            contexts.delete(home, chosen.local)
        raise
    return Cloned(bound, fetched)
