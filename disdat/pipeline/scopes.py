"""
The scopes of a statement: which names are local to a function, and what the others are read of.

To which scope a name belongs is known when the scope ends, as Python has it: a function may bind a name after it
reads it. Pure, and of the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

_Kind = Literal["module", "class", "function", "comprehension"]

_Use = tuple[int, str, str, bool]
"""Where in the text a name stands, the name, the attributes read of it, and whether it is only declared."""

_CHAIN = 6
"""So many names of ``a.b.c`` are looked at: packages are hardly deeper."""


@dataclass(slots=True, eq=False)
class Scope:
    """Where names are bound. The number of a name in *bound* is what it is called by; below zero it keeps its name."""

    kind: _Kind
    serial: int = 0
    bound: dict[str, int] = field(default_factory=dict)
    imports: dict[str, list[str]] = field(default_factory=dict)
    """What an import binds names to: references."""
    outer: set[str] = field(default_factory=set)
    """Names that are the module's here."""
    enclosing: set[str] = field(default_factory=set)
    """Names that are those of a function around."""
    uses: list[_Use] = field(default_factory=list)
    is_read: bool = False
    """Whether something reads its names as text."""


class Scopes:
    """The scopes that are open, and what was found in those that are closed."""

    def __init__(self) -> None:
        self.module = Scope("module")
        self.functions = 0
        """How many of the open scopes are functions: without one the code runs when the module is imported."""
        self.declaring = 0
        """Above zero, what is read only says which tasks there are."""
        self.refs: dict[str, None] = {}
        self.declared: dict[str, None] = {}
        self.renames: list[tuple[int, str, str]] = []
        """Where local names stand in the text, and what they are called by."""
        self._open = [self.module]
        self._serial = 0

    @property
    def kind(self) -> _Kind:
        """What the innermost scope is of."""
        return self._open[-1].kind

    def open(self, kind: _Kind) -> None:
        self._serial += 1
        self.functions += kind == "function"
        self._open.append(Scope(kind, self._serial))

    def close(self) -> None:
        """End the innermost scope: what it does not bind is looked for around it, but not in a class."""
        scope = self._open.pop()
        self.functions -= scope.kind == "function"
        around = next(each for each in reversed(self._open) if each.kind != "class")
        around.is_read |= scope.is_read
        for use in scope.uses:
            self._resolve(use, scope, around)

    def finish(self) -> None:
        """End the module's scope: what is left are its names."""
        for _, name, attributes, declared in self.module.uses:
            self.refer(name + attributes, declared=declared)

    def use(self, at: int, name: str, attributes: str = "") -> None:
        """Note a name that stands in the text, and what is read of it, ``.b.c``."""
        self._open[-1].uses.append((at, name, attributes, self.declaring > 0))

    def bind(self, name: str, *, kept: bool = False) -> None:
        """Bind a name in the innermost scope; one that is *kept* is called by its name even where it is local."""
        self._bind(name, self._open[-1], kept=kept)

    def bind_around(self, name: str) -> None:
        """Bind a name in the innermost scope that is no comprehension."""
        self._bind(name, next(each for each in reversed(self._open) if each.kind != "comprehension"))

    def bind_parameters(self, names: Iterable[str]) -> None:
        """Bind names that a caller may use."""
        self._open[-1].bound.update(dict.fromkeys(names, -1))

    def bind_import(self, name: str, target: str) -> None:
        scope = self._open[-1]
        self.bind(name, kept=True)
        if scope.kind == "class":
            self.refer(target)  # an attribute of it: who reads that names the class, or an instance
        (self.module if name in scope.outer else scope).imports.setdefault(name, []).append(target)

    def use_outer(self, names: Iterable[str]) -> None:
        self._open[-1].outer.update(names)

    def use_enclosing(self, names: Iterable[str]) -> None:
        self._open[-1].enclosing.update(names)

    def refer(self, ref: str, *, declared: bool = False) -> None:
        """Note a reference."""
        short = ref if ref[0] == ":" else ".".join(ref.split(".", _CHAIN)[:_CHAIN])
        (self.declared if declared else self.refs)[short] = None

    def read(self) -> None:
        """Note that something reads the names there are as text."""
        if self.functions:
            self._open[-1].is_read = True
        else:
            self.refer("*")

    def _bind(self, name: str, scope: Scope, *, kept: bool = False) -> None:
        if name in scope.outer:
            self.module.bound.setdefault(name, -1)
        elif name not in scope.enclosing:
            scope.bound.setdefault(name, len(scope.bound))
            if kept or scope.kind in {"class", "module"}:
                scope.bound[name] = -1

    def _resolve(self, use: _Use, scope: Scope, around: Scope) -> None:
        at, name, attributes, declared = use
        if name in scope.outer or (scope.kind == "class" and name in scope.bound):
            # What a class has not bound yet is looked for in the module.
            self.module.uses.append(use)
        elif name not in scope.bound:
            around.uses.append(use)
        elif name in scope.imports:
            for target in scope.imports[name]:
                self.refer(target + (attributes[1:] if target.endswith(":") else attributes), declared=declared)
        elif (number := scope.bound[name]) >= 0 and not scope.is_read:
            self.renames.append((at, name, f"${scope.serial}.{number}"))
