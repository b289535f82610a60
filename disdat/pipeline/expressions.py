"""What expressions are, as far as their syntax tells. Pure, and of the standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_KEEP_NO_ANNOTATIONS = frozenset(
    {"staticmethod", "classmethod", "property", "setter", "getter", "deleter", "cached_property", "abstractmethod"}
    | {"cache", "lru_cache", "wraps", "contextmanager", "override", "final"}
)
"""Decorators that do not read the annotations of what they decorate."""

_READ_LOCALS = frozenset({"eval", "exec", "locals"})
_READ_WITHOUT_ARGUMENTS = frozenset({"vars", "dir"})
_READ_WHAT_A_TEXT_NAMES = frozenset({"query", "sql"})
"""Methods that look for names of a text in the caller's frame, as those of pandas and DuckDB."""


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


def last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c``, whatever ``a`` is; nothing for what is neither a name nor an attribute."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def names_in(node: ast.expr) -> list[str]:
    """The names that stand in an expression."""
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]


def reads_locals(node: ast.Call, called: str) -> bool:
    """Whether a call of something named *called* may read the names there are where it stands."""
    if called in _READ_WITHOUT_ARGUMENTS:
        return not node.args
    if called in _READ_WHAT_A_TEXT_NAMES:
        return not all(isinstance(each, ast.Constant) for each in node.args)
    return called in _READ_LOCALS


def imported_by_call(node: ast.Call) -> str | None:
    """The module that a call of ``import_module("a.b")``, or of what is the same by another name, names."""
    name, package = (_argument(node, number, each) for number, each in enumerate(("name", "package")))
    module = text(name)
    if module is None or not module.startswith(".") or package is None:
        return module
    if isinstance(package, ast.Name) and package.id in {"__package__", "__name__"}:
        return module
    around = text(package)
    return None if around is None else _inside(around, module)


def constant_attribute(node: ast.Call) -> str | None:
    """The attribute that ``getattr(x, "name")`` reads."""
    if len(node.args) < 2 or not isinstance(node.args[0], ast.Name | ast.Attribute):
        return None
    return text(node.args[1])


def may_read_annotations(decorator: ast.expr) -> bool:
    """Whether a decorator may read the annotations of the function it decorates."""
    return dotted(decorator).rpartition(".")[2] not in _KEEP_NO_ANNOTATIONS


def text(node: ast.expr | None) -> str | None:
    """The text that an expression is written as."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def other_names(tree: ast.AST, watched: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each name that is given to one of those *watched* by an import or an assignment, and what it is a name of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((each.asname, each.name) for each in node.names if each.asname and each.name in watched)
        elif isinstance(node, ast.Assign) and (meant := last_name(node.value)) in watched:
            yield from ((each.id, meant) for each in node.targets if isinstance(each, ast.Name))


def _argument(node: ast.Call, number: int, name: str) -> ast.expr | None:
    named = (each.value for each in node.keywords if each.arg == name)
    return node.args[number] if len(node.args) > number else next(named, None)


def _inside(package: str, module: str) -> str:
    """The absolute name of a relative one in *package*."""
    inner = module.lstrip(".")
    parts = package.split(".")
    return ".".join(filter(None, [*parts[: len(parts) - (len(module) - len(inner)) + 1], inner]))
