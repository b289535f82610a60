"""A bundle to read: what tasks are handed of the bundles they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.reserved import COMMITTED
from disdat.ops import bundles, find


class BundleHandle:
    """
    One bundle of a context. Its value is read when it is asked for, anew each time; its tags are those of then.

    Two handles of one bundle are equal; pickling keeps only which bundle it is.
    """

    __slots__ = ("_context", "_row")

    def __init__(self, context: Context, row: Row) -> None:
        self._context = context
        self._row = row

    def __repr__(self) -> str:
        return f"BundleHandle({self.name!r}, uuid={self.uuid!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BundleHandle) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __reduce__(self) -> tuple[Callable[[Context, str], BundleHandle], tuple[Context, str]]:
        return of, (self._context, self.uuid)

    @property
    def uuid(self) -> str:
        return self._row.uuid

    @property
    def name(self) -> str:
        return self._row.name

    @property
    def processing_name(self) -> str:
        return self._row.processing_name

    @property
    def owner(self) -> str:
        return self._row.owner

    @property
    def creation_date(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self._row.created_us / 1_000_000

    @property
    def params(self) -> Mapping[str, str]:
        return self._row.params

    @property
    def tags(self) -> dict[str, str]:
        """Its tags now, the system's own included; BundleNotFound if it was removed."""
        row = find.need(self._context, uuid=self.uuid)
        return {**row.tags, COMMITTED: "True"} if row.committed else dict(row.tags)

    @property
    def data(self) -> object:
        """Its value; see :func:`disdat.ops.bundles.value`."""
        return bundles.value(self._context, self.uuid)


def of(context: Context, uuid: str) -> BundleHandle:
    """The bundle *uuid*; BundleNotFound if it is not in the context."""
    return BundleHandle(context, find.need(context, uuid=uuid))
