"""The facts of a bundle that is stored; what is not in the catalog's row is read when it is first asked for."""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from disdat import ops
from disdat.core import bundle as core
from disdat.ops.handles import BundleHandle

_Stamp: TypeAlias = "tuple[int, int]"
_SETTLED_NS = 100_000_000
"""A directory is known only if it was this old when looked at: a change in the same tick leaves its time alone."""


class Stored(BundleHandle):
    """One bundle of a context; immutable but for its tags, which are those of the moment they are asked for."""

    _verified: _Stamp | None = None
    """What its directory was when all files in it were verified."""

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
        """Where its files are: verified when this is first asked, and again once one came, went or was replaced."""
        path = self._context.bundle_directory(self.uuid)
        if self._verified is None or self._verified != _stamp(path):
            ops.bundles.directory(self._context, self.uuid)
            self._verified = _stamp(path)
        return path

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


def _stamp(directory: Path) -> _Stamp | None:
    """What changes when something directly in a directory comes, goes or is replaced; None where that is not sure."""
    try:
        found = os.stat(directory)
    except OSError:  # whoever needs it says what is wrong with it
        return None
    return (found.st_ino, found.st_mtime_ns) if found.st_mtime_ns + _SETTLED_NS <= time.time_ns() else None
