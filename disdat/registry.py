"""
One way to extend: a name leads to an object, or to where one is and what to do if it cannot be imported.

What is built in is registered in code. What others add is found through an entry point group, and read only
when a name is asked for that is not built in, so nobody waits for packages they do not use.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Generic, TypeVar, cast

from disdat.errors import AlreadyExists, NotConfigured, NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where an object is, ``module:attribute``, and what a person does when it cannot be imported."""

    target: str
    remedy: str = ""

    def __post_init__(self) -> None:
        module, _, attribute = self.target.partition(":")
        if not (module and attribute):
            raise ValueError(f"{self.target!r} is not module:attribute")

    def load(self) -> object:
        """Import the module and return the attribute; ImportError or AttributeError where it is not there."""
        module, _, attribute = self.target.partition(":")
        found: object = import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        return found


class Registry(Generic[T]):
    """
    Objects of one kind by name.

    *kind* says in messages what they are, such as ``serializer``; *group* is the entry point group in which
    other packages offer theirs. A name of ours is never replaced by theirs. Safe to use from several threads.
    """

    def __init__(self, kind: str, *, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, Lazy | _Loaded[T]] = {}
        self._offered: Mapping[str, Lazy] | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {sorted(self._entries)})"

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._others()

    def __iter__(self) -> Iterator[str]:
        """Yield every name, sorted, without importing what they lead to."""
        return iter(sorted({*self._entries, *self._others()}))

    def add(self, name: str, thing: T) -> None:
        """Register *thing*; AlreadyExists where the name is taken."""
        self._put(name, _Loaded(thing))

    def add_lazy(self, name: str, target: str, *, remedy: str = "") -> None:
        """
        Register what *target*, ``module:attribute``, will be when it is first asked for.

        *remedy* says how a person makes it importable: ``pip install 'disdat[dask]'``.
        """
        self._put(name, Lazy(target, remedy))

    def get(self, name: str) -> T:
        """
        Return what is registered as *name*, importing it if need be.

        Raises:
            NotFound: Nothing is; the hint lists what there is.
            NotConfigured: It cannot be imported; the hint is its remedy.
        """
        with self._lock:
            entry = self._entries.get(name) or self._others().get(name)
            if entry is None:
                raise NotFound(f"no {self.kind} named {name!r}", hint=f"there are: {', '.join(self)}")
            if isinstance(entry, Lazy):
                entry = self._entries[name] = _Loaded(self._load(name, entry))
            return entry.thing

    def _put(self, name: str, entry: Lazy | _Loaded[T]) -> None:
        with self._lock:
            if name in self._entries:
                raise AlreadyExists(f"a {self.kind} named {name!r} is registered already")
            self._entries[name] = entry

    def _load(self, name: str, entry: Lazy) -> T:
        try:
            # Whoever registers a name answers for its type; the registry cannot check a Protocol.
            return cast(T, entry.load())
        except (ImportError, AttributeError) as exc:
            raise NotConfigured(f"the {self.kind} {name!r} cannot be used: {exc}", hint=entry.remedy) from exc

    def _others(self) -> Mapping[str, Lazy]:
        """Return what other packages offer; looked up once."""
        if self._offered is None:
            self._offered = _entry_points(self.group) if self.group else {}
        return self._offered


@dataclass(frozen=True, slots=True)
class _Loaded(Generic[T]):
    """A box, so that a registered None or empty object is not taken for absence."""

    thing: T


def _entry_points(group: str) -> Mapping[str, Lazy]:
    from importlib.metadata import entry_points  # 40 ms, and only for names that are not built in

    return {
        point.name: Lazy(f"{point.module}:{point.attr}", f"reinstall {point.dist.name}" if point.dist else "")
        for point in entry_points(group=group)
        if point.attr  # The packaging rules let one name a bare module; that is no object of ours.
    }
