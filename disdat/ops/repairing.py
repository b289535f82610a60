"""Sending again what a remote lost, or has wrong: by who has the right bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from disdat.context import Context
from disdat.core.digest import Digest
from disdat.core.places import object_key
from disdat.core.publication import Said
from disdat.errors import Conflict
from disdat.ops import fetching, runs
from disdat.ops.verifyremote import RemoteFinding
from disdat.remote import condemned, transfer
from disdat.remote.leases import Lease
from disdat.remote.mirror import Mirror, Overdue
from disdat.remote.transfer import Outgoing

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was sent again, and what is not here either."""

    sent: tuple[Digest, ...]
    left: tuple[Digest, ...]
    bytes_sent: int


def repair(context: Context, findings: Sequence[RemoteFinding]) -> Repaired:
    """
    Send each object that is wrong on the remote again, by itself, and publish that it is there.

    Raises:
        DigestMismatch: What is here is damaged too; others may have been sent.
        Conflict: Collections kept coming in between.
        PermissionDenied, Unavailable: The remote refused, or does not answer.
    """
    context.check_is_now()
    store = context.home.store
    # What is known by what the remote said of it cannot be sent: it would be another object.
    here = {digest for digest in store.has_many(each.digest for each in findings) if store.content(digest) == digest}
    sizes = {digest: store.size_bytes(digest) for digest in sorted(here)}
    left = tuple(each.digest for each in findings if each.digest not in here)
    if not sizes:
        return Repaired((), left, 0)
    with context.remote.mirror() as mirror:
        for _ in range(_ATTEMPTS):
            bytes_sent = _send(context, mirror, sizes)
            if bytes_sent is not None:
                return Repaired(tuple(sizes), left, bytes_sent)
    raise Conflict("collections of the remote keep coming in between", hint="try again later")


def _send(context: Context, mirror: Mirror, sizes: dict[Digest, int]) -> int | None:
    """Send objects and publish their places, as a push does; None where a collection came in between."""
    keys = {object_key(digest) for digest in sizes}
    with Lease(mirror.backend, writer=mirror.writer, actor=runs.actor(), now_us=mirror.now_us) as lease:
        mirror.heard(lease.stored_us)
        lists = condemned.there(mirror.backend)
        fetching.into(context, mirror)
        spared = condemned.spare(mirror.backend, lambda: keys)
        if spared.gone or lists - spared.lists:
            return None
        sent = transfer.send(
            mirror.backend,
            context.home.store,
            [Outgoing(object_key(digest), digest, size_bytes) for digest, size_bytes in sizes.items()],
            progress=lambda _: lease.renew(),
            is_there=lambda _, __: False,
            noted=lambda _: None,
        )
        lease.outlive()
        try:
            mirror.publish(Said(objects=list(sizes.items())), actor=runs.actor(), until_us=lease.ends_us)
        except Overdue:
            return None
        lease.finish()
    return sent.bytes_sent
