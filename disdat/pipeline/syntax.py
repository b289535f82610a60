"""
One statement of a module as a text that only its meaning changes, and the names it reads.

The text is the syntax tree in a grammar of ours: each node's class and its fields in the order of the grammar,
without positions, comments, docstrings and annotations, and without fields that are empty, so that every version of
Python gives the same. Names that are local to a function are numbered. Pure, and of the standard library only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

DECLARING = frozenset({"add_dependency", "yield_dependency", "add_external_dependency"})
"""Methods that are told a task class only to name what it makes."""

_NOT_WRITTEN = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_READ_LOCALS = frozenset({"eval", "exec", "locals"})
_READ_GLOBALS = frozenset({"eval", "exec", "globals"})
_READ_HERE_WITHOUT_ARGUMENTS = frozenset({"vars", "dir"})
_FRAMES = frozenset({"f_locals", "f_globals", "_getframe", "currentframe"})
_KEEP_NO_ANNOTATIONS = frozenset(
    {"staticmethod", "classmethod", "property", "setter", "getter", "deleter", "cached_property", "abstractmethod"}
    | {"cache", "lru_cache", "wraps", "contextmanager", "override", "final"}
)
"""Decorators that do not read the annotations of what they decorate."""

_WORD = re.compile(r"[^\W\d]\w*")
_CHAIN = 6

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a module may read of itself while it runs, so that it counts there."""

    docstrings: bool = False
    annotations: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """
    A statement, written.

    A reference is a name of the module with the attributes that are read of it (``helpers.clean``), or what a
    function imports, ``:module:`` or ``:module:name.attribute``; ``*`` is all of the module.
    """

    text: str
    names: tuple[str, ...]
    """The names it binds in the module."""
    imports: dict[str, list[str]]
    """Of those that an import binds, what to: a reference."""
    imported: tuple[str, ...]
    """The modules that are imported when it runs, or when a function of it does: references."""
    refs: tuple[str, ...]
    declared: tuple[str, ...]
    """References that only say which tasks there are: see :data:`DECLARING`."""
    calls: tuple[str, ...]
    """References that are called while the module is imported."""
    blind: tuple[str, ...]
    """What it does that cannot be followed, and where."""


def write(statement: ast.stmt, keeping: Keeping = Keeping()) -> Written:
    """A statement of a module, as it stands at its top."""
    writer = _Writer(keeping)
    writer.statements([statement])
    return writer.finish()


@dataclass(slots=True, eq=False)
class _Scope:
    """Where names are bound. The number of a name in *bound* is what it is called by; below zero it keeps its name."""

    kind: str
    serial: int = 0
    bound: dict[str, int] = field(default_factory=dict)
    imports: dict[str, list[str]] = field(default_factory=dict)
    outer: set[str] = field(default_factory=set)
    enclosing: set[str] = field(default_factory=set)
    uses: list[_Use] = field(default_factory=list)
    is_read: bool = False
    """Whether something reads its names as text."""


_Use = tuple[int, str, str, bool]
"""Where in the text a name stands, the name, the attributes read of it, and whether it is only declared."""


