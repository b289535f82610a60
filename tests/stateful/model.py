"""A home as its users know it: a plain dict of what was done, assumed to be right; and the same read off the disk."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from disdat.context import Context, Home
from disdat.ops import bundles, find


@dataclass
class Known:
    """One bundle."""

    name: str
    content: object
    tags: dict[str, str]
    committed: bool = False


Bundles = dict[str, Known]
"""The bundles of a context by uuid, in the order in which they were made or found right again."""


@dataclass
class Model:
    """What is in a home."""

    contexts: dict[str, Bundles] = field(default_factory=dict)
    current: str | None = None

    def listed(self) -> tuple[object, ...]:
        """All of it in a form whose equality takes the order of bundles into account."""
        return self.current, {name: list(bundles.items()) for name, bundles in self.contexts.items()}

    def copy(self) -> Model:
        return deepcopy(self)

    def made_anew(self, context: str, uuid: str) -> None:
        """Move a bundle to the end of the order."""
        bundles = self.contexts[context]
        bundles[uuid] = bundles.pop(uuid)

    def delete(self, context: str) -> None:
        del self.contexts[context]
        if self.current == context:
            self.current = None


def observed(home: Home) -> Model:
    """What is in a home, every byte read; a current context that is gone counts as none, as it does for a user."""
    contexts = {name: _bundles(home.context(name)) for name in home.context_names()}
    current = home.current_name()
    return Model(contexts, current if current in contexts else None)


def _bundles(context: Context) -> Bundles:
    rows = {row.uuid: row for row in find.search(context, find.Filter())}
    return {
        uuid: Known(row.name, content(bundles.value(context, uuid)), row.tags, row.committed)
        for uuid, row in reversed(rows.items())
    }


def content(value: object) -> object:
    """A value in a form that can be compared, with files as their bytes."""
    if isinstance(value, Mapping):
        return {key: content(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(content, value)]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, pd.DataFrame):
        return value.to_dict()
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name, Path(value).read_bytes()
    return value
