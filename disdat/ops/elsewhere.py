"""What is not here, and is on the remote: nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterable

from disdat.context import Context
from disdat.core.digest import Digest
from disdat.ops import fetching


def on_remote(context: Context, digests: Iterable[Digest]) -> set[Digest]:
    """
    Those of some objects that lie on the context's remote, as far as is known; none where it has no remote.

    Raises:
        Unavailable: Nothing is known of the remote, as after its ``mirror.db`` was lost, and it does not answer.
    """
    wanted = set(digests)
    if not wanted or context.binding is None:
        return set()
    known = context.remote.known
    if not known.number("cursor"):
        fetching.fetch(context)
    return set(known.places(wanted))