class _Writer:
    """Walks a statement once. Which scope a name belongs to is known when that scope ends."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._out: list[str] = []
        self._module = _Scope("module")
        self._scopes = [self._module]
        self._serial = 0
        self._functions = 0
        self._declaring = 0
        self._renames: list[tuple[int, str, str]] = []
        self._texts: list[str] = []
        self._refs: dict[str, None] = {}
        self._declared: dict[str, None] = {}
        self._imported: dict[str, None] = {}
        self._calls: dict[str, None] = {}
        self._blind: list[str] = []

    def finish(self) -> Written:
        for use in self._module.uses:
            self._refer(use[1] + use[2], declared=use[3])
        words = {word for text in self._texts for word in _WORD.findall(text)} if self._renames else set()
        for at, name, number in self._renames:
            # What a text names may be looked up in the caller's frame, as queries do.
            if name not in words:
                self._out[at] = number
        return Written(
            text=" ".join(self._out),
            names=tuple(self._module.bound),
            imports=self._module.imports,
            imported=tuple(self._imported),
            refs=tuple(self._refs),
            declared=tuple(each for each in self._declared if each not in self._refs),
            calls=tuple(self._calls),
            blind=tuple(self._blind),
        )

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for number, each in enumerate(body):
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                is_docstring = number == 0 and isinstance(each.value.value, str)
                if not (is_docstring and self._keeping.docstrings):
                    continue
            elif isinstance(each, ast.Pass):
                continue
            self._visit(each)

    # Nodes

    def _visit(self, node: ast.AST) -> None:
        special = _SPECIAL.get(type(node))
        if special is not None:
            special(self, node)
        else:
            self._generic(node)

    def _generic(self, node: ast.AST) -> None:
        kind, out = type(node), self._out
        fields = _FIELDS.get(kind)
        if fields is None:
            fields = _FIELDS[kind] = tuple(each for each in kind._fields if each not in _NOT_WRITTEN)
        out.append(kind.__name__)
        if not fields:
            return
        out.append("(")
        for name in fields:
            value = getattr(node, name, None)
            if value:
                out.append(name)
                self._value(name, value)
        out.append(")")

    def _value(self, name: str, value: object) -> None:
        if isinstance(value, ast.AST):
            self._visit(value)
        elif isinstance(value, list):
            self._out.append("[")
            if value and isinstance(value[0], ast.stmt):
                self.statements(value)
            else:
                for each in value:
                    self._value(name, each)
            self._out.append("]")
        else:
            self._out.append("-" if value is None else ascii(value))

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str):
            self._texts.append(value)
        # Python's own text of a number may not be longer than a limit.
        self._out.append(hex(value) if type(value) is int else ascii(value))

    def _name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id)
        self._use(node.id)

    def _attribute(self, node: ast.Attribute) -> None:
        self._write_chain(node, "")

    def _write_chain(self, node: ast.expr, attributes: str) -> None:
        """Write attributes of attributes, down to what they are read of."""
        if isinstance(node, ast.Attribute):
            if node.attr in _FRAMES:
                self._read_all_scopes()
            self._out += ("Attribute", "(", node.attr)
            self._write_chain(node.value, f".{node.attr}{attributes}")
            self._out.append(")")
        elif isinstance(node, ast.Name):
            self._use(node.id, attributes)
        elif isinstance(node, ast.Call) and (module := _called_import(node)):
            self._refer_import(module, attributes)
            self._plain_call(node)
        else:
            self._visit(node)

    def _call(self, node: ast.Call) -> None:
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if not self._functions and (chain := dotted(node.func)):
            self._calls[chain] = None
        if called in _READ_LOCALS or (called in _READ_HERE_WITHOUT_ARGUMENTS and not node.args):
            self._read_all_scopes()
        if called in _READ_GLOBALS and isinstance(node.func, ast.Name):
            self._refs["*"] = None
        if called in {"import_module", "__import__"} and node.args:
            self._imports_by_call(node)
        elif called == "__subclasses__":
            self._cannot_follow(node)
        if called in DECLARING:
            self._dependency(node)
        elif called in {"getattr", "hasattr"} and (attribute := _constant_attribute(node)):
            self._plain_call(node, first=f".{attribute}")
        else:
            self._plain_call(node)

    def _plain_call(self, node: ast.Call, *, first: str = "") -> None:
        self._out += ("Call", "(")
        self._visit(node.func)
        for number, each in enumerate(node.args):
            if number == 0 and first:
                self._write_chain(each, first)
            else:
                self._visit(each)
        for keyword in node.keywords:
            self._generic(keyword)
        self._out.append(")")

    def _dependency(self, node: ast.Call) -> None:
        """A call that names a task class: the class counts by what it makes."""
        self._out += ("Call", "(")
        self._visit(node.func)
        for each in node.args:
            self._named(each)
        for keyword in node.keywords:
            self._out += ("keyword", keyword.arg or "**")
            self._named(keyword.value)
        self._out.append(")")

    def _named(self, node: ast.expr) -> None:
        self._declaring += (is_class := isinstance(node, ast.Name | ast.Attribute))
        self._visit(node)
        self._declaring -= is_class

    def _imports_by_call(self, node: ast.Call) -> None:
        if module := _called_import(node):
            self._refer_import(module, "")
        else:
            self._cannot_follow(node)

    def _refer_import(self, module: str, attributes: str) -> None:
        self._imported[f":{module}:"] = None
        self._refer(f":{module}:{attributes[1:]}", declared=False)

    def _cannot_follow(self, node: ast.Call) -> None:
        self._blind.append(f"line {node.lineno}: {ast.unparse(node)}")

    def _joined(self, node: ast.JoinedStr) -> None:
        """A text with expressions in it: versions of Python differ in how they part what is between them."""
        self._out.append("JoinedStr[")
        text = ""
        for each in node.values:
            if isinstance(each, ast.Constant):
                text += str(each.value)
                continue
            self._text_part(text)
            text = ""
            self._visit(each)
        self._text_part(text)
        self._out.append("]")

    def _text_part(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self._out.append(ascii(text))

    def _formatted(self, node: ast.FormattedValue) -> None:
        self._out.append(f"FormattedValue{node.conversion}(")
        self._visit(node.value)
        if isinstance(node.format_spec, ast.JoinedStr) and any(map(_is_written, node.format_spec.values)):
            self._visit(node.format_spec)
        self._out.append(")")

    # Statements

    def _assign(self, node: ast.Assign) -> None:
        self._assignment(node.targets, node.value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        """In a class the annotation counts, as dataclasses and their like read it."""
        if self._scopes[-1].kind == "class" or self._keeping.annotations:
            self._generic(node)
        elif node.value is not None:
            self._assignment([node.target], node.value)
        elif isinstance(node.target, ast.Name) and self._scopes[-1].kind != "module":
            self._bind(node.target.id)

    def _assignment(self, targets: Iterable[ast.expr], value: ast.expr) -> None:
        self._out.append("Assign(")
        self._visit(value)
        for each in targets:
            self._visit(each)
        self._out.append(")")

    def _function(self, node: _Function) -> None:
        self._bind(node.name, kept=True)
        self._decorators(node.decorator_list)
        keeps = self._keeping.annotations or any(map(_may_read_annotations, node.decorator_list))
        if keeps and node.returns:
            self._visit(node.returns)
        is_declaring = node.name == "pipe_requires" and self._scopes[-1].kind == "class"
        self._declaring += is_declaring
        self._out += (type(node).__name__, node.name, "(")
        self._parameters(node.args, annotated=keeps)
        for each in getattr(node, "type_params", ()):
            self._visit(each)
        self.statements(node.body)
        self._out.append(")")
        self._close()
        self._declaring -= is_declaring

    def _lambda(self, node: ast.Lambda) -> None:
        self._out.append("Lambda(")
        self._parameters(node.args, annotated=False)
        self._visit(node.body)
        self._out.append(")")
        self._close()

    def _parameters(self, found: ast.arguments, *, annotated: bool) -> None:
        """The defaults, which are of the scope around, and then the scope of the function with its parameters."""
        self._value("defaults", found.defaults)
        self._value("defaults", found.kw_defaults)
        parts = (found.posonlyargs, found.args, [found.vararg], found.kwonlyargs, [found.kwarg])
        if annotated:
            for each in (each for part in parts for each in part if each):
                self._value(each.arg, each.annotation)
        scope = self._open("function")
        for part in parts:
            names = [each.arg for each in part if each]
            scope.bound.update(dict.fromkeys(names, -1))
            self._out += ("(", *names, ")")

    def _class(self, node: ast.ClassDef) -> None:
        self._bind(node.name, kept=True)
        self._decorators(node.decorator_list)
        self._out += ("ClassDef", node.name, "(")
        for each in (*node.bases, *node.keywords, *getattr(node, "type_params", ())):
            self._visit(each)
        self._open("class")
        self._value("body", node.body)
        self._out.append(")")
        self._close()

    def _decorators(self, found: Iterable[ast.expr]) -> None:
        for each in found:
            if not self._functions and (chain := dotted(each)):
                self._calls[chain] = None
            self._out.append("@")
            self._visit(each)

    def _comprehension(self, node: _Comprehension) -> None:
        first = node.generators[0]
        self._out += (type(node).__name__, "(")
        self._visit(first.iter)  # the only part that belongs to the scope around
        self._open("comprehension")
        for each in node.generators:
            self._out.append("async for" if each.is_async else "for")
            self._visit(each.target)
            if each is not first:
                self._visit(each.iter)
            self._value("ifs", each.ifs)
        for name in ("elt", "key", "value"):
            if part := getattr(node, name, None):
                self._visit(part)
        self._out.append(")")
        self._close()

    def _walrus(self, node: ast.NamedExpr) -> None:
        scope = next(each for each in reversed(self._scopes) if each.kind != "comprehension")
        self._bind(node.target.id, scope)
        self._out.append(":=")
        self._use(node.target.id)
        self._visit(node.value)

    def _handler(self, node: ast.ExceptHandler) -> None:
        self._out.append("ExceptHandler(")
        if node.type:
            self._visit(node.type)
        self._captured(node.name)
        self._value("body", node.body)
        self._out.append(")")

    def _match_as(self, node: ast.MatchAs) -> None:
        self._out.append("MatchAs(")
        if node.pattern:
            self._visit(node.pattern)
        self._captured(node.name)
        self._out.append(")")

    def _match_star(self, node: ast.MatchStar) -> None:
        self._out.append("MatchStar")
        self._captured(node.name)

    def _match_mapping(self, node: ast.MatchMapping) -> None:
        self._out.append("MatchMapping(")
        self._value("keys", node.keys)
        self._value("patterns", node.patterns)
        self._captured(node.rest)
        self._out.append(")")

    def _captured(self, name: str | None) -> None:
        if name is None:
            self._out.append("-")
        else:
            self._bind(name)
            self._use(name)

    def _global(self, node: ast.Global) -> None:
        self._scopes[-1].outer.update(node.names)
        self._out += ("global(", *sorted(node.names), ")")

    def _nonlocal(self, node: ast.Nonlocal) -> None:
        self._scopes[-1].enclosing.update(node.names)
        self._out.append("nonlocal(")
        for name in node.names:
            self._use(name)
        self._out.append(")")

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            target = f":{alias.name if alias.asname else bound}:"
            self._bind_import(bound, target)
            self._imported[f":{alias.name}:"] = None
            self._out += ("import", target, bound)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = f":{'.' * node.level}{node.module or ''}:"
        self._imported[module] = None
        for alias in node.names:
            if alias.name != "*":
                # It may be a module of that package.
                self._imported[module + alias.name] = None
                self._bind_import(alias.asname or alias.name, module + alias.name)
            self._out += ("import", module + alias.name, alias.asname or alias.name)

    # Scopes

    def _open(self, kind: str) -> _Scope:
        self._serial += 1
        self._functions += kind == "function"
        scope = _Scope(kind, self._serial)
        self._scopes.append(scope)
        return scope

    def _close(self) -> None:
        scope = self._scopes.pop()
        self._functions -= scope.kind == "function"
        around = next(each for each in reversed(self._scopes) if each.kind != "class")
        around.is_read |= scope.is_read
        beside = self._scopes[-1] if scope.kind == "class" else around
        for use in scope.uses:
            self._resolve(use, scope, around if beside.kind == "class" else beside)

    def _resolve(self, use: _Use, scope: _Scope, around: _Scope) -> None:
        at, name, attributes, declared = use
        if name in scope.outer or (scope.kind == "class" and name in scope.bound):
            # What a class has not bound yet is looked for in the module.
            self._module.uses.append(use)
        elif name not in scope.bound:
            around.uses.append(use)
        elif name in scope.imports:
            for target in scope.imports[name]:
                ending = target.endswith(":")
                self._refer(target + (attributes[1:] if ending else attributes), declared=declared)
        elif (number := scope.bound[name]) >= 0 and not scope.is_read:
            self._renames.append((at, name, f"${scope.serial}.{number}"))

    def _bind(self, name: str, scope: _Scope | None = None, *, kept: bool = False) -> None:
        scope = scope or self._scopes[-1]
        if name in scope.outer:
            self._module.bound.setdefault(name, -1)
        elif name not in scope.enclosing:
            scope.bound.setdefault(name, len(scope.bound))
            if kept or scope.kind in {"class", "module"}:
                scope.bound[name] = -1

    def _bind_import(self, name: str, target: str) -> None:
        scope = self._scopes[-1]
        self._bind(name, kept=True)
        (self._module if name in scope.outer else scope).imports.setdefault(name, []).append(target)

    def _use(self, name: str, attributes: str = "") -> None:
        self._scopes[-1].uses.append((len(self._out), name, attributes, self._declaring > 0))
        self._out.append(name)

    def _refer(self, ref: str, *, declared: bool) -> None:
        (self._declared if declared else self._refs)[".".join(ref.split(".")[:_CHAIN]) if ref[0] != ":" else ref] = None

    def _read_all_scopes(self) -> None:
        if self._functions:
            self._scopes[-1].is_read = True
        else:
            self._refs["*"] = None


def dotted(node: ast.expr) -> str:
    """``a.b.c`` as text, of what is called too; nothing for any other expression."""
    attributes: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            attributes.clear()
            node = node.func
        else:
            return ""
    return ".".join([node.id, *reversed(attributes)])


def _called_import(node: ast.Call) -> str | None:
    """The module that ``importlib.import_module("a.b")`` or ``__import__("a.b")`` names."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in {"import_module", "__import__"} or not node.args:
        return None
    given = node.args[0]
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _constant_attribute(node: ast.Call) -> str | None:
    """The attribute that ``getattr(x, "name")`` reads."""
    if len(node.args) < 2 or not isinstance(node.args[0], ast.Name | ast.Attribute):
        return None
    given = node.args[1]
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _may_read_annotations(decorator: ast.expr) -> bool:
    return dotted(decorator).rpartition(".")[2] not in _KEEP_NO_ANNOTATIONS


