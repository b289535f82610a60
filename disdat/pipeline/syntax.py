"""
One statement of a module as a text that only its meaning changes, and the names it reads.

The text is the syntax tree in a grammar of ours: each node's class and its fields in the order of the grammar,
without positions, comments, docstrings and annotations, and without fields that are empty, so that every version of
Python gives the same. Names that are local to a function are numbered. Pure, and of the standard library only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from disdat.pipeline.expressions import constant_attribute, may_read_annotations, text
from disdat.pipeline.noticing import NOTED, Noticing
from disdat.pipeline.scopes import Scopes
from disdat.pipeline.written import PLAIN, Keeping, Written

_DECLARING = frozenset({"add_dependency", "yield_dependency", "add_external_dependency"})
"""Methods that are told a task class only to name what it makes."""
_NOT_WRITTEN = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_WORD = re.compile(r"[^\W\d]\w*")
_NONE: Mapping[str, str] = {}

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def write(statement: ast.stmt, keeping: Keeping = PLAIN, others: Mapping[str, str] = _NONE) -> Written:
    """A statement of a module, as it stands at its top; *others* are names there of what is watched."""
    writer = _Writer(keeping, others)
    writer.statements([statement])
    return writer.finish()


class _Writer:
    """Walks a statement once."""

    def __init__(self, keeping: Keeping, others: Mapping[str, str]) -> None:
        self._keeping = keeping
        self._others = others
        self._out: list[str] = []
        self._scopes = Scopes()
        self._notes = Noticing(self._scopes, others)
        self._texts: list[str] = []
        self._stars: list[str] = []

    def finish(self) -> Written:
        scopes, notes = self._scopes, self._notes
        scopes.finish()
        words = {word for text in self._texts for word in _WORD.findall(text)} if scopes.renames else set()
        for at, name, number in scopes.renames:
            # What a text names may be looked up in the caller's frame, as queries do.
            if name not in words:
                self._out[at] = number
        return Written(
            text=" ".join(self._out),
            names=tuple(scopes.module.bound),
            refs=tuple(scopes.refs),
            imports=scopes.module.imports,
            imported=tuple(notes.imported),
            stars=tuple(self._stars),
            declared=tuple(each for each in scopes.declared if each not in scopes.refs),
            calls=tuple(notes.calls),
            reads=tuple(notes.reads),
            blind=tuple(notes.blind),
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
            if value[:2] == "__":
                self._notes.named(value)
        # Python's own text of a number may not be longer than a limit, and that of some constants is a name.
        text = hex(value) if type(value) is int else ascii(value)
        is_name = value is ... or (isinstance(value, float | complex) and "inf" in text)
        self._out.append(f"={text}" if is_name else text)

    def _name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._scopes.bind(node.id)
        self._used(node)

    def _attribute(self, node: ast.Attribute) -> None:
        self._write_chain(node, "")

    def _write_chain(self, node: ast.expr, attributes: str) -> None:
        """Write attributes of attributes, down to what they are read of."""
        if isinstance(node, ast.Attribute):
            if node.attr in NOTED:
                self._notes.attribute(node)
            self._out += ("Attribute", "(", node.attr)
            self._write_chain(node.value, f".{node.attr}{attributes}")
            self._out.append(")")
        elif isinstance(node, ast.Name):
            self._used(node, attributes)
        elif isinstance(node, ast.Call) and self._notes.imports(node, attributes):
            self._plain_call(node)
        else:
            self._visit(node)

    def _call(self, node: ast.Call) -> None:
        called = self._notes.called(node)
        if called in _DECLARING:
            self._dependency(node)
        elif called in {"getattr", "hasattr"} and (attribute := constant_attribute(node)):
            self._plain_call(node, first=f".{attribute}")
        else:
            self._plain_call(node)

    def _subscript(self, node: ast.Subscript) -> None:
        self._notes.subscript(node)
        self._generic(node)

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
        self._scopes.declaring += (is_class := isinstance(node, ast.Name | ast.Attribute))
        self._visit(node)
        self._scopes.declaring -= is_class

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
        self._notes.assigned(node)
        self._assignment(node.targets, node.value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        """In a class the annotation counts, as dataclasses and their like read it."""
        if self._scopes.kind == "class" or self._keeping.annotations:
            self._generic(node)
            self._named_in_texts(node.annotation)
        elif node.value is not None:
            self._assignment([node.target], node.value)
        elif isinstance(node.target, ast.Name) and self._scopes.kind != "module":
            self._scopes.bind(node.target.id)

    def _annotation(self, node: ast.expr) -> None:
        self._visit(node)
        self._named_in_texts(node)

    def _named_in_texts(self, node: ast.expr) -> None:
        """Refer to the names in an annotation that is written as a text, or has texts in it."""
        texts = [found for each in ast.walk(node) if isinstance(each, ast.Constant) and (found := text(each))]
        for word in (word for each in texts for word in _WORD.findall(each)):
            self._scopes.refer(word)

    def _assignment(self, targets: Iterable[ast.expr], value: ast.expr) -> None:
        self._out.append("Assign(")
        self._visit(value)
        for each in targets:
            self._visit(each)
        self._out.append(")")

    def _function(self, node: _Function) -> None:
        self._scopes.bind(node.name, kept=True)
        self._decorators(node.decorator_list)
        keeps = self._keeping.annotations or any(map(may_read_annotations, node.decorator_list))
        if keeps and node.returns:
            self._annotation(node.returns)
        is_declaring = node.name == "pipe_requires" and self._scopes.kind == "class"
        self._scopes.declaring += is_declaring
        self._out += (type(node).__name__, node.name, "(")
        self._parameters(node.args, annotated=keeps)
        for each in getattr(node, "type_params", ()):
            self._visit(each)
        self.statements(node.body)
        self._out.append(")")
        self._scopes.close()
        self._scopes.declaring -= is_declaring

    def _lambda(self, node: ast.Lambda) -> None:
        self._out.append("Lambda(")
        self._parameters(node.args, annotated=False)
        self._visit(node.body)
        self._out.append(")")
        self._scopes.close()

    def _parameters(self, found: ast.arguments, *, annotated: bool) -> None:
        """The defaults, which are of the scope around, and then the scope of the function with its parameters."""
        self._value("defaults", found.defaults)
        self._value("defaults", found.kw_defaults)
        parts = (found.posonlyargs, found.args, [found.vararg], found.kwonlyargs, [found.kwarg])
        if annotated:
            for each in (each for part in parts for each in part if each):
                self._out.append(each.arg)
                if each.annotation:
                    self._annotation(each.annotation)
        self._scopes.open("function")
        for part in parts:
            names = [each.arg for each in part if each]
            self._scopes.bind_parameters(names)
            self._out += ("(", *names, ")")

    def _class(self, node: ast.ClassDef) -> None:
        self._scopes.bind(node.name, kept=True)
        self._decorators(node.decorator_list)
        self._out += ("ClassDef", node.name, "(")
        for each in (*node.bases, *node.keywords, *getattr(node, "type_params", ())):
            self._visit(each)
        for keyword in node.keywords:
            if keyword.arg == "metaclass":
                self._notes.calls_on_import(keyword.value)
        self._scopes.open("class")
        self._value("body", node.body)
        self._out.append(")")
        self._scopes.close()

    def _decorators(self, found: Iterable[ast.expr]) -> None:
        for each in found:
            self._notes.calls_on_import(each)
            self._out.append("@")
            self._visit(each)

    def _comprehension(self, node: _Comprehension) -> None:
        first = node.generators[0]
        self._out += (type(node).__name__, "(")
        self._visit(first.iter)  # the only part that belongs to the scope around
        self._scopes.open("comprehension")
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
        self._scopes.close()

    def _walrus(self, node: ast.NamedExpr) -> None:
        self._scopes.bind_around(node.target.id)
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

    def _match_singleton(self, node: ast.MatchSingleton) -> None:
        self._out.append(f"MatchSingleton={node.value}")  # None and False are no fields that are empty

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
            self._scopes.bind(name)
            self._use(name)

    def _global(self, node: ast.Global) -> None:
        self._scopes.use_outer(node.names)
        self._out += ("global(", *sorted(node.names), ")")

    def _nonlocal(self, node: ast.Nonlocal) -> None:
        self._scopes.use_enclosing(node.names)
        self._out.append("nonlocal(")
        for name in node.names:
            self._use(name)
        self._out.append(")")

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            target = f":{alias.name if alias.asname else bound}:"
            self._scopes.bind_import(bound, target)
            self._notes.imported[f":{alias.name}:"] = None
            self._out += ("import", target, bound)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = f":{'.' * node.level}{node.module or ''}:"
        self._notes.imported[module] = None
        for alias in node.names:
            if alias.name == "*":
                self._stars.append(module)
            else:
                # It may be a module of that package.
                self._notes.imported[module + alias.name] = None
                self._scopes.bind_import(alias.asname or alias.name, module + alias.name)
            self._out += ("import", module + alias.name, alias.asname or alias.name)

    def _used(self, node: ast.Name, attributes: str = "") -> None:
        if node.id in NOTED or node.id in self._others:
            self._notes.name(node)
        self._scopes.use(len(self._out), node.id, attributes)
        self._out.append(node.id)

    def _use(self, name: str) -> None:
        self._scopes.use(len(self._out), name)
        self._out.append(name)


def _is_written(part: ast.expr) -> bool:
    return not isinstance(part, ast.Constant) or part.value != ""


_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}

_SPECIAL: dict[type[ast.AST], Callable[[_Writer, Any], None]] = {  # each takes what it stands under
    ast.Constant: _Writer._constant,
    ast.Name: _Writer._name,
    ast.Attribute: _Writer._attribute,
    ast.Subscript: _Writer._subscript,
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
    ast.MatchSingleton: _Writer._match_singleton,
    ast.MatchStar: _Writer._match_star,
    ast.MatchMapping: _Writer._match_mapping,
    ast.Global: _Writer._global,
    ast.Nonlocal: _Writer._nonlocal,
    ast.Import: _Writer._import,
    ast.ImportFrom: _Writer._import_from,
}
