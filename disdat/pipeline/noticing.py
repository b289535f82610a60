"""
What a statement does that its names do not tell.

That is what it imports by a call, what it calls while the module is imported, what it reads of the text of code, and
where it cannot be followed. Pure, and of the standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from disdat.pipeline.expressions import dotted, imported_by_call, last_name, names_in, reads_locals, text
from disdat.pipeline.scopes import Scopes

IMPORTING = frozenset({"import_module", "__import__"})
READING = {
    "getdoc": "docstrings",
    "__doc__": "docstrings",
    "signature": "annotations",
    "from_callable": "annotations",
    "get_type_hints": "annotations",
    "get_annotations": "annotations",
    "getfullargspec": "annotations",
    "__annotations__": "annotations",
    "getsource": "sources",
    "getsourcelines": "sources",
    "findsource": "sources",
}
"""What reads the text of code, and which part of it counts then."""
WATCHED = IMPORTING | {each for each in READING if not each.startswith("_")}
"""Those that may have another name in a module, as by ``from importlib import import_module as load``."""

_CALL_WHAT_THEY_ARE_GIVEN = frozenset({"map", "filter", "starmap", "reduce"})
_RUN_WHAT_IS_NAMED = frozenset(
    {"run_path", "run_module", "spec_from_file_location", "SourceFileLoader", "resolve_name", "entry_points"}
    | {"iter_entry_points", "__subclasses__"}
)
_READ_LOCALS = frozenset({"eval", "exec", "locals"})
_READ_GLOBALS = frozenset({"eval", "exec", "globals"})
_FRAMES = frozenset({"f_locals", "f_globals", "_getframe", "currentframe"})
_NAMESPACES = frozenset({"f_globals", "__globals__"})
NOTED = IMPORTING | READING.keys() | _READ_LOCALS | _READ_GLOBALS | _FRAMES | _NAMESPACES | {"executable"}
"""Names and attributes that are looked at; all others tell nothing."""


class Noticing:
    """Looks at the expressions of one statement, as they are written."""

    def __init__(self, scopes: Scopes, others: Mapping[str, str]) -> None:
        self.imported: dict[str, None] = {}
        self.calls: dict[str, None] = {}
        self.reads: dict[str, None] = {}
        self.blind: list[str] = []
        self._scopes = scopes
        self._others = others
        """Other names of what is :data:`WATCHED`."""
        self._seen: ast.expr | None = None
        """A name that was looked at with what it stands in."""

    def called(self, node: ast.Call) -> str:
        """Look at a call; what is called is named so."""
        named = last_name(node.func)
        called = self._others.get(named, named)
        self.calls_on_import(node.func)
        if called in _CALL_WHAT_THEY_ARE_GIVEN:
            for each in node.args[:1]:
                self.calls_on_import(each)
        if reads_locals(node, called) and (self._scopes.functions or isinstance(node.func, ast.Name)):
            self._scopes.read()
        if called in READING:
            self.reads[READING[called]] = None
        elif called in IMPORTING:
            self.imports(node)
        elif called in _RUN_WHAT_IS_NAMED or (called == "exec" and _reads_file(node)):
            self.cannot_follow(node)
        if dotted(node.func) == "sys.modules.get" and node.args:
            self._loaded_module(node.args[0], node)
        return called

    def imports(self, node: ast.expr, attributes: str = "") -> bool:
        """Refer to the module that a call imports, and what is read of it; whether it is such a call."""
        if not isinstance(node, ast.Call):
            return False
        named = last_name(node.func)
        if self._others.get(named, named) not in IMPORTING:
            return False
        self._seen = node.func
        if module := imported_by_call(node):
            self._refer_import(module, attributes)
        elif not attributes:
            self.cannot_follow(node)
        return bool(module)

    def calls_on_import(self, called: ast.expr) -> None:
        """Note what is called, or decorates, unless a function is around."""
        if not self._scopes.functions:
            self.calls |= dict.fromkeys([chain] if (chain := dotted(called)) else names_in(called))

    def name(self, node: ast.Name) -> None:
        """Look at a name that is :data:`NOTED`, or another one of what is."""
        self._handed_on(node, node.id)
        if node.id in _READ_LOCALS:
            self._scopes.read()
        if node.id in _READ_GLOBALS or node.id == "__annotations__":
            self._scopes.refer("*")
        if node.id[:2] == "__":
            self.named(node.id)

    def attribute(self, node: ast.Attribute) -> None:
        """Look at an attribute that is :data:`NOTED`."""
        self._handed_on(node, node.attr)
        of = dotted(node.value)
        if node.attr == "executable" and of == "sys":
            self.cannot_follow(node)  # runs another Python, on who knows what
        if node.attr in _FRAMES:
            self._scopes.read()
        if node.attr in _NAMESPACES or (node.attr in _READ_GLOBALS and of == "builtins"):
            self._scopes.refer("*")
        if node.attr[:2] == "__" or of in {"inspect", "typing"}:
            self.named(node.attr)

    def named(self, name: str) -> None:
        """Look at the name of an attribute, which may be written as a text."""
        if name in READING:
            self.reads[READING[name]] = None

    def assigned(self, node: ast.Assign) -> None:
        """Look at an assignment: another name of what imports modules is known where it is called."""
        if all(isinstance(each, ast.Name) for each in node.targets):
            self._seen = node.value

    def subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Attribute) and dotted(node.value) == "sys.modules":
            self._loaded_module(node.slice, node)

    def cannot_follow(self, node: ast.expr) -> None:
        self.blind.append(f"line {node.lineno}: {ast.unparse(node)}")

    def _handed_on(self, node: ast.Name | ast.Attribute, name: str) -> None:
        if self._others.get(name, name) in IMPORTING and node is not self._seen and isinstance(node.ctx, ast.Load):
            self.cannot_follow(node)

    def _loaded_module(self, name: ast.expr, node: ast.expr) -> None:
        """``sys.modules[name]``, of which anything may be read."""
        if isinstance(name, ast.Name) and name.id == "__name__":
            self._scopes.refer("*")
        elif module := text(name):
            self._refer_import(module, "")
        else:
            self.cannot_follow(node)

    def _refer_import(self, module: str, attributes: str) -> None:
        self.imported[f":{module}:"] = None
        self._scopes.refer(f":{module}:{attributes[1:]}")


def _reads_file(node: ast.Call) -> bool:
    inner = (each for given in node.args[:1] for each in ast.walk(given) if isinstance(each, ast.Call))
    return any(last_name(each.func) in {"open", "read", "read_text"} for each in inner)