def _is_written(part: ast.expr) -> bool:
    return not isinstance(part, ast.Constant) or part.value != ""


_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}

_SPECIAL: dict[type[ast.AST], Callable[[_Writer, Any], None]] = {  # each takes what it stands under
    ast.Constant: _Writer._constant,
    ast.Name: _Writer._name,
    ast.Attribute: _Writer._attribute,
    ast.Call: _Writer._call,
    ast.JoinedStr: _Writer._joined,
    ast.FormattedValue: _Writer._formatted,
    ast.Assign: _Writer._assign,
    ast.AnnAssign: _Writer._annotated,
    ast.FunctionDef: _Writer._function,
    ast.AsyncFunctionDef: _Writer._function,
    ast.Lambda: _Writer._lambda,
    ast.ClassDef: _Writer._class,
    ast.ListComp: _Writer._comprehension,
    ast.SetComp: _Writer._comprehension,
    ast.DictComp: _Writer._comprehension,
    ast.GeneratorExp: _Writer._comprehension,
    ast.NamedExpr: _Writer._walrus,
    ast.ExceptHandler: _Writer._handler,
    ast.MatchAs: _Writer._match_as,
    ast.MatchStar: _Writer._match_star,
    ast.MatchMapping: _Writer._match_mapping,
    ast.Global: _Writer._global,
    ast.Nonlocal: _Writer._nonlocal,
    ast.Import: _Writer._import,
    ast.ImportFrom: _Writer._import_from,
}
