"""Bundles of which nothing but the uuid is known, since their manifest cannot be read."""

from __future__ import annotations

from disdat.context import Context
from disdat.core import event
from disdat.ops import runs


def remove(context: Context, uuid: str) -> bool:
    """Remove the bundle of this whole uuid if it is such a one, committed or not; whether it was."""
    if uuid not in context.catalog.unreadable():
        return False
    context.home.ensure()
    context.catalog.commit([event.Draft(event.REMOVE, {"uuids": [uuid]})], actor=runs.actor())
    return True
