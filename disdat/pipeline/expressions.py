"""What expressions are, as far as their syntax tells. Pure, and of the standard library only."""

from __future__ import annotations

import ast

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


def called_import(node: ast.Call) -> str | None:
    """The module that ``importlib.import_module("a.b")`` or ``__import__("a.b")`` names."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in {"import_module", "__import__"}:
        return None
    named = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "name")]
    return _text(named[0]) if named else None


def constant_attribute(node: ast.Call) -> str | None:
    """The attribute that ``getattr(x, "name")`` reads."""
    if len(node.args) < 2 or not isinstance(node.args[0], ast.Name | ast.Attribute):
        return None
    return _text(node.args[1])


def may_read_annotations(decorator: ast.expr) -> bool:
    """Whether a decorator may read the annotations of the function it decorates."""
    return dotted(decorator).rpartition(".")[2] not in _KEEP_NO_ANNOTATIONS


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
