"""What a run exchanges with the remote of its context while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from disdat.context import Context
from disdat.core.reserved import TRANSIENT
from disdat.ops import bundles


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whether each result is committed, and pushed, once it is made, and inputs are localized before they are read."""

    push: bool = False
    pull: bool = False
    commit: bool = False
    """What is pushed is committed anyhow."""

    def commits(self, tags: Mapping[str, str]) -> bool:
        """Whether a result with these tags is committed as it is made: what is transient is not."""
        return (self.push or self.commit) and TRANSIENT not in tags

    def check(self, context: Context) -> None:
        """Refuse, with NotConfigured, what needs a remote where there is none."""
        if self.push or self.pull:
            context.remote  # noqa: B018 - raises where there is none


def publish(context: Context, uuids: Iterable[str]) -> None:
    """
    Commit bundles and push them, but those marked as transient.

    Raises what :func:`disdat.ops.push.push` does.
    """
    from disdat.ops import push  # most runs share nothing

    rows = [row for row in context.catalog.rows(list(uuids)).values() if TRANSIENT not in row.tags]
    if rows:
        bundles.commit(context, [row for row in rows if not row.committed])
        push.push(context, rows)


def bring(context: Context, uuids: Iterable[str]) -> None:
    """Have all bytes of bundles here; raises what :func:`disdat.ops.localizing.localize` does."""
    from disdat.ops import localizing  # most runs share nothing

    localizing.localize(context, list(context.catalog.rows(list(uuids)).values()))
