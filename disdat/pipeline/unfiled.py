"""
The source of what has no file: the code of a notebook, an interactive session or an archive.

Of a session it is put together from what is defined there now: functions and classes as they were typed, plain
values as they are, and imports.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType

_PLAIN: tuple[type, ...] = (bool, int, float, complex, str, bytes, type(None))


def source(module: ModuleType | None, cls: type) -> str:
    """The source of the module that *cls* was defined in."""
    return _kept(module) or "\n".join(_statements(module, cls))


def _kept(module: ModuleType | None) -> str | None:
    """What the loader of an archive, or another one, gives as the source."""
    spec = getattr(module, "__spec__", None)
    read: Callable[[str], str | None] | None = getattr(getattr(spec, "loader", None), "get_source", None)
    if spec is None or read is None:
        return None
    try:
        return read(spec.name)
    except ImportError:
        return None


def _statements(module: ModuleType | None, cls: type) -> Iterator[str]:
    space = {cls.__qualname__.partition(".")[0]: cls, **(vars(module) if module is not None else {})}
    for name, value in sorted(space.items()):
        if name.isidentifier() and not name.startswith("__"):
            yield _statement(name, value, home=cls.__module__)


def _statement(name: str, value: object, *, home: str) -> str:
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    if not isinstance(value, FunctionType | type):
        return f"{name} = {value!r}" if _is_plain(value) else f"{name} = {type(value).__qualname__!r}"
    if value.__module__ != home:
        return f"from {value.__module__} import {value.__qualname__.partition('.')[0]} as {name}"
    return _typed(name, value) or _made_up(name, value)


def _typed(name: str, value: FunctionType | type) -> str | None:
    """The definition as it was typed; None where nobody kept that."""
    for code in _codes(value):
        text = "".join(linecache.getlines(code.co_filename))
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in reversed(list(ast.walk(tree))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
                return ast.unparse(node)
    return None


def _made_up(name: str, value: FunctionType | type) -> str:
    """A definition that changes with what was compiled, and reads the names that reads."""
    codes = list(_codes(value))
    compiled = [_compiled(each) for each in codes]
    read = dict.fromkeys(each for code in codes for each in _names(code))
    plain = [] if isinstance(value, FunctionType) else [each for each in vars(value).items() if _is_plain(each)]
    bases = [] if isinstance(value, FunctionType) else [each.__name__ for each in value.__bases__]
    return f"{name} = ({[*compiled, sorted(plain)]!r}, {', '.join([*bases, *read])})"


def _codes(value: object) -> Iterator[CodeType]:
    if isinstance(value, type):
        for _, each in sorted(vars(value).items()):
            yield from _codes(getattr(each, "__func__", each)) if not isinstance(each, type) else ()
    elif isinstance(value, FunctionType):
        yield inspect.unwrap(value).__code__


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _compiled(code: CodeType) -> tuple[object, ...]:
    return (code.co_name, code.co_code.hex(), code.co_names, tuple(map(_constant, code.co_consts)))


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _compiled(value)
    # The order of a set of texts is another one in every process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return type(value) in _PLAIN
