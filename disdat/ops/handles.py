"""A bundle to read: what tasks are handed of the bundles they name, and the base of what users of Python hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from disdat import ops
from disdat.core.reserved import COMMITTED

if TYPE_CHECKING:  # they bring in SQLAlchemy, which importing the API must not
    from disdat.catalog.queries import Row
    from disdat.context import Context


class Known(Protocol):
    """What both a row of the catalog and a manifest say."""

    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def processing_name(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def created_us(self) -> int: ...
    @property
    def params(self) -> Mapping[str, str]: ...


class BundleHandle:
    """
    One bundle of a context. Its value is read when it is asked for, anew each time; its tags are those of then.

    Two handles of one bundle are equal; pickling keeps only which bundle it is.
    """

    __slots__ = ("_context", "_known")

    def __init__(self, context: Context, known: Known) -> None:
        # Listings make ten thousands: what can be computed when it is asked for is.
        self._context = context
        self._known = known

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, uuid={self.uuid!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BundleHandle) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __reduce__(self) -> tuple[Callable[[Context, str], BundleHandle], tuple[Context, str]]:
        return of, (self._context, self.uuid)

    @property
    def uuid(self) -> str:
        return self._known.uuid

    @property
    def name(self) -> str:
        return self._known.name

    @property
    def processing_name(self) -> str:
        return self._known.processing_name

    @property
    def owner(self) -> str:
        return self._known.owner

    @property
    def creation_date(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self._known.created_us / 1_000_000

    @property
    def params(self) -> Mapping[str, str]:
        return self._known.params

    @property
    def row(self) -> Row:
        """The catalog's row as it is now; BundleNotFound if the bundle was removed."""
        return ops.find.need(self._context, uuid=self.uuid)

    @property
    def tags(self) -> dict[str, str]:
        """Its tags now, the system's own included; BundleNotFound if it was removed."""
        row = self.row
        return {**row.tags, COMMITTED: "True"} if row.committed else dict(row.tags)

    @property
    def data(self) -> object:
        """Its value; see :func:`disdat.ops.bundles.value`."""
        return ops.bundles.value(self._context, self.uuid)


def of(context: Context, uuid: str) -> BundleHandle:
    """The bundle *uuid*; BundleNotFound if it is not in the context."""
    return BundleHandle(context, ops.find.need(context, uuid=uuid))
