"""The facts of a bundle that is stored; what is not in the catalog's row is read when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from disdat import ops
from disdat.core import bundle as core
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


class Stored:
    """One bundle of a context; immutable but for its tags, which are those of the moment they are asked for."""

    def __init__(self, context: Context, known: Known) -> None:
        # Listings make ten thousands: what can be computed when it is asked for is.
        self._context = context
        self._known = known

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
        return self._known.created_us / 1_000_000

    @property
    def row(self) -> Row:
        """The catalog's row as it is now; BundleNotFound if the bundle was removed."""
        return ops.find.need(self._context, uuid=self.uuid)

    @property
    def manifest(self) -> core.Bundle:
        known = self._known
        if not isinstance(known, core.Bundle):
            known = self._known = self._context.catalog.bundle(self.uuid)
        return known

    @cached_property
    def data(self) -> object:
        return self.read()

    def read(self) -> object:
        """The value, read anew."""
        return ops.bundles.value(self._context, self.uuid)

    def directory(self) -> Path:
        return ops.bundles.directory(self._context, self.uuid)

    @property
    def tags(self) -> dict[str, str]:
        row = self.row
        return {**row.tags, COMMITTED: "True"} if row.committed else dict(row.tags)

    @property
    def params(self) -> Mapping[str, str]:
        return self._known.params

    @property
    def inputs(self) -> dict[str, core.Dependency]:
        return {each.argument: each for each in self.manifest.lineage.inputs}

    @property
    def code_ref(self) -> str:
        return self._code.method

    @property
    def git_info(self) -> tuple[str, str, str]:
        return self._code.repo, self._code.commit, self._code.branch

    @property
    def timing(self) -> tuple[float, float]:
        lineage = self.manifest.lineage
        return (lineage.started_us or 0) / 1_000_000, (lineage.stopped_us or 0) / 1_000_000

    @property
    def is_presentable(self) -> bool:
        return bool(self.manifest.frames)

    @property
    def _code(self) -> core.CodeRef:
        return self.manifest.lineage.code or core.CodeRef()
