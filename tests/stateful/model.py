"""A home as its users know it: a plain dict of what was done, assumed to be right; and the same read off the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from disdat.context import Context, Home
from disdat.ops import bundles, find, history


@dataclass
class Known:
    """One bundle."""

    name: str
    content: object
    tags: dict[str, str]
    committed: bool = False


Bundles = dict[str, Known]
"""The bundles of a context by uuid, in the order in which they were made or found right again."""

Held = tuple[Bundles, set[str]]
"""What a context held, and which bundles were committed when they were removed."""


@dataclass
class Model:
    """What is in a home."""

    contexts: dict[str, Bundles] = field(default_factory=dict)
    current: str | None = None
    committed_once: dict[str, set[str]] = field(default_factory=dict)
    """Of each context the bundles that were committed when they were removed: they are when they come back."""
    before: dict[str, list[Held]] = field(default_factory=dict)
    """What each context held before each change that counts, and is no undo; nobody changes what is in here."""

    def listed(self) -> tuple[object, ...]:
        """All of it in a form whose equality takes the order of bundles into account."""
        contexts = {name: list(bundles.items()) for name, bundles in self.contexts.items()}
        return self.current, contexts, {name: len(self.before.get(name, ())) for name in contexts}

    def copy(self) -> Model:
        before = {name: list(each) for name, each in self.before.items()}
        return Model(deepcopy(self.contexts), self.current, deepcopy(self.committed_once), before)

    def change(self, context: str) -> None:
        """Note that something is about to be said of the bundles of a context."""
        held = deepcopy(self.contexts[context]), set(self.committed_once.get(context, ()))
        self.before.setdefault(context, []).append(held)

    def undo(self, context: str) -> None:
        """Take back the last change."""
        bundles, committed_once = self.before[context].pop()
        self.contexts[context] = deepcopy(bundles)
        self.committed_once[context] = set(committed_once)

    def made_anew(self, context: str, uuid: str) -> None:
        """Move a bundle to the end of the order."""
        bundles = self.contexts[context]
        bundles[uuid] = bundles.pop(uuid)

    def remove(self, context: str, uuids: Iterable[str]) -> None:
        self.change(context)
        for uuid in uuids:
            if self.contexts[context].pop(uuid).committed:
                self.committed_once.setdefault(context, set()).add(uuid)

    def absent(self, source: str, target: str, uuids: Iterable[str]) -> list[str]:
        """Those of some bundles that are not in another context, in their order."""
        wanted = set(uuids)
        return [uuid for uuid in self.contexts[source] if uuid in wanted and uuid not in self.contexts[target]]

    def take(self, source: str, target: str, uuids: Iterable[str]) -> None:
        """Copy bundles to a context, where they count as made now."""
        absent = self.absent(source, target, uuids)
        if absent:
            self.change(target)
        for uuid in absent:
            known = deepcopy(self.contexts[source][uuid])
            known.committed |= uuid in self.committed_once.get(target, ())
            self.contexts[target][uuid] = known

    def fork(self, source: str, target: str) -> None:
        self.contexts[target] = deepcopy(self.contexts[source])
        self.committed_once[target] = set(self.committed_once.get(source, ()))
        self.before[target] = list(self.before.get(source, ()))

    def delete(self, context: str) -> None:
        del self.contexts[context]
        self.committed_once.pop(context, None)
        self.before.pop(context, None)
        if self.current == context:
            self.current = None


def observed(home: Home) -> Model:
    """What is in a home, every byte read; a current context that is gone counts as none, as it does for a user."""
    contexts = {name: _bundles(home.context(name)) for name in home.context_names()}
    current = home.current_name()
    before: dict[str, list[Held]] = {name: [({}, set())] * _changes(home.context(name)) for name in contexts}
    return Model(contexts, current if current in contexts else None, before=before)


def _changes(context: Context) -> int:
    """How many changes count, and are no undo."""
    return sum(each.counts and not each.undoes for each in history.log(context, mentioned=0))


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
