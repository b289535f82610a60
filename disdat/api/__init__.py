"""
What Disdat does, from Python: contexts, bundles and pipelines.

Every function takes the context it works on as its first argument: a local name, ``remote/local``, or a Context;
ContextNotFound, which is a LookupError, says that there is none. The home is the one the settings name when a
function is called (``DISDAT_HOME``, by default ``~/.disdat``). A bundle's name is exact text, whatever
characters are in it. Any number of threads and processes may call at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from disdat import config, ops
from disdat.api import selection
from disdat.api.bundle import Bundle, stored
from disdat.api.pipelines import apply, lineage, plan, why
from disdat.api.remotes import (
    clone,
    delocalize,
    fetch,
    gc_remote,
    localize,
    pull,
    push,
    remote,
    repair_remote,
    rmr,
    share,
    unbind,
    verify_remote,
)
from disdat.api.selection import ContextLike
from disdat.api.space import du, gc
from disdat.errors import AlreadyExists, ContextNotFound, InvalidInput

if TYPE_CHECKING:  # they bring in SQLAlchemy or pandas, which importing the API must not
    from disdat.catalog.queries import Row
    from disdat.context import Context
    from disdat.ops.checkout import CheckedOut
    from disdat.ops.contexts import Status
    from disdat.ops.delocalizing import Delocalized
    from disdat.ops.diff import BundleDifference
    from disdat.ops.fetching import FetchResult
    from disdat.ops.history import Change
    from disdat.ops.localizing import Localized
    from disdat.ops.moves import Taken
    from disdat.ops.pull import PullResult
    from disdat.ops.push import PushResult
    from disdat.ops.undo import Undone

__all__ = [
    "Bundle",
    "Delocalized",
    "FetchResult",
    "Localized",
    "PullResult",
    "PushResult",
    "add",
    "apply",
    "cat",
    "checkout",
    "clone",
    "commit",
    "context",
    "copy_bundles",
    "current_context",
    "delete_context",
    "delocalize",
    "diff",
    "du",
    "fetch",
    "fork_context",
    "gc",
    "gc_remote",
    "get",
    "init",
    "lineage",
    "localize",
    "log",
    "ls_contexts",
    "move_bundles",
    "plan",
    "pull",
    "push",
    "remote",
    "rename",
    "repair_remote",
    "rm",
    "rmr",
    "search",
    "set_aws_profile",
    "share",
    "status",
    "switch",
    "tag",
    "unbind",
    "undo",
    "untag",
    "verify_remote",
    "why",
]

_RESULTS = {
    "Delocalized": "disdat.ops.delocalizing",
    "FetchResult": "disdat.ops.fetching",
    "Localized": "disdat.ops.localizing",
    "PullResult": "disdat.ops.pull",
    "PushResult": "disdat.ops.push",
}
"""Where the types of results are; looked up when they are first used."""


def __getattr__(name: str) -> Any:  # whatever is there
    if name not in _RESULTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_RESULTS[name]), name)


def init() -> None:
    """Write a commented settings file and make the home; what is there already stays as it is."""
    settings = config.load()
    if settings.config_file is not None:
        config.write_default(settings.config_file)
    selection.home().ensure()


def set_aws_profile(profile: str) -> None:
    """Take AWS credentials from this profile, in this process and those it starts."""
    config.set_aws_profile(profile)


def current_context() -> str | None:
    """The name of the context that ``DISDAT_CONTEXT`` names or :func:`switch` chose; None without one."""
    return config.load().context or selection.home().current_name()


def ls_contexts() -> list[str]:
    """The local names of all contexts, sorted."""
    return selection.home().context_names()


def context(name: str) -> int:
    """Create a context, also as ``remote/local``; 0 if it is new, 1 if there was one. Does not switch to it."""
    home = selection.home()
    home.ensure()
    try:
        ops.contexts.create(home, name)
    except AlreadyExists:
        return 1
    return 0


def delete_context(name: str, remote: bool = False, force: bool = False) -> None:
    """
    Delete a context with all bundles in it; that there is none is fine.

    What it held lies in the home's trash until that is purged, so *force*, which Disdat asks for to delete
    what was not pushed, changes nothing. With *remote*, its bundles that are there are removed for everybody first, as
    :func:`rmr` does.

    Raises:
        NotConfigured: *remote*, and it has none; nothing was deleted.
        PermissionDenied, Unavailable: The remote refused, or does not answer; nothing was deleted.
    """
    home = selection.home()
    try:
        if remote:
            here = ops.contexts.to_delete(home, name)
            ops.rmr.remove(here, ops.rmr.published(here))
        ops.contexts.delete(home, name)
    except ContextNotFound:
        return


def switch(name: str) -> None:
    """Make a context the current one of the command line, in this home, for every process."""
    selection.home().switch(selection.context(name).name)


def status(local_context: ContextLike) -> Status:
    """Counts and sizes of what is in a context."""
    return ops.contexts.status(selection.context(local_context))


def search(
    local_context: ContextLike,
    human_name: str | re.Pattern[str] | None = None,
    processing_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    is_committed: bool | None = None,
    find_intermediates: bool = False,
    find_roots: bool = False,
    before: str | datetime | None = None,
    after: str | datetime | None = None,
    *,
    as_of: str | datetime | None = None,
) -> list[Bundle]:
    """
    The bundles that pass every filter, newest first; their data is not read.

    *human_name* is exact; a compiled regular expression is a pattern, found anywhere in the name. *find_roots*
    leaves what the last task of a run made, *find_intermediates* all else, both everything. *before* and *after* are
    inclusive: a datetime (local time, unless it names a zone), or text as ISO 8601 or ``MM-DD-YYYY[ HH:MM:SS]``. With
    *as_of*, likewise a moment, the context is seen as it was then, and so are the bundles.

    Raises:
        BadQuery: A date cannot be read, or the context began after *as_of*.
    """
    from disdat.catalog.queries import Filter  # it brings in sqlite3, 10 ms that importing the API should not cost

    here = selection.context_as_of(local_context, as_of)
    pattern = human_name if isinstance(human_name, re.Pattern) else None
    wanted = Filter(
        name=None if isinstance(human_name, re.Pattern) else human_name,
        processing_name=processing_name,
        tags=tags or {},
        committed=is_committed,
        root=find_roots if find_roots != find_intermediates else None,
        before_us=None if before is None else selection.moment_us(before, ops.when.parse_last),
        after_us=None if after is None else selection.moment_us(after, ops.when.parse),
    )
    found = ops.find.search(here, wanted)
    return [stored(here, row) for row in found if pattern is None or pattern.search(row.name)]


def get(
    local_context: ContextLike,
    bundle_name: str | None,
    uuid: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    as_of: str | datetime | None = None,
) -> Bundle | None:
    """
    The latest bundle of this name that has all *tags*, or None; its data is not read.

    With *uuid*, that bundle, whatever the name. A name of None stands for any name. *as_of* is as for :func:`search`: a
    bundle that was removed since can be read while its bytes are there.
    """
    here = selection.context_as_of(local_context, as_of)
    row = ops.find.get(here, bundle_name, uuid=uuid, tags=tags or {})
    return None if row is None else stored(here, row)


def add(
    local_context: ContextLike,
    bundle_name: str,
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    tags: Mapping[str, str] | None = None,
) -> Bundle:
    """
    Make a bundle of a file, a directory or several of them.

    The data of one file is its path; of anything else the list of all files' paths, in their relative places.

    Raises:
        PathNotFound: A path does not exist (also a FileNotFoundError and an AssertionError). Nothing was added.
    """
    here = selection.context(local_context)
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    return stored(here, ops.add.add(here, bundle_name, paths, tags=tags or {}))


def cat(
    local_context: ContextLike, bundle_name: str, *, as_of: str | datetime | None = None
) -> Any:  # of the type that was stored
    """
    The value of the latest bundle of this name, now or *as_of* a moment.

    Raises:
        BundleNotFound: There is none (``CatNoBundleError``).
    """
    here = selection.context_as_of(local_context, as_of)
    return ops.bundles.value(here, ops.find.need(here, bundle_name).uuid)


def checkout(
    local_context: ContextLike,
    ref: str,
    directory: str | os.PathLike[str] | None = None,
    paths: Iterable[str] = (),
    *,
    link: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> CheckedOut:
    """
    Put a bundle's files, or those at and below *paths* in it, into *directory*, by default one named as the bundle.

    *ref* is a name, or another reference that ``dsdt checkout`` takes. A file that is right stays as it is, one that
    an earlier checkout wrote and nobody changed is replaced or deleted. With *link*, large files are read-only hard
    links to the store, where that can be. With *dry_run* nothing is done, and what is in the way is in the result.

    Raises:
        Conflict: Files that were changed, or that were there before, are in the way, and not *force*; nothing was done.
        InvalidInput: The bundle has no files, or the directory is none.
        PathNotFound: The bundle has no such path.
    """
    here = selection.context(local_context)
    if dry_run:
        return ops.checkout.plan(here, ref, directory, list(paths), link=link, force=force)
    return ops.checkout.checkout(here, ref, directory, list(paths), link=link, force=force)


def rm(
    local_context: ContextLike,
    bundle_name: str | None = None,
    uuid: str | None = None,
    tags: Mapping[str, str] | None = None,
    rm_all: bool = False,
    rm_old_only: bool = False,
    *,
    force: bool = False,
) -> None:
    """
    Remove the latest bundle that matches; with *rm_all* all that do, with *rm_old_only* all but the latest.

    That none matches is fine.

    Raises:
        BadQuery: Neither a name nor a uuid nor tags were given, so nothing is meant.
        Conflict: One of them is committed, and not *force*; nothing was removed.
    """
    if rm_all and rm_old_only:
        raise InvalidInput("rm_all and rm_old_only exclude each other", hint="give one of them")
    which = ops.find.Which.ALL if rm_all else ops.find.Which.OLD if rm_old_only else ops.find.Which.LATEST
    here = selection.context(local_context)
    rows = ops.find.select(here, bundle_name, uuid=uuid, tags=tags or {}, which=which)
    if uuid is not None and not rows:
        ops.unreadable.remove(here, uuid)  # of which nothing else is known
    ops.bundles.remove(here, rows, force=force)


def commit(
    local_context: ContextLike, bundle_name: str | None, tags: Mapping[str, str] | None = None, uuid: str | None = None
) -> None:
    """Mark the latest bundle that matches as eligible for pushing; BundleNotFound if none does."""
    here = selection.context(local_context)
    ops.bundles.commit(here, [_meant(here, bundle_name, uuid, tags or {})])


def tag(local_context: ContextLike, bundle_name: str | None, tags: Mapping[str, str], uuid: str | None = None) -> None:
    """
    Set tags on the latest bundle of this name, or on the bundle *uuid*.

    Raises:
        InvalidInput: A key is the system's own, or empty; nothing was changed.
    """
    here = selection.context(local_context)
    ops.bundles.tag(here, _meant(here, bundle_name, uuid), set_to=tags)


def untag(
    local_context: ContextLike, bundle_name: str | None, keys: str | Iterable[str], uuid: str | None = None
) -> None:
    """
    Take tags off the latest bundle of this name, or off the bundle *uuid*.

    Raises:
        InvalidInput: It has no such tag, or the key is the system's own; nothing was changed.
    """
    here = selection.context(local_context)
    unset = [keys] if isinstance(keys, str) else list(keys)
    ops.bundles.tag(here, _meant(here, bundle_name, uuid), unset=unset)


def rename(local_context: ContextLike, ref: str, new_name: str, *, rename_all: bool = False) -> None:
    """
    Give the bundle that *ref* names another name, or with *rename_all* every version of the name *ref*.

    Their place in time stays: of *new_name* the version that was made last is the latest.

    Raises:
        BadName, InvalidInput: It cannot be a bundle's name; nothing was changed.
    """
    here = selection.context(local_context)
    ops.moves.rename(here, _referred(here, [ref], rename_all), new_name)


def copy_bundles(
    local_context: ContextLike, refs: str | Iterable[str], to: ContextLike, *, copy_all: bool = False
) -> Taken:
    """
    Copy the bundles that *refs* name, or with *copy_all* every version of these names, to the context *to*.

    No byte is copied: both have the same bundle, of the same uuid, and each goes on by itself. What is there already
    stays as it is; the result says which those were (``there``), and which not (``new``).

    Raises:
        ContextNotFound: There is no context *to*.
        InvalidInput: It is the same context, or one of another home.
    """
    here = selection.context(local_context)
    return ops.moves.copy(here, selection.context(to), _referred(here, refs, copy_all))


def move_bundles(
    local_context: ContextLike, refs: str | Iterable[str], to: ContextLike, *, move_all: bool = False
) -> Taken:
    """
    As :func:`copy_bundles`, and then remove the bundles from where they were.

    Paths of their files there stay valid until the next collection. Cut short, a bundle is in both contexts, and
    moving it again completes it.
    """
    here = selection.context(local_context)
    return ops.moves.move(here, selection.context(to), _referred(here, refs, move_all))


def fork_context(local_context: ContextLike, new_name: str) -> None:
    """
    Make a context that has every bundle of another one, with its whole history; both go on by themselves.

    No byte of a bundle is copied.

    Raises:
        AlreadyExists: There is a context *new_name*.
        BadName: It cannot be a context's name.
    """
    ops.fork.fork(selection.context(local_context), new_name)


def log(
    local_context: ContextLike,
    ref: str | None = None,
    *,
    uuid: str | None = None,
    kinds: Iterable[str] = (),
    actor: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    as_of: str | datetime | None = None,
) -> Iterator[Change]:
    """
    What happened in a context, change by change, the newest first; each is read when it is asked for.

    *ref* is a name, of bundles that are there or were removed, or one version of it. *kinds* are such as ``add``,
    ``remove`` or ``tag``; without, all that say something of bundles. *actor* is ``user`` or ``user@host``. *since* and
    *until* are inclusive, and moments as for :func:`search`.

    Raises:
        BundleNotFound: There is, and was, no such bundle.
        BadQuery: A moment cannot be read, the reference is ambiguous, or there is no such kind.
    """
    return ops.history.log(
        selection.context_as_of(local_context, as_of),
        ref,
        uuid=uuid,
        kinds=frozenset(kinds),
        actor=actor,
        since_us=None if since is None else selection.moment_us(since, ops.when.parse),
        until_us=None if until is None else selection.moment_us(until, ops.when.parse_last),
    )


def undo(
    local_context: ContextLike, change: str | None = None, *, force: bool = False, dry_run: bool = False
) -> Undone:
    """
    Take back a change, named by its id or the beginning of it; without one, the last that counts and is no undo itself.

    An undo is one more change, and is itself undone by its id, the result's ``id``. *force* lets committed bundles be
    gone by it. With *dry_run* nothing is done.

    Raises:
        InvalidInput: There is nothing to undo.
        RefNotFound, BadQuery: No change, or several, have an id that begins so.
        Conflict: It was undone already, or a committed bundle would be gone.
        ObjectNotFound: A bundle cannot come back, since bytes it needs were purged.
    """
    here = selection.context(local_context)
    return ops.undo.plan(here, change, force=force) if dry_run else ops.undo.undo(here, change, force=force)


def diff(
    local_context: ContextLike,
    old: str | Bundle,
    new: str | Bundle | None = None,
    *,
    key: str | Iterable[str] = (),
    rtol: float = 0.0,
    atol: float = 0.0,
    limit: int | None = 20,
) -> BundleDifference:
    """
    How a bundle differs from an older one; false where nothing does. Only what has different digests is read.

    Each is a bundle or a reference (``name``, ``name@-1``, a uuid …); without *new*, *old* is compared with the version
    before it. Rows of tables are matched by the columns of *key*, else by one that looks like a key, or by position.
    Numbers count as equal within ``max(atol, rtol * max(|a|, |b|))``. Of rows, items, files and places *limit* each are
    kept to be shown, None keeps all; the counts are always whole.

    Raises:
        BundleNotFound, RefNotFound, BadQuery: A reference names none, or several; no table has the key.
        InvalidInput: The key is not unique; the message shows where.
    """
    from disdat.values.difference import Options, Tolerance  # with the rest of what only comparing needs

    here = selection.context(local_context)
    options = Options((key,) if isinstance(key, str) else tuple(key), Tolerance(rtol, atol), limit)
    return ops.diff.diff(here, _compared(here, old), None if new is None else _compared(here, new), options=options)


def _referred(here: Context, refs: str | Iterable[str], every: bool) -> list[Row]:
    names = [refs] if isinstance(refs, str) else list(refs)
    return ops.moves.versions(here, names) if every else ops.moves.chosen(here, names)


def _compared(here: Context, given: str | Bundle) -> str | Row:
    return given if isinstance(given, str) else ops.find.need(here, uuid=given.uuid)


def _meant(here: Context, bundle_name: str | None, uuid: str | None, tags: Mapping[str, str] | None = None) -> Row:
    """The bundle to change; unlike in a question, to name nothing does not mean the latest of all."""
    ops.find.check_named(bundle_name, uuid, tags or {})
    return ops.find.need(here, bundle_name, uuid=uuid, tags=tags or {})
