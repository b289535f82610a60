"""Sharing, from Python: a context's remote, and what goes there and comes from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from disdat import config, ops
from disdat.api import selection
from disdat.api.selection import ContextLike
from disdat.api.space import policy

if TYPE_CHECKING:  # they bring in sqlite3 and more, which importing the API must not
    from disdat.catalog.queries import Row
    from disdat.context import Context
    from disdat.ops.delocalizing import Delocalized
    from disdat.ops.fetching import FetchResult
    from disdat.ops.localizing import Localized
    from disdat.ops.pull import PullResult
    from disdat.ops.push import PushResult
    from disdat.ops.remotegc import RemoteDone, RemotePlan
    from disdat.ops.repairing import Repaired
    from disdat.ops.sharing import Shared
    from disdat.ops.verifyremote import RemoteReport


def remote(local_context: ContextLike, remote_context: str, remote_url: str) -> None:
    """
    Bind a context to the remote context of this name below a URL, such as ``s3://bucket/prefix``; nothing is moved.

    Raises:
        InvalidInput: It is no URL of a remote, or there are other things at it.
        BucketNotFound: There is no such bucket; we make none.
        PermissionDenied, Unavailable: It may not be used, or does not answer; nothing was changed.
    """
    layout = config.load().layout
    ops.remotes.bind(selection.context(local_context), remote_context, remote_url, layout=layout)


def unbind(local_context: ContextLike) -> list[str]:
    """
    Bind a context to no remote; the uuids of the bundles that have bytes only there, and cannot be read until then.

    What was fetched stays, and no bytes are moved. Of a context without a remote nothing changes.
    """
    left = ops.remotes.unbind(selection.context(local_context))
    return sorted(left.uuids) if left else []


def push(
    local_context: ContextLike,
    bundle_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    uuid: str | None = None,
    delocalize: bool = False,
    *,
    inputs: bool = False,
) -> PushResult:
    """
    Send the newest committed bundle that matches to the remote, or all committed ones, if nothing is named.

    What is there already is not sent again. On return others see all of it. With *delocalize*, the bytes of these
    bundles are dropped here then, as :func:`delocalize` does. With *inputs*, what they were made from is committed and
    sent too, where it is here and not there.

    Raises:
        BundleNotFound: None matches.
        InvalidInput: What matches is not committed.
        NotConfigured: The context has no remote.
        PermissionDenied, Unavailable: The remote refused, or does not answer; pushing again goes on.
    """
    here = selection.context(local_context)
    if bundle_name is None and uuid is None and not tags and not delocalize and not inputs:
        return ops.push.push_all(here)
    rows = ops.push.selected(here, bundle_name, uuid=uuid, tags=tags or {})
    if inputs:
        rows = ops.push.with_inputs(here, rows)
    pushed = ops.push.push(here, rows)
    if delocalize and rows:
        ops.delocalizing.delocalize(here, rows)
    return pushed


def pull(
    local_context: ContextLike, bundle_name: str | None = None, uuid: str | None = None, localize: bool = False
) -> PullResult:
    """
    Fetch, and make sure that the newest bundle of a name, if one is given, or the bundle *uuid*, is here.

    Bytes come when they are first asked for, or at once with *localize*: of what is named, or of all bundles.

    Raises:
        BundleNotFound: The remote has none; the message says what it has.
        NotConfigured: The context has no remote.
        PermissionDenied, Unavailable: The remote refused, or does not answer; what arrived is kept.
    """
    return ops.pull.pull(selection.context(local_context), bundle_name, uuid=uuid, with_bytes=localize)


def fetch(local_context: ContextLike) -> FetchResult:
    """Take over what others pushed, removed and tagged since the last time, without the bytes of values and files."""
    return ops.fetching.fetch(selection.context(local_context))


def clone(remote_url: str, name: str | None = None) -> str:
    """
    Make a context that has what a remote has, without the bytes of values and files; its name.

    *name* is as what it is known here, or ``remote/local``, which says too which of several remote contexts is meant.

    Raises:
        AlreadyExists: There is a context of this name.
        BundleNotFound: Nothing was pushed there.
        BadQuery: There are several remote contexts; the message names them.
    """
    chosen = ops.remotes.meant(remote_url, name)
    made = ops.remotes.clone(selection.home(), remote_url, chosen, layout=config.load().layout)
    return made.bound.context.name


def localize(
    local_context: ContextLike,
    bundle_name: str | None = None,
    uuid: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Localized:
    """
    Fetch the bytes that are not here of the latest bundle that matches.

    Raises:
        BundleNotFound: None matches; BadQuery where nothing is named.
        ObjectNotFound, DigestMismatch: The remote lacks some too, or they are damaged there.
    """
    here = selection.context(local_context)
    return ops.localizing.localize(here, [_meant(here, bundle_name, uuid, tags or {})])


def delocalize(
    local_context: ContextLike,
    bundle_name: str | None = None,
    uuid: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Delocalized:
    """
    Drop the bytes of the latest bundle that matches here, once the remote is proved to have them.

    They come back when they are asked for. Those that another bundle needs stay.

    Raises:
        BundleNotFound: None matches; BadQuery where nothing is named.
        InvalidInput: It was not pushed; nothing was dropped.
        ObjectNotFound, DigestMismatch: The remote lacks some, or has it damaged; nothing was dropped.
    """
    here = selection.context(local_context)
    return ops.delocalizing.delocalize(here, [_meant(here, bundle_name, uuid, tags or {})])


def rmr(local_context: ContextLike, refs: str | Iterable[str], tags: Mapping[str, str] | None = None) -> list[str]:
    """
    Remove bundles for everybody who shares the remote context, here too; their uuids.

    Each is named exactly: a name (its latest, with *tags* the latest that has them), ``name@version`` or a whole uuid.

    Raises:
        BadQuery: Nothing is named, or the beginning of a uuid; nothing was removed.
        BundleNotFound: One names nothing; nothing was removed.
        InvalidInput: One was never pushed; nothing was removed.
    """
    here = selection.context(local_context)
    removals = ops.rmr.selected(here, [refs] if isinstance(refs, str) else list(refs), tags=tags or {})
    ops.rmr.remove(here, removals)
    return [each.uuid for each in removals]


def share(local_context: ContextLike, ref: str, *, expires: timedelta | None = None) -> Shared:
    """
    Make URLs by which anybody can read the files and values of a bundle for so long: 24 hours, or up to 7 days.

    They are of copies, so nothing else is given away; until the time is over nothing takes them back.

    Raises:
        NotConfigured: The context has no remote.
        InvalidInput: The remote has no URLs that others can read, or not for so long; or there is nothing to share.
        BundleNotFound, RefNotFound, BadQuery: *ref* names none, or several.
    """
    lasting = timedelta(hours=24) if expires is None else expires
    return ops.sharing.share(selection.context(local_context), ref, expires_s=int(lasting.total_seconds()))


def gc_remote(
    local_context: ContextLike,
    apply: bool = False,
    *,
    retention: timedelta | None = None,
    grace: timedelta | None = None,
) -> RemotePlan | RemoteDone:
    """
    What nobody needs of all contexts at the URL of the remote: a plan, which changes nothing, or what was done.

    With *apply*, what nobody needs is condemned, and what was condemned for the *grace* is deleted. What was removed is
    needed for the *retention*. Both are by default as the settings say. Others may push and collect meanwhile.

    Raises:
        NotConfigured: The context has no remote.
        UnknownFormat, Corrupt, ObjectNotFound: It cannot be told what some bundle needs; nothing was changed.
    """
    here, chosen = selection.context(local_context), policy(retention, grace)
    return ops.remotegc.collect(here, chosen) if apply else ops.remotegc.plan(here, chosen)


def verify_remote(local_context: ContextLike, ref: str | None = None, *, sample: float | None = None) -> RemoteReport:
    """
    Look whether the remote has all that was published, or of the bundle *ref*, and as long as it was.

    With *sample*, a share above 0 and up to 1, the bytes of that share are read, too.

    Raises:
        NotConfigured: The context has no remote.
        BundleNotFound, RefNotFound, BadQuery: *ref* names none, or several.
    """
    return ops.verifyremote.verify(selection.context(local_context), reference=ref, sample=sample)


def repair_remote(local_context: ContextLike, report: RemoteReport) -> Repaired:
    """Send again what :func:`verify_remote` found wrong there, and is here; what is not is in the result's ``left``."""
    return ops.repairing.repair(selection.context(local_context), report.findings)


def _meant(here: Context, bundle_name: str | None, uuid: str | None, tags: Mapping[str, str]) -> Row:
    ops.find.check_named(bundle_name, uuid, tags)
    return ops.find.need(here, bundle_name, uuid=uuid, tags=tags)
