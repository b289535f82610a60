"""Remotes: binding a context to one, and beginning a context as a copy of one."""

from __future__ import annotations

from dataclasses import dataclass

from disdat.context import Context, Home, check_context_name
from disdat.errors import BadQuery, BundleNotFound, InvalidInput
from disdat.ops import contexts, fetching
from disdat.ops.fetching import FetchResult
from disdat.remote.binding import Binding, claimed, store_id
from disdat.store.backend import Abilities, open_backend, probe

LAYOUTS = ("packed", "plain")


@dataclass(frozen=True, slots=True)
class Bound:
    """A context's remote, and what that can do; whether it was bound to another one before."""

    context: Context
    binding: Binding
    abilities: Abilities
    before: Binding | None


@dataclass(frozen=True, slots=True)
class Cloned:
    """A context that began as a copy of a remote one."""

    bound: Bound
    fetched: FetchResult


def bind(context: Context, name: str, url: str, *, layout: str) -> Bound:
    """
    Bind a context to the remote context *name* below *url*; nothing is moved. Several contexts may share one.

    The place is tried: the bucket must be there, and what it can do is in the result. Who is the first to bind
    something to it must be allowed to write there; others may be allowed to read only.

    Raises:
        InvalidInput: It is no URL of a remote, or there are other things at it.
        BadName: No context can be named so.
        PermissionDenied, Unavailable: The place may not be used, or does not answer; nothing was changed.
        UnknownFormat: A later version made it.
    """
    check_context_name(name)
    if layout not in LAYOUTS:
        raise InvalidInput(f"no such layout: {layout!r}", hint=f"it is one of {', '.join(LAYOUTS)}")
    url = url.rstrip("/") if url.partition("://")[2].strip("/") else url
    backend = open_backend(url)
    id_ = claimed(backend, now_us=context.home.clock_us)
    abilities = probe(backend, "leases/")
    before = context.binding
    binding = Binding(backend.url, name, id_, layout)
    bound = context if binding == before else context.bind(binding)
    return Bound(bound, binding, abilities, before)


def unbind(context: Context) -> Binding | None:
    """Bind a context to no remote, and return the one it was bound to. What was fetched stays; bytes are not moved."""
    before = context.binding
    if before is not None:
        context.bind(None)
    return before


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
